/* A lost road user is seen again. Where it will be is then known to metres only, and in such a gate lie clutter and
 * others who have just come: a detection that is one of those would lead its track astray. So a lost track takes a
 * detection only where the odds leave no doubt. The others begin tracks of their own, and once one has been seen twice,
 * it and the lost one are compared in place and velocity: the odds that the young track continues the lost one, against
 * its being a new road user, decide. While they decide nothing the young one is not given out, and the lost one still
 * is. */
#include "numeric.h"
#include "scan.h"

#include <math.h>

#define LN_TWO_PI 1.8378770664093453

#define MAX_RANDOM_MISSES 0.002 /* probability of so many misses in a row from which a track is lost */
#define MIN_LOST_MISSES 3
#define MAX_LOST_MISSES 12
#define MIN_LOST_PERIODS 2.5 /* of the source: several that look in turn miss it as often in a shorter time */

/* ln of odds: that a detection is the lost road user's, that a young track is, that it is not, and that a detection may
 * begin such a young track */
#define MIN_DIRECT_ODDS 4.5
#define MIN_CERTAIN_ODDS 1.5
#define MAX_REFUSED_ODDS -1.0
#define MIN_AWAITED_ODDS -3.0

#define MAX_RESUME_PAIRS (MAX_EDGES / 2) /* young tracks that a lost one is compared with */
#define MAX_LOOKED_AT 128                /* detections looked at for each lost one */
#define MAX_REACH 25.0                   /* m from where a lost one is predicted */
#define RESUME_GATE 25.0                 /* squared Mahalanobis distance of place and velocity */
#define WALKER_VARIANCE 1.5              /* m^2/s^2: of the velocity of a new road user, by axis */
#define DRIVER_VARIANCE 45.0
#define SPEED_CHANGE 0.02         /* share of the squared speed: variance of a change of speed that no model foresees */
/* a manoeuvre begun while it was not seen, which goes on until it is seen again: share of the lost that begin one,
 * and its acceleration in any direction, 1 sigma by speed and within bounds (m/s^2) */
#define MANOEUVRE_SHARE 0.05
#define MANOEUVRE_RATE 0.3
#define MIN_MANOEUVRE 0.5
#define MAX_MANOEUVRE 2.5
#define MIN_CLASS_AGREEMENT 0.02 /* of two classes that exclude one another: one of them may be wrong */

int32_t lost_misses(const source_t *source)
{
    double misses = ln(MAX_RANDOM_MISSES) / ln(1.0 - source->detection_probability);
    return (int32_t)bounded(misses + 1.0, MIN_LOST_MISSES, MAX_LOST_MISSES);
}

/* What a source of tracks gives up and takes up again is its own decision, so that a source must be known to send
 * detections; a connected vehicle's reports come as seldom as it likes. */
static int can_lose(const fusion_t *fusion, const source_t *source)
{
    return !source->filtered && source->correlation_pairs > MIN_CORRELATION_PAIRS && source->kind != COOPERATIVE &&
           !(fusion->features & NO_RESUME);
}

int is_lost(const fusion_t *fusion, const scan_t *scan, const track_t *track)
{
    if (track->miss_run < scan->lost_misses) /* true of nearly all */
        return 0;
    const source_t *source = &fusion->sources[scan->source_id];
    double unseen_s = (double)(scan->t - track->last_hit) * 1e-9;
    return track->status == CONFIRMED && track->seen_by_sensor && unseen_s > MIN_LOST_PERIODS * source->period &&
           can_lose(fusion, source);
}

/* ln of the probability that a lost road user is still there and seen by this scan. */
static double log_reappearance(const fusion_t *fusion, const source_t *source, const track_t *lost)
{
    return ln(lost->existence * (1.0 - miss_probability(fusion, source, lost)));
}

