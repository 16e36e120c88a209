/* The past: a few posteriors, the state at any earlier moment, and a late measurement folded into the present.
 *
 * With `then` the state predicted from the posterior before t, and `ahead` that prediction carried on to now, the smoother's gain
 * g = cov(then, ahead) ahead.p^-1 (Rauch, Tung, Striebel 1965) ties the past to the present:
 *     x(t) = then.x + g (x(now) - ahead.x) + e,   cov e = then.p - g ahead.p g'
 * so a measurement of x(t) is a linear measurement of x(now), whatever was folded in between. */
#include "numeric.h"
#include "track.h"

#include <math.h>
#include <string.h>

static double seconds(int64_t ns) { return (double)ns * 1e-9; }

/* The one of a full past that is least missed: its neighbours lie nearest together for how long ago they are. */
static int least(const track_t *k)
{
    int best = KEPT - 1;
    double apart = 0.0, ago = 0.0;
    for (int i = KEPT - 1; i > 0; i--) {
        int64_t next = i + 1 < KEPT ? k->then[i + 1] : k->t;
        double gap = (double)(next - k->then[i - 1]), since = (double)(k->t - k->then[i - 1]);
        if (i == KEPT - 1 || gap * ago < apart * since) {
            best = i;
            apart = gap;
            ago = since;
        }
    }
    return best;
}

void remember(track_t *k)
{
    uint8_t slot = k->kept;
    if (k->kept == KEPT) {
        int i = least(k);
        slot = k->slot[i];
        memmove(&k->slot[i], &k->slot[i + 1], (size_t)(KEPT - 1 - i) * sizeof k->slot[0]);
        memmove(&k->then[i], &k->then[i + 1], (size_t)(KEPT - 1 - i) * sizeof k->then[0]);
        k->kept--;
    }
    past_t *p = &k->past[slot];
    k->slot[k->kept] = slot;
    k->then[k->kept++] = k->t;
    p->x = k->mean.x[0];
    p->y = k->mean.x[1];
    p->v[0] = (float)k->mean.x[2];
    p->v[1] = (float)k->mean.x[3];
    for (int i = 0; i < 10; i++)
        p->p[i] = (float)k->mean.p[i];
}

/* The newest kept posterior that is not after t, or -1. */
static int before(const track_t *k, int64_t t)
{
    int i = k->kept - 1;
    while (i >= 0 && k->then[i] > t)
        i--;
    return i;
}

/* Inverse of a packed symmetric positive definite 4x4 by Cholesky; 0 when it is not. */
static int invert4(const double p[10], double out[16])
{
    static const uint8_t at[4][4] = {{0, 1, 2, 3}, {1, 4, 5, 6}, {2, 5, 7, 8}, {3, 6, 8, 9}};
    double l[16] = {0};
    for (int i = 0; i < 4; i++)
        for (int j = 0; j <= i; j++) {
            double sum = p[at[i][j]];
            for (int k = 0; k < j; k++)
                sum -= l[4 * i + k] * l[4 * j + k];
            if (i == j) {
                if (!(sum > 1e-12))
                    return 0;
                l[5 * i] = sqrt(sum);
            } else {
                l[4 * i + j] = sum / l[5 * j];
            }
        }
    for (int c = 0; c < 4; c++) {
        double y[4];
        for (int i = 0; i < 4; i++) {
            double sum = i == c ? 1.0 : 0.0;
            for (int k = 0; k < i; k++)
                sum -= l[4 * i + k] * y[k];
            y[i] = sum / l[5 * i];
        }
        for (int i = 3; i >= 0; i--) {
            double sum = y[i];
            for (int k = i + 1; k < 4; k++)
                sum -= l[4 * k + i] * out[4 * k + c];
            out[4 * i + c] = sum / l[5 * i];
        }
    }
    return 1;
}

typedef struct {
    state_t then, ahead;
    double gain[16];
} link_t;

