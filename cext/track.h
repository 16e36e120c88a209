/* The tracker's types. Plain C: no Python header, no allocation; the caller owns all memory. */
#ifndef CLOUDCTL_TRACK_H
#define CLOUDCTL_TRACK_H

#include "source.h"

#include <stddef.h>
#include <stdint.h>

#define CLASSES 8
#define SOURCES 32
#define KEPT 6       /* posteriors kept per track for scans that come late */
#define WRONG 16     /* wrong claims remembered */
#define MAX_EDGES 12 /* detections one track may be gated with: the nearest */
#define LINE 64      /* bytes of a line of the cache */
#define MAX_CAPACITY 65536          /* tracks of one intersection: 64 MiB */
#define MAX_SCAN 100000             /* detections of one scan */
#define MAX_TIME 4000000000000000000LL /* ns either side of the epoch: the difference of two times fits in 64 bits */

_Static_assert((CLASSES & (CLASSES - 1)) == 0, "a class is masked with CLASSES - 1");
_Static_assert(SOURCES <= 32, "a set of sources is the bits of an uint32_t");
_Static_assert(KEPT <= UINT8_MAX, "track_t.kept counts them in a byte");

typedef struct { /* one detection; NaN where not measured; metres east-north of the intersection */
    double x, y;
    float vx, vy, heading, length, width, height, var_x, var_y, cov_xy, confidence;
    uint32_t id, vehicle;
    uint8_t cls, pad[7];
} detection;

typedef struct { /* one track as it is given out, predicted to t */
    int64_t t;
    double x, y;
    float vx, vy, heading, yaw_rate, length, width, height;
    float var_x, var_y, cov_xy, var_vx, var_vy, cov_vxvy, existence, class_p;
    uint32_t id, vehicle, sources;
    int64_t last;
    uint8_t cls, status, pad[6];
} track_row;

/* Python's dtypes are made from these (layout.c), and recorded arrays hold their bytes: a field moves only on purpose. */
_Static_assert(sizeof(detection) == 72 && offsetof(detection, vx) == 16 && offsetof(detection, confidence) == 52, "detection");
_Static_assert(offsetof(detection, id) == 56 && offsetof(detection, vehicle) == 60 && offsetof(detection, cls) == 64, "detection");
_Static_assert(sizeof(track_row) == 112 && offsetof(track_row, vx) == 24 && offsetof(track_row, class_p) == 80, "track_row");
_Static_assert(offsetof(track_row, id) == 84 && offsetof(track_row, sources) == 92 && offsetof(track_row, last) == 96, "track_row");
_Static_assert(offsetof(track_row, cls) == 104 && offsetof(track_row, status) == 105, "track_row");

enum { TENTATIVE = 0, CONFIRMED = 1, COASTING = 2 };
enum { FROM_DETECTIONS = 0, FROM_TRACKS = 1, COOPERATIVE = 2 };
enum { TAKEN = 0, TOO_OLD = 1, NOT_FINITE = 2, TOO_NEW = 3 };

/* Covariances are packed: 00 01 02 03 11 12 13 22 23 33 and, for a fifth state, 04 14 24 34 44. */
typedef struct { /* x, y, vx, vy */
    double x[4], p[10];
} state_t;

/* Inverse of the symmetric 2x2 (xx, yy, xy); returns the determinant, kept positive. */
static inline double invert2(double xx, double yy, double xy, double i[3])
{
    double det = xx * yy - xy * xy;
    det = det > 1e-12 ? det : 1e-12;
    double one = 1.0 / det;
    i[0] = yy * one;
    i[1] = xx * one;
    i[2] = -xy * one;
    return det;
}

/* Squared Mahalanobis distance of a position with noise r (xx, yy, xy), and the determinant of its covariance. */
static inline double distance(const double *mean, const double *p, double x, double y, const double r[3], double *det)
{
    double i[3], dx = x - mean[0], dy = y - mean[1];
    *det = invert2(p[0] + r[0], p[4] + r[1], p[1] + r[2], i);
    return dx * dx * i[0] + dy * dy * i[1] + 2.0 * dx * dy * i[2];
}

