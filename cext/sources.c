/* What is found out about a source while it is heard: noise, bias, latency, detection probability, false detections.
 * Residuals are taken on confirmed tracks only; each figure moves by its share of the evidence so far, and never stops
 * moving. */
#include "numeric.h"
#include "scan.h"

#include <math.h>

#define PRIOR_WEIGHT 10.0 /* detections that what a source is said to have is worth */
#define MAX_WEIGHT                                                                                                     \
    1500.0 /* detections after which the old is forgotten; of offsets, which change less, after twice as many */
#define MAX_CORRELATION_PAIRS 600.0   /* pairs of residuals after which the old count less */
#define PRIOR_CORRELATION_PAIRS 300.0 /* pairs that the configured kind "tracks" counts for */
#define MIN_CORRELATION_PAIRS 60.0    /* pairs before it is known whether a source filters */
#define MIN_FILTERED_COSINE                                                                                            \
    0.3 /* mean cosine of residuals a scan apart: of what is measured anew each time it is 0, of filtered tracks 0.5   \
           and more */
#define MAX_UNFILTERED_COSINE                                                                                          \
    -0.1                   /* while it is followed closely: of what is measured anew the increments turn back, -0.4 */
#define MIN_RESIDUAL2 1e-8 /* m^2 */
#define MIN_SPEED2 0.25 /* m^2/s^2: who stands says nothing of noise, for sensors repeat themselves, nor of latency */
#define PRIOR_BIAS_SAMPLES                                                                                             \
    3.0 /* how firmly no bias and no latency are believed in at first: residual variance over the prior's */
#define PRIOR_LAG_SAMPLES 10.0
#define MIN_OFFSET_SAMPLES 30.0 /* residuals before a source's offsets count */
#define SETTLED_SAMPLES                                                                                                \
    300.0 /* residuals after which its offsets are found: until then they are in every residual, and those look alike  \
           */
#define AREA_DECAY 0.9995         /* a scan: a few detections do not show how far the source looks */
#define MIN_AREA 400.0            /* m^2 */
#define PRIOR_CLASS_ACCURACY 0.85 /* share of right classes before any is found */
#define PRIOR_SAMPLES 20.0        /* detections that what a source is held to be worth at first is worth */
#define MAX_SAMPLES 1000.0        /* detections after which the old count less */
#define MIN_VELOCITY_PAIRS 30.0   /* velocities held against places before they are judged by it */
#define MIN_VELOCITY_ERROR 2.0    /* m^2/s^2 */
#define MIN_STAMP_SPEED2 9.0      /* m^2/s^2: a slower road user tells nothing of time stamps */
#define MAX_LATENCY 0.8           /* s */
#define MAX_BIAS 2.0              /* m */

void source_start(source_t *source)
{
    source->noise_scale = 1.0;
    source->bias_x = source->raw_bias_x = source->configured_bias_x;
    source->bias_y = source->raw_bias_y = source->configured_bias_y;
    source->lag = source->raw_lag = source->configured_lag;
    memset(source->offset_sums, 0, sizeof source->offset_sums);
    source->detection_probability = source->p_detect;
    source->clutter_density = source->clutter;
    source->failed_births = 0.0;
    source->residual = 2.0;
    source->weight = PRIOR_WEIGHT;
    source->columns = (column_trust_t){.class_accuracy = PRIOR_CLASS_ACCURACY,
                                       .size_scale = 1.0,
                                       .velocity_variance = source->sigma_v * source->sigma_v,
                                       .id_persistence = source->kind == FROM_TRACKS ? 0.95 : 0.5};
    source->jitter = source->moving_samples = source->doubt_samples = 0.0;
    source->doubt_scale = 1.0;
    source->correlation_pairs =
        source->kind == FROM_TRACKS ? PRIOR_CORRELATION_PAIRS : 0.0; /* the configured kind is a hint */
    source->correlation_sum = 0.6 * source->correlation_pairs;
    source->filtered = source->kind == FROM_TRACKS;
}

