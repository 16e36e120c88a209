/* The time of the tracker is that of its newest scan: one stamp that is far off may not decide what all others are worth.
 *
 * A scan further ahead than `jump`, or thrice the usual step, is put aside, as one that is too old is. Where nothing but such scans comes, they
 * agree with one another and the time is theirs: a night without a scan is over, or a clock was set. One source alone needs two of them ahead; of
 * several sources a second one, or 2 s by their own stamps. Back goes the time only after 5 s of them, and nothing known is then worth anything. */
#include "track.h"

#define AHEAD_FOR 2000000000LL /* ns of one source's scans, of several, that are ahead before they are believed */
#define BACK_FOR 5000000000LL  /* ns of scans that are too old before they are */
#define MAX_PACE 86400000000000LL /* ns */

static int64_t usual(int64_t step) { return step < 0 ? 0 : step > MAX_PACE ? MAX_PACE : step; }

static int put_aside(fusion_t *f, int32_t source, int64_t t, int side)
{
    apart_t *a = &f->apart;
    int follows = a->count > 0 && a->side == side && t >= a->last - f->window && (side > 0 || t <= f->newest);
    if (!follows)
        *a = (apart_t){.first = t, .last = t, .side = side};
    if (a->count < INT32_MAX)
        a->count++;
    a->sources |= 1u << source;
    int64_t step = t - a->last, span = t - a->first;
    a->last = t > a->last ? t : a->last;
    int several_agree = (a->sources & (a->sources - 1u)) != 0;
    int believed = side < 0 ? span >= BACK_FOR : a->count > 1 && (!f->several || several_agree || span >= AHEAD_FOR);
    if (!believed)
        return 0;
    f->pace = usual(step);
    f->steps++;
    if (side < 0) { /* nothing can be carried back */
        f->count = 0;
        f->newest = t;
    }
    return 1;
}

int stamp_check(fusion_t *f, int32_t source, int64_t t)
{
    int64_t far = f->jump > 3 * f->pace ? f->jump : 3 * f->pace;
    int first = f->heard == 0, ahead = !first && t - f->newest > far, old = !first && t < f->newest - f->window;
    if (ahead || old) {
        if (!put_aside(f, source, t, ahead ? 1 : -1)) {
            f->refused_ahead += (uint64_t)ahead;
            f->refused_old += (uint64_t)old;
            return ahead ? TOO_NEW : TOO_OLD;
        }
    } else if (!first && t < f->newest && (f->features & NO_LATE)) {
        f->refused_old++;
        return TOO_OLD;
    } else if (!first && t > f->newest) {
        int64_t step = usual(t - f->newest), fading = f->pace - f->pace / 16;
        f->pace = step > fading ? step : fading;
    }
    f->apart.count = 0;
    if (first)
        f->newest = t;
    return TAKEN;
}
