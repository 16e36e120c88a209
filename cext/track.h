/* The tracker's types. Plain C: no Python header, no allocation; the caller owns all memory. */
#ifndef CLOUDCTL_TRACK_H
#define CLOUDCTL_TRACK_H

#include "source.h"

#include <stddef.h>
#include <stdint.h>

#define CLASSES 8
#define SOURCES 32
#define MAX_POSTERIORS 6               /* posteriors kept per track for scans that come late */
#define MAX_CONFLICTS 16               /* wrong claims remembered */
#define MAX_EDGES 12                   /* detections one track may be gated with: the nearest */
#define CACHE_LINE 64                  /* bytes of a line of the cache */
#define MAX_CAPACITY 65536             /* tracks of one intersection: 64 MiB */
#define MAX_SCAN 100000                /* detections of one scan */
#define MAX_TIME 4000000000000000000LL /* ns either side of the epoch: the difference of two times fits in 64 bits */

_Static_assert((CLASSES & (CLASSES - 1)) == 0, "a class is masked with CLASSES - 1");
_Static_assert(SOURCES <= 32, "a set of sources is the bits of an uint32_t");
_Static_assert(MAX_POSTERIORS <= UINT8_MAX, "track_t.kept counts them in a byte");

typedef struct { /* one detection_t; NaN where not measured; metres east-north of the intersection */
    double x, y;
    float vx, vy, heading, length, width, height, var_x, var_y, cov_xy, confidence;
    uint32_t id, vehicle;
    uint8_t cls, pad[7];
} detection_t;

typedef struct { /* one track as it is given out, predicted to t */
    int64_t t;
    double x, y;
    float vx, vy, heading, yaw_rate, length, width, height;
    float var_x, var_y, cov_xy, var_vx, var_vy, cov_vxvy, existence, class_p;
    uint32_t id, vehicle, sources;
    int64_t last;
    uint8_t cls, status, pad[6];
} track_row_t;

/* Python's dtypes are made from these (layout.c), and recorded arrays hold their bytes: a field moves only on purpose.
 */
_Static_assert(sizeof(detection_t) == 72 && offsetof(detection_t, vx) == 16 && offsetof(detection_t, confidence) == 52,
               "detection");
_Static_assert(offsetof(detection_t, id) == 56 && offsetof(detection_t, vehicle) == 60 &&
                   offsetof(detection_t, cls) == 64,
               "detection");
_Static_assert(sizeof(track_row_t) == 112 && offsetof(track_row_t, vx) == 24 && offsetof(track_row_t, class_p) == 80,
               "track_row_t");
_Static_assert(offsetof(track_row_t, id) == 84 && offsetof(track_row_t, sources) == 92 &&
                   offsetof(track_row_t, last) == 96,
               "track_row_t");
_Static_assert(offsetof(track_row_t, cls) == 104 && offsetof(track_row_t, status) == 105, "track_row_t");

enum { TENTATIVE = 0, CONFIRMED = 1, COASTING = 2 };
enum { FROM_DETECTIONS = 0, FROM_TRACKS = 1, COOPERATIVE = 2 };
enum { ACCEPTED = 0, TOO_OLD = 1, NOT_FINITE = 2, TOO_NEW = 3 };

/* Covariances are packed: 00 01 02 03 11 12 13 22 23 33 and, for a fifth state, 04 14 24 34 44. */
typedef struct { /* x, y, vx, vy */
    double x[4], p[10];
} state_t;

typedef struct { /* x, y, vx, vy, turn rate (rad/s) */
    double x[5], p[15];
} turning_t;

typedef struct { /* interacting models: straight on, and turning with probability `turns` */
    state_t straight;
    turning_t turning;
    double turn_probability;
} imm_t;

typedef struct { /* a posterior of the past: one line of the cache */
    double x, y;
    float v[2], p[10];
} posterior_t;

_Static_assert(sizeof(posterior_t) == CACHE_LINE, "one posterior is written to one line of the cache");

typedef struct { /* how a class moves: spectral densities of acceleration (m^2/s^3) and turn rate (rad^2/s^3), rates
                    (1/s) */
    double straight, turning, turn_rate, enter, leave;
} motion_t;

#define MOTION_FIGURES 5 /* Python sees a class's as a row of float64 */
_Static_assert(sizeof(motion_t) == MOTION_FIGURES * sizeof(double), "motion_t is nothing but its figures");

#define PRIOR_DEPARTURES 10.0 /* ends of road users that `survive` is worth */
#define MISS_BINS 4           /* kinds of misses in a row: the first, the second, the third and fourth, later ones */

typedef struct {
    /* what every scan reads comes first: one line of the cache */
    int64_t t, last_hit, last_miss; /* ns: of `now`, last measurement, last counted miss */
    double existence;
    uint32_t id, vehicle, claimed_vehicle, sources;
    uint16_t hits, claim_count, duplicate_scans, miss_run;
    uint8_t past_count, status, cls, seen_by_sensor, size_samples, reporting_source, birth_source,
        birth_bin;                            /* origin: source that began it; entry: its bin of births_t */
    posterior_t past[MAX_POSTERIORS];         /* in no order; a hit writes one of them */
    int64_t past_times[MAX_POSTERIORS];       /* ns: their times, in order */
    uint8_t past_slots[MAX_POSTERIORS];       /* which of `past` is of each of those times */
    uint8_t residual_source, position_source; /* judge: source of `off`, counted from 1; giver: source of `given` */
    state_t mean;                             /* of both models */
    imm_t models;
    uint32_t reported_id;  /* the id a source last gave it */
    float residual[2];     /* m: its last residual */
    float frozen_s;        /* s: for so long its place was given again and again though it moved */
    int64_t position_time; /* ns: when its last place was given first */
    double position_x, position_y;
    float class_p[CLASSES], length, width, height,
        direction[2]; /* ahead: unit vector it points along, 0 when unknown */
} track_t;

