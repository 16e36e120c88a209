/* A tracker as bytes and back: its own part, then its live tracks in order. The bytes may come from anywhere: whatever
 * is read from them as an index, a count or a time is checked, and every figure is finite, so that no state can make
 * the tracker leave its memory. */
#include "track.h"

#include <math.h>
#include <string.h>

#define MAX_STAMP (MAX_TIME + 1000000000000LL) /* ns: a stamp less a latency */
#define MAX_LAG 100.0                          /* s */
#define MAX_SAVED_BIAS 1e3                           /* m */
#define MAX_FIGURE                                                                                                     \
    1e9 /* m, m/s, rad/s: of a state; with MAX_SAVED_VARIANCE no sum of products of these overflows, and none becomes NaN */
#define MAX_SAVED_VARIANCE 1e16 /* m^2, m^2/s^2: of a state; a track that coasts for hours is surer */
#define COVARIANCE_TOLERANCE                                                                                           \
    1e-3 /* share of its variances by which a covariance may be off: posteriors of the past are of single precision */

size_t fusion_state_size(int32_t count) { return sizeof(fusion_t) + sizeof(track_t) * (size_t)count; }

void fusion_save(const fusion_t *fusion, uint8_t *out)
{
    memcpy(out, fusion, sizeof *fusion);
    for (int32_t i = 0; i < fusion->count; i++)
        memcpy(out + sizeof *fusion + sizeof(track_t) * (size_t)i, track_at(fusion, i), sizeof(track_t));
}

static int is_time(int64_t t) { return t >= -MAX_STAMP && t <= MAX_STAMP; }

static int is_step(int64_t dt) { return dt >= 0 && dt <= MAX_STAMP; }

static int all_finite(const double *v, size_t n)
{
    int good = 1;
    for (size_t i = 0; i < n; i++)
        good &= isfinite(v[i]) != 0;
    return good;
}

static int all_finite_f(const float *v, size_t n)
{
    int good = 1;
    for (size_t i = 0; i < n; i++)
        good &= isfinite(v[i]) != 0;
    return good;
}

/* Whether every figure of a mean can be one. */
static int valid_mean(const double *x, size_t n)
{
    int good = 1;
    for (size_t i = 0; i < n; i++)
        good &= fabs(x[i]) <= MAX_FIGURE;
    return good;
}

static int valid_pair(double a, double b, double both)
{
    return a > 0.0 && b > 0.0 && both * both <= a * b * (1.0 + COVARIANCE_TOLERANCE);
}

/* Whether a packed covariance of 10 figures, or of 15 with a fifth state, is one: variances over 0, places and
 * velocities each with a determinant that is not below 0, nothing beyond what can be. */
static int valid_covariance(const double *p, size_t n)
{
    int good = valid_pair(p[0], p[4], p[1]) && valid_pair(p[7], p[9], p[8]) && (n < 15 || p[14] > 0.0);
    for (size_t i = 0; i < n; i++)
        good &= fabs(p[i]) <= MAX_SAVED_VARIANCE;
    return good;
}

static int valid_posterior(const posterior_t *posterior)
{
    const double x[] = {posterior->x, posterior->y, (double)posterior->v[0], (double)posterior->v[1]};
    double p[10];
    for (int i = 0; i < 10; i++)
        p[i] = (double)posterior->p[i];
    return valid_mean(x, 4) && valid_covariance(p, 10);
}

static int at_least_f(const float *v, size_t n, float least)
{
    int good = 1;
    for (size_t i = 0; i < n; i++)
        good &= isfinite(v[i]) != 0 && v[i] >= least;
    return good;
}

static int valid_coverage(const coverage_t *coverage)
{
    const double figures[] = {coverage->x, coverage->y, coverage->centre_x, coverage->centre_y,
                              coverage->inner_radius2};
    return all_finite(figures, sizeof figures / sizeof *figures) && all_finite_f(coverage->extent, SIDES) &&
           at_least_f(coverage->losses, SIDES, 0.0f) && coverage->sightings >= 0;
}