typedef struct { /* x, y, vx, vy, turn rate (rad/s) */
    double x[5], p[15];
} turning_t;

typedef struct { /* interacting models: straight on, and turning with probability `turns` */
    state_t straight;
    turning_t turning;
    double turns;
} imm_t;

typedef struct { /* a posterior of the past: one line of the cache */
    double x, y;
    float v[2], p[10];
} past_t;

_Static_assert(sizeof(past_t) == LINE, "one posterior is written to one line of the cache");

typedef struct { /* how a class moves: spectral densities of acceleration (m^2/s^3) and turn rate (rad^2/s^3), rates (1/s) */
    double straight, turning, rate, enter, leave;
} motion_t;

#define MOTION_FIGURES 5 /* Python sees a class's as a row of float64 */
_Static_assert(sizeof(motion_t) == MOTION_FIGURES * sizeof(double), "motion_t is nothing but its figures");

typedef struct { /* what a step of dt (s) does to the chances of the models */
    double dt;
    const motion_t *motion;
    double to_turn, to_straight;
} change_t;

#define STAYS_SAID 10.0 /* ends of road users that `survive` is worth */
#define ROWS 4        /* kinds of misses in a row: the first, the second, the third and fourth, later ones */

typedef struct {
    /* what every scan reads comes first: one line of the cache */
    int64_t t, last, missed; /* ns: of `now`, last measurement, last counted miss */
    double existence;
    uint32_t id, vehicle, claim, sources;
    uint16_t hits, claims, shadow, run;
    uint8_t kept, status, cls, sensed, sizes, teller, origin, entry; /* origin: source that began it; entry: its bin of births_t */
    past_t past[KEPT];  /* in no order; a hit writes one of them */
    int64_t then[KEPT]; /* ns: their times, in order */
    uint8_t slot[KEPT]; /* which of `past` is of each of those times */
    uint8_t judge, giver; /* judge: source of `off`, counted from 1; giver: source of `given` */
    state_t mean;       /* of both models */
    imm_t now;
    uint32_t told; /* the id a source last gave it */
    float off[2];  /* m: its last residual */
    float held;    /* s: for so long its place was given again and again though it moved */
    int64_t given; /* ns: when its last place was given first */
    double given_x, given_y;
    float class_p[CLASSES], length, width, height, ahead[2]; /* ahead: unit vector it points along, 0 when unknown */
} track_t;

_Static_assert(offsetof(track_t, past) == LINE, "what every scan reads of a track first is one line of the cache, and each posterior another");

typedef union { /* a track's place: whole lines, so that each track begins with one where the block does (any other memory works, more slowly) */
    track_t track;
    uint8_t lines[(sizeof(track_t) + LINE - 1) / LINE * LINE];
} place_t;

typedef struct { /* a connected vehicle's report that its track or the sensors contradict */
    uint32_t vehicle, count;
    int64_t t;
    double x, y;
} wrong_t;

typedef struct { /* scans whose stamps are far from those of the others, one after the other */
    int64_t first, last; /* ns: stamps of the first and of the newest */
    uint32_t sources;    /* bit by source */
    int32_t count, side; /* side: 1 ahead, -1 too old */
    uint32_t taken;      /* bit by source: whose scans were taken meanwhile */
} apart_t;

typedef struct {
    int32_t capacity, count;
    uint32_t next_id, features, heard, several; /* heard: bit by source */
    int64_t newest, window; /* ns */
    motion_t motion[CLASSES];
    double gate, miss_cost, confirm, show, drop, survive; /* survive: s */
    int64_t coast;                                        /* ns without a measurement before a track is dropped */
    uint64_t refused_old, full, merged;
    int64_t jump, pace; /* ns: a scan may be ahead by so much; the usual step from scan to scan */
    apart_t apart;
    uint64_t refused_ahead, steps, crowded; /* scans; times that the time was set anew; detections left out for there were too many in one place */
    double reach; /* m: mean half width of the gates of the last scan */
    double lived, left;                 /* found: s that road users were followed, and how many were lost where they might have been seen */
    double misses[ROWS], more[ROWS]; /* found of who came back: misses by how many there were in a row, and those followed by one more */
    source_t sources[SOURCES];
    wrong_t wrong[WRONG];
} fusion_t;

