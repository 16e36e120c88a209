/* What is learned about a source while it sends: noise, bias, latency, detection probability, clutter, stamp errors.
 * Residuals are taken on confirmed tracks only; each figure moves by its share of the evidence so far, and never stops.
 */
#include "numeric.h"
#include "scan.h"

#include <math.h>

#define MAX_WEIGHT 1500.0             /* detections after which older ones fade; of offsets, after twice as many */
#define MAX_CORRELATION_PAIRS 600.0   /* pairs of residuals after which older ones fade */
#define PRIOR_CORRELATION_PAIRS 300.0 /* pairs that the configured kind "tracks" is worth */
#define PRIOR_CORRELATION 0.6         /* of filtered tracks */
#define MIN_FILTERED_COSINE 0.3       /* mean of successive residuals: of new measurements 0, of filtered tracks 0.5 */
#define MAX_UNFILTERED_COSINE -0.1    /* while followed closely: increments of new measurements turn back, -0.4 */
/* of a source beside others, whose road users are not followed closely: new measurements 0.2, filtered tracks 0.5 */
#define MAX_SHARED_COSINE 0.25
#define MIN_RESIDUAL2 1e-8            /* m^2 */
#define MIN_SPEED2 0.25      /* m^2/s^2: sensors repeat the positions of what stands, which says nothing of noise */
#define MIN_STAMP_SPEED2 9.0 /* m^2/s^2: a slower road user says nothing of stamps */
#define PRIOR_DOUBTS 20.0    /* suspected stamp errors that the prior is worth */
#define MAX_DOUBTS 300.0
#define PRIOR_BIAS_SAMPLES 3.0  /* residual variance over the variance of biases at first */
#define MIN_OFFSET_SAMPLES 30.0 /* residuals before a source's offsets count */
#define SETTLED_SAMPLES 300.0   /* residuals after which offsets are found: before, they make all residuals alike */
#define CORRELATED_SCANS 4.0    /* successive residuals of one road user that say no more than one */
#define MAX_SHIFT 0.2 /* m, one sigma: a latency that is less certain than this, at the usual speed, is not used */
#define OFFSET_SUMS (int)(sizeof((source_t *)0)->offset_sums / sizeof(double))
#define AREA_DECAY 0.9995  /* per scan: a few detections do not show how far a source looks */
#define PRIOR_CLUTTER_SCANS 20.0 /* scans that the configured clutter is worth */
#define MIN_CLUTTER_SHARE 0.01   /* of a scan in the clutter found: after 100 scans, older ones fade */
#define MIN_AREA 400.0     /* m^2 */
#define MIN_DEVIATION 0.03 /* m: no sensor is more accurate */
#define MAX_LATENCY 0.8    /* s, from the configured one */
#define MAX_BIAS 2.0       /* m, from the configured one */

void source_start(source_t *source)
{
    source->noise_scale = 1.0;
    source->bias_x = source->raw_bias_x = source->configured_bias_x;
    source->bias_y = source->raw_bias_y = source->configured_bias_y;
    source->lag = source->raw_lag = source->configured_lag;
    source->lag_observable = 0;
    memset(source->offset_sums, 0, sizeof source->offset_sums);

    source->detection_probability = source->p_detect;
    source->clutter_density = source->clutter;
    source->failed_births = 0.0;
    source->residual = 2.0;
    source->weight = PRIOR_WEIGHT;
    columns_start(source);

    source->jitter = source->moving_samples = source->doubt_samples = 0.0;
    source->doubt_scale = 1.0;
    source->filtered = source->kind == FROM_TRACKS; /* the configured kind is a hint */
    source->correlation_pairs = source->filtered ? PRIOR_CORRELATION_PAIRS : 0.0;
    source->correlation_sum = PRIOR_CORRELATION * source->correlation_pairs;
}

