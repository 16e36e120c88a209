/* When a scan was made: its stamp, and how far that may be off. Some units stamp a frame when it leaves them: after a
 * stall several come at once, with stamps a few milliseconds apart of pictures a period apart. Others round their
 * stamps, or send a frame twice. */
#include "numeric.h"
#include "scan.h"

#include <math.h>

#define MIN_INTERVALS 20         /* scans before a source's period is one */
#define MAX_INTERVALS 500        /* scans after which the old count less */
#define MIN_PERIOD 1e-3          /* s */
#define MAX_PAUSE 3.0            /* s: after a longer one nothing is owed */
#define REGULAR 0.4              /* of a period: an interval nearer to it is one */
#define ON_TIME 0.15             /* of a period: a pause nearer to whole periods lost frames and held none back */
#define MAX_STAMP_DOUBT 0.5      /* s */
#define MAX_REPEAT_INTERVAL 0.03 /* s */
#define MIN_MOVE 0.2             /* m */
#define MAX_FROZEN 0.6           /* s */

double stamp_uncertainty(source_t *source, int64_t t)
{
    double dt = (double)(t - source->last_stamp) * 1e-9;
    if (source->kind == COOPERATIVE ||
        (source->scans && dt < 0.0 &&
         dt > -MAX_PAUSE)) /* of many vehicles; out of order: the stamp counts, not the order */
        return 0.0;
    source->last_stamp = t;
    if (source->scans == 0 || fabs(dt) > MAX_PAUSE) { /* the first, after a pause, or by a clock that was set back */
        source->backlog = 0.0;
        return 0.0;
    }
    if (source->intervals < MAX_INTERVALS)
        source->intervals++;
    source->period += (dt - source->period) / (double)source->intervals;
    if (source->period < MIN_PERIOD)
        return 0.0;
    double beats = dt / source->period, whole = (double)(int32_t)(beats + 0.5),
           owed = bounded(source->backlog + dt - source->period, 0.0, MAX_STAMP_DOUBT);
    if (source->intervals < MIN_INTERVALS || fabs(beats - 1.0) < REGULAR) {
        source->backlog = 0.0;
        return 0.0;
    }
    source->backlog = owed;
    if (beats > 1.0 && fabs(beats - whole) < ON_TIME)
        return 0.0;
    return greater(owed, 0.25 * source->period);
}

/* Whether a detection is the one of the same road user that the source gave before, though it must have moved since: a
 * frame sent twice, or a vendor's track that stands still while the road user does not. For so long as MAX_FROZEN it is
 * not believed. */
int repeats_position(const track_t *track, const detection_t *z, int32_t source_id, int64_t t, const state_t *m)
{
    if (z->x != track->position_x || z->y != track->position_y || track->position_source != source_id)
        return 0;
    double dt = (double)(t - track->position_time) * 1e-9, square = dt * dt * (m->x[2] * m->x[2] + m->x[3] * m->x[3]);
    return fabs(dt) < MAX_REPEAT_INTERVAL || (square > MIN_MOVE * MIN_MOVE && dt < MAX_FROZEN);
}