_Static_assert(offsetof(track_t, past) == CACHE_LINE,
               "what every scan reads of a track first is one line of the cache, and each posterior another");

typedef union { /* a track's place: whole lines, so that each track begins with one where the block does (any other
                   memory works, more slowly) */
    track_t track;
    uint8_t lines[(sizeof(track_t) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE];
} track_slot_t;

typedef struct { /* a connected vehicle's report that its track or the sensors contradict */
    uint32_t vehicle, count;
    int64_t t;
    double x, y;
} conflict_t;

typedef struct {               /* scans whose stamps are far from those of the others, one after the other */
    int64_t first, last;       /* ns: stamps of the first and of the newest */
    uint32_t sources;          /* bit by source */
    int32_t count, side;       /* side: 1 ahead, -1 too old */
    uint32_t accepted_sources; /* bit by source: whose scans were taken meanwhile */
} deviation_t;

typedef struct {
    int32_t capacity, count;
    uint32_t next_id, features, active_sources, multiple_sources; /* heard: bit by source */
    int64_t newest, window;                                       /* ns */
    motion_t motion[CLASSES];
    double gate, miss_cost, confirm, show_threshold, drop, survive; /* survive: s */
    int64_t coast; /* ns without a measurement before a track is dropped */
    uint64_t refused_old, refused_births, merged;
    int64_t max_jump, usual_step; /* ns: a scan may be ahead by so much; the usual step from scan to scan */
    deviation_t deviation;
    uint64_t refused_ahead, clock_steps,
        crowded; /* scans; times that the time was set anew; detections left out for there were too many in one place */
    double mean_gate; /* m: mean half width of the gates of the last scan */
    double followed_s,
        departures; /* found: s that road users were followed, and how many were lost where they might have been seen */
    double miss_runs[MISS_BINS], repeat_misses[MISS_BINS]; /* found of who came back: misses by how many there were in a
                                                              row, and those followed by one more */
    source_t sources[SOURCES];
    conflict_t conflicts[MAX_CONFLICTS];
} fusion_t;

/* Behind it, from the next line on: `capacity` places, then their order: the first `count` are live, by id; the rest
 * are free. */
#define HEADER_BYTES ((sizeof(fusion_t) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE)

static inline track_slot_t *places_of(const fusion_t *fusion)
{
    return (track_slot_t *)(uintptr_t)((const char *)fusion + HEADER_BYTES);
}

static inline int32_t *order_of(const fusion_t *fusion)
{
    return (int32_t *)(void *)(places_of(fusion) + fusion->capacity);
}

static inline track_t *track_at(const fusion_t *fusion, int32_t i)
{
    return &places_of(fusion)[order_of(fusion)[i]].track;
}

/* How long (ns) a track is kept without a measurement: longer where nobody looks. */
static inline int64_t max_silence(const fusion_t *fusion, const track_t *track)
{
    return track->status == TENTATIVE           ? fusion->coast / 2
           : track->last_miss > track->last_hit ? fusion->coast
                                                : 3 * fusion->coast;
}

/* Features that can be left out, to measure what each is worth. */
enum {
    NO_TURNS = 1,
    NO_NOISE = 2,
    NO_BIAS = 4,
    NO_LAG = 8,
    NO_LIFE = 16,
    NO_LATE = 32,
    NO_MERGE = 64,
    NO_CLASS = 128,
    NO_GLOBAL = 256
};

size_t fusion_size(int32_t capacity);
void fusion_init(fusion_t *fusion, int32_t capacity);
size_t fusion_scratch(int32_t capacity, int32_t detections);
int fusion_update(fusion_t *fusion, int64_t t, int32_t source_id, const detection_t *z, int32_t n, void *scratch);
/* The same for detections that were checked. */
int fusion_update_checked(fusion_t *fusion, int64_t t, int32_t source_id, const detection_t *z, int32_t n,
                          void *scratch);
int32_t fusion_tracks(const fusion_t *fusion, int64_t t, track_row_t *out);
/* The first row that cannot be used, with the field's name, or -1. */
int32_t fusion_check(const detection_t *z, int32_t n, const char **field);
/* The same for rows that somebody filled in by hand: also a size or variance of 0 or less, a class or confidence that
 * there is not. */
int32_t fusion_check_strict(const detection_t *z, int32_t n, const char **field);

/* state.c: a tracker as bytes, and back: its own part, then its live tracks in order */
size_t fusion_state_size(int32_t count);
void fusion_save(const fusion_t *fusion, uint8_t *out);
/* Load what fusion_save wrote into `f`, of room for the capacity it names. Returns NULL, or what cannot be (`f` is then
 * not to be used). */
const char *fusion_load(fusion_t *fusion, const uint8_t *data, size_t size);

/* layout.c: the fields of what crosses to Python, as the compiler laid them out; `kind` is f, i or u. The last has no
 * name. */
typedef struct {
    const char *name;
    size_t offset, size;
    char kind;
} column_layout_t;
extern const column_layout_t DETECTION_FIELDS[], TRACK_FIELDS[];

#endif
