/* What a hit, a miss or a report says of a track: class, size, heading, existence, identity; birth and merging. */
#include "numeric.h"
#include "scan.h"

#include <math.h>

#define TWO_PI 6.283185307179586
#define MAX_CERTAIN 0.9995 /* existence after any number of hits */
/* m by which the area a source looks at exceeds where it has seen road users: one that leaves is missed there */
#define VIEW_MARGIN 60.0
#define MAX_DEPARTURES 200.0 /* ended tracks after which earlier ones count half */
#define MIN_STAY 5.0         /* s */
#define MAX_STAY 300.0
#define MAX_STAY_INSIDE 3000.0 /* s: mean stay of a road user well inside the coverage */
#define MAX_MISS_RUNS 300.0 /* misses after which earlier ones count half */
#define MAX_REPEAT_MISS 0.99
#define OCCLUDED_MISS 0.98 /* probability that a road user behind it is missed */
#define TRACKER_MISS 0.0003 /* probability that a source of tracks misses one that it has not given up */
#define MIN_KEPT_EXISTENCE 0.006 /* of a confirmed track that was lost */
/* a road user that was lost inside may still be there when it is no longer given out: it is kept to be resumed */
#define MIN_AWAITED_EXISTENCE 0.05
#define KEPT_COASTS 2 /* how long, in coasting times */
#define DEPARTURE_LOOKAHEAD                                                                                            \
    0.15 /* s: who would have been over a side so long after it was last seen was lost there                           \
          */

/* A source whose place is not known looks where it has hit tracks, and a little beyond: where the origin lies decides
 * nothing. */
int looks_at(const source_t *source, double x, double y)
{
    double dx = x - source->x, dy = y - source->y;
    if (source->kind == COOPERATIVE || source->blind)
        return 0;
    if (!source->has_position)
        return x > source->view_low[0] - VIEW_MARGIN && x < source->view_high[0] + VIEW_MARGIN &&
               y > source->view_low[1] - VIEW_MARGIN && y < source->view_high[1] + VIEW_MARGIN;
    if (dx * dx + dy * dy > 0.81 * source->range * source->range)
        return 0;
    if (source->fov >= 6.283)
        return 1;
    return fabs(remainder(atan2(dy, dx) - source->heading, TWO_PI)) < 0.5 * source->fov;
}

void extend_view(source_t *source, double x, double y)
{
    source->view_low[0] = lesser(source->view_low[0], x);
    source->view_low[1] = lesser(source->view_low[1], y);
    source->view_high[0] = greater(source->view_high[0], x);
    source->view_high[1] = greater(source->view_high[1], y);
}

/* Road users leave at the edge of what is covered: well inside, one that is missed is hidden more often than gone. */
static int inside_coverage(const fusion_t *fusion, double x, double y)
{
    for (int i = 0; i < SOURCES && fusion->active_sources >> i; i++)
        if (fusion->active_sources >> i & 1u && is_well_inside(&fusion->sources[i].coverage, x, y))
            return 1;
    return 0;
}

/* A road user may leave at any time: after a mean stay of `survive` at first, later of what is found online. */
double decayed_existence(const fusion_t *fusion, const track_t *track, int64_t t, const double *position)
{
    int64_t since = track->last_miss > track->last_hit ? track->last_miss : track->last_hit;
    if (t <= since)
        return track->existence;
    int inside = inside_coverage(fusion, position[0], position[1]);
    double departures = inside ? fusion->inside_departures : fusion->departures;
    return track->existence / (1.0 + (double)(t - since) * 1e-9 * departures / fusion->followed_s);
}

/* Count a road user that was lost where it might be seen, or take back one that was not (n = -1). */
static void count_departure(fusion_t *fusion, double n, const double *position)
{
    fusion->departures = greater(fusion->departures + n, 0.1 * PRIOR_DEPARTURES);
    if (inside_coverage(fusion, position[0], position[1]))
        fusion->inside_departures = greater(fusion->inside_departures + n, 0.1 * PRIOR_DEPARTURES);
}

/* Return the probability that a position is beyond what every source covers. A vehicle that reports itself is tracked
 * everywhere. */
double probability_uncovered(const fusion_t *fusion, const track_t *track, double x, double y, double variance)
{
    double least = 1.0;
    int sensors = 0;
    for (int i = 0; i < SOURCES && fusion->active_sources >> i; i++) {
        const source_t *source = &fusion->sources[i];
        if (!(fusion->active_sources >> i & 1u))
            continue;
        if (source->kind != COOPERATIVE) {
            sensors = 1;
            least = lesser(least, probability_beyond(&source->coverage, x, y, variance));
        } else if (track->sources >> i & 1u) {
            return 0.0;
        }
        if (least <= 0.0)
            return 0.0;
    }
    return sensors ? least : 0.0;
}

/* Misses in a row are not independent: most sensors miss at random now and then, and something that hides a road user
 * does so for long. So the probability of one more miss is estimated by the number of misses before it: one, two,
 * three or four, more. */
static const uint16_t RUN_BIN_START[MISS_BINS + 1] = {1, 2, 3, 5, 65535};