void measurement_noise(const source_t *source, const detection_t *z, double r[3])
{
    double least = 0.03 * 0.03, own = source->sigma * source->sigma;
    r[0] = greater((isfinite(z->var_x) && z->var_x > 0.0f ? (double)z->var_x : own) * source->noise_scale, least);
    r[1] = greater((isfinite(z->var_y) && z->var_y > 0.0f ? (double)z->var_y : own) * source->noise_scale, least);
    double limit = 0.99 * sqrt(r[0] * r[1]);
    r[2] = isfinite(z->cov_xy) ? bounded((double)z->cov_xy * source->noise_scale, -limit, limit) : 0.0;
}

/* Noise is the residual before times that after the update (Desroziers 2005); of a late scan, whose state is smoothed
 * and not updated itself, the square of the residual less the state's own variance. */
void note_residual(fusion_t *fusion, scan_t *scan, track_t *track, const state_t *before, const double *z,
                   const double *r)
{
    source_t *source = &fusion->sources[scan->source_id];
    scan_sums_t *sums = &scan->sums;
    double nx = z[0] - before->x[0], ny = z[1] - before->x[1], det, vx = before->x[2], vy = before->x[3];
    double square = vx * vx + vy * vy, ox = nx + source->bias_x - source->lag * vx,
           oy = ny + source->bias_y - source->lag * vy;
    if (square < MIN_SPEED2)
        return;
    double now = nx * nx + ny * ny, then = (double)track->residual[0] * (double)track->residual[0] +
                                           (double)track->residual[1] * (double)track->residual[1];
    int settled = !fusion->multiple_sources || source->offset_sums[0] >= SETTLED_SAMPLES;
    if (track->residual_source == scan->source_id + 1 && settled && now > MIN_RESIDUAL2 &&
        then > MIN_RESIDUAL2) { /* the cosine: one jump says no more than one scan */
        sums->correlation_sum += (nx * (double)track->residual[0] + ny * (double)track->residual[1]) / sqrt(now * then);
        sums->correlation_pairs += 1.0;
    }
    track->residual_source = (uint8_t)(scan->source_id + 1);
    track->residual[0] = (float)nx;
    track->residual[1] = (float)ny;
    if (square > MIN_STAMP_SPEED2) { /* a stamp that is off moves a road user along its way, noise does so either way */
        double ahead = nx * vx + ny * vy, aside = nx * vy - ny * vx;
        sums->stamp_samples += 1.0;
        sums->stamp_variance += (ahead * ahead - aside * aside) / (square * square);
    }
    if (scan->stamp_doubt > 0.0)
        return;
    const double more[7] = {1.0, vx, vy, square, ox, oy, ox * vx + oy * vy};
    for (int i = 0; i < 7; i++)
        source->offset_sums[i] += more[i];
    sums->moving += 1.0;
    sums->samples += 1.0;
    if (scan->stamp_variance > 0.0) { /* what its stamps do is no noise of its places: taken across the way alone */
        double aside = nx * vy - ny * vx, after = (z[0] - track->mean.x[0]) * vy - (z[1] - track->mean.x[1]) * vx;
        sums->noise += 2.0 * (track->t == scan->t ? aside * after / square
                                                  : aside * aside / square - 0.5 * (before->p[0] + before->p[4]));
    } else if (track->t == scan->t)
        sums->noise += nx * (z[0] - track->mean.x[0]) + ny * (z[1] - track->mean.x[1]);
    else
        sums->noise += nx * nx + ny * ny - before->p[0] - before->p[4];
    sums->nominal_noise += r[0] + r[1];
    sums->distance2 += mahalanobis2(before->x, before->p, z[0], z[1], r, &det);
}

static void moving_average(double *value, double *n, double found)
{
    *n = lesser(*n + 1.0, MAX_SAMPLES);
    *value += (found - *value) / (PRIOR_SAMPLES + *n);
}

void learn_columns(fusion_t *fusion, const scan_t *scan, const track_t *track, const state_t *before,
                   const detection_t *z)
{
    column_trust_t *columns = &fusion->sources[scan->source_id].columns;
    if (z->cls && track->cls && track->class_p[track->cls] > 0.8f)
        moving_average(&columns->class_accuracy, &columns->samples[0], z->cls == track->cls ? 0.99 : 0.12);
    if (isfinite(z->length) && z->length > 0.0f && track->size_samples > 5) {
        double off = (double)(z->length - track->length) / (0.3 + 0.15 * (double)track->length);
        moving_average(&columns->size_scale, &columns->samples[1], bounded(off * off, 0.1, 40.0));
    }
    if (isfinite(z->vx) && isfinite(z->vy) && !columns->velocity_rejected) {
        double dx = (double)z->vx - before->x[2], dy = (double)z->vy - before->x[3];
        moving_average(&columns->velocity_variance, &columns->samples[2],
                       bounded(0.5 * (dx * dx + dy * dy - before->p[7] - before->p[9]), 0.01, 400.0));
    }
    if (z->id && track->reported_id && track->reporting_source == scan->source_id)
        moving_average(&columns->id_persistence, &columns->samples[3], z->id == track->reported_id ? 1.0 : 0.0);
}