double max_direct_cost(const fusion_t *fusion, const scan_t *scan, int32_t i)
{
    const source_t *source = &fusion->sources[scan->source_id];
    const state_t *s = &scan->mean[i];
    double others = source->clutter_density + arrival_density(fusion, source, s->x[0], s->x[1]);
    double again = log_reappearance(fusion, source, track_at(fusion, i));
    return 2.0 * (again - LN_TWO_PI - ln(others) - MIN_DIRECT_ODDS);
}

/* Whether a track is young enough to be the continuation of a lost one. */
static int can_resume(const track_t *young, const track_t *lost)
{
    if (young->t != lost->t || young->hits < 2 || young->hits > MAX_RESUME_HITS || young->miss_run)
        return 0;
    if (young->vehicle && lost->vehicle && young->vehicle != lost->vehicle)
        return 0;
    return young->existence > 0.0 && young->past_count && young->past_times[0] > lost->last_hit;
}

/* ln of the density of a new road user's velocity: a walker's or a driver's. */
static double velocity_density(const state_t *s)
{
    static const double VARIANCE[2] = {WALKER_VARIANCE, DRIVER_VARIANCE};
    double sum = 0.0;
    for (int k = 0; k < 2; k++) {
        double i[3], vx = s->x[2], vy = s->x[3];
        double det = invert2(s->p[7] + VARIANCE[k], s->p[9] + VARIANCE[k], s->p[8], i);
        double d = vx * vx * i[0] + vy * vy * i[1] + 2.0 * vx * vy * i[2];
        sum += 0.5 * exp_negative(-0.5 * d) / sqrt(det);
    }
    return ln(sum + 1e-12) - LN_TWO_PI;
}

/* ln of the density of a young track's state where a lost one is predicted: of place and velocity, by Cholesky.
 * `widening`: more variance of the place, of both, and of the velocity. */
static double state_density(const state_t *lost, const double widening[3], const state_t *young)
{
    static const uint8_t AT[4][4] = {{0, 1, 2, 3}, {1, 4, 5, 6}, {2, 5, 7, 8}, {3, 6, 8, 9}};
    double p[10], factor[4][4], solved[4], d = 0.0, det = 1.0;
    for (int e = 0; e < 10; e++)
        p[e] = lost->p[e] + young->p[e];
    p[0] += widening[0];
    p[4] += widening[0];
    p[2] += widening[1];
    p[6] += widening[1];
    p[7] += widening[2];
    p[9] += widening[2];

    for (int r = 0; r < 4; r++) {
        for (int c = 0; c <= r; c++) {
            double sum = p[AT[r][c]];
            for (int k = 0; k < c; k++)
                sum -= factor[r][k] * factor[c][k];
            factor[r][c] = r == c ? sqrt(greater(sum, 1e-9)) : sum / factor[c][c];
        }
        double sum = young->x[r] - lost->x[r];
        for (int k = 0; k < r; k++)
            sum -= factor[r][k] * solved[k];
        solved[r] = sum / factor[r][r];
        d += solved[r] * solved[r];
        det *= factor[r][r];
    }
    return d > RESUME_GATE ? -INFINITY : -0.5 * d - ln(det) - 2.0 * LN_TWO_PI;
}

/* The same, where the lost one may have begun a manoeuvre `unseen_s` ago. */
static double density_of_lost(const scan_t *scan, const track_t *lost, const state_t *young)
{
    const state_t *s = &lost->mean;
    double square = s->x[2] * s->x[2] + s->x[3] * s->x[3], unseen_s = (double)(lost->t - lost->last_hit) * 1e-9;
    double a = bounded(MANOEUVRE_RATE * sqrt(square), MIN_MANOEUVRE, MAX_MANOEUVRE) * unseen_s, b = 0.5 * a * unseen_s;
    const double steady[3] = {unmodelled_variance(scan, lost, s), 0.0, SPEED_CHANGE * square};
    const double manoeuvre[3] = {steady[0] + b * b, a * b, steady[2] + a * a};

    double usual = state_density(s, steady, young) + ln(1.0 - MANOEUVRE_SHARE);
    double other = state_density(s, manoeuvre, young) + ln(MANOEUVRE_SHARE);
    if (!(other > -INFINITY))
        return usual;
    return greater(usual, other) + ln(1.0 + exp_negative(-fabs(usual - other)));
}

