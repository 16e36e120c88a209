/* What is known of a source, and what is learned about it. */
#ifndef CLOUDCTL_SOURCE_H
#define CLOUDCTL_SOURCE_H

#include <stdint.h>

#define CLASSES 8
#define SIDES 32      /* of the polygon around a source's coverage; a multiple of 4 */
#define CONFIDENCES 6 /* bins of the confidence a source reports; the first: none */

enum { FROM_DETECTIONS = 0, FROM_TRACKS = 1, COOPERATIVE = 2 }; /* kind of a source */
enum { VELOCITY_UNPROVEN = 0, VELOCITY_TRUSTED = 1, VELOCITY_REJECTED = 2 };

typedef struct {               /* the area in which a source sees road users: coverage.c */
    double x, y;               /* m: its sides are measured from here */
    double centre_x, centre_y; /* m, from x, y: of the circle inside all sides */
    double inner_radius2;      /* m^2: of that circle */
    float extent[SIDES];       /* m: distance of each side */
    float losses[SIDES];       /* road users lost on their way over the side since it was last moved */
    int32_t sightings;
} coverage_t;

typedef struct { /* outcomes of births, by the source's confidence and by whether they lay at the edge of its coverage
                  */
    float confirmed[2 * CONFIDENCES], failed[2 * CONFIDENCES];
} births_t;

typedef struct { /* reported velocities against displacements between two positions: columns.c */
    double pairs;
    double displaced2, reported2, product; /* m^2/s^2: faded sums of squares and of products */
    double noise;                          /* m^2/s^2: share of position noise in displaced2 */
    double ratio;                          /* reported over true velocity, least squares */
    int32_t verdict;
} velocity_test_t;

typedef struct {              /* what the columns of a source beside the position are worth: columns.c */
    double class_accuracy;    /* share of right classes */
    double size_scale;        /* squared length errors over those expected */
    double velocity_variance; /* m^2/s^2, of each axis */
    double id_persistence;    /* share of object ids that stay with their road user */
    double samples[4];        /* detections behind each of these */
    double id_coincidence;    /* share of pairs of different road users that carry one id */
    double id_pairs;
    velocity_test_t velocity, zero_velocity; /* of velocities that are not 0, and of those that are */
    float class_hits[CLASSES];               /* reported classes of detections that hit confirmed tracks */
    float class_clutter[CLASSES];            /* and of those that hit none */
} column_trust_t;

typedef struct {
    /* configured */
    double x, y, heading, fov, range;                            /* m, m, rad, rad, m */
    double sigma, sigma_v;                                       /* m, m/s */
    double p_detect, clutter;                                    /* probability; false detections per m^2 */
    double configured_bias_x, configured_bias_y, configured_lag; /* m, m, s */
    int32_t kind, configured;
    int32_t blind;        /* what it does not see proves nothing */
    int32_t has_position; /* x and y are known, and so where it looks; else it looks where it has hit tracks */

    /* counted */
    uint64_t scans, late, refused, detections;
    uint64_t repeated;    /* detections that repeat the previous one of their road user */
    uint64_t doubled;     /* detections that double another one of the same scan */
    uint64_t clock_steps; /* times that its clock offset changed */
    uint64_t wrong_unit;  /* scans refused for their stamps are no ns */

    /* learned: noise, bias and latency (sources.c) */
    double noise_scale;                     /* learned over configured variance */
    double bias_x, bias_y, lag;             /* m, m, s: applied to its detections */
    double raw_bias_x, raw_bias_y, raw_lag; /* against the tracks, before the sources are set against one another */
    double offset_sums[8];  /* faded sums over residuals o and velocities v: 1, vx, vy, vv, ox, oy, ov, variance of v */
    double residual;        /* mean squared normalized residual: 2 when all is right */
    double weight;          /* samples behind noise and residual */
    int32_t lag_observable; /* its latency can be told from its bias */
    int32_t filtered;       /* it sends tracks, whatever kind is configured */
    double correlation_sum, correlation_pairs; /* cosines between successive residuals of a track, and their number */

    /* learned: detection and coverage */
    double detection_probability, clutter_density; /* clutter_density: false detections per m^2 */
    double failed_births;                          /* since its last scan */
    double area;                                   /* m^2: of the box around its detections, lately the largest */
    double view_low[2], view_high[2];              /* m: box around the tracks it has hit */
    coverage_t coverage;
    births_t births;
    column_trust_t columns;

    /* learned: stamps (stamps.c, alignment.c) */
    int64_t last_stamp;                   /* ns: as it was sent */
    double period;                        /* s: between its scans */
    double backlog;                       /* s: by which the scans after a stall are late */
    int32_t intervals;                    /* behind `period` */
    int32_t short_steps;                  /* successive stamps that are too near to one another for ns */
    int32_t regular_steps;                /* stamps that are far enough apart */
    double jitter;                        /* s^2: variance of its stamps */
    double doubt_scale;                   /* share of the suspected stamp errors that was confirmed */
    double moving_samples, doubt_samples; /* detections behind jitter and doubt_scale */
    int64_t clock_offset;                 /* ns: added to its stamps */
    int64_t step_offset;                  /* ns: the offset that its last scans agree on */
    int64_t step_begin;                   /* ns: stamp of the first of these */
    int32_t step_scans;                   /* how many there were */
    int32_t step_first;                   /* its clock was never compared before these */
    int32_t alignment_checks;             /* scans in which its clock was compared with the others' */
} source_t;

#endif
