/* The tracker: its types and what it offers. Plain C: no Python header, no allocation; the caller owns all memory. */
#ifndef CLOUDCTL_TRACK_H
#define CLOUDCTL_TRACK_H

#include "source.h"

#include <stddef.h>
#include <stdint.h>

#define SOURCES 32
#define MAX_POSTERIORS 6               /* kept per track, for late scans */
#define MAX_CONFLICTS 16               /* contradicted vehicle reports remembered */
#define MAX_EDGES 12                   /* detections kept in a track's gate: the nearest */
#define CACHE_LINE 64                  /* bytes */
#define MAX_CAPACITY 65536             /* tracks of one intersection: 64 MiB */
#define MAX_SCAN 100000                /* detections */
#define MAX_TIME 4000000000000000000LL /* ns either side of the epoch: the difference of two times fits in 64 bits */
#define MAX_STAMP (MAX_TIME + 1000000000000LL) /* ns: a stamp less a latency */
#define MAX_PLACE 1e6                          /* m from the origin: of a detection */

_Static_assert((CLASSES & (CLASSES - 1)) == 0, "a class is masked with CLASSES - 1");
_Static_assert(SOURCES <= 32, "a set of sources is the bits of an uint32_t");
_Static_assert(MAX_POSTERIORS <= UINT8_MAX, "track_t.past_count counts them in a byte");