/* ln of how much likelier the classes of two tracks are on one road user than on two. */
static double class_agreement(const track_t *a, const track_t *b)
{
    double same = 0.0;
    for (int c = 1; c < CLASSES; c++)
        same += (double)(a->class_p[c] * b->class_p[c]);
    return ln(greater((CLASSES - 1) * same, MIN_CLASS_AGREEMENT));
}

/* ln of the odds that a young track continues a lost one, against its being a new road user. Both are compared at the
 * newest scan's time, also where this scan is late. */
static double resume_odds(const fusion_t *fusion, const scan_t *scan, const track_t *lost, const track_t *young)
{
    const source_t *source = &fusion->sources[scan->source_id];
    double density = density_of_lost(scan, lost, &young->mean);
    if (!(density > -INFINITY))
        return -INFINITY;

    double arrival = ln(arrival_density(fusion, source, young->mean.x[0], young->mean.x[1]));
    return log_reappearance(fusion, source, lost) + density + class_agreement(lost, young) - arrival -
           velocity_density(&young->mean);
}

/* ln of the odds that a detection is of a lost track, against its being of a new road user. */
static double first_odds(const fusion_t *fusion, const scan_t *scan, int32_t i, int32_t j)
{
    const source_t *source = &fusion->sources[scan->source_id];
    const track_t *lost = track_at(fusion, i);
    const state_t *s = &scan->mean[i];
    const double *own = &scan->noise[3 * j], more = unmodelled_variance(scan, lost, s);
    const double r[3] = {own[0] + more, own[1] + more, own[2]};
    double det, x = scan->positions[2 * j], y = scan->positions[2 * j + 1];
    double d = mahalanobis2(s->x, s->p, x, y, r, &det);
    return log_reappearance(fusion, source, lost) - 0.5 * d - 0.5 * ln(det) - LN_TWO_PI -
           ln(arrival_density(fusion, source, x, y));
}

typedef struct { /* a lost track and a young one */
    int32_t lost, young;
    double odds;
} pair_t;

_Static_assert(MAX_RESUME_PAIRS * sizeof(pair_t) <= MAX_EDGES * sizeof(double), "pairs take the room of the costs");

/* Pairs of lost track i with the young ones that this scan has hit near it; returns how many. Marks the detections that
 * are still to begin one. */
static int32_t find_pairs(const fusion_t *fusion, scan_t *scan, int32_t i, pair_t *pairs)
{
    const track_t *lost = track_at(fusion, i);
    const state_t *s = &scan->mean[i];
    double more = scan->max_variance + unmodelled_variance(scan, lost, s);
    double hx = lesser(sqrt(fusion->gate * (s->p[0] + more)), MAX_REACH);
    double hy = lesser(sqrt(fusion->gate * (s->p[4] + more)), MAX_REACH);
    cell_range_t in = cells_in_gate(&scan->grid, s, hx, hy);
    if (in.right < in.left)
        return 0;

    int32_t n = 0, looked_at = 0;
    for (int32_t row = in.low; row <= in.high; row++) {
        const int32_t *cells = scan->cell_start + row * scan->grid.columns;
        for (int32_t e = cells[in.left]; e < cells[in.right + 1] && looked_at < MAX_LOOKED_AT; e++, looked_at++) {
            int32_t j = scan->cell_order[e], young = scan->owner[j];
            if (young == UNASSIGNED && first_odds(fusion, scan, i, j) > MIN_AWAITED_ODDS)
                scan->owner[j] = AWAITED;
            if (young < 0 || n >= MAX_RESUME_PAIRS || !can_resume(track_at(fusion, young), lost))
                continue;
            double odds = resume_odds(fusion, scan, lost, track_at(fusion, young));
            if (odds > MAX_REFUSED_ODDS)
                pairs[n++] = (pair_t){i, young, odds};
        }
    }
    return n;
}

