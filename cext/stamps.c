/* When a scan was made: its stamp, and how far that may be off. Some units stamp a frame when it leaves them: after a stall several come at once, with
 * stamps a few milliseconds apart of pictures a period apart. Others round their stamps, or send a frame twice. */
#include "numeric.h"
#include "track.h"

#include <math.h>

#define MIN_INTERVALS 20  /* scans before a source's period is one */
#define MAX_INTERVALS 500 /* scans after which the old count less */
#define MAX_PAUSE 3.0     /* s: after a longer one nothing is owed */
#define REGULAR 0.4       /* of a period: an interval nearer to it is one */
#define ON_TIME 0.15      /* of a period: a pause nearer to whole periods lost frames and held none back */
#define MAX_DOUBT 0.5     /* s */

double stamp_doubt(source_t *s, int64_t t)
{
    double dt = (double)(t - s->stamp) * 1e-9;
    if (s->kind == COOPERATIVE || (s->scans && dt < 0.0)) /* of many vehicles; out of order: the stamp counts, not the order */
        return 0.0;
    s->stamp = t;
    if (s->scans == 0 || dt > MAX_PAUSE) {
        s->backlog = 0.0;
        return 0.0;
    }
    if (s->intervals < MAX_INTERVALS)
        s->intervals++;
    s->period += (dt - s->period) / (double)s->intervals;
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

/* A frame whose places are all those of the source's last: sent twice, or nothing moved. */
int sent_again(source_t *s, const detection *z, int32_t n)
{
    uint64_t sum = 1469598103934665603u;
    for (int32_t j = 0; j < n; j++) {
        uint64_t bits[2];
        memcpy(bits, &z[j], sizeof bits);
        sum = (sum ^ bits[0]) * 1099511628211u;
        sum = (sum ^ bits[1]) * 1099511628211u;
        sum ^= sum >> 29;
    }
    int again = n > 0 && s->scans && sum == s->content;
    s->content = sum;
    return again;
}