/* A velocity that is far from what was travelled, as a column that is always 0, would draw the tracks after it and then
 * look right to them: so it is held against the places alone, which are noisy but cannot be drawn. */
void check_velocity(source_t *source, const track_t *track, const detection_t *z, int32_t source_id, int64_t t,
                    const double r[3])
{
    column_trust_t *columns = &source->columns;
    double dt = (double)(t - track->position_time) * 1e-9;
    if (track->position_source != source_id || dt < 0.02 || dt > 1.0 || !isfinite(z->vx) || !isfinite(z->vy))
        return;
    double dx = (z->x - track->position_x) / dt - (double)z->vx, dy = (z->y - track->position_y) / dt - (double)z->vy,
           noise = (r[0] + r[1]) / (dt * dt);
    columns->velocity_pairs = lesser(columns->velocity_pairs + 1.0, MAX_SAMPLES);
    columns->velocity_error += (0.5 * (dx * dx + dy * dy) - noise - columns->velocity_error) / columns->velocity_pairs;
    columns->velocity_noise += (noise - columns->velocity_noise) / columns->velocity_pairs;
    columns->velocity_rejected =
        columns->velocity_pairs >= MIN_VELOCITY_PAIRS &&
        columns->velocity_error > MIN_VELOCITY_ERROR + 2.0 * source->sigma_v * source->sigma_v +
                                      4.0 * columns->velocity_noise / sqrt(columns->velocity_pairs);
    if (columns->velocity_rejected)
        columns->velocity_variance = lesser(columns->velocity_error, 400.0);
}

/* How far stamps are off, from residuals along the way against those across it; and whether errors of one scan are
 * those of the scan before. */
static void learn_stamps(source_t *source, const scan_t *scan)
{
    const scan_sums_t *sums = &scan->sums;
    if (sums->correlation_pairs > 0.0 && scan->stamp_doubt <= 0.0) {
        double fade = 1.0 - sums->correlation_pairs / (MAX_CORRELATION_PAIRS + sums->correlation_pairs);
        source->correlation_sum = fade * source->correlation_sum + sums->correlation_sum;
        source->correlation_pairs = fade * source->correlation_pairs + sums->correlation_pairs;
        double alike = source->correlation_sum / source->correlation_pairs;
        if (source->correlation_pairs > MIN_CORRELATION_PAIRS && !source->filtered && alike > MIN_FILTERED_COSINE) {
            source->filtered = 1;
            source->noise_scale = 1.0; /* what was found of its noise was that of its increments */
        } else if (source->correlation_pairs > MIN_CORRELATION_PAIRS && source->filtered &&
                   alike < MAX_UNFILTERED_COSINE) {
            source->filtered = 0;
        }
    }
    if (sums->stamp_samples <= 0.0)
        return;
    if (scan->stamp_doubt > 0.0) {
        source->doubt_samples = lesser(source->doubt_samples + sums->stamp_samples, 300.0);
        source->doubt_scale +=
            sums->stamp_samples / (PRIOR_SAMPLES + source->doubt_samples) *
            (bounded(sums->stamp_variance / (sums->stamp_samples * scan->stamp_doubt), 0.0, 2.0) - source->doubt_scale);
        return;
    }
    source->moving_samples = lesser(source->moving_samples + sums->stamp_samples, MAX_WEIGHT);
    source->jitter +=
        sums->stamp_samples / source->moving_samples * (sums->stamp_variance / sums->stamp_samples - source->jitter);
}