typedef struct { /* metres east-north of the intersection; NaN where not measured */
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

/* Python's dtypes are made from these (layout.c), and recorded arrays hold their bytes: fields move only on purpose. */
#define AT(type, member, offset) _Static_assert(offsetof(type, member) == (offset), #type)
AT(detection_t, vx, 16);
AT(detection_t, confidence, 52);
AT(detection_t, id, 56);
AT(detection_t, vehicle, 60);
AT(detection_t, cls, 64);
AT(track_row_t, vx, 24);
AT(track_row_t, class_p, 80);
AT(track_row_t, id, 84);
AT(track_row_t, sources, 92);
AT(track_row_t, last, 96);
AT(track_row_t, cls, 104);
AT(track_row_t, status, 105);
_Static_assert(sizeof(detection_t) == 72, "detection_t");
_Static_assert(sizeof(track_row_t) == 112, "track_row_t");

enum { TENTATIVE = 0, CONFIRMED = 1, COASTING = 2 }; /* status of a track */
enum {
    ACCEPTED = 0,
    TOO_OLD = 1,
    NOT_FINITE = 2,
    TOO_NEW = 3,
    WRONG_UNIT = 4,
    NOT_COMPARED = 5
}; /* what became of a scan */

/* Covariances are packed: 00 01 02 03 11 12 13 22 23 33 and, for a fifth state, 04 14 24 34 44. */
typedef struct { /* x, y, vx, vy */
    double x[4], p[10];
} state_t;

typedef struct { /* x, y, vx, vy, turn rate (rad/s) */
    double x[5], p[15];
} turning_t;

typedef struct { /* interacting models: straight on, and turning */
    state_t straight;
    turning_t turning;
    double turn_probability;
} imm_t;

typedef struct { /* an earlier posterior */
    double x, y;
    float v[2], p[10];
} posterior_t;

_Static_assert(sizeof(posterior_t) == CACHE_LINE, "a posterior is written to one cache line");

typedef struct {              /* how a class moves */
    double straight, turning; /* m^2/s^3: spectral density of acceleration in each model */
    double turn_rate;         /* rad^2/s^3: spectral density of the turn rate's change */
    double enter, leave;      /* 1/s: manoeuvres begun and ended */
} motion_t;

#define MOTION_FIGURES 5 /* Python reads a class's as a row of float64 */
_Static_assert(sizeof(motion_t) == MOTION_FIGURES * sizeof(double), "motion_t is nothing but its figures");

#define PRIOR_DEPARTURES 10.0 /* departures that the configured mean stay is worth */
#define MAX_ARRIVALS 64           /* places at which road users were first seen that are remembered */
#define MISS_BINS 4           /* misses in a row: the first, the second, the third and fourth, later ones */

typedef struct {
    /* read by every scan: the first cache line */
    int64_t t, last_hit, last_miss; /* ns: of the models, of the last measurement, of the last counted miss */
    double existence;               /* probability */
    uint32_t id, vehicle, claimed_vehicle;
    uint32_t sources; /* bit by source */
    uint16_t hits, claim_count, duplicate_scans, miss_run;
    uint8_t past_count, status, cls, seen_by_sensor, size_samples;
    uint8_t birth_source, birth_bin;
    uint8_t undecided; /* it may be a lost track that goes on: not given out until that is known */

    posterior_t past[MAX_POSTERIORS];   /* in no order; a hit writes one of them */
    int64_t past_times[MAX_POSTERIORS]; /* ns: in order */
    uint8_t past_slots[MAX_POSTERIORS]; /* which of `past` each of these times is of */
    uint8_t residual_source;            /* of `residual`, counted from 1 */
    uint8_t position_source;

    state_t mean; /* of both models */
    imm_t models;

    uint32_t reported_id;  /* object id last reported by a source */
    float residual[2];     /* m: the last one */
    float frozen_s;        /* s: how long its reported position has stood still while it moved */
    int64_t position_time; /* ns: when the last reported position was reported first */
    double position_x, position_y;
    float class_p[CLASSES];
    float length, width, height; /* m */
    float direction[2];          /* unit vector of its front, 0 when unknown */

    float anchor_x, anchor_y, anchor_vx, anchor_vy; /* from here the next velocity is tested: columns.c */
    uint8_t reporting_source;                       /* that reported_id is of */
    uint8_t anchor_source;                          /* counted from 1 */
    int64_t anchor_time;                            /* ns */
} track_t;

_Static_assert(offsetof(track_t, past) == CACHE_LINE, "what every scan reads of a track is one cache line");

typedef union { /* whole cache lines, so that each track begins with one where the block does */
    track_t track;
    uint8_t lines[(sizeof(track_t) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE];
} track_slot_t;

typedef struct { /* a connected vehicle's report that its track or the sensors contradict */
    uint32_t vehicle, count;
    int64_t t;
    double x, y;
} conflict_t;

typedef struct {               /* successive scans whose stamps are far from those of the others: jumps.c */
    int64_t first, last;       /* ns: stamps of the first and of the newest */
    uint32_t sources;          /* bit by source */
    int32_t count, side;       /* side: 1 ahead, -1 too old */
    uint32_t accepted_sources; /* bit by source: whose scans were accepted meanwhile */
} deviation_t;

typedef struct {
    int32_t capacity, count;
    uint32_t next_id, features;
    uint32_t active_sources; /* bit by source: that have sent a scan */
    uint32_t multiple_sources;
    int64_t newest; /* ns: time of the newest scan */

    /* configured */
    int64_t window, coast, max_jump; /* ns */
    motion_t motion[CLASSES];
    double gate, miss_cost;               /* squared Mahalanobis distance */
    double confirm, show_threshold, drop; /* probability */
    double survive;                       /* s */

    /* counted */
    uint64_t refused_old, refused_ahead, refused_births, merged, resumed, clock_steps, crowded;

    /* learned */
    int64_t usual_step; /* ns: from scan to scan */
    deviation_t deviation;
    double mean_gate;                /* m: mean half width of the gates of the last scan */
    double followed_s, departures;   /* s that road users were followed; how many were lost where they might be seen */
    double inside_departures;        /* those of them well inside of what is covered */
    double miss_runs[MISS_BINS];     /* of road users that were seen again: misses in a row */
    double repeat_misses[MISS_BINS]; /* those of them that were followed by another miss */
    float arrival_x[MAX_ARRIVALS], arrival_y[MAX_ARRIVALS]; /* m: where road users were first seen, the last ones */
    uint64_t arrivals;                                      /* how many there were */
    source_t sources[SOURCES];
    conflict_t conflicts[MAX_CONFLICTS];
} fusion_t;

/* Behind fusion_t, from the next cache line on: `capacity` slots, then their order: the first `count` are live, by id.
 */
#define HEADER_BYTES ((sizeof(fusion_t) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE)

static inline track_slot_t *slots_of(const fusion_t *fusion)
{
    return (track_slot_t *)(uintptr_t)((const char *)fusion + HEADER_BYTES);
}

static inline int32_t *order_of(const fusion_t *fusion)
{
    return (int32_t *)(void *)(slots_of(fusion) + fusion->capacity);
}

static inline track_t *track_at(const fusion_t *fusion, int32_t i)
{
    return &slots_of(fusion)[order_of(fusion)[i]].track;
}

enum { /* features that can be left out, to measure what each is worth */
       NO_TURNS = 1,
       NO_NOISE = 2,
       NO_BIAS = 4,
       NO_LAG = 8,
       NO_LIFE = 16,
       NO_LATE = 32,
       NO_MERGE = 64,
       NO_CLASS = 128,
       NO_GLOBAL = 256,
       NO_CLOCK = 512,
       NO_RESUME = 1024
};

size_t fusion_size(int32_t capacity);
void fusion_init(fusion_t *fusion, int32_t capacity);
size_t fusion_scratch(int32_t capacity, int32_t detections);
void source_start(source_t *source); /* forget what was learned; the configured values are where it begins anew */
/* Fold in one scan; returns what became of it. */
int fusion_update(fusion_t *fusion, int64_t t, int32_t source_id, const detection_t *detections, int32_t count,
                  void *scratch);
/* The same for detections that were checked. */
int fusion_update_checked(fusion_t *fusion, int64_t t, int32_t source_id, const detection_t *detections, int32_t count,
                          void *scratch);
/* Write the tracks shown at t, sorted by id; returns how many. */
int32_t fusion_tracks(const fusion_t *fusion, int64_t t, track_row_t *out);
/* The first row that cannot be used, with the field's name, or -1. */
int32_t fusion_check(const detection_t *detections, int32_t count, const char **field);
/* The same for rows that a user filled in: also a size or variance of 0 or less, an unknown class or confidence. */
int32_t fusion_check_strict(const detection_t *detections, int32_t count, const char **field);

/* A tracker as bytes: its own part, then its live tracks in order. */
size_t fusion_state_size(int32_t count);
void fusion_save(const fusion_t *fusion, uint8_t *out);
/* Load what fusion_save wrote, into a tracker of the capacity it names. Returns NULL, or the part that is invalid: the
 * tracker is then not to be used. */
const char *fusion_load(fusion_t *fusion, const uint8_t *data, size_t size);

typedef struct { /* a field that crosses to Python, as the compiler laid it out; `kind` is f, i or u. The last has no
                    name. */
    const char *name;
    size_t offset, size;
    char kind;
} column_layout_t;
extern const column_layout_t DETECTION_FIELDS[], TRACK_FIELDS[];

#endif
