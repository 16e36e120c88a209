/* The past: a few posteriors, the state at any earlier moment, and a late measurement folded into the present.
 *
 * With `then` the state predicted from the posterior before t, and `ahead` that prediction carried on to now, the
 * smoother's gain g = cov(then, ahead) ahead.p^-1 (Rauch, Tung, Striebel 1965) ties the past to the present: x(t) =
 * then.x + g (x(now) - ahead.x) + e,   cov e = then.p - g ahead.p g' so a measurement of x(t) is a linear measurement
 * of x(now), whatever was folded in between. */
#include "numeric.h"
#include "scan.h"

#include <math.h>
#include <string.h>

static double seconds(int64_t ns) { return (double)ns * 1e-9; }

/* Return the posterior of a full past that may best be replaced: its neighbours lie nearest together in proportion to
 * their age. */
static int least_useful(const track_t *track)
{
    int best = MAX_POSTERIORS - 1;
    double apart = 0.0, ago = 0.0;
    for (int i = MAX_POSTERIORS - 1; i > 0; i--) {
        int64_t next = i + 1 < MAX_POSTERIORS ? track->past_times[i + 1] : track->t;
        double gap = (double)(next - track->past_times[i - 1]), since = (double)(track->t - track->past_times[i - 1]);
        if (i == MAX_POSTERIORS - 1 || gap * ago < apart * since) {
            best = i;
            apart = gap;
            ago = since;
        }
    }
    return best;
}

void store_posterior(track_t *track)
{
    uint8_t slot = track->past_count;
    if (track->past_count == MAX_POSTERIORS) {
        int i = least_useful(track);
        slot = track->past_slots[i];
        memmove(&track->past_slots[i], &track->past_slots[i + 1],
                (size_t)(MAX_POSTERIORS - 1 - i) * sizeof track->past_slots[0]);
        memmove(&track->past_times[i], &track->past_times[i + 1],
                (size_t)(MAX_POSTERIORS - 1 - i) * sizeof track->past_times[0]);
        track->past_count--;
    }
    posterior_t *posterior = &track->past[slot];
    track->past_slots[track->past_count] = slot;
    track->past_times[track->past_count++] = track->t;
    posterior->x = track->mean.x[0];
    posterior->y = track->mean.x[1];
    posterior->v[0] = (float)track->mean.x[2];
    posterior->v[1] = (float)track->mean.x[3];
    for (int i = 0; i < 10; i++)
        posterior->p[i] = (float)track->mean.p[i];
}

/* The newest kept posterior that is not after t, or -1. */
static int posterior_before(const track_t *track, int64_t t)
{
    int i = track->past_count - 1;
    while (i >= 0 && track->past_times[i] > t)
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
    state_t past, predicted;
    double gain[16];
} smoother_link_t;

/* Link t to the present; q is the spectral density of acceleration, m^2/s^3. */
static void link_past(const track_t *track, int64_t t, double q, smoother_link_t *link)
{
    int i = posterior_before(track, t);
    double dt = seconds(track->t - t), inverse[16];
    state_t start;
    memset(link->gain, 0, sizeof link->gain);
    if (i >= 0) {
        const posterior_t *from = &track->past[track->past_slots[i]];
        start = (state_t){{from->x, from->y, from->v[0], from->v[1]}, {0}};
        for (int e = 0; e < 10; e++)
            start.p[e] = from->p[e];
        straight_step(&start, seconds(t - track->past_times[i]), q, &link->past);
        straight_step(&link->past, dt, q, &link->predicted);
        if (invert4(link->predicted.p, inverse)) {
            const double *p = link->past.p;
            double full[16] = {p[0], p[1], p[2], p[3], p[1], p[4], p[5], p[6],
                               p[2], p[5], p[7], p[8], p[3], p[6], p[8], p[9]};
            for (int r = 0; r < 4; r++) {
                double *row = &full[4 * r], cross[4] = {row[0] + dt * row[2], row[1] + dt * row[3], row[2], row[3]};
                for (int c = 0; c < 4; c++)
                    link->gain[4 * r + c] = cross[0] * inverse[c] + cross[1] * inverse[4 + c] +
                                            cross[2] * inverse[8 + c] + cross[3] * inverse[12 + c];
            }
            return;
        }
    }
    /* no posterior from before t: step back from the present, adding the process noise between */
    link->predicted = track->mean;
    straight_step(&track->mean, -dt, -q, &link->past);
    for (int e = 0; e < 4; e++)
        link->gain[5 * e] = 1.0;
    link->gain[2] = link->gain[7] = -dt;
}

