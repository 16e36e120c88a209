/* The time of the tracker is that of its newest scan: one stamp that is far off may not decide what all others are worth.
 *
 * A scan further ahead than `jump`, or thrice the usual step, is put aside, as one that is too old is. Where nothing but such scans comes, they
 * agree with one another and the time is theirs: a night without a scan is over, or a clock was set. One source alone needs two of them ahead; of
 * several sources a second one, or 2 s by their own stamps. Back goes the time only after 5 s of them, and nothing known is then worth anything.
 *
 * While other sources send, a scan is already put aside when it is further ahead than `window`: those of the others would be too old after it. So it is
 * the source whose clock alone is ahead that is refused; where it came first, several others that agree set the time back. */
#include "track.h"

#define AHEAD_FOR 2000000000LL /* ns of one source's scans, of several, that are ahead before they are believed */
#define BACK_FOR 5000000000LL  /* ns of scans that are too old before they are */
#define MAX_PACE 86400000000000LL /* ns */
#define LATELY 3000000000LL /* ns: a source whose newest scan is older than the time by more is not held against the others */

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
    int alone = (f->heard & ~(1u << source)) == 0;
    int believed = side < 0 ? span >= BACK_FOR && (a->taken == 0 || several_agree) : a->count > 1 && (alone || several_agree || span >= AHEAD_FOR);
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

/* Whether another source sends too, as its newest stamp shows: its scans may not become too old for one whose clock alone is ahead. */
static int others_send(const fusion_t *f, int32_t source)
{
    for (int i = 0; i < SOURCES && f->heard >> i; i++) {
        const source_t *s = &f->sources[i];
        if (i != source && f->heard >> i & 1u && s->kind != COOPERATIVE && f->newest - s->stamp < LATELY && s->stamp - f->newest < LATELY)
            return 1;
    }
    return 0;
}

/* How far ahead of the newest scan a scan may be: as far as the next may be late while others send, else up to a jump. */
static int64_t far_ahead(const fusion_t *f, int32_t source, int64_t t)
{
    int64_t usual_step = 3 * f->pace, far = f->jump > usual_step ? f->jump : usual_step, near = f->window > usual_step ? f->window : usual_step;
    return t - f->newest > near && near < far && others_send(f, source) ? near : far;
}

/* A scan that is taken ends what was put aside, unless it is of the only source whose scans are taken while those of several others are too old. */
static void outvoted(apart_t *a, int32_t source)
{
    a->taken |= 1u << source;
    if (a->side > 0 || (a->taken & (a->taken - 1u)) != 0 || a->sources & 1u << source)
        a->count = 0;
}

int stamp_check(fusion_t *f, int32_t source, int64_t t)
{
    int64_t far = far_ahead(f, source, t);
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
    outvoted(&f->apart, source);
    if (first)
        f->newest = t;
    return TAKEN;
}
