/* What the columns of a source beside the place are worth: class, size, velocity and object id. Each counts as a
 * likelihood ratio: how much likelier it is on the right track than in clutter, both as found, so that a column that is
 * the same everywhere counts nothing. */
#include "numeric.h"
#include "scan.h"

#include <math.h>

#define PRIOR_CLASS_ACCURACY 0.85 /* share of right classes before any is found */
#define PRIOR_SAMPLES 20.0        /* detections that the prior of a column is worth */
#define MAX_SAMPLES 1000.0        /* detections after which older ones count less */
#define MAX_CLASS_COUNTS 500.0f   /* detections by class after which older ones count half */
#define PRIOR_ID_PERSISTENCE 0.5
#define TRACKER_ID_PERSISTENCE 0.95 /* of a source that is configured to send tracks */
#define PRIOR_ID_COINCIDENCE 0.05   /* share of pairs of different road users that carry one id */
#define ID_COST 4.0                 /* most that an id counts */
#define MAX_ATTRIBUTE_COST                                                                                             \
    4.0 /* most that class, size and velocity count together: they choose between road users, and break no track alone \
         */
#define SAME_VEHICLE_COST 6.0 /* what it counts that a connected vehicle's report names the vehicle of the track */
#define MIN_PROBABILITY 0.002 /* of anything found from a few hundred samples */
#define MIN_PAIRS 6.0         /* velocities compared with displacements before either verdict */
#define MAX_PAIRS 300.0       /* pairs after which older ones count less */
#define MIN_PAIR_INTERVAL 0.4 /* s: over a shorter one the noise of places hides the displacement */
#define MAX_PAIR_INTERVAL 2.0 /* s: over a longer one the velocity changes */
#define MIN_DISPLACED2 0.5    /* m^2/s^2: where nothing moves no velocity is disproved */
#define MAX_RATIO_ERROR 0.2   /* of reported over true velocity */
#define MAX_UNEXPLAINED                                                                                                \
    0.35 /* share of the displacements' square that right velocities leave unexplained: manoeuvres between two scans   \
          */

static double probability(double p) { return bounded(p, MIN_PROBABILITY, 1.0 - MIN_PROBABILITY); }

void columns_start(source_t *source)
{
    int32_t verdict =
        source->kind == COOPERATIVE ? VELOCITY_TRUSTED : VELOCITY_UNPROVEN; /* a vehicle measures its own velocity */
    source->columns = (column_trust_t){
        .class_accuracy = PRIOR_CLASS_ACCURACY,
        .size_scale = 1.0,
        .velocity_variance = source->sigma_v * source->sigma_v,
        .id_persistence = source->kind == FROM_TRACKS ? TRACKER_ID_PERSISTENCE : PRIOR_ID_PERSISTENCE,
        .id_coincidence = PRIOR_ID_COINCIDENCE,
        .velocity = {.verdict = verdict},
        .zero_velocity = {.verdict = verdict},
    };
}

static int is_zero(const detection_t *z) { return z->vx == 0.0f && z->vy == 0.0f; }

int velocity_usable(const source_t *source, const detection_t *z)
{
    const velocity_test_t *test = is_zero(z) ? &source->columns.zero_velocity : &source->columns.velocity;
    return test->verdict == VELOCITY_TRUSTED && isfinite(z->vx) && isfinite(z->vy);
}

static void moving_average(double *value, double *samples, double sample)
{
    *samples = lesser(*samples + 1.0, MAX_SAMPLES);
    *value += (sample - *value) / (PRIOR_SAMPLES + *samples);
}

void learn_columns(fusion_t *fusion, const scan_t *scan, const track_t *track, const state_t *before,
                   const detection_t *z)
{
    source_t *source = &fusion->sources[scan->source_id];
    column_trust_t *columns = &source->columns;

    if (z->cls && track->cls && track->class_p[track->cls] > 0.8f)
        moving_average(&columns->class_accuracy, &columns->samples[0], z->cls == track->cls ? 0.99 : 0.12);

    if (isfinite(z->length) && z->length > 0.0f && track->size_samples > 5) {
        double off = (double)(z->length - track->length) / (0.3 + 0.15 * (double)track->length);
        moving_average(&columns->size_scale, &columns->samples[1], bounded(off * off, 0.1, 40.0));
    }

    if (velocity_usable(source, z)) {
        double dx = (double)z->vx - before->x[2], dy = (double)z->vy - before->x[3];
        double square = 0.5 * (dx * dx + dy * dy - before->p[7] - before->p[9]);
        moving_average(&columns->velocity_variance, &columns->samples[2], bounded(square, 0.01, 400.0));
    }

    if (z->id && track->reported_id && track->reporting_source == scan->source_id)
        moving_average(&columns->id_persistence, &columns->samples[3], z->id == track->reported_id ? 1.0 : 0.0);
}

