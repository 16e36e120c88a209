/* Clocks that step, or that differ from the others from the beginning: the time at which the detections of a scan fit
 * the moving tracks, against its stamp.
 *
 * A stamp that is off by 0.5 s puts every moving road user some metres from its track, and begins a second track for
 * each. So a scan whose stamp is out of its source's beat, or that would be refused as too old or too far ahead, is
 * compared with the tracks first: each moving track and each detection on its line of travel vote for the time at which
 * the track passes there. Where a majority of the tracks agrees on a time other than the stamp, the scan is taken at
 * that time; when several scans in a row are off by the same amount, the source's clock is, and its offset is kept.
 *
 * Sources share one time line. Where every source that sends is off by the same amount, the time line follows them. */
#include "numeric.h"
#include "scan.h"

#include <math.h>

#define MIN_CLOCK_STEP 400000000LL /* ns: what is less is the business of latency and of stamp uncertainty */
#define SAME_OFFSET 150000000LL    /* ns: offsets of two scans this near to one another are the same */
#define MIN_STEP_SCANS 3           /* scans that are off by the same amount before the clock is */
#define MIN_BEATS                                                                                                      \
    1.5 /* of the source's period between the first of these and the last: the scans of one burst prove nothing */
#define MIN_BEAT_INTERVALS 5 /* intervals before a source's period is known well enough */
#define MIN_TRACK_SPEED2 4.0 /* m^2/s^2: a slower road user says nothing of time */
#define MAX_ALIGNMENT_CHECKS                                                                                           \
    100 /* scans in which a source that shares no road user with another is compared in vain                           \
         */
/* Scans of a new source, of a time far from the newest, that are put aside until there are tracks to compare them with:
 * taken at a wrong time they would spoil the first tracks. */
#define MAX_HELD_SCANS 30
#define MAX_SPEED_ERROR2 0.04 /* variance of a voting track's velocity over its square */
#define MIN_VOTES 3
#define MAX_ASIDE 1.5 /* m: of a detection from its track's line of travel */
#define MAX_VOTE 2.5  /* s: before or after the newest scan */
#define BIN 0.1       /* s */
#define BINS 50       /* 2 MAX_VOTE / BIN */
#define MAX_VOTING_TRACKS 64
#define MAX_VOTING_DETECTIONS 256
#define HIT_WITHIN 1000000000LL /* ns: only tracks hit within so long vote */

typedef struct { /* votes by time relative to the newest scan */
    int32_t count[BINS];
    double sum[BINS]; /* s: of the votes of each bin, for their mean */
    int32_t voters;
} votes_t;

static int64_t clamped(int64_t t) { return t > MAX_STAMP ? MAX_STAMP : t < -MAX_STAMP ? -MAX_STAMP : t; }

static int64_t distance_ns(int64_t a, int64_t b) { return a > b ? a - b : b - a; }

/* One track's votes: at most one for each bin, or a queue of vehicles would count each of them for all. */
static int vote(votes_t *votes, const fusion_t *fusion, const source_t *source, const track_t *track,
                const detection_t *detections, int32_t count)
{
    const double *x = track->mean.x;
    double square = x[2] * x[2] + x[3] * x[3], speed = sqrt(square),
           behind = (double)(track->t - fusion->newest) * 1e-9;
    uint64_t voted = 0;

    for (int32_t j = 0; j < count && j < MAX_VOTING_DETECTIONS; j++) {
        double dx = detections[j].x - source->bias_x - x[0], dy = detections[j].y - source->bias_y - x[1];
        double aside = fabs(dx * x[3] - dy * x[2]) / speed, when = behind + (dx * x[2] + dy * x[3]) / square;
        if (aside > MAX_ASIDE || fabs(when) >= MAX_VOTE)
            continue;

        int bin = cell_index((when + MAX_VOTE) / BIN, BINS);
        if (voted >> bin & 1u)
            continue;
        voted |= (uint64_t)1 << bin;
        votes->count[bin]++;
        votes->sum[bin] += when;
    }
    return voted != 0;
}