static int run_bin(uint16_t run) { return run < 2 ? 0 : run < 3 ? 1 : run < 5 ? 2 : 3; }

void learn_miss_run(fusion_t *fusion, const track_t *track)
{
    if (track->existence < fusion->show_threshold) /* dropped by the source, wrongly */
        count_departure(fusion, -1.0, track->mean.x);
    for (int i = 0; i < MISS_BINS && track->miss_run >= RUN_BIN_START[i]; i++) {
        int ended = track->miss_run < RUN_BIN_START[i + 1];
        double n = (double)((ended ? track->miss_run + 1 : RUN_BIN_START[i + 1]) - RUN_BIN_START[i]);
        if (fusion->miss_runs[i] > MAX_MISS_RUNS) {
            fusion->miss_runs[i] *= 0.5;
            fusion->repeat_misses[i] *= 0.5;
        }
        fusion->miss_runs[i] += n;
        fusion->repeat_misses[i] += n - (double)ended;
    }
}

void learn_stay(fusion_t *fusion, int64_t t)
{
    if (fusion->features & NO_LIFE || t <= fusion->newest || fusion->active_sources == 0)
        return;
    fusion->followed_s += (double)fusion->count * lesser((double)(t - fusion->newest) * 1e-9, 1.0);
    if (fusion->departures > MAX_DEPARTURES) {
        fusion->departures *= 0.5;
        fusion->inside_departures *= 0.5;
        fusion->followed_s *= 0.5;
    }
    fusion->followed_s = bounded(fusion->followed_s, MIN_STAY * fusion->departures, MAX_STAY * fusion->departures);
    fusion->inside_departures =
        bounded(fusion->inside_departures, fusion->followed_s / MAX_STAY_INSIDE, fusion->departures);
}

double miss_probability(const fusion_t *fusion, const source_t *source, const track_t *track)
{
    double one = 1.0 - source->detection_probability;
    if (source->filtered) /* it has waited already */
        return TRACKER_MISS;
    if (track->miss_run == 0 || track->status == TENTATIVE)
        return one;
    int i = run_bin(track->miss_run);
    return greater(one, bounded(fusion->repeat_misses[i] / fusion->miss_runs[i], 0.02, MAX_REPEAT_MISS));
}

void apply_miss(fusion_t *fusion, scan_t *scan, int32_t i)
{
    track_t *track = track_at(fusion, i);
    source_t *source = &fusion->sources[scan->source_id];
    const state_t *m = &scan->mean[i];
    if (track->existence <= 0.0 || scan->t <= track->last_hit || !looks_at(source, m->x[0], m->x[1]))
        return;
    int kept = track->status == CONFIRMED && fusion->drop < 0.02; /* kept, not shown, until `coast` is over: a road user
                                                                     that comes back keeps its identity */
    if (kept && track->existence <= MIN_KEPT_EXISTENCE && track->miss_run > 0) { /* no miss changes that any more */
        track->existence = MIN_KEPT_EXISTENCE;
        track->last_miss = scan->t;
        track->miss_run += track->miss_run < 65535;
        return;
    }

    double variance = 0.5 * (m->p[0] + m->p[4]),
           blind = fusion->features & NO_LIFE ? 0.0 : probability_beyond(&source->coverage, m->x[0], m->x[1], variance);
    int behind = scan->occluders && is_occluded(fusion, scan, m->x[0], m->x[1]);
    double one = behind ? OCCLUDED_MISS : miss_probability(fusion, source, track), q = blind + (1.0 - blind) * one,
           before = track->existence;
    if (track->status == CONFIRMED && track->miss_run == 0 && !behind)
        scan->sums.misses += 1.0;
    track->existence = decayed_existence(fusion, track, scan->t, m->x);
    track->last_miss = scan->t;
    if (track->miss_run < 65535)
        track->miss_run++;
    if (blind > 0.0)
        track->existence *= 1.0 - probability_uncovered(fusion, track, m->x[0], m->x[1], variance);
    track->existence = q * track->existence / (1.0 - track->existence + q * track->existence);
    if (track->status != CONFIRMED)
        return;
    if (before >= fusion->show_threshold && track->existence < fusion->show_threshold && track->past_count) {
        count_departure(fusion, 1.0 - blind, m->x);
        const posterior_t *last = &track->past[track->past_slots[track->past_count - 1]];
        for (int n = 0; n < SOURCES && fusion->active_sources >> n; n++)
            if (fusion->active_sources >> n & 1u && fusion->sources[n].kind != COOPERATIVE)
                record_loss(&fusion->sources[n].coverage, last->x, last->y, (double)last->v[0], (double)last->v[1],
                            DEPARTURE_LOOKAHEAD);
    }
    if (kept && track->existence < MIN_KEPT_EXISTENCE)
        track->existence = MIN_KEPT_EXISTENCE;
}

/* Return the likelihood ratio of a detection being of this road user against being clutter. */
static double likelihood_ratio(const source_t *source, double d, double det)
{
    return source->detection_probability * exp_negative(-0.5 * d) / (TWO_PI * sqrt(det) * source->clutter_density);
}

/* The same of a track with one hit, by the likelier of its mean and its faster model: the mean has no vehicle's speed
 * yet. */