/* Behind it, from the next line on: `capacity` places, then their order: the first `count` are live, by id; the rest are free. */
#define HEAD_BYTES ((sizeof(fusion_t) + LINE - 1) / LINE * LINE)

static inline place_t *places_of(const fusion_t *f) { return (place_t *)(uintptr_t)((const char *)f + HEAD_BYTES); }

static inline int32_t *order_of(const fusion_t *f) { return (int32_t *)(void *)(places_of(f) + f->capacity); }

static inline track_t *track_at(const fusion_t *f, int32_t i) { return &places_of(f)[order_of(f)[i]].track; }

/* How long (ns) a track is kept without a measurement: longer where nobody looks. */
static inline int64_t patience(const fusion_t *f, const track_t *k)
{
    return k->status == TENTATIVE ? f->coast / 2 : k->missed > k->last ? f->coast : 3 * f->coast;
}

/* Features that can be left out, to measure what each is worth. */
enum { NO_TURNS = 1, NO_NOISE = 2, NO_BIAS = 4, NO_LAG = 8, NO_LIFE = 16, NO_LATE = 32, NO_MERGE = 64, NO_CLASS = 128, NO_GLOBAL = 256 };

typedef struct { /* a grid over a scan's detections */
    double left, bottom, one; /* corner (m), cells per metre */
    int32_t columns, rows;
} grid_t;

typedef struct { /* what one scan says of its source */
    double n, noise, said, distance, hits, misses, moved, fast, along, cross, self;
} sums_t;

#define OCCLUDERS 16 /* of one scan */

typedef struct { /* one scan while it is worked on; all in the caller's scratch */
    const detection *z;
    state_t *mean;  /* per track: at the scan's time, of both models */
    double *xy, *r; /* per detection: place less the source's bias; variance xx, yy, xy */
    double *cost;   /* per edge */
    int32_t *start, *column, *mate, *hit;
    int32_t *head, *order, *cell; /* the grid; `cell` is the owner of each detection once they are assigned */
    void *rest;
    double widest, area; /* m^2: largest variance, what the scan covers */
    double reach;        /* m: sum of the gates' half widths */
    double unsure;       /* s^2: variance of a latency that is not yet found, and of the stamp */
    double blur, doubt;  /* s^2: variance of the stamp, of which `doubt` is this scan's own */
    int32_t n, known, source, cells, fullest, plain; /* fullest: detections in one cell at most; plain: no detection says more than its place */
    int64_t t;
    grid_t grid;
    sums_t sums;
    int32_t hiding, occluder[OCCLUDERS]; /* tracks that hide what is behind them from this source */
} frame_t;

enum { FREE = -1, MISSED = -2 }; /* in `hit`: not looked at, looked at in vain; else the detection */
enum { CROWDED = -3 };           /* in `cell`: left out, for there are too many in its place */

/* Part of a caller's scratch: `count` items of `size` bytes from *end on, which moves behind them; returns where it begins. The walk that measures
   a scratch is the walk that lays it out, so that they cannot differ. */
static inline size_t part_of(size_t *end, size_t count, size_t size)
{
    size_t begin = (*end + 15) & ~(size_t)15;
    *end = begin + count * size;
    return begin;
}

size_t fusion_size(int32_t capacity);
void fusion_init(fusion_t *f, int32_t capacity);
size_t fusion_scratch(int32_t capacity, int32_t detections);
int fusion_update(fusion_t *f, int64_t t, int32_t source, const detection *z, int32_t n, void *scratch);
/* The same for detections that were checked. */
int fusion_fold(fusion_t *f, int64_t t, int32_t source, const detection *z, int32_t n, void *scratch);
int32_t fusion_tracks(const fusion_t *f, int64_t t, track_row *out);
/* The first row that cannot be used, with the field's name, or -1. */
int32_t fusion_check(const detection *z, int32_t n, const char **field);
/* The same for rows that somebody filled in by hand: also a size or variance of 0 or less, a class or confidence that there is not. */
int32_t fusion_check_filled(const detection *z, int32_t n, const char **field);