/* Link t to the present; q is the spectral density of acceleration, m^2/s^3. */
static void tie(const track_t *k, int64_t t, double q, link_t *l)
{
    int i = before(k, t);
    double dt = seconds(k->t - t), inverse[16];
    state_t start;
    memset(l->gain, 0, sizeof l->gain);
    if (i >= 0) {
        const past_t *from = &k->past[k->slot[i]];
        start = (state_t){{from->x, from->y, from->v[0], from->v[1]}, {0}};
        for (int e = 0; e < 10; e++)
            start.p[e] = from->p[e];
        straight_step(&start, seconds(t - k->then[i]), q, &l->then);
        straight_step(&l->then, dt, q, &l->ahead);
        if (invert4(l->ahead.p, inverse)) {
            const double *p = l->then.p;
            double full[16] = {p[0], p[1], p[2], p[3], p[1], p[4], p[5], p[6], p[2], p[5], p[7], p[8], p[3], p[6], p[8], p[9]};
            for (int r = 0; r < 4; r++) {
                double *row = &full[4 * r], cross[4] = {row[0] + dt * row[2], row[1] + dt * row[3], row[2], row[3]};
                for (int c = 0; c < 4; c++)
                    l->gain[4 * r + c] = cross[0] * inverse[c] + cross[1] * inverse[4 + c] + cross[2] * inverse[8 + c] + cross[3] * inverse[12 + c];
            }
            return;
        }
    }
    /* nothing kept from before: step back from the present, less sure of it by the noise between */
    l->ahead = k->mean;
    straight_step(&k->mean, -dt, -q, &l->then);
    for (int e = 0; e < 4; e++)
        l->gain[5 * e] = 1.0;
    l->gain[2] = l->gain[7] = -dt;
}

/* out = g p g' on rows and columns 0..n-1 of packed p; only xx, xy, yy and the rest of position and velocity when n is 4 */
static void sandwich(const double gain[16], const double p[10], double out[16])
{
    double full[16] = {p[0], p[1], p[2], p[3], p[1], p[4], p[5], p[6], p[2], p[5], p[7], p[8], p[3], p[6], p[8], p[9]}, a[16];
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++)
            a[4 * r + c] = gain[4 * r] * full[c] + gain[4 * r + 1] * full[4 + c] + gain[4 * r + 2] * full[8 + c] + gain[4 * r + 3] * full[12 + c];
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++)
            out[4 * r + c] = a[4 * r] * gain[4 * c] + a[4 * r + 1] * gain[4 * c + 1] + a[4 * r + 2] * gain[4 * c + 2] + a[4 * r + 3] * gain[4 * c + 3];
}

static double agility(const track_t *k, const motion_t *m)
{
    return m->straight + k->now.turns * (m->turning - m->straight);
}

void state_at(const track_t *k, int64_t t, const motion_t *m, state_t *out)
{
    if (t == k->t) {
        *out = k->mean;
        return;
    }
    if (t > k->t) {
        imm_t ahead;
        change_t c = change_after(seconds(t - k->t), m);
        imm_step(&k->now, &c, &ahead);
        imm_mean(&ahead, out);
        return;
    }
    static const uint8_t place[10] = {0, 1, 2, 3, 5, 6, 7, 10, 11, 15};
    link_t l;
    double change[10], spread[16];
    tie(k, t, agility(k, m), &l);
    for (int i = 0; i < 10; i++)
        change[i] = k->mean.p[i] - l.ahead.p[i];
    sandwich(l.gain, change, spread);
    for (int r = 0; r < 4; r++) {
        out->x[r] = l.then.x[r];
        for (int c = 0; c < 4; c++)
            out->x[r] += l.gain[4 * r + c] * (k->mean.x[c] - l.ahead.x[c]);
    }
    for (int i = 0; i < 10; i++)
        out->p[i] = l.then.p[i] + spread[place[i]];
    for (int i = 0; i < 10; i += i == 0 ? 4 : i == 4 ? 3 : i == 7 ? 2 : 1)
        out->p[i] = greater(out->p[i], 1e-6);
}

void imm_update_late(track_t *k, int64_t t, const motion_t *m, double x, double y, const double r[3])
{
    link_t l;
    double z[2], known[16], rr[3];
    tie(k, t, agility(k, m), &l);
    z[0] = x - l.then.x[0];
    z[1] = y - l.then.x[1];
    for (int c = 0; c < 4; c++) {
        z[0] += l.gain[c] * l.ahead.x[c];
        z[1] += l.gain[4 + c] * l.ahead.x[c];
    }
    sandwich(l.gain, l.ahead.p, known);
    rr[0] = r[0] + fabs(l.then.p[0] - known[0]);
    rr[1] = r[1] + fabs(l.then.p[4] - known[5]);
    rr[2] = r[2];
    imm_update_linear(&k->now, l.gain, z, rr);
    imm_mean(&k->now, &k->mean);
}