/* By Bayes: both tracks' classes are of one road user. */
static void merge_classes(track_t *kept, const track_t *lost)
{
    float same = 0.0f;
    for (int c = 1; c < CLASSES; c++)
        same += lost->class_p[c] * kept->class_p[c];
    if (!(same > 0.0f) || !(lost->cls || kept->cls))
        return;

    kept->cls = 1;
    for (int c = 1; c < CLASSES; c++) {
        kept->class_p[c] *= lost->class_p[c] / same;
        if (kept->class_p[c] > kept->class_p[kept->cls])
            kept->cls = (uint8_t)c;
    }
}

/* The lost track goes on in the young one's state, under its own id and with what is known of it. */
static void resume(fusion_t *fusion, track_t *lost, track_t *young)
{
    if (!(fusion->features & NO_LIFE))
        learn_miss_run(fusion, lost);
    if (young->status == TENTATIVE)
        record_birth_outcome(fusion, young, 1);

    track_t kept = *young;
    kept.id = lost->id;
    kept.hits = lost->hits < UINT16_MAX - young->hits ? (uint16_t)(lost->hits + young->hits) : UINT16_MAX;
    kept.sources |= lost->sources;
    kept.status = CONFIRMED;
    kept.undecided = 0;
    if (!kept.vehicle) {
        kept.vehicle = lost->vehicle;
        kept.claimed_vehicle = lost->claimed_vehicle;
        kept.claim_count = lost->claim_count;
    }
    merge_classes(&kept, lost);
    if (lost->size_samples > young->size_samples) {
        kept.size_samples = lost->size_samples;
        kept.length = lost->length;
        kept.width = lost->width;
        kept.height = lost->height;
    }

    *lost = kept;
    young->existence = 0.0;
    young->status = CONFIRMED; /* its birth has not failed */
    fusion->resumed++;
}

/* Keep for each track, lost or young, the pair of the best odds that it is in: best[track], or -1. */
static void find_best_pairs(const scan_t *scan, const pair_t *pairs, int32_t n, int32_t *best)
{
    for (int32_t i = 0; i < scan->tracks; i++)
        best[i] = -1;
    for (int32_t k = 0; k < n; k++) {
        const pair_t *pair = &pairs[k];
        if (best[pair->lost] < 0 || pair->odds > pairs[best[pair->lost]].odds)
            best[pair->lost] = k;
        if (best[pair->young] < 0 || pair->odds > pairs[best[pair->young]].odds)
            best[pair->young] = k;
    }
}

void resume_lost(fusion_t *fusion, scan_t *scan)
{
    /* the edges have served: their room takes the pairs, and for each track its best pair */
    pair_t *pairs = (pair_t *)(void *)scan->cost;
    int32_t *best = scan->assigned, n = 0;
    if (!scan->unresolved)
        return;

    for (int32_t i = 0; i < scan->tracks; i++) {
        const track_t *track = track_at(fusion, i);
        if (scan->hit[i] == UNASSIGNED && track->existence > 0.0 && is_lost(fusion, scan, track))
            n += find_pairs(fusion, scan, i, pairs + n);
    }
    find_best_pairs(scan, pairs, n, best);
    for (int32_t i = 0; i < scan->tracks; i++) {
        track_t *track = track_at(fusion, i);
        if (scan->hit[i] != UNASSIGNED)
            track->undecided = best[i] >= 0 && track->hits < MAX_RESUME_HITS;
    }
    for (int32_t k = 0; k < n; k++) {
        const pair_t *pair = &pairs[k];
        track_t *young = track_at(fusion, pair->young);
        double certain = young->hits >= MAX_RESUME_HITS ? 0.0 : MIN_CERTAIN_ODDS; /* it cannot wait any longer */
        if (best[pair->lost] == k && best[pair->young] == k && pair->odds > certain)
            resume(fusion, track_at(fusion, pair->lost), young);
    }
}