/* Least squares of reported velocities on displacements, and the verdict on them. */
static void judge_velocity(velocity_test_t *test, double variance)
{
    double n = test->pairs, displaced = greater(test->displaced2 / n - test->noise / n, 0.0);
    double error = greater((test->reported2 - 2.0 * test->product + test->displaced2 - test->noise) / n, 0.0);
    double sampling = 3.0 * test->noise / n / sqrt(n);
    test->ratio = displaced > MIN_DISPLACED2 ? test->product / n / displaced : 0.0;
    if (n < MIN_PAIRS)
        return;
    int moved = displaced > MIN_DISPLACED2 + sampling;
    int scaled = moved && fabs(test->ratio - 1.0) > MAX_RATIO_ERROR + sqrt(sampling / displaced);
    if (error <= MAX_UNEXPLAINED * displaced + 2.0 * variance + sampling && !scaled)
        test->verdict = VELOCITY_TRUSTED;
    else
        test->verdict = moved ? VELOCITY_REJECTED : VELOCITY_UNPROVEN;
}

/* Velocities against displacements: compared with the tracks they would look right, for a wrong velocity draws the
 * tracks after it; the places alone cannot be drawn. The mean of both ends' velocities is compared with the way between
 * them. Velocities of exactly 0, which many units send for "unknown", are judged apart from the others. */
void test_velocity(source_t *source, track_t *track, const detection_t *z, int32_t source_id, int64_t t,
                   const double noise[3])
{
    if (!isfinite(z->vx) || !isfinite(z->vy))
        return;
    double dt = (double)(t - track->anchor_time) * 1e-9;
    int follows = track->anchor_source == source_id + 1 && dt > 0.0 && dt <= MAX_PAIR_INTERVAL;
    if (follows && dt < MIN_PAIR_INTERVAL)
        return;

    int zero = is_zero(z), was_zero = track->anchor_vx == 0.0f && track->anchor_vy == 0.0f;
    if (follows && zero == was_zero) {
        velocity_test_t *test = zero ? &source->columns.zero_velocity : &source->columns.velocity;
        double dx = (z->x - (double)track->anchor_x) / dt, dy = (z->y - (double)track->anchor_y) / dt;
        double vx = 0.5 * (double)(z->vx + track->anchor_vx), vy = 0.5 * (double)(z->vy + track->anchor_vy);
        double fade = test->pairs < MAX_PAIRS ? 1.0 : 1.0 - 1.0 / MAX_PAIRS;
        test->pairs = fade * test->pairs + 1.0;
        test->displaced2 = fade * test->displaced2 + dx * dx + dy * dy;
        test->reported2 = fade * test->reported2 + vx * vx + vy * vy;
        test->product = fade * test->product + vx * dx + vy * dy;
        test->noise = fade * test->noise + 2.0 * (noise[0] + noise[1]) / (dt * dt);
        judge_velocity(test, source->sigma_v * source->sigma_v);
    }
    track->anchor_source = (uint8_t)(source_id + 1);
    track->anchor_time = t;
    track->anchor_x = (float)z->x;
    track->anchor_y = (float)z->y;
    track->anchor_vx = z->vx;
    track->anchor_vy = z->vy;
}

static void count_class(float counts[CLASSES], uint8_t cls)
{
    counts[cls & (CLASSES - 1)] += 1.0f;
    if (counts[cls & (CLASSES - 1)] < MAX_CLASS_COUNTS)
        return;
    for (int c = 0; c < CLASSES; c++)
        counts[c] *= 0.5f;
}

/* What is not of the track it lies near: the classes of detections that hit no track, and how often two different
 * detections carry one id. */