/* Least squares of o = bias - lag v over the faded sums. */
static void solve_offsets(source_t *source)
{
    const double *m = source->offset_sums;
    double n = m[0] + PRIOR_BIAS_SAMPLES, spread = m[3] + PRIOR_LAG_SAMPLES - (m[1] * m[1] + m[2] * m[2]) / n;
    double lag = -(m[6] - (m[1] * m[4] + m[2] * m[5]) / n) / spread;
    source->raw_lag = bounded(lag, -MAX_LATENCY, MAX_LATENCY);
    source->raw_bias_x = bounded((m[4] + source->raw_lag * m[1]) / n, -MAX_BIAS, MAX_BIAS);
    source->raw_bias_y = bounded((m[5] + source->raw_lag * m[2]) / n, -MAX_BIAS, MAX_BIAS);
}

/* Only differences between sources can be seen. In time the connected vehicles, which have GNSS time, are the reference
 * where there are any, else the earliest source. In place the mean over the others is held to be right: a vehicle's
 * place is no better than its receiver, and no report may move what every unit sees. A single source keeps its
 * configured values. */
static void anchor_offsets(fusion_t *fusion)
{
    double bx = 0.0, by = 0.0, weights = 1e-12, least = 2.0 * MAX_LATENCY;
    const source_t *reference = NULL;
    int known = 0;
    for (int i = 0; i < SOURCES; i++) {
        const source_t *source = &fusion->sources[i];
        if (!(fusion->active_sources >> i & 1u) || source->offset_sums[0] < MIN_OFFSET_SAMPLES)
            continue;
        known++;
        least = source->raw_lag - source->configured_lag < least ? source->raw_lag - source->configured_lag : least;
        if (source->kind == COOPERATIVE) {
            reference = source;
            continue;
        }
        double weight = 1.0 / (source->noise_scale * source->sigma * source->sigma);
        bx += weight * (source->raw_bias_x - source->configured_bias_x);
        by += weight * (source->raw_bias_y - source->configured_bias_y);
        weights += weight;
    }
    if (known < 2)
        return;
    least = reference ? reference->raw_lag - reference->configured_lag : least;
    for (int i = 0; i < SOURCES; i++) {
        source_t *source = &fusion->sources[i];
        if (!(fusion->active_sources >> i & 1u) || source->offset_sums[0] < MIN_OFFSET_SAMPLES)
            continue;
        if (!(fusion->features & NO_BIAS) && source->kind != COOPERATIVE) {
            source->bias_x = source->raw_bias_x - bx / weights;
            source->bias_y = source->raw_bias_y - by / weights;
        }
        if (!(fusion->features & NO_LAG))
            source->lag = source->raw_lag - least;
    }
}

void learn_source(fusion_t *fusion, const scan_t *scan)
{
    source_t *source = &fusion->sources[scan->source_id];
    scan_sums_t sums = scan->sums;
    source->area = greater(AREA_DECAY * source->area, greater(scan->area, MIN_AREA));
    if (!(fusion->features & NO_LIFE)) {
        source->clutter_density =
            bounded(source->clutter_density + 0.01 * (source->failed_births / source->area - source->clutter_density),
                    1e-6, 0.1);
        source->failed_births = 0.0;
    }
    if (sums.hits + sums.misses > 0.0 && !(fusion->features & NO_LIFE)) {
        double share = (sums.hits + sums.misses) / (300.0 + sums.hits + sums.misses);
        source->detection_probability =
            bounded(source->detection_probability +
                        share * (sums.hits / (sums.hits + sums.misses) - source->detection_probability),
                    0.2, 0.98);
    }
    learn_stamps(source, scan);
    if (sums.moving > 0.0) {
        double fade = 1.0 - sums.moving / (2.0 * MAX_WEIGHT + sums.moving);
        for (int i = 0; i < 7; i++)
            source->offset_sums[i] *= fade;
        solve_offsets(source);
        anchor_offsets(fusion);
    }
    if (sums.samples <= 0.0)
        return;
    source->weight = lesser(source->weight + sums.samples, MAX_WEIGHT);
    double share = sums.samples / source->weight;
    source->residual += share * (sums.distance2 / sums.samples - source->residual);
    if (!(fusion->features & NO_NOISE) && !source->filtered) /* another's tracks err alike from scan to scan */
        source->noise_scale =
            bounded(source->noise_scale * (1.0 + share * (bounded(sums.noise / sums.nominal_noise, 0.0, 10.0) - 1.0)),
                    0.01, 25.0);
}