void measurement_noise(const source_t *source, const detection_t *z, double r[3])
{
    double least = MIN_DEVIATION * MIN_DEVIATION, configured = source->sigma * source->sigma;
    double xx = isfinite(z->var_x) && z->var_x > 0.0f ? (double)z->var_x : configured;
    double yy = isfinite(z->var_y) && z->var_y > 0.0f ? (double)z->var_y : configured;
    r[0] = greater(xx * source->noise_scale, least);
    r[1] = greater(yy * source->noise_scale, least);
    r[2] = 0.0;
    if (isfinite(z->cov_xy)) {
        double limit = 0.99 * sqrt(r[0] * r[1]);
        r[2] = bounded((double)z->cov_xy * source->noise_scale, -limit, limit);
    }
}

/* The cosine of a residual and the track's previous one: as a cosine, so that one jump counts no more than one scan. */
static void note_correlation(fusion_t *fusion, scan_t *scan, track_t *track, double nx, double ny)
{
    const source_t *source = &fusion->sources[scan->source_id];
    double ox = (double)track->residual[0], oy = (double)track->residual[1];
    double now = nx * nx + ny * ny, previous = ox * ox + oy * oy;
    int settled = !fusion->multiple_sources || source->offset_sums[0] >= SETTLED_SAMPLES;
    if (track->residual_source == scan->source_id + 1 && settled && now > MIN_RESIDUAL2 && previous > MIN_RESIDUAL2) {
        scan->sums.correlation_sum += (nx * ox + ny * oy) / sqrt(now * previous);
        scan->sums.correlation_pairs += 1.0;
    }
    track->residual_source = (uint8_t)(scan->source_id + 1);
    track->residual[0] = (float)nx;
    track->residual[1] = (float)ny;
}

/* Variance that a residual shows: the residual before times that after the update (Desroziers 2005); of a late scan,
 * whose state is smoothed and not updated itself, its square less the state's own variance. Where stamps are uncertain
 * only the part across the velocity counts, for errors of stamps are no noise of positions. */
static double residual_variance(const scan_t *scan, const track_t *track, const state_t *before, const double *position)
{
    double nx = position[0] - before->x[0], ny = position[1] - before->x[1], vx = before->x[2], vy = before->x[3];
    double ax = position[0] - track->mean.x[0], ay = position[1] - track->mean.x[1], square = vx * vx + vy * vy;
    int updated = track->t == scan->t;
    if (scan->stamp_variance > 0.0) {
        double across = nx * vy - ny * vx, after = ax * vy - ay * vx;
        return 2.0 *
               (updated ? across * after / square : across * across / square - 0.5 * (before->p[0] + before->p[4]));
    }
    return updated ? nx * ax + ny * ay : nx * nx + ny * ny - before->p[0] - before->p[4];
}

void note_residual(fusion_t *fusion, scan_t *scan, track_t *track, const state_t *before, const double *position,
                   const double *r, double d)
{
    source_t *source = &fusion->sources[scan->source_id];
    scan_sums_t *sums = &scan->sums;
    double nx = position[0] - before->x[0], ny = position[1] - before->x[1], vx = before->x[2], vy = before->x[3];
    double square = vx * vx + vy * vy;
    if (square < MIN_SPEED2)
        return;
    note_correlation(fusion, scan, track, nx, ny);

    if (square > MIN_STAMP_SPEED2) { /* stamp errors move a road user along its velocity, noise moves it either way */
        double along = nx * vx + ny * vy, across = nx * vy - ny * vx;
        sums->stamp_samples += 1.0;
        sums->stamp_variance += (along * along - across * across) / (square * square);
    }
    if (scan->stamp_doubt > 0.0)
        return;

    double ox = nx + source->bias_x - source->lag * vx, oy = ny + source->bias_y - source->lag * vy;
    const double terms[OFFSET_SUMS] = {1.0, vx, vy, square, ox, oy, ox * vx + oy * vy, before->p[7] + before->p[9]};
    for (int i = 0; i < OFFSET_SUMS; i++)
        source->offset_sums[i] += terms[i];
    sums->moving += 1.0;
    sums->samples += 1.0;
    sums->noise += residual_variance(scan, track, before, position);
    sums->nominal_noise += r[0] + r[1];
    sums->distance2 += d;
}

