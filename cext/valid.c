/* What a tracker's state can be: one table for each structure with the range of every figure, and what must hold
 * between figures. A state from anywhere is checked against these and nothing else. The ranges hold for whatever a
 * tracker makes of a state within them, so that a state that was accepted once is always accepted again: no scan moves
 * a figure out of its range. */
#include "valid.h"
#include "numeric.h"
#include "scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MODEL_SHARE                                                                                                \
    1e6 /* variance of one model over the most of the mean of both, to which each contributes 1e-6 and more */
#define MAX_SAVED_RATE 1e3 /* rad/s */
#define MIN_PIVOT                                                                                                      \
    1e-3 /* added to the pivots of a correlation matrix: posteriors of the past are of single precision                \
          */
#define MAX_AVERAGED 1e6         /* samples of any average */
#define MAX_SUM 1e12             /* of the faded sums, whose every sample adds less than fading takes from this */
#define MAX_WAIT 3600000000000LL /* ns */
#define ANY 1e300

#define KIND(type, member)                                                                                             \
    _Generic(((type *)0)->member,                                                                                      \
        double: 'd',                                                                                                   \
        double *: 'd',                                                                                                 \
        float: 'f',                                                                                                    \
        float *: 'f',                                                                                                  \
        int64_t: 'q',                                                                                                  \
        int64_t *: 'q',                                                                                                \
        int32_t: 'i',                                                                                                  \
        int32_t *: 'i',                                                                                                \
        uint64_t: 'Q',                                                                                                 \
        uint32_t: 'I',                                                                                                 \
        uint16_t: 'H',                                                                                                 \
        uint8_t: 'B',                                                                                                  \
        uint8_t *: 'B')
