/* Measurement updates: position, velocity, any two linear combinations of the state; of one model and of both
 * interacting. */
#include "one_track.h"

#define INCREMENT_SHARE 0.03 /* variance of a filtered track's increments over that of its places */
#define VELOCITY_GATE                                                                                                  \
    9.0 /* squared Mahalanobis distance; a velocity further off may say more of the sensor than of the road user */

static inline void bound_variances(double *p, int n)
{
    for (int r = 0; r < n; r++) {
        double variance = p[PACKED[r][r]];
        if (variance > MAX_VARIANCE) { /* with its covariances, or it would be none any more */
            double share = sqrt(MAX_VARIANCE / variance);
            for (int c = 0; c < n; c++)
                p[PACKED[r][c]] *= c == r ? 1.0 : share;
        }
        p[PACKED[r][r]] = bounded(variance, MIN_VARIANCE, MAX_VARIANCE);
    }
}

static inline double update_pair(double *x, double *p, int n, int a, int b, double za, double zb, const double r[3],
                                 double *d)
{
    double det = pair_1(x, p, n, a, b, za, zb, r, d);
    bound_variances(p, n);
    return det;
}

static inline void update_model_weights(imm_t *s, double da, double det_a, double db, double det_b)
{
    weigh_models_1(s, da, det_a, db, det_b);
}

void imm_update(imm_t *s, double x, double y, const double r[3])
{
    double da, db, det_a = update_pair(s->straight.x, s->straight.p, 4, 0, 1, x, y, r, &da);
    if (s->turn_probability <= 0.0)
        return;
    double det_b = update_pair(s->turning.x, s->turning.p, 5, 0, 1, x, y, r, &db);
    update_model_weights(s, da, det_a, db, det_b);
}

/* Noise of a velocity that disagrees grows with its distance: it still says that something changed, but not how much.
 */
static double robust_noise(const double *x, const double *p, double vx, double vy, double r)
{
    double i[3], dx = vx - x[2], dy = vy - x[3];
    invert2(p[7] + r, p[9] + r, p[8], i);
    double d = dx * dx * i[0] + dy * dy * i[1] + 2.0 * dx * dy * i[2];
    return d < VELOCITY_GATE ? r : r * d / VELOCITY_GATE;
}

void imm_update_velocity(imm_t *s, double vx, double vy, double r)
{
    double da, db, one = robust_noise(s->straight.x, s->straight.p, vx, vy, r), ra[3] = {one, one, 0.0};
    double det_a = update_pair(s->straight.x, s->straight.p, 4, 2, 3, vx, vy, ra, &da);
    if (s->turn_probability <= 0.0)
        return;
    double two = robust_noise(s->turning.x, s->turning.p, vx, vy, r), rb[3] = {two, two, 0.0};
    double det_b = update_pair(s->turning.x, s->turning.p, 5, 2, 3, vx, vy, rb, &db);
    update_model_weights(s, da, det_a, db, det_b);
}

/* p = d p d for d = diag(by, by, 1, 1, 1): the position's part grows, what it has in common with the rest keeps its
 * correlation */
static void inflate_position(double *p, double by)
{
    const uint8_t rest[4] = {2, 3, 5, 6};
    p[0] *= by * by;
    p[1] *= by * by;
    p[4] *= by * by;
    for (int i = 0; i < 4; i++)
        p[rest[i]] *= by;
}

/* Covariance intersection of positions, in information weights w and 1 - w, w by traces (Niehsen 2002): the source's
 * estimate may already hold ours. Velocity is not measured, so it is not given away. */
void imm_update_intersection(imm_t *s, const state_t *mean, double x, double y, const double r[3])
{
    double ours = mean->p[0] + mean->p[4], theirs = r[0] + r[1], w = bounded(theirs / (ours + theirs), 0.3, 0.95);
    double wide[3] = {r[0] / (1.0 - w), r[1] / (1.0 - w), r[2] / (1.0 - w)}, by = sqrt(1.0 / w);
    inflate_position(s->straight.p, by);
    inflate_position(s->turning.p, by);
    s->turning.p[10] *= by;
    s->turning.p[11] *= by;
    imm_update(s, x, y, wide);
}

/* A filtered track errs alike from scan to scan: its increments are good, its place is no better for being repeated. So
 * it is followed closely, with a share of its noise, and what was left out is given back to the place afterwards. */
void imm_update_filtered(imm_t *s, double x, double y, const double r[3])
{
    double small[3] = {INCREMENT_SHARE * r[0], INCREMENT_SHARE * r[1], INCREMENT_SHARE * r[2]};
    imm_update(s, x, y, small);
    for (int i = 0; i < 2; i++) {
        double *p = i ? s->turning.p : s->straight.p;
        p[0] += (1.0 - INCREMENT_SHARE) * r[0];
        p[4] += (1.0 - INCREMENT_SHARE) * r[1];
        p[1] += (1.0 - INCREMENT_SHARE) * r[2];
    }
}

static double update_linear(double *x, double *p, int n, const double h[8], const double z[2], const double r[3],
                            double *d)
{
    double det = combination_1(x, p, n, h, z, r, d);
    bound_variances(p, n);
    return det;
}

void imm_update_linear(imm_t *s, const double h[8], const double z[2], const double r[3])
{
    double da, db, det_a = update_linear(s->straight.x, s->straight.p, 4, h, z, r, &da);
    if (s->turn_probability <= 0.0)
        return;
    double det_b = update_linear(s->turning.x, s->turning.p, 5, h, z, r, &db);
    update_model_weights(s, da, det_a, db, det_b);
}