/* Whether a track moves, and its velocity is known well enough to say when it passes a place. */
static int is_steady(const track_t *track)
{
    const double *v = &track->mean.x[2], *p = track->mean.p;
    double square = v[0] * v[0] + v[1] * v[1];
    return square >= MIN_TRACK_SPEED2 && p[7] + p[9] < MAX_SPEED_ERROR2 * square;
}

/* Whether a source was compared with the others, or that was tried often enough in vain. */
static int is_compared(const source_t *source) { return source->alignment_checks >= MAX_ALIGNMENT_CHECKS; }

static void collect(votes_t *votes, const fusion_t *fusion, int32_t source_id, const detection_t *detections,
                    int32_t count)
{
    const source_t *source = &fusion->sources[source_id];
    int32_t asked = 0;
    memset(votes, 0, sizeof *votes);
    for (int32_t i = 0; i < fusion->count && asked < MAX_VOTING_TRACKS; i++) {
        const track_t *track = track_at(fusion, i);
        if (track->status != CONFIRMED || !is_steady(track) || fusion->newest - track->last_hit > HIT_WITHIN)
            continue;
        /* a track that this source never hit may lie where it sees nothing; of one that was never compared, its own
         * tracks would only show that it agrees with itself */
        uint32_t own = 1u << source_id, others = fusion->active_sources & ~own;
        uint32_t shared = is_compared(source) || !others ? own : others;
        if (!(track->sources & shared))
            continue;
        asked++;
        votes->voters += vote(votes, fusion, source, track, detections, count);
    }
}

/* Votes of a bin and of its two neighbours, for a time lies near a bin's edge as often as not. */
static int32_t around_bin(const votes_t *votes, int bin, double *mean)
{
    int32_t count = 0;
    double sum = 0.0;
    for (int b = bin > 0 ? bin - 1 : 0; b <= bin + 1 && b < BINS; b++) {
        count += votes->count[b];
        sum += votes->sum[b];
    }
    *mean = count ? sum / (double)count : 0.0;
    return count;
}

/* Votes that any time gets by chance, times two: in a crowd, somebody is everywhere at any time. */
static int32_t chance_votes(const votes_t *votes)
{
    int32_t sum = 0;
    for (int bin = 0; bin < BINS; bin++)
        sum += votes->count[bin];
    return 2 * 3 * sum / BINS;
}

/* The time (ns) at which a scan's detections fit the tracks; `t` where that fits as well, or where too little moves to
 * say. */
static int64_t fitting_time(fusion_t *fusion, int32_t source_id, int64_t t, const detection_t *detections,
                            int32_t count)
{
    votes_t votes;
    double mean, best_mean = 0.0;
    int32_t best = 0, stamped = 0;
    collect(&votes, fusion, source_id, detections, count);
    for (int bin = 0; bin < BINS; bin++) {
        int32_t n = around_bin(&votes, bin, &mean);
        if (n > best) {
            best = n;
            best_mean = mean;
        }
    }

    double claimed =
        (double)(t - fusion->newest) * 1e-9; /* the stamp's own time has the same width as any other, and wins a draw */
    if (fabs(claimed) < MAX_VOTE)
        stamped = around_bin(&votes, cell_index((claimed + MAX_VOTE) / BIN, BINS), &mean);
    if (best < MIN_VOTES + chance_votes(&votes) || 2 * best < votes.voters)
        return t;
    if (2 * stamped >= best) {
        fusion->sources[source_id].alignment_checks = MAX_ALIGNMENT_CHECKS;
        return t;
    }
    return fusion->newest + (int64_t)(best_mean * 1e9);
}

/* Whether a stamp is odd enough to be compared with the tracks. */
static int is_suspect(const fusion_t *fusion, const source_t *source, uint32_t own, int64_t stamp, int64_t t)
{
    if (source->step_scans > 0 || t < fusion->newest - fusion->window || t > fusion->newest + fusion->window)
        return 1;
    if (!is_compared(source) && fusion->active_sources & ~own)
        return 1;
    double interval = (double)(stamp - source->last_stamp) * 1e-9, off = fabs(interval - source->period) * 1e9;
    return source->intervals >= MIN_BEAT_INTERVALS && off > (double)MIN_CLOCK_STEP;
}

