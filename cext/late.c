/* The past: a few posteriors, the state at any earlier moment, and a late measurement folded into the present.
 *
 * With `then` the state predicted from the posterior before t, and `ahead` that prediction carried on to now, the
 * smoother's gain g = cov(then, ahead) ahead.p^-1 (Rauch, Tung, Striebel 1965) ties the past to the present: x(t) =
 * then.x + g (x(now) - ahead.x) + e,   cov e = then.p - g ahead.p g' so a measurement of x(t) is a linear measurement
 * of x(now), whatever was folded in between. */
#include "one_track.h"

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
        for (int k = i; k < MAX_POSTERIORS - 1; k++) {
            track->past_slots[k] = track->past_slots[k + 1];
            track->past_times[k] = track->past_times[k + 1];
        }
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

/* Step back from the present, adding the process noise between: where no posterior from before t is kept. */
static void link_backwards(const track_t *track, double since, double q, smoother_link_t *link)
{
    link->predicted = track->mean;
    straight_step(&track->mean, -since, -q, &link->past);
    memset(link->gain, 0, sizeof link->gain);
    for (int e = 0; e < 4; e++)
        link->gain[5 * e] = 1.0;
    link->gain[2] = link->gain[7] = -since;
}

static state_t state_of(const posterior_t *posterior)
{
    state_t state = {{posterior->x, posterior->y, (double)posterior->v[0], (double)posterior->v[1]}, {0}};
    for (int e = 0; e < 10; e++)
        state.p[e] = (double)posterior->p[e];
    return state;
}

static double acceleration_density(const track_t *track, const motion_t *motion)
{
    return motion->straight + track->models.turn_probability * (motion->turning - motion->straight);
}

int find_past(const track_t *track, int64_t t, const motion_t *motion, past_t *past)
{
    int i = posterior_before(track, t);
    past->since = seconds(track->t - t);
    past->q = acceleration_density(track, motion);
    if (i < 0)
        return 0;
    past->start = state_of(&track->past[track->past_slots[i]]);
    past->before = seconds(t - track->past_times[i]);
    return 1;
}

void link_past(const track_t *track, int64_t t, const motion_t *motion, smoother_link_t *link)
{
    past_t past;
    if (!find_past(track, t, motion, &past) || !link_1(&past.start, past.before, past.since, past.q, link))
        link_backwards(track, past.since, past.q, link);
}

void state_then(const smoother_link_t *link, const state_t *now, state_t *out) { state_then_1(link, now, out); }

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
    smoother_link_t link;
    link_past(track, t, motion, &link);
    state_then_1(&link, &track->mean, out);
}

void imm_update_late(track_t *track, const smoother_link_t *link, double x, double y, const double r[3])
{
    double z[2], rr[3];
    measure_present_1(link, x, y, r, z, rr);
    imm_update_linear(&track->models, link->gain, z, rr);
    imm_mean(&track->models, &track->mean);
}