static int valid_columns(const column_trust_t *columns)
{
    const double figures[] = {columns->size_scale,     columns->velocity_variance, columns->samples[0],
                              columns->samples[1],     columns->samples[2],        columns->samples[3],
                              columns->velocity_error, columns->velocity_noise,    columns->velocity_pairs};
    int counted = columns->samples[0] >= 0.0 && columns->samples[1] >= 0.0 && columns->samples[2] >= 0.0 &&
                  columns->samples[3] >= 0.0 && columns->velocity_pairs >= 0.0;
    return all_finite(figures, sizeof figures / sizeof *figures) && counted && columns->size_scale > 0.0 &&
           columns->velocity_variance > 0.0 && columns->class_accuracy >= 0.0 && columns->class_accuracy <= 1.0 &&
           columns->id_persistence >= 0.0 && columns->id_persistence <= 1.0;
}

/* What is found of its stamps, births, coverage and columns. */
static int valid_findings(const source_t *source)
{
    const double figures[] = {source->area,          source->period,          source->backlog,
                              source->jitter,        source->doubt_scale,     source->moving_samples,
                              source->doubt_samples, source->correlation_sum, source->correlation_pairs};
    return all_finite(figures, sizeof figures / sizeof *figures) && source->moving_samples >= 0.0 &&
           source->doubt_samples >= 0.0 && source->correlation_pairs >= 0.0 && source->intervals >= 0 &&
           is_time(source->last_stamp) && at_least_f(source->births.confirmed, 2 * CONFIDENCES, 0.0f) &&
           at_least_f(source->births.failed, 2 * CONFIDENCES, 0.0f) && valid_coverage(&source->coverage) &&
           valid_columns(&source->columns);
}

/* Offsets against the other sources are made of all sources' own, so that each of these is bounded too. */
static int valid_offsets(const source_t *source)
{
    return fabs(source->configured_lag) < MAX_LAG && fabs(source->raw_lag) < MAX_LAG &&
           fabs(source->lag) < 4.0 * MAX_LAG && fabs(source->configured_bias_x) < MAX_SAVED_BIAS &&
           fabs(source->configured_bias_y) < MAX_SAVED_BIAS && fabs(source->raw_bias_x) < MAX_SAVED_BIAS &&
           fabs(source->raw_bias_y) < MAX_SAVED_BIAS && fabs(source->bias_x) < 4.0 * MAX_SAVED_BIAS &&
           fabs(source->bias_y) < 4.0 * MAX_SAVED_BIAS;
}

static int valid_source(const source_t *source)
{
    const double figures[] = {source->x,
                              source->y,
                              source->heading,
                              source->fov,
                              source->range,
                              source->sigma,
                              source->sigma_v,
                              source->p_detect,
                              source->clutter,
                              source->noise_scale,
                              source->bias_x,
                              source->bias_y,
                              source->lag,
                              source->detection_probability,
                              source->clutter_density,
                              source->failed_births,
                              source->residual,
                              source->weight,
                              source->configured_bias_x,
                              source->configured_bias_y,
                              source->configured_lag,
                              source->raw_bias_x,
                              source->raw_bias_y,
                              source->raw_lag};
    return all_finite(figures, sizeof figures / sizeof *figures) && all_finite(source->offset_sums, 7) &&
           source->kind >= FROM_DETECTIONS && source->kind <= COOPERATIVE && valid_offsets(source) &&
           source->sigma > 0.0 && source->noise_scale > 0.0 && !isnan(source->view_low[0] + source->view_low[1]) &&
           !isnan(source->view_high[0] + source->view_high[1]) && valid_findings(source);
}