/* Move the time line: every time that is kept, and every source's offset, by `by` ns. */
static void shift_time(fusion_t *fusion, int64_t by)
{
    fusion->newest = clamped(fusion->newest + by);
    for (int32_t i = 0; i < fusion->count; i++) {
        track_t *track = track_at(fusion, i);
        int64_t *const times[] = {&track->t, &track->last_hit, &track->last_miss, &track->position_time,
                                  &track->anchor_time};
        for (size_t k = 0; k < sizeof times / sizeof *times; k++)
            *times[k] = clamped(*times[k] + by);
        for (int k = 0; k < track->past_count; k++)
            track->past_times[k] = clamped(track->past_times[k] + by);
    }
    for (int i = 0; i < SOURCES; i++)
        fusion->sources[i].clock_offset += fusion->active_sources >> i & 1u ? by : 0;
    fusion->deviation.count = 0;
}

/* Whether the time line has to follow a source whose offset has just been found: all who send are off by as much, or,
 * of two that never agreed, this one is behind: a stamp may be of the past, but none can be of the future, so that the
 * clock further ahead is the wrong one. */
static int leads(const fusion_t *fusion, int32_t source_id)
{
    const source_t *source = &fusion->sources[source_id];
    int others = 0, agreeing = 0;
    for (int i = 0; i < SOURCES; i++) {
        const source_t *other = &fusion->sources[i];
        int sends = fusion->active_sources >> i & 1u && other->kind != COOPERATIVE;
        if (i == source_id || !sends ||
            distance_ns(clamped(other->last_stamp + other->clock_offset), fusion->newest) > ACTIVE_WITHIN)
            continue;
        others++;
        agreeing += distance_ns(other->clock_offset, source->clock_offset) < SAME_OFFSET;
    }
    return agreeing == others || (others == 1 && source->step_first && source->clock_offset > 0);
}

static void adopt_offset(fusion_t *fusion, int32_t source_id, int64_t offset)
{
    source_t *source = &fusion->sources[source_id];
    source->clock_offset = offset;
    source->clock_steps++;
    source->step_scans = 0;
    source->alignment_checks = MAX_ALIGNMENT_CHECKS;
    if (leads(fusion, source_id)) {
        fusion->active_sources |= 1u << source_id;
        fusion->clock_steps++;
        shift_time(fusion, -offset);
    }
}

int align_stamp(fusion_t *fusion, int32_t source_id, int64_t stamp, const detection_t *detections, int32_t count,
                int64_t *t)
{
    source_t *source = &fusion->sources[source_id];
    int64_t lag = (int64_t)(source->lag * 1e9);
    *t = clamped(stamp + source->clock_offset - lag);
    if (fusion->active_sources == 0 || source->kind == COOPERATIVE || fusion->features & NO_CLOCK ||
        !is_suspect(fusion, source, 1u << source_id, stamp, *t))
        return ACCEPTED;

    uint32_t others = fusion->active_sources & ~(1u << source_id);
    if (!is_compared(source) && others)
        source->alignment_checks++;
    int64_t fitting = fitting_time(fusion, source_id, *t, detections, count), offset = fitting - (stamp - lag);
    if (distance_ns(fitting, *t) < MIN_CLOCK_STEP || distance_ns(offset, 0) > MAX_CLOCK_OFFSET) {
        source->step_scans = 0;
        int64_t off = distance_ns(*t, fusion->newest);
        int apart = off > MIN_CLOCK_STEP && off <= fusion->window; /* what is further off is judged by check_stamp */
        return others && apart && source->alignment_checks < MAX_HELD_SCANS ? NOT_COMPARED : ACCEPTED;
    }

    if (source->step_scans == 0 || distance_ns(offset, source->step_offset) > SAME_OFFSET) {
        source->step_scans = 0;
        source->step_first = !is_compared(source);
        source->step_begin = stamp;
        source->step_offset = offset;
    }
    source->step_scans++;
    double span = (double)(stamp - source->step_begin) * 1e-9;
    *t = fitting;
    if (source->step_scans >= MIN_STEP_SCANS && span >= MIN_BEATS * source->period) {
        adopt_offset(fusion, source_id, source->step_offset);
        *t = clamped(stamp + source->clock_offset - lag);
    }
    return ACCEPTED;
}
