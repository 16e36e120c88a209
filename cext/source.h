/* What is known of a source, and what is found of it. */
#ifndef CLOUDCTL_SOURCE_H
#define CLOUDCTL_SOURCE_H

#include <stdint.h>

#define SIDES 32      /* of the polygon that holds what a source covers; a multiple of 4 */
#define CONFIDENCES 6 /* bins of the confidence a source gives; the first: none */

typedef struct {                                    /* what a source covers, as found: coverage.c */
    double x, y, centre_x, centre_y, inner_radius2; /* m: where its sides are measured from; the circle inside them all
                                                       (from x, y), radius squared */
    float extent[SIDES], losses[SIDES]; /* m; road users lost on their way over the side since it was last moved */
    int32_t sightings;
} coverage_t;

typedef struct { /* births by what a source says of its confidence and by whether they are at the edge of what it covers
                  */
    float confirmed[2 * CONFIDENCES], failed[2 * CONFIDENCES];
} births_t;

typedef struct { /* what the rest of a source's detections was found to be worth, each with the detections behind it */
    double class_accuracy, size_scale, velocity_variance,
        id_persistence; /* share of right classes; of squared length errors to those expected; variance of a velocity
                           (m^2/s^2); share of ids that stay */
    double samples[4];
    int32_t velocity_rejected; /* its velocities draw the tracks away from where they are: only their distance from the
                                  places counts */
    double velocity_error, velocity_noise,
        velocity_pairs; /* of velocities against what the places themselves say: mean square (m^2/s^2), what noise of
                           places makes of it, number */
} column_trust_t;

typedef struct { /* what is known of one source, and what was found out about it */
    double x, y, heading, fov, range, sigma, sigma_v, p_detect, clutter; /* clutter: false detections per m^2 */
    int32_t kind, configured, blind; /* blind: what it does not see proves nothing */
    uint64_t scans, late, refused, detections;
    double noise_scale;         /* of its configured variances: estimated / configured */
    double bias_x, bias_y, lag; /* m, m, s: found */
    double detection_probability, clutter_density, failed_births; /* found: p_detect, false detections per m^2, births
                                                                     of its that came to nothing since its last scan */
    double residual, weight; /* mean squared normalized residual (2 when right), samples behind it all */
    double offset_sums[7];   /* faded sums over residuals o against velocities v: 1, vx, vy, vv, ox, oy, ov */
    double area;             /* m^2: the box around what it detects, the largest lately */
    double configured_bias_x, configured_bias_y, configured_lag; /* configured bias and latency */
    double raw_bias_x, raw_bias_y,
        raw_lag; /* bias and latency against the tracks, before sources are set against one another */
    double view_low[2], view_high[2]; /* m: the box around the tracks it has hit */
    int32_t has_position; /* where it stands, and so where it looks, is known; else it looks where it has hit tracks */
    coverage_t coverage;
    births_t births;
    column_trust_t columns;
    int64_t last_stamp;          /* ns: its newest */
    uint64_t repeated;           /* detections that repeat the one before */
    double period, backlog;      /* s: between scans; by which the scans after a stall are late */
    int32_t intervals, filtered; /* filtered: it sends tracks, whatever kind is configured */
    double jitter, doubt_scale, moving_samples,
        doubt_samples; /* s^2: variance of its stamps; share of a doubt that was found; detections behind both */
    double correlation_sum, correlation_pairs; /* faded sum of the cosines between a residual and that of the scan
                                                  before on the same track, and their number */
} source_t;

#endif