/* Whether a source filters, from the mean cosine of successive residuals. */
static void learn_correlation(source_t *source, const scan_sums_t *sums, int several)
{
    double fade = 1.0 - sums->correlation_pairs / (MAX_CORRELATION_PAIRS + sums->correlation_pairs);
    source->correlation_sum = fade * source->correlation_sum + sums->correlation_sum;
    source->correlation_pairs = fade * source->correlation_pairs + sums->correlation_pairs;
    double cosine = source->correlation_sum / source->correlation_pairs;
    if (source->correlation_pairs <= MIN_CORRELATION_PAIRS)
        return;
    if (!source->filtered && cosine > MIN_FILTERED_COSINE) {
        source->filtered = 1;
        source->noise_scale = 1.0; /* what was learned of its noise was that of its increments */
    } else if (source->filtered && cosine < (several ? MAX_SHARED_COSINE : MAX_UNFILTERED_COSINE)) {
        source->filtered = 0;
    }
}

/* How far stamps are off, from residuals along the velocity against those across it. */
static void learn_stamps(source_t *source, const scan_t *scan, int several)
{
    const scan_sums_t *sums = &scan->sums;
    if (sums->correlation_pairs > 0.0 && scan->stamp_doubt <= 0.0)
        learn_correlation(source, sums, several);
    if (sums->stamp_samples <= 0.0)
        return;
    double mean = sums->stamp_variance / sums->stamp_samples;
    if (scan->stamp_doubt > 0.0) {
        source->doubt_samples = lesser(source->doubt_samples + sums->stamp_samples, MAX_DOUBTS);
        double share = sums->stamp_samples / (PRIOR_DOUBTS + source->doubt_samples);
        double confirmed = bounded(sums->stamp_variance / (sums->stamp_samples * scan->stamp_doubt), 0.0, 2.0);
        source->doubt_scale += lesser(share, 1.0) * (confirmed - source->doubt_scale);
        return;
    }
    source->moving_samples = lesser(source->moving_samples + sums->stamp_samples, MAX_WEIGHT);
    source->jitter += lesser(sums->stamp_samples / source->moving_samples, 1.0) * (mean - source->jitter);
}

/* Least squares of o = bias - lag v over the faded sums. Where all road users move alike, as on a one-way street, a
 * bias along it and a latency look the same: the information on the latency that is left once the bias is free says how
 * certain it is. While it is not, the latency stays as it was last found, or configured, and the bias is found beside
 * it. */
static void solve_offsets(source_t *source)
{
    const double *m = source->offset_sums;
    double n = m[0] + PRIOR_BIAS_SAMPLES, information = m[3] - (m[1] * m[1] + m[2] * m[2]) / n;
    double variance = source->sigma * source->sigma * lesser(source->noise_scale, 1.0) * CORRELATED_SCANS;
    double shift2 = variance * m[3] / m[0]; /* m^2, times information: of the position at the usual speed */
    double true_spread =
        information - 2.0 * m[7]; /* velocities differ by their own errors too, which inform of nothing */
    source->lag_observable = shift2 < MAX_SHIFT * MAX_SHIFT * true_spread;
    if (source->lag_observable) {
        double lag = -(m[6] - (m[1] * m[4] + m[2] * m[5]) / n) / information;
        source->raw_lag = bounded(lag, source->configured_lag - MAX_LATENCY, source->configured_lag + MAX_LATENCY);
    }
    source->raw_bias_x = bounded((m[4] + source->raw_lag * m[1]) / n, source->configured_bias_x - MAX_BIAS,
                                 source->configured_bias_x + MAX_BIAS);
    source->raw_bias_y = bounded((m[5] + source->raw_lag * m[2]) / n, source->configured_bias_y - MAX_BIAS,
                                 source->configured_bias_y + MAX_BIAS);
}

static int offsets_count(const fusion_t *fusion, int i)
{
    return (fusion->active_sources >> i & 1u) && fusion->sources[i].offset_sums[0] >= MIN_OFFSET_SAMPLES;
}

