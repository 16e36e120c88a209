/* The time of the tracker is that of its newest scan: one wrong stamp must not decide about all others.
 *
 * * * * A scan further ahead than `jump`, or three times the usual interval, is put aside, as one that is too old is.
 * Where only such scans come and agree with one another, the time is theirs: a night without a scan is over, or a
 * clock was set. One source alone needs two of them ahead; of several sources a second one, or 2 s by their own
 * stamps. The time goes back only after 5 s of them, and all tracks are dropped then.
 *
 * * * * While other sources send, a scan is already put aside when it is further ahead than `window`: those of the
 * others would be too old after it. So it is the source whose clock alone is ahead that is refused; where it came
 * first, several others that agree set the time back. */
#include "scan.h"

#define AHEAD_DURATION                                                                                                 \
    2000000000LL                   /* ns of one source's scans, of several, that are ahead before they are believed    \
                                    */
#define BACK_DURATION 5000000000LL /* ns of scans that are too old before they are believed */
#define MAX_STEP 86400000000000LL  /* ns */

static int64_t bounded_step(int64_t step) { return step < 0 ? 0 : step > MAX_STEP ? MAX_STEP : step; }

static int set_aside(fusion_t *fusion, int32_t source_id, int64_t t, int side)
{
    deviation_t *deviation = &fusion->deviation;
    int follows = deviation->count > 0 && deviation->side == side && t >= deviation->last - fusion->window &&
                  (side > 0 || t <= fusion->newest);
    if (!follows)
        *deviation = (deviation_t){.first = t, .last = t, .side = side};
    if (deviation->count < INT32_MAX)
        deviation->count++;
    deviation->sources |= 1u << source_id;
    int64_t step = t - deviation->last, span = t - deviation->first;
    deviation->last = t > deviation->last ? t : deviation->last;
    int several_agree = (deviation->sources & (deviation->sources - 1u)) != 0;
    int alone = (fusion->active_sources & ~(1u << source_id)) == 0;
    int believed = side < 0 ? span >= BACK_DURATION && (deviation->accepted_sources == 0 || several_agree)
                            : deviation->count > 1 && (alone || several_agree || span >= AHEAD_DURATION);
    if (!believed)
        return 0;
    fusion->usual_step = bounded_step(step);
    fusion->clock_steps++;
    if (side < 0) { /* nothing can be carried back */
        fusion->count = 0;
        fusion->newest = t;
    }
    return 1;
}

/* Whether another source sends too, as its newest stamp shows: its scans may not become too old for one whose clock
 * alone is ahead. */
static int others_active(const fusion_t *fusion, int32_t source_id)
{
    for (int i = 0; i < SOURCES && fusion->active_sources >> i; i++) {
        const source_t *source = &fusion->sources[i];
        if (i != source_id && fusion->active_sources >> i & 1u && source->kind != COOPERATIVE &&
            fusion->newest - source->last_stamp < ACTIVE_WITHIN && source->last_stamp - fusion->newest < ACTIVE_WITHIN)
            return 1;
    }
    return 0;
}

/* How far ahead of the newest scan a scan may be: as far as the next may be late while others send, else up to a jump.
 */
static int64_t max_ahead(const fusion_t *fusion, int32_t source_id, int64_t t)
{
    int64_t usual_step = 3 * fusion->usual_step, far = fusion->max_jump > usual_step ? fusion->max_jump : usual_step,
            near = fusion->window > usual_step ? fusion->window : usual_step;
    return t - fusion->newest > near && near < far && others_active(fusion, source_id) ? near : far;
}

/* A scan that is taken ends what was put aside, unless it is of the only source whose scans are taken while those of
 * several others are too old. */
static void clear_deviation(deviation_t *deviation, int32_t source_id)
{
    deviation->accepted_sources |= 1u << source_id;
    if (deviation->side > 0 || (deviation->accepted_sources & (deviation->accepted_sources - 1u)) != 0 ||
        deviation->sources & 1u << source_id)
        deviation->count = 0;
}

int check_stamp(fusion_t *fusion, int32_t source_id, int64_t t)
{
    int64_t far = max_ahead(fusion, source_id, t);
    int first = fusion->active_sources == 0, ahead = !first && t - fusion->newest > far,
        old = !first && t < fusion->newest - fusion->window;
    if (ahead || old) {
        if (!set_aside(fusion, source_id, t, ahead ? 1 : -1)) {
            fusion->refused_ahead += (uint64_t)ahead;
            fusion->refused_old += (uint64_t)old;
            return ahead ? TOO_NEW : TOO_OLD;
        }
    } else if (!first && t < fusion->newest && (fusion->features & NO_LATE)) {
        fusion->refused_old++;
        return TOO_OLD;
    } else if (!first && t > fusion->newest) {
        int64_t step = bounded_step(t - fusion->newest), fading = fusion->usual_step - fusion->usual_step / 16;
        fusion->usual_step = step > fading ? step : fading;
    }
    clear_deviation(&fusion->deviation, source_id);
    if (first)
        fusion->newest = t;
    return ACCEPTED;
}