#define RANGE(type, member, low, high)                                                                                 \
    {#member, offsetof(type, member), sizeof(((type *)0)->member), KIND(type, member), low, high}
#define FREE(type, member) RANGE(type, member, -ANY, ANY) /* an identifier, a count or a set: any is valid */
#define STAMP(type, member) RANGE(type, member, -(double)MAX_STAMP, (double)MAX_STAMP)
#define END {NULL, 0, 0, 0, 0.0, 0.0}

#define T(member, low, high) RANGE(track_t, member, low, high)
const range_t TRACK_RANGES[] = {STAMP(track_t, t),
                                STAMP(track_t, last_hit),
                                STAMP(track_t, last_miss),
                                STAMP(track_t, position_time),
                                STAMP(track_t, anchor_time),
                                STAMP(track_t, past_times),
                                T(existence, 0.0, MAX_EXISTENCE),
                                T(id, 1.0, UINT32_MAX),
                                FREE(track_t, vehicle),
                                FREE(track_t, claimed_vehicle),
                                FREE(track_t, sources),
                                FREE(track_t, reported_id),
                                T(hits, 1.0, UINT16_MAX),
                                FREE(track_t, claim_count),
                                FREE(track_t, duplicate_scans),
                                FREE(track_t, miss_run),
                                T(past_count, 1.0, MAX_POSTERIORS),
                                T(past_slots, 0.0, MAX_POSTERIORS - 1),
                                T(status, TENTATIVE, CONFIRMED),
                                T(cls, 0.0, CLASSES - 1),
                                T(seen_by_sensor, 0.0, 1.0),
                                FREE(track_t, size_samples),
                                T(reporting_source, 0.0, SOURCES - 1),
                                T(birth_source, 0.0, SOURCES - 1),
                                T(undecided, 0.0, 1.0),
                                T(birth_bin, 0.0, 2 * CONFIDENCES - 1),
                                T(residual_source, 0.0, SOURCES),
                                T(position_source, 0.0, SOURCES - 1),
                                T(anchor_source, 0.0, SOURCES),
                                T(residual, -1e9, 1e9),
                                T(frozen_s, -1e3, 1e3),
                                T(position_x, -MAX_PLACE, MAX_PLACE),
                                T(position_y, -MAX_PLACE, MAX_PLACE),
                                T(anchor_x, -MAX_PLACE, MAX_PLACE),
                                T(anchor_y, -MAX_PLACE, MAX_PLACE),
                                T(anchor_vx, -3.5e38, 3.5e38),
                                T(anchor_vy, -3.5e38, 3.5e38),
                                T(class_p, 0.0, 1.0),
                                T(length, 1e-30, 3.5e38),
                                T(width, 1e-30, 3.5e38),
                                T(height, 1e-30, 3.5e38),
                                T(direction, -1.001, 1.001),
                                END};

#define S(member, low, high) RANGE(source_t, member, low, high)
const range_t SOURCE_RANGES[] = {S(x, -MAX_PLACE, MAX_PLACE),
                                 S(y, -MAX_PLACE, MAX_PLACE),
                                 S(heading, -7.0, 7.0),
                                 S(fov, 1e-300, 7.0),
                                 S(range, 1e-300, 1e5),
                                 S(sigma, 1e-3, 100.0),
                                 S(sigma_v, 1e-3, 100.0),
                                 S(p_detect, 0.01, 0.999),
                                 S(clutter, 1e-9, 1.0),
                                 S(kind, FROM_DETECTIONS, COOPERATIVE),
                                 S(configured, 0.0, 1.0),
                                 S(blind, 0.0, 1.0),
                                 FREE(source_t, scans),
                                 FREE(source_t, late),
                                 FREE(source_t, refused),
                                 FREE(source_t, detections),
                                 S(noise_scale, MIN_NOISE_SCALE, MAX_NOISE_SCALE),
                                 S(bias_x, -300.0, 300.0),
                                 S(bias_y, -300.0, 300.0),
                                 S(lag, -200.0, 200.0),
                                 S(detection_probability, 0.01, 0.999),
                                 S(clutter_density, 1e-9, 1.0),
                                 S(failed_births, 0.0, MAX_AVERAGED),
                                 S(residual, 0.0, ANY),
                                 S(weight, 0.0, MAX_AVERAGED),
                                 S(offset_sums, -MAX_SUM, MAX_SUM),
                                 S(area, 0.0, 1e14),
                                 S(configured_bias_x, -100.0, 100.0),
                                 S(configured_bias_y, -100.0, 100.0),
                                 S(configured_lag, -60.0, 60.0),
                                 S(raw_bias_x, -103.0, 103.0),
                                 S(raw_bias_y, -103.0, 103.0),
                                 S(raw_lag, -61.0, 61.0),
                                 S(view_low, -INFINITY, INFINITY),
                                 S(view_high, -INFINITY, INFINITY),
                                 S(has_position, 0.0, 1.0),
                                 S(coverage.x, -1e8, 1e8),
                                 S(coverage.y, -1e8, 1e8),
                                 S(coverage.centre_x, -1e8, 1e8),
                                 S(coverage.centre_y, -1e8, 1e8),
                                 S(coverage.inner_radius2, 0.0, 1e17),
                                 S(coverage.extent, -1e8, 1e8),
                                 S(coverage.losses, 0.0, 100.0),
                                 S(coverage.sightings, 0.0, 1e9),
                                 S(births.confirmed, 0.0, MAX_AVERAGED),
                                 S(births.failed, 0.0, MAX_AVERAGED),
                                 S(columns.class_accuracy, 0.0, 1.0),
                                 S(columns.size_scale, 0.05, 40.0),
                                 S(columns.velocity_variance, 1e-6, 1e4),
                                 S(columns.id_persistence, 0.0, 1.0),
                                 S(columns.id_coincidence, 0.0, 1.0),
                                 S(columns.samples, 0.0, MAX_AVERAGED),
                                 S(columns.id_pairs, 0.0, MAX_AVERAGED),
                                 S(columns.velocity.pairs, 0.0, MAX_AVERAGED),
                                 S(columns.velocity.displaced2, 0.0, ANY),
                                 S(columns.velocity.reported2, 0.0, ANY),
                                 S(columns.velocity.product, -ANY, ANY),
                                 S(columns.velocity.noise, 0.0, ANY),
                                 S(columns.velocity.ratio, -ANY, ANY),
                                 S(columns.velocity.verdict, VELOCITY_UNPROVEN, VELOCITY_REJECTED),
                                 S(columns.zero_velocity.pairs, 0.0, MAX_AVERAGED),
                                 S(columns.zero_velocity.displaced2, 0.0, ANY),
                                 S(columns.zero_velocity.reported2, 0.0, ANY),
                                 S(columns.zero_velocity.product, -ANY, ANY),
                                 S(columns.zero_velocity.noise, 0.0, ANY),
                                 S(columns.zero_velocity.ratio, -ANY, ANY),
                                 S(columns.zero_velocity.verdict, VELOCITY_UNPROVEN, VELOCITY_REJECTED),
                                 S(columns.class_hits, 0.0, MAX_AVERAGED),
                                 S(columns.class_clutter, 0.0, MAX_AVERAGED),
                                 STAMP(source_t, last_stamp),
                                 FREE(source_t, repeated),
                                 FREE(source_t, doubled),
                                 S(period, -10.0, 10.0),
                                 S(backlog, 0.0, 10.0),
                                 S(intervals, 0.0, 1e9),
                                 S(filtered, 0.0, 1.0),
                                 S(jitter, -ANY, ANY),
                                 S(doubt_scale, 0.0, 2.0),
                                 S(moving_samples, 0.0, MAX_AVERAGED),
                                 S(doubt_samples, 0.0, MAX_AVERAGED),
                                 S(correlation_sum, -MAX_AVERAGED, MAX_AVERAGED),
                                 S(correlation_pairs, 0.0, MAX_AVERAGED),
                                 S(lag_observable, 0.0, 1.0),
                                 S(clock_offset, -1.001 * (double)MAX_CLOCK_OFFSET, 1.001 * (double)MAX_CLOCK_OFFSET),
                                 S(step_offset, -1.001 * (double)MAX_CLOCK_OFFSET, 1.001 * (double)MAX_CLOCK_OFFSET),
                                 STAMP(source_t, step_begin),
                                 S(step_scans, 0.0, 1e9),
                                 S(step_first, 0.0, 1.0),
                                 S(alignment_checks, 0.0, 1e9),
                                 FREE(source_t, clock_steps),
                                 FREE(source_t, wrong_unit),
                                 S(short_steps, 0.0, 1e9),
                                 S(regular_steps, 0.0, 1e9),
                                 END};

#define F(member, low, high) RANGE(fusion_t, member, low, high)
const range_t FUSION_RANGES[] = {F(capacity, 1.0, MAX_CAPACITY),
                                 F(count, 0.0, MAX_CAPACITY),
                                 F(next_id, 1.0, UINT32_MAX),
                                 F(features, 0.0, 2.0 * NO_RESUME - 1.0),
                                 FREE(fusion_t, active_sources),
                                 F(multiple_sources, 0.0, 1.0),
                                 STAMP(fusion_t, newest),
                                 F(window, 0.0, MAX_WAIT),
                                 F(gate, 1e-300, 1000.0),
                                 F(miss_cost, 1e-300, 1000.0),
                                 F(confirm, 0.01, 0.998),
                                 F(show_threshold, 0.0, 0.998),
                                 F(drop, 0.0, 0.5),
                                 F(survive, 1e-300, 86400.0),
                                 F(coast, 1.0, MAX_WAIT),
                                 FREE(fusion_t, refused_old),
                                 FREE(fusion_t, refused_births),
                                 FREE(fusion_t, merged),
                                 FREE(fusion_t, resumed),
                                 F(max_jump, 1.0, 24.0 * MAX_WAIT),
                                 F(usual_step, 0.0, 24.0 * MAX_WAIT),
                                 STAMP(fusion_t, deviation.first),
                                 STAMP(fusion_t, deviation.last),
                                 FREE(fusion_t, deviation.sources),
                                 F(deviation.count, 0.0, INT32_MAX),
                                 F(deviation.side, -1.0, 1.0),
                                 FREE(fusion_t, deviation.accepted_sources),
                                 FREE(fusion_t, refused_ahead),
                                 FREE(fusion_t, clock_steps),
                                 FREE(fusion_t, crowded),
                                 F(arrival_x, -MAX_TRACK_PLACE, MAX_TRACK_PLACE),
                                 F(arrival_y, -MAX_TRACK_PLACE, MAX_TRACK_PLACE),
                                 FREE(fusion_t, arrivals),
                                 F(mean_gate, 0.0, 1e6),
                                 F(followed_s, 1e-300, ANY),
                                 F(departures, 1e-3, MAX_AVERAGED),
                                 F(inside_departures, 1e-12, MAX_AVERAGED),
                                 F(miss_runs, 1e-3, MAX_AVERAGED),
                                 F(repeat_misses, 0.0, MAX_AVERAGED),
                                 END};

static int in_range(const uint8_t *data, const range_t *range, size_t size, double (*read)(const uint8_t *))
{
    int valid = 1;
    for (size_t at = 0; at < range->size; at += size) {
        double value = read(data + range->offset + at);
        valid &= value >= range->low && value <= range->high; /* NaN is in no range */
    }
    return valid;
}

#define READER(name, type)                                                                                             \
    static double name(const uint8_t *data)                                                                            \
    {                                                                                                                  \
        type value;                                                                                                    \
        memcpy(&value, data, sizeof value);                                                                            \
        return (double)value;                                                                                          \
    }
READER(read_double, double)
READER(read_float, float)
READER(read_int64, int64_t)
READER(read_int32, int32_t)
READER(read_uint64, uint64_t)
READER(read_uint32, uint32_t)
READER(read_uint16, uint16_t)
READER(read_uint8, uint8_t)

/* The first member of a structure that is out of its range, or NULL. */
static const char *out_of_range(const void *structure, const range_t *range)
{
    static const struct {
        char kind;
        size_t size;
        double (*read)(const uint8_t *);
    } KINDS[] = {{'d', 8, read_double}, {'f', 4, read_float},  {'q', 8, read_int64},  {'i', 4, read_int32},
                 {'Q', 8, read_uint64}, {'I', 4, read_uint32}, {'H', 2, read_uint16}, {'B', 1, read_uint8}};
    for (; range->name != NULL; range++)
        for (size_t k = 0; k < sizeof KINDS / sizeof *KINDS; k++)
            if (KINDS[k].kind == range->kind && !in_range(structure, range, KINDS[k].size, KINDS[k].read))
                return range->name;
    return NULL;
}

/* Whether a packed covariance is one: no variance below 0 or above its maximum times `share`, and a Cholesky factor of
 * its correlations. */
static int valid_covariance(const double *p, int n, double share)
{
    static const uint8_t PACKED[5][5] = {
        {0, 1, 2, 3, 10}, {1, 4, 5, 6, 11}, {2, 5, 7, 8, 12}, {3, 6, 8, 9, 13}, {10, 11, 12, 13, 14}};
    const double most[5] = {MAX_PLACE_VARIANCE * share, MAX_PLACE_VARIANCE * share, MAX_SPEED_VARIANCE * share,
                            MAX_SPEED_VARIANCE * share, MAX_RATE_VARIANCE};
    double factor[5][5] = {{0}}, scale[5] = {0};
    for (int r = 0; r < n; r++) {
        double variance = p[PACKED[r][r]];
        if (!(variance >= (r < 4 ? 1e-12 : 0.0) && variance <= most[r]))
            return 0;
        scale[r] = 1.0 / sqrt(greater(variance, 1e-30));
    }

    for (int r = 0; r < n; r++)
        for (int c = 0; c <= r; c++) {
            double sum = p[PACKED[r][c]] * scale[r] * scale[c];
            for (int k = 0; k < c; k++)
                sum -= factor[r][k] * factor[c][k];
            if (!(fabs(sum) <= 2.0) || (r == c && !(sum + MIN_PIVOT > 0.0)))
                return 0;
            factor[r][c] = r == c ? sqrt(sum + MIN_PIVOT) : sum / factor[c][c];
        }
    return 1;
}

static int valid_posterior(const posterior_t *posterior)
{
    const double x[] = {posterior->x, posterior->y, (double)posterior->v[0], (double)posterior->v[1]};
    double p[10];
    for (int i = 0; i < 10; i++)
        p[i] = (double)posterior->p[i];
    return plausible_mean(x) && valid_covariance(p, 4, 2.0);
}

/* Posteriors in distinct slots, in order of time, none after the track itself; the next one goes to the first slot that
 * was never used. */
static int valid_past(const track_t *track)
{
    uint32_t used = 0;
    for (int i = 0; i < track->past_count; i++) {
        uint8_t slot = track->past_slots[i];
        int ordered = i == 0 || track->past_times[i - 1] <= track->past_times[i];
        if (used >> slot & 1u || !ordered || !valid_posterior(&track->past[slot]))
            return 0;
        used |= 1u << slot;
    }
    return track->past_times[track->past_count - 1] <= track->t &&
           (track->past_count == MAX_POSTERIORS || used == (1u << track->past_count) - 1u);
}

static int valid_models(const imm_t *models)
{
    const turning_t *turning = &models->turning;
    if (!plausible_mean(models->straight.x) || !valid_covariance(models->straight.p, 4, MAX_MODEL_SHARE))
        return 0;
    if (!plausible_mean(turning->x) || !(fabs(turning->x[4]) <= MAX_SAVED_RATE))
        return 0;
    if (models->turn_probability == 0.0) { /* the model is not run; it begins anew from the other, but for its rate */
        int finite = turning->p[14] >= 0.0 && turning->p[14] <= MAX_RATE_VARIANCE;
        for (int i = 0; i < 14; i++)
            finite &= fabs(turning->p[i]) <= MAX_PLACE_VARIANCE * MAX_MODEL_SHARE;
        return finite;
    }
    int probable =
        models->turn_probability >= MIN_MODEL_PROBABILITY && models->turn_probability <= 1.0 - MIN_MODEL_PROBABILITY;
    return probable && valid_covariance(turning->p, 5, MAX_MODEL_SHARE);
}

int valid_track(const track_t *track)
{
    double classes = 0.0;
    if (out_of_range(track, TRACK_RANGES) != NULL)
        return 0;
    for (int c = 1; c < CLASSES; c++)
        classes += (double)track->class_p[c];
    return fabs(classes - 1.0) < 0.01 && plausible_mean(track->mean.x) && valid_covariance(track->mean.p, 4, 1.0) &&
           valid_models(&track->models) && valid_past(track);
}

static int valid_motion(const motion_t *motion)
{
    return motion->straight > 0.0 && motion->straight <= 1000.0 && motion->turning >= 0.0 &&
           motion->turning <= 1000.0 && motion->turn_rate >= 0.0 && motion->turn_rate <= 100.0 &&
           motion->enter >= 0.0 && motion->enter <= 100.0 && motion->leave >= 0.0 && motion->leave <= 100.0;
}

const char *invalid_fusion(const fusion_t *fusion)
{
    const char *member = out_of_range(fusion, FUSION_RANGES);
    if (member != NULL)
        return member;
    if (fusion->drop >= fusion->confirm)
        return "drop";
    for (int c = 0; c < CLASSES; c++)
        if (!valid_motion(&fusion->motion[c]))
            return "motion";
    for (int i = 0; i < MISS_BINS; i++)
        if (fusion->repeat_misses[i] > fusion->miss_runs[i])
            return "repeat_misses";
    for (int i = 0; i < SOURCES; i++)
        if ((member = out_of_range(&fusion->sources[i], SOURCE_RANGES)) != NULL)
            return member;
    for (int i = 0; i < MAX_CONFLICTS; i++) {
        const conflict_t *conflict = &fusion->conflicts[i];
        if (!(fabs(conflict->x) <= MAX_TRACK_PLACE) || !(fabs(conflict->y) <= MAX_TRACK_PLACE) ||
            llabs(conflict->t) > MAX_STAMP)
            return "conflicts";
    }
    return NULL;
}
