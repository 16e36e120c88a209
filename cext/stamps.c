/* When a scan was made: its stamp, and how far that may be off. Some units stamp a frame when it leaves them: after a
 * stall several come at once, with stamps a few milliseconds apart of pictures a period apart. Others round their
 * stamps, send a frame twice, or count in another unit than nanoseconds. */
#include "numeric.h"
#include "scan.h"

#include <math.h>

#define MIN_INTERVALS 20  /* intervals before a source's period is known */
#define MAX_INTERVALS 500 /* intervals after which older ones count less */
#define MIN_PERIOD 1e-3   /* s */
#define MIN_STEP 1000000  /* ns: no sensor is faster; only the frames of one burst are stamped nearer to one another */
#define MIN_BURST_STEP 5000      /* ns: nor are these */
#define MAX_SHORT_STEPS 8        /* successive steps below MIN_STEP of a source that never had a longer one */
#define SHORT_STEP_WEIGHT 4      /* what a step below MIN_BURST_STEP counts */
#define RECOVERY 1000000000      /* ns: a step that shows that a source has gone over to ns */
#define MAX_PAUSE 3.0            /* s: after a longer one nothing is owed */
#define REGULAR 0.4              /* of a period: an interval nearer to it is one */
#define ON_TIME 0.15             /* of a period: a pause nearer to whole periods lost frames and held none back */
#define MAX_STAMP_DOUBT 0.5      /* s */
#define MAX_REPEAT_INTERVAL 0.03 /* s */
#define MIN_MOVE 0.2             /* m */
#define MAX_FROZEN 0.6           /* s */

/* Whether a number is the Unix time of our years in seconds, milliseconds or microseconds. */
static int is_unix_time(int64_t stamp)
{
    const int64_t first = 1200000000, last = 2200000000; /* s: 2008 to 2039 */
    for (int64_t unit = 1; unit <= 1000000; unit *= 1000)
        if (stamp >= first * unit && stamp <= last * unit)
            return 1;
    return 0;
}

int stamp_unit(source_t *source, int64_t stamp)
{
    int64_t step = stamp - source->last_stamp;
    if (source->kind == COOPERATIVE || source->scans == 0 || step < 0) /* of many vehicles; no step; out of order */
        return ACCEPTED;
    if (source->short_steps >= MAX_SHORT_STEPS && step < RECOVERY)
        return WRONG_UNIT;
    if (step >= MIN_STEP) {
        source->regular_steps = 1;
        source->short_steps = 0;
        return ACCEPTED;
    }

    int unix_time = is_unix_time(stamp);
    if (source->regular_steps || (step == 0 && !unix_time))
        return ACCEPTED;
    source->short_steps += unix_time ? MAX_SHORT_STEPS : step < MIN_BURST_STEP ? SHORT_STEP_WEIGHT : 1;
    return source->short_steps >= MAX_SHORT_STEPS ? WRONG_UNIT : ACCEPTED;
}

double stamp_uncertainty(source_t *source, int64_t stamp)
{
    double dt = (double)(stamp - source->last_stamp) * 1e-9;
    int out_of_order = source->scans && dt < 0.0 && dt > -MAX_PAUSE; /* the stamp counts then, not the order */
    if (source->kind == COOPERATIVE || out_of_order)
        return 0.0;
    source->last_stamp = stamp;
    if (source->scans == 0 || fabs(dt) > MAX_PAUSE) { /* the first, after a pause, or by a clock that was set back */
        source->backlog = 0.0;
        return 0.0;
    }

    if (source->intervals < MAX_INTERVALS)
        source->intervals++;
    source->period += (dt - source->period) / (double)source->intervals;
    if (source->period < MIN_PERIOD)
        return 0.0;

    double beats = dt / source->period, whole = (double)(int32_t)(beats + 0.5);
    double owed = bounded(source->backlog + dt - source->period, 0.0, MAX_STAMP_DOUBT);
    if (source->intervals < MIN_INTERVALS || fabs(beats - 1.0) < REGULAR) {
        source->backlog = 0.0;
        return 0.0;
    }
    source->backlog = owed;
    if (beats > 1.0 && fabs(beats - whole) < ON_TIME)
        return 0.0;
    return greater(owed, 0.25 * source->period);
}

/* A frame sent twice, or a vendor's track that stands still while its road user moves: for MAX_FROZEN it is not
 * believed. */
int repeats_position(const track_t *track, const detection_t *z, int32_t source_id, int64_t t, const state_t *mean)
{
    if (z->x != track->position_x || z->y != track->position_y || track->position_source != source_id)
        return 0;
    double dt = (double)(t - track->position_time) * 1e-9,
           square = dt * dt * (mean->x[2] * mean->x[2] + mean->x[3] * mean->x[3]);
    return fabs(dt) < MAX_REPEAT_INTERVAL || (square > MIN_MOVE * MIN_MOVE && dt < MAX_FROZEN);
}