/* jumps.c: whether a scan's stamp can be, beside those before it: TAKEN, TOO_OLD or TOO_NEW. Sets the time anew where all say so. */
int stamp_check(fusion_t *f, int32_t source, int64_t t);

/* state.c: a tracker as bytes, and back: its own part, then its live tracks in order */
size_t fusion_state_size(int32_t count);
void fusion_save(const fusion_t *f, uint8_t *out);
/* Load what fusion_save wrote into `f`, of room for the capacity it names. Returns NULL, or what cannot be (`f` is then not to be used). */
const char *fusion_load(fusion_t *f, const uint8_t *data, size_t size);

/* motion.c: prediction. `out` may not be `in`. */
void straight_step(const state_t *in, double dt, double q, state_t *out);
void turning_step(const turning_t *in, double dt, double q, double q_rate, turning_t *out);
void imm_mean(const imm_t *in, state_t *out);
change_t change_after(double dt, const motion_t *m);
void imm_step(const imm_t *in, const change_t *c, imm_t *out);
/* slow, fast: variance of velocity of the straight and of the turning model: nobody knows yet whether a new one walks or drives */
void imm_start(imm_t *out, const double x[4], const double r[3], double slow, double fast);

/* kalman.c: measurement */
void imm_update(imm_t *s, double x, double y, const double r[3]);
void imm_update_velocity(imm_t *s, double vx, double vy, double r);
/* h: 2x4, of position and velocity; z measured with noise r (xx, yy, xy) */
void imm_update_linear(imm_t *s, const double h[8], const double z[2], const double r[3]);
void imm_intersect(imm_t *s, const state_t *mean, double x, double y, const double r[3]);
/* as the vendor of a filtered track has it: its place with the noise of its increments, our error no less than its own */
void imm_follow(imm_t *s, double x, double y, const double r[3]);
/* late.c: the past */
void remember(track_t *k);
void state_at(const track_t *k, int64_t t, const motion_t *m, state_t *out);
void imm_update_late(track_t *k, int64_t t, const motion_t *m, double x, double y, const double r[3]);

/* gate.c: the grid, and the edges of one track (a row) to detections (columns): returns how many there are now */
void lay_grid(fusion_t *f, frame_t *w);
int seen_once(const track_t *k, int64_t t); /* a newborn that was carried on to t: its speed is not known */
int32_t gate(fusion_t *f, frame_t *w, int32_t i, int32_t edges);

/* assign.c: rows 0..n-1 to columns, edges in CSR; mate[row] = column or -1 (left out at cost `miss`) */
size_t assign_scratch(int32_t rows, int32_t columns);
void assign(int32_t rows, int32_t columns, const int32_t *start, const int32_t *column, const double *cost, double miss, int32_t *mate,
            void *scratch);

/* life.c: what a hit or a miss says of a track */
void describe(track_t *k, const detection *z, double right, int own); /* own: the vehicle's own report */
int claim(fusion_t *f, track_t *k, uint32_t vehicle, double x, double y, int64_t t);
void blame(fusion_t *f, uint32_t vehicle, double x, double y, int64_t t);
double aged(const fusion_t *f, const track_t *k, int64_t t); /* existence at t, before anybody looks at it then */
void miss(fusion_t *f, frame_t *w, int32_t i);
double gone(const fusion_t *f, const track_t *k, double x, double y, double variance);
void find_occluders(fusion_t *f, frame_t *w);
int hidden(const fusion_t *f, const frame_t *w, double x, double y);
void exist(fusion_t *f, track_t *k, const frame_t *w, const state_t *mean, const double *z, const double r[3]); /* z: place; r: its noise */
double hit_chance(const fusion_t *f, const frame_t *w, const track_t *k, int32_t j); /* existence of a track of one hit, were detection j its second */
void bury(fusion_t *f, int64_t t);
double miss_chance(const fusion_t *f, const source_t *s, const track_t *k); /* of who is there, by the misses in a row so far */
void live_on(fusion_t *f, int64_t t); /* time passes for everybody, until a scan of t */
void come_back(fusion_t *f, const track_t *k); /* what the misses before a hit say of misses in a row */
void birth_ends(fusion_t *f, const track_t *k, int proved); /* a track is proved to be a road user's, or ends without having been */
void born(fusion_t *f, const frame_t *w, int32_t j);
void merge_into(fusion_t *f, const frame_t *w, int32_t i, int32_t j);
int looks_at(const source_t *s, double x, double y);
void looked(source_t *s, double x, double y); /* it hit a track there */
/* whether a detection, or another track, lies within the outline of a track, and both are of motor vehicles whose class is disputed: one and the same,
   for two cannot be in one another */
