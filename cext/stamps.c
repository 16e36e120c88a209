/* When a scan was made: its stamp, and how far that may be off. Some units stamp a frame when it leaves them: after a stall several come at once, with
 * stamps a few milliseconds apart of pictures a period apart. Others round their stamps, or send a frame twice. */
#include "numeric.h"
#include "track.h"

#include <math.h>

#define MIN_INTERVALS 20  /* scans before a source's period is one */
#define MAX_INTERVALS 500 /* scans after which the old count less */
#define MIN_PERIOD 1e-3   /* s */
#define MAX_PAUSE 3.0     /* s: after a longer one nothing is owed */
#define REGULAR 0.4       /* of a period: an interval nearer to it is one */
#define ON_TIME 0.15      /* of a period: a pause nearer to whole periods lost frames and held none back */
#define MAX_DOUBT 0.5     /* s */
#define SAME_FRAME 0.03   /* s */
#define MUST_MOVE 0.2     /* m */
#define LONGEST 0.6       /* s */

double stamp_doubt(source_t *s, int64_t t)
{
    double dt = (double)(t - s->stamp) * 1e-9;
    if (s->kind == COOPERATIVE || (s->scans && dt < 0.0 && dt > -MAX_PAUSE)) /* of many vehicles; out of order: the stamp counts, not the order */
        return 0.0;
    s->stamp = t;
    if (s->scans == 0 || fabs(dt) > MAX_PAUSE) { /* the first, after a pause, or by a clock that was set back */
        s->backlog = 0.0;
        return 0.0;
    }
    if (s->intervals < MAX_INTERVALS)
        s->intervals++;
    s->period += (dt - s->period) / (double)s->intervals;
    if (s->period < MIN_PERIOD)
        return 0.0;
    double beats = dt / s->period, whole = (double)(int32_t)(beats + 0.5), owed = bounded(s->backlog + dt - s->period, 0.0, MAX_DOUBT);
    if (s->intervals < MIN_INTERVALS || fabs(beats - 1.0) < REGULAR) {
        s->backlog = 0.0;
        return 0.0;
    }
    s->backlog = owed;
    if (beats > 1.0 && fabs(beats - whole) < ON_TIME)
        return 0.0;
    return greater(owed, 0.25 * s->period);
}

/* Whether a detection is the one of the same road user that the source gave before, though it must have moved since: a frame sent twice, or a vendor's
 * track that stands still while the road user does not. For so long as LONGEST it is not believed. */
int said_before(const track_t *k, const detection *z, int32_t source, int64_t t, const state_t *m)
{
    if (z->x != k->given_x || z->y != k->given_y || k->giver != source)
        return 0;
    double dt = (double)(t - k->given) * 1e-9, square = dt * dt * (m->x[2] * m->x[2] + m->x[3] * m->x[3]);
    return fabs(dt) < SAME_FRAME || (square > MUST_MOVE * MUST_MOVE && dt < LONGEST);
}