static double second_hit_ratio(const track_t *track, const source_t *source, double odds, double x, double y,
                               const double r[3])
{
    double det, d = mahalanobis2(track->models.turning.x, track->models.turning.p, x, y, r, &det);
    return greater(odds, track->models.turn_probability * likelihood_ratio(source, d, det));
}

double second_hit_existence(const fusion_t *fusion, const scan_t *scan, const track_t *track, int32_t j)
{
    double odds = second_hit_ratio(track, &fusion->sources[scan->source_id], 0.0, scan->positions[2 * j],
                                   scan->positions[2 * j + 1], &scan->noise[3 * j]),
           prior = decayed_existence(fusion, track, scan->t, track->mean.x);
    return odds * prior / (1.0 - prior + odds * prior);
}

/* Whether a hit is so near to a track that is so certain that its existence ends up at MAX_CERTAIN whatever the exact
 * figures are: true of most hits, and much cheaper to see than the figures. */
static int is_certain_hit(const fusion_t *fusion, const track_t *track, const source_t *source, double d, double det,
                          int64_t t)
{
    double dt = (double)(t - track->last_hit) * 1e-9;
    if (track->existence < 0.995 || track->miss_run || d > 8.0 || dt < 0.0 ||
        dt * fusion->departures > 0.004 * fusion->followed_s)
        return 0;
    /* the prior is at least 0.991, so that a ratio of 19 is enough; exp(-8 / 2) is 0.0183 */
    double hit = 0.0183 * source->detection_probability, clutter = 19.0 * TWO_PI * source->clutter_density;
    return hit * hit > clutter * clutter * det;
}

void update_existence(fusion_t *fusion, track_t *track, const scan_t *scan, const double *position, const double r[3],
                      double d, double det)
{
    int64_t t = scan->t;
    const source_t *source = &fusion->sources[scan->source_id];
    /* a late hit: the road user was there then, which is known already; the misses since then count for the present */
    if (track->status == CONFIRMED && t <= track->last_hit && t < track->last_miss)
        return;

    if (track->status == CONFIRMED && is_certain_hit(fusion, track, source, d, det, t)) {
        track->existence = MAX_CERTAIN;
        return;
    }

    double ratio = likelihood_ratio(source, d, det);
    if (awaits_second_hit(track, t))
        ratio = second_hit_ratio(track, source, ratio, position[0], position[1], r);
    if (track->status == CONFIRMED && track->miss_run && t > track->last_hit && !(fusion->features & NO_LIFE))
        learn_miss_run(fusion, track);
    double prior = decayed_existence(fusion, track, t, track->mean.x);
    track->existence = bounded(ratio * prior / (1.0 - prior + ratio * prior), 0.0, MAX_CERTAIN);
}

int64_t max_silence(const fusion_t *fusion, const track_t *track)
{
    if (track->status == TENTATIVE)
        return fusion->coast / 2;
    int looked_at = track->last_miss > track->last_hit;
    return looked_at ? fusion->coast : 3 * fusion->coast;
}

/* A track that has drifted beyond every possible measurement is pruned at the end of the scan. */
void drop_implausible(track_t *track)
{
    const double *p = track->mean.p;
    if (!(plausible_mean(track->models.straight.x) && plausible_mean(track->models.turning.x) &&
          p[0] <= MAX_PLACE_VARIANCE && p[4] <= MAX_PLACE_VARIANCE && p[7] <= MAX_SPEED_VARIANCE &&
          p[9] <= MAX_SPEED_VARIANCE))
        track->existence = 0.0;
}

static int is_over(const fusion_t *fusion, const track_t *track, int64_t t)
{
    /* a birth is not ended before it could be seen twice */
    int looked_again = track->hits > 1 || track->last_miss > track->last_hit;
    if (track->status == TENTATIVE && track->existence < fusion->drop && looked_again)
        return 1;
    int64_t silence = max_silence(fusion, track);
    if (silence == fusion->coast && track->existence > MIN_AWAITED_EXISTENCE)
        silence *= KEPT_COASTS;
    return track->existence <= 0.0 || t - track->last_hit > silence;
}

void prune(fusion_t *fusion, int64_t t)
{
    int32_t kept = 0, *order = order_of(fusion);
    for (int32_t i = 0; i < fusion->count; i++) {
        track_t *track = track_at(fusion, i);
        if (!is_over(fusion, track, t)) {
            if (kept != i) {
                int32_t slot = order[i];
                order[i] = order[kept];
                order[kept] = slot;
            }
            kept++;
            continue;
        }
        if (track->status == TENTATIVE) {
            fusion->sources[track->birth_source].failed_births += 1.0;
            record_birth_outcome(fusion, track, 0);
        } else if (track->existence >= fusion->show_threshold) { /* given out to the last, and never seen again */
            count_departure(fusion, 1.0, track->mean.x);
        }
        if (!track->seen_by_sensor && track->claimed_vehicle && track->last_miss > track->last_hit)
            record_conflict(fusion, track->claimed_vehicle, track->mean.x[0], track->mean.x[1], t);
    }
    fusion->count = kept;
}