int overlaps(const track_t *k, double x, double y, uint8_t cls, double length);
/* the nearest track around a detection in that sense, of those that this scan has hit, or has not; FREE where there is none */
int32_t around(const fusion_t *f, const frame_t *w, int32_t j, int hit);
/* merge young tracks with the vehicle they lie in, however far the middles are apart */
void young_doubles(fusion_t *f, const frame_t *w);

/* sources.c: what is found out about sources */
void source_start(source_t *s);
void measurement_noise(const source_t *s, const detection *z, double r[3]);
/* residuals on one track, before and after its update (`mean` of the track) */
void note_residual(fusion_t *f, frame_t *w, track_t *k, const state_t *before, const double *z, const double *r);
void learn(fusion_t *f, const frame_t *w);
/* what the class, size, velocity and id of a detection say of its source, on a track that is well known */
void note_worth(fusion_t *f, const frame_t *w, const track_t *k, const state_t *before, const detection *z);

/* its velocity against how far it came since the place before */
void note_speed(source_t *s, const track_t *k, const detection *z, int32_t source, int64_t t, const double r[3]);

/* stamps.c: by how much (s) a scan's stamp may be off, and whether a detection only repeats the one before */
double stamp_doubt(source_t *s, int64_t t);
int said_before(const track_t *k, const detection *z, int32_t source, int64_t t, const state_t *m);

/* coverage.c: what a source covers. A road user seen at a place; one lost that was last seen at a place with a velocity, `ahead` s before it was missed;
   the probability that a place of so much variance (m^2) is beyond it; whether a place is in the strip in which road users first appear */
void cover(coverage_t *e, double x, double y);
void lost_at(coverage_t *e, double x, double y, double vx, double vy, double ahead);
double beyond(const coverage_t *e, double x, double y, double variance);
int at_edge(const coverage_t *e, double x, double y);

/* layout.c: the fields of what crosses to Python, as the compiler laid them out; `kind` is f, i or u. The last has no name. */
typedef struct {
    const char *name;
    size_t offset, size;
    char kind;
} member_t;
extern const member_t DETECTION_FIELDS[], TRACK_FIELDS[];

/* decode.c */
#define BLOCK_BYTES 57    /* of one object: FLOATS and an id of 4 bytes each, a class of 1 */
#define FLOATS 13         /* columns of an object that are numbers */
#define MAX_OBJECTS 1024  /* of one message */
#define MAX_METRES 2000.0
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x) /* of a macro's value */
_Static_assert(BLOCK_BYTES == 4 * (FLOATS + 1) + 1, "every column of an object");
#define ROW_FAULTS 8 /* refused rows of a message that are named; all are counted */

typedef struct { /* why a message (row -1), or one of its rows, is refused */
    int32_t row;
    const char *field, *rule, *remedy;
    double value;
} fault_t;

typedef struct {
    fault_t first[ROW_FAULTS];
    int32_t refused;    /* rows; the first ROW_FAULTS of them stand in `first` */
    int32_t unmeasured; /* figures that mean "not available" and were taken as NaN */
} faults_t;

/* Number of objects in a msgpack value (block or list of maps), or -1 with the message's fault in first[0]. */
int32_t objects_count(const uint8_t *data, size_t size, faults_t *faults);
/* Decode them into `out` (room for objects_count rows), shifted by dx, dy: the number of rows that can be used, in order; -1 with the
   message's fault in first[0]. */
int32_t objects_decode(const uint8_t *data, size_t size, double dx, double dy, detection *out, faults_t *faults);

#endif