/* Only differences between sources can be seen. In time the connected vehicles, which have GNSS time, are the reference
 * where there are any, else the earliest source. In position the mean over the others is held to be right: a vehicle's
 * position is no better than its receiver, and no report may move what every unit sees. A single source keeps its
 * configured values. */
static void anchor_offsets(fusion_t *fusion)
{
    double bx = 0.0, by = 0.0, weights = 1e-12, earliest = 0.0;
    int count = 0, timed = 0, vehicles = 0;
    for (int i = 0; i < SOURCES; i++) {
        const source_t *source = &fusion->sources[i];
        if (!offsets_count(fusion, i))
            continue;
        count++;
        double late = source->raw_lag - source->configured_lag;
        if (source->lag_observable && source->kind == COOPERATIVE) {
            earliest = late;
            vehicles = 1;
        } else if (source->lag_observable && !vehicles && (!timed || late < earliest)) {
            earliest = late;
        }
        timed += source->lag_observable;
        if (source->kind == COOPERATIVE)
            continue;
        double weight = 1.0 / (source->noise_scale * source->sigma * source->sigma);
        bx += weight * (source->raw_bias_x - source->configured_bias_x);
        by += weight * (source->raw_bias_y - source->configured_bias_y);
        weights += weight;
    }
    if (count < 2)
        return;

    for (int i = 0; i < SOURCES; i++) {
        source_t *source = &fusion->sources[i];
        if (!offsets_count(fusion, i))
            continue;
        if (!(fusion->features & NO_BIAS) && source->kind != COOPERATIVE) {
            source->bias_x = source->raw_bias_x - bx / weights;
            source->bias_y = source->raw_bias_y - by / weights;
        }
        if (!(fusion->features & NO_LAG) && source->lag_observable && timed > 1)
            source->lag = source->raw_lag - earliest;
    }
}

/* Share of clutter and of detected road users. */
static void learn_detection(source_t *source, const scan_sums_t *sums)
{
    double density = source->failed_births / source->area, looks = sums->hits + sums->misses;
    double share = greater(MIN_CLUTTER_SHARE, 1.0 / (PRIOR_CLUTTER_SCANS + (double)source->scans));
    source->clutter_density = bounded(source->clutter_density + share * (density - source->clutter_density), 1e-6, 0.1);
    source->failed_births = 0.0;
    if (looks <= 0.0)
        return;
    double step = looks / (300.0 + looks) * (sums->hits / looks - source->detection_probability);
    source->detection_probability = bounded(source->detection_probability + step, 0.2, 0.98);
}

void learn_source(fusion_t *fusion, const scan_t *scan)
{
    source_t *source = &fusion->sources[scan->source_id];
    const scan_sums_t *sums = &scan->sums;
    source->area = greater(AREA_DECAY * source->area, greater(scan->area, MIN_AREA));
    if (!(fusion->features & NO_LIFE))
        learn_detection(source, sums);
    learn_stamps(source, scan, fusion->multiple_sources != 0);

    if (sums->moving > 0.0) {
        double fade = 1.0 - sums->moving / (2.0 * MAX_WEIGHT + sums->moving);
        for (int i = 0; i < OFFSET_SUMS; i++)
            source->offset_sums[i] *= fade;
        solve_offsets(source);
        anchor_offsets(fusion);
    }
    if (sums->samples <= 0.0)
        return;

    source->weight = lesser(source->weight + sums->samples, MAX_WEIGHT);
    double share = sums->samples / source->weight;
    source->residual += lesser(share, 1.0) * (sums->distance2 / sums->samples - source->residual);
    if (fusion->features & NO_NOISE || source->filtered) /* the tracks of another filter err alike from scan to scan */
        return;
    double ratio = bounded(sums->noise / sums->nominal_noise, 0.0, 10.0);
    double scale = source->noise_scale * (1.0 + share * (ratio - 1.0));
    source->noise_scale = bounded(scale, MIN_NOISE_SCALE, MAX_NOISE_SCALE);
}