static int valid_track(const track_t *track)
{
    if (!is_time(track->t) || !is_time(track->last_hit) || !is_time(track->last_miss) ||
        !is_time(track->position_time) || track->past_count > MAX_POSTERIORS || track->cls >= CLASSES ||
        track->status > COASTING)
        return 0;
    if (track->reporting_source >= SOURCES || track->birth_source >= SOURCES || track->position_source >= SOURCES ||
        track->residual_source > SOURCES || track->birth_bin >= 2 * CONFIDENCES)
        return 0;
    int good = track->models.turn_probability >= 0.0 && track->models.turn_probability < 1.0 &&
               track->existence >= 0.0 && track->existence <= 1.0;
    uint32_t used = 0;
    for (int i = 0; i < track->past_count; i++) {
        if (track->past_slots[i] >= MAX_POSTERIORS || used >> track->past_slots[i] & 1u ||
            !is_time(track->past_times[i]))
            return 0;
        used |= 1u << track->past_slots[i];
        good &= valid_posterior(&track->past[track->past_slots[i]]);
    }
    if (track->past_count < MAX_POSTERIORS &&
        used != (1u << track->past_count) - 1u) /* the next goes to the first slot that was never used */
        return 0;
    const float rest[] = {track->length,       track->width,       track->height,      track->direction[0],
                          track->direction[1], track->residual[0], track->residual[1], track->frozen_s};
    good &= valid_mean(track->mean.x, 4) && valid_covariance(track->mean.p, 10) &&
            valid_mean(track->models.straight.x, 4) && valid_covariance(track->models.straight.p, 10);
    good &= valid_mean(track->models.turning.x, 5) &&
            (track->models.turn_probability == 0.0 ? all_finite(track->models.turning.p, 15)
                                                   : valid_covariance(track->models.turning.p, 15));
    good &= all_finite_f(track->class_p, CLASSES) && all_finite_f(rest, 8) && fabs(track->position_x) <= MAX_FIGURE &&
            fabs(track->position_y) <= MAX_FIGURE;
    return good;
}

static const char *find_flaw(const fusion_t *fusion)
{
    const double figures[] = {fusion->gate,           fusion->miss_cost,  fusion->confirm,
                              fusion->show_threshold, fusion->drop,       fusion->survive,
                              fusion->mean_gate,      fusion->followed_s, fusion->departures};
    if (!all_finite(figures, sizeof figures / sizeof *figures) || !(fusion->gate > 0.0) || !(fusion->survive > 0.0))
        return "configuration";
    if (!(fusion->followed_s > 0.0) || !(fusion->departures > 0.0) || !all_finite(fusion->miss_runs, MISS_BINS) ||
        !all_finite(fusion->repeat_misses, MISS_BINS))
        return "misses";
    for (int i = 0; i < MISS_BINS; i++)
        if (!(fusion->miss_runs[i] > 0.0) || fusion->repeat_misses[i] < 0.0)
            return "misses";
    if (!is_time(fusion->newest) || !is_step(fusion->window) || !is_step(fusion->coast) ||
        fusion->coast > MAX_STAMP / 4 || !is_step(fusion->max_jump) || !is_step(fusion->usual_step) ||
        fusion->usual_step > MAX_STAMP / 4 || !is_time(fusion->deviation.first) || !is_time(fusion->deviation.last) ||
        fusion->deviation.count < 0)
        return "times";
    if (!all_finite(&fusion->motion[0].straight, CLASSES * MOTION_FIGURES))
        return "motion";
    for (int i = 0; i < SOURCES; i++)
        if (!valid_source(&fusion->sources[i]))
            return "sources";
    for (int i = 0; i < MAX_CONFLICTS; i++)
        if (!is_time(fusion->conflicts[i].t) || !isfinite(fusion->conflicts[i].x) || !isfinite(fusion->conflicts[i].y))
            return "wrong claims";
    return NULL;
}

const char *fusion_load(fusion_t *fusion, const uint8_t *data, size_t size)
{
    int32_t capacity = fusion->capacity, count;
    if (size < sizeof *fusion)
        return "length";
    memcpy(fusion, data, sizeof *fusion);
    count = fusion->count;
    fusion->count = 0;
    if (fusion->capacity != capacity || count < 0 || count > capacity)
        return "capacity";
    if (size != fusion_state_size(count))
        return "length";
    const char *wrong = find_flaw(fusion);
    if (wrong != NULL)
        return wrong;
    uint32_t newest = 0;
    for (int32_t i = 0; i < count; i++) {
        track_t *track = &places_of(fusion)[i].track;
        order_of(fusion)[i] = i;
        memcpy(track, data + sizeof *fusion + sizeof(track_t) * (size_t)i, sizeof *track);
        if (track->id <= newest || !valid_track(track))
            return "tracks";
        newest = track->id;
    }
    if (newest >= fusion->next_id)
        return "ids";
    fusion->count = count;
    return NULL;
}