/* out = g p g' on rows and columns 0..n-1 of packed p; only xx, xy, yy and the rest of position and velocity when n is
 * 4 */
static void congruence(const double gain[16], const double p[10], double out[16])
{
    double full[16] = {p[0], p[1], p[2], p[3], p[1], p[4], p[5], p[6], p[2], p[5], p[7], p[8], p[3], p[6], p[8], p[9]},
           a[16];
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++)
            a[4 * r + c] = gain[4 * r] * full[c] + gain[4 * r + 1] * full[4 + c] + gain[4 * r + 2] * full[8 + c] +
                           gain[4 * r + 3] * full[12 + c];
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++)
            out[4 * r + c] = a[4 * r] * gain[4 * c] + a[4 * r + 1] * gain[4 * c + 1] + a[4 * r + 2] * gain[4 * c + 2] +
                             a[4 * r + 3] * gain[4 * c + 3];
}

static double acceleration_density(const track_t *track, const motion_t *motion)
{
    return motion->straight + track->models.turn_probability * (motion->turning - motion->straight);
}

void state_at(const track_t *track, int64_t t, const motion_t *motion, state_t *out)
{
    if (t == track->t) {
        *out = track->mean;
        return;
    }
    if (t > track->t) {
        imm_t ahead;
        transition_t transition = model_transition(seconds(t - track->t), motion);
        imm_step(&track->models, &transition, &ahead);
        imm_mean(&ahead, out);
        return;
    }
    static const uint8_t place[10] = {0, 1, 2, 3, 5, 6, 7, 10, 11, 15};
    smoother_link_t link;
    double change[10], spread[16];
    link_past(track, t, acceleration_density(track, motion), &link);
    for (int i = 0; i < 10; i++)
        change[i] = track->mean.p[i] - link.predicted.p[i];
    congruence(link.gain, change, spread);
    for (int r = 0; r < 4; r++) {
        out->x[r] = link.past.x[r];
        for (int c = 0; c < 4; c++)
            out->x[r] += link.gain[4 * r + c] * (track->mean.x[c] - link.predicted.x[c]);
    }
    for (int i = 0; i < 10; i++)
        out->p[i] = link.past.p[i] + spread[place[i]];
    for (int i = 0; i < 10; i += i == 0 ? 4 : i == 4 ? 3 : i == 7 ? 2 : 1)
        out->p[i] = greater(out->p[i], 1e-6);
}

void imm_update_late(track_t *track, int64_t t, const motion_t *motion, double x, double y, const double r[3])
{
    smoother_link_t link;
    double z[2], known[16], rr[3];
    link_past(track, t, acceleration_density(track, motion), &link);
    z[0] = x - link.past.x[0];
    z[1] = y - link.past.x[1];
    for (int c = 0; c < 4; c++) {
        z[0] += link.gain[c] * link.predicted.x[c];
        z[1] += link.gain[4 + c] * link.predicted.x[c];
    }
    congruence(link.gain, link.predicted.p, known);
    rr[0] = r[0] + fabs(link.past.p[0] - known[0]);
    rr[1] = r[1] + fabs(link.past.p[4] - known[5]);
    rr[2] = r[2];
    imm_update_linear(&track->models, link.gain, z, rr);
    imm_mean(&track->models, &track->mean);
}