void learn_clutter(fusion_t *fusion, const scan_t *scan)
{
    column_trust_t *columns = &fusion->sources[scan->source_id].columns;
    for (int32_t j = 0; j < scan->count; j++) {
        const detection_t *z = &scan->detections[j];
        if (scan->owner[j] == UNASSIGNED)
            count_class(columns->class_clutter, z->cls);
        else if (scan->owner[j] >= 0 && track_at(fusion, scan->owner[j])->status == CONFIRMED)
            count_class(columns->class_hits, z->cls);
        if (j && z->id && z[-1].id)
            moving_average(&columns->id_coincidence, &columns->id_pairs, z->id == z[-1].id ? 1.0 : 0.0);
    }

    for (int32_t i = 0; i < scan->tracks; i++) {
        const track_t *track = track_at(fusion, i);
        if (!track->reported_id || track->reporting_source != scan->source_id)
            continue;
        for (int32_t e = scan->start[i]; e < scan->start[i + 1]; e++) {
            int32_t j = scan->column[e];
            if (scan->owner[j] != i && scan->detections[j].id)
                moving_average(&columns->id_coincidence, &columns->id_pairs,
                               scan->detections[j].id == track->reported_id ? 1.0 : 0.0);
        }
    }
}

static float sum_of(const float counts[CLASSES])
{
    float sum = 0.0f;
    for (int c = 0; c < CLASSES; c++)
        sum += counts[c];
    return sum;
}

void prepare_columns(const source_t *source, column_costs_t *costs)
{
    const column_trust_t *columns = &source->columns;
    double hits = (double)sum_of(columns->class_hits), clutter = (double)sum_of(columns->class_clutter);
    costs->unknown = ((double)columns->class_hits[0] + 0.5) / (hits + 1.0);
    costs->other = (1.0 - columns->class_accuracy) / (CLASSES - 2);
    for (int cls = 0; cls < CLASSES; cls++) {
        double of_hits = (double)columns->class_hits[cls], of_clutter = (double)columns->class_clutter[cls];
        double overall = (of_hits + of_clutter + 1.0) / (hits + clutter + CLASSES);
        costs->in_clutter[cls] = probability((of_clutter + PRIOR_SAMPLES * overall) / (clutter + PRIOR_SAMPLES));
    }

    double same = probability(columns->id_persistence), coincidence = probability(columns->id_coincidence);
    costs->same_id = costs->other_id = 0.0;
    if (same > 0.5) { /* else its ids mean nothing */
        costs->same_id = -bounded(2.0 * ln(same / coincidence), 0.0, ID_COST);
        costs->other_id = bounded(2.0 * ln((1.0 - coincidence) / (1.0 - same)), 0.0, ID_COST);
    }
}

/* Probability of a reported class on the track, and in clutter: as found there, at first as it is among all detections
 * of the source. */
static double class_cost(const column_costs_t *costs, double accuracy, const track_t *track, uint8_t cls)
{
    double on_track = costs->unknown;
    if (cls) {
        double own = (double)track->class_p[cls];
        on_track = (1.0 - costs->unknown) * (own * accuracy + (1.0 - own) * costs->other);
    }
    return -2.0 * ln(probability(on_track) / costs->in_clutter[cls]);
}

static double id_cost(const column_costs_t *costs, const track_t *track, uint32_t id)
{
    if (id == track->reported_id)
        return costs->same_id;
    return track->miss_run ? 0.0 : costs->other_id; /* the id of a track that was given up is not used again */
}

double attribute_cost(const fusion_t *fusion, const scan_t *scan, const track_t *track, const state_t *mean,
                      const detection_t *z)
{
    const source_t *source = &fusion->sources[scan->source_id];
    const column_trust_t *columns = &source->columns;
    double cost = 0.0, attributes = 0.0;

    if (z->id && track->reported_id && track->reporting_source == scan->source_id)
        cost += id_cost(&scan->columns, track, z->id);
    if (z->vehicle && track->vehicle) {
        if (z->vehicle != track->vehicle)
            return INFINITY;
        cost -= SAME_VEHICLE_COST;
    }
    if (fusion->features & NO_CLASS)
        return cost;

    if (track->cls)
        attributes += class_cost(&scan->columns, columns->class_accuracy, track, z->cls & (CLASSES - 1));
    if (isfinite(z->length) && z->length > 0.0f && track->size_samples) {
        double off = (double)(z->length - track->length) / (0.3 + 0.15 * (double)track->length);
        attributes += lesser(off * off / columns->size_scale, 6.0) - 1.0;
    }
    if (velocity_usable(source, z)) {
        double dx = (double)z->vx - mean->x[2], dy = (double)z->vy - mean->x[3];
        attributes +=
            lesser((dx * dx + dy * dy) / (2.0 * columns->velocity_variance + 0.1 + mean->p[7] + mean->p[9]), 6.0) - 2.0;
    }
    return cost + bounded(attributes, -MAX_ATTRIBUTE_COST, MAX_ATTRIBUTE_COST);
}
