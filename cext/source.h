/* What is known of a source, and what is found of it. */
#ifndef CLOUDCTL_SOURCE_H
#define CLOUDCTL_SOURCE_H

#include <stdint.h>

#define SIDES 32      /* of the polygon that holds what a source covers; a multiple of 4 */
#define CONFIDENCES 6 /* bins of the confidence a source gives; the first: none */

typedef struct { /* what a source covers, as found: coverage.c */
    double x, y, middle_x, middle_y, inner; /* m: where its sides are measured from; the circle inside them all (from x, y), radius squared */
    float reach[SIDES], ends[SIDES];        /* m; road users lost on their way over the side since it was last moved */
    int32_t sights;
} coverage_t;

typedef struct { /* births by what a source says of its confidence and by whether they are at the edge of what it covers */
    float proved[2 * CONFIDENCES], failed[2 * CONFIDENCES];
} births_t;

typedef struct { /* what the rest of a source's detections was found to be worth, each with the detections behind it */
    double right, size, speed, names; /* share of right classes; of squared length errors to those expected; variance of a velocity (m^2/s^2); share of ids that stay */
    double n[4];
    int32_t drawn; /* its velocities draw the tracks away from where they are: only their distance from the places counts */
    double gross, noise, pairs; /* of velocities against what the places themselves say: mean square (m^2/s^2), what noise of places makes of it, number */
} worth_t;

typedef struct { /* what is known of one source, and what was found out about it */
    double x, y, heading, fov, range, sigma, sigma_v, p_detect, clutter; /* clutter: false detections per m^2 */
    int32_t kind, known, blind; /* blind: what it does not see proves nothing */
    uint64_t scans, late, refused, detections;
    double scale;                /* of its configured variances: estimated / configured */
    double bias_x, bias_y, lag;  /* m, m, s: found */
    double seen, strewn, deaths; /* found: p_detect, false detections per m^2, births of its that came to nothing since its last scan */
    double residual, weight;     /* mean squared normalized residual (2 when right), samples behind it all */
    double sum[7];               /* faded sums over residuals o against velocities v: 1, vx, vy, vv, ox, oy, ov */
    double area; /* m^2: the box around what it detects, the largest lately */
    double said_x, said_y, said_lag; /* configured bias and latency */
    double own_x, own_y, own_lag;    /* bias and latency against the tracks, before sources are set against one another */
    double low[2], high[2];          /* m: the box around the tracks it has hit */
    int32_t placed;                  /* where it stands, and so where it looks, is known; else it looks where it has hit tracks */
    coverage_t covers;
    births_t births;
    worth_t worth;
    int64_t stamp;    /* ns: its newest */
    uint64_t repeated; /* detections that repeat the one before */
    double period, backlog; /* s: between scans; by which the scans after a stall are late */
    int32_t intervals, filtered; /* filtered: it sends tracks, whatever kind is configured */
    double jitter, believed, fast, doubted; /* s^2: variance of its stamps; share of a doubt that was found; detections behind both */
    double cross, self;                     /* faded sum of the cosines between a residual and that of the scan before on the same track, and their number */
} source_t;

#endif
