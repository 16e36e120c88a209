/* A scan while it is folded in, and what the files of the core offer one another. */
#ifndef CLOUDCTL_SCAN_H
#define CLOUDCTL_SCAN_H

#include "track.h"

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
static inline double mahalanobis2(const double *mean, const double *p, double x, double y, const double r[3],
                                  double *det)
{
    double i[3], dx = x - mean[0], dy = y - mean[1];
    *det = invert2(p[0] + r[0], p[4] + r[1], p[1] + r[2], i);
    return dx * dx * i[0] + dy * dy * i[1] + 2.0 * dx * dy * i[2];
}

typedef struct { /* what a step of dt (s) does to the chances of the models */
    double dt;
    const motion_t *motion;
    double to_turn, to_straight;
} transition_t;

typedef struct {                      /* a grid over a scan's detections */
    double left, bottom, cells_per_m; /* corner (m), cells per metre */
    int32_t columns, rows;
} grid_t;

typedef struct { /* what one scan says of its source */
    double samples, noise, nominal_noise, distance2, hits, misses, moving, stamp_samples, stamp_variance,
        correlation_sum, correlation_pairs;
} scan_sums_t;

#define MAX_OCCLUDERS 16 /* of one scan */

typedef struct { /* one scan while it is worked on; all in the caller's scratch */
    const detection_t *detections;
    state_t *mean;             /* per track: at the scan's time, of both models */
    double *positions, *noise; /* per detection: place less the source's bias; variance xx, yy, xy */
    double *cost;              /* per edge */
    int32_t *start, *column, *assigned, *hit;
    int32_t *cell_start, *cell_order,
        *owner; /* the grid; `cell` is the owner of each detection once they are assigned */
    void *assignment;
    double max_variance, area;          /* m^2: largest variance, what the scan covers */
    double gate_sum;                    /* m: sum of the gates' half widths */
    double latency_variance;            /* s^2: variance of a latency that is not yet found, and of the stamp */
    double stamp_variance, stamp_doubt; /* s^2: variance of the stamp, of which `doubt` is this scan's own */
    int32_t count, tracks, source_id, max_cells, fullest_cell,
        positions_only; /* fullest: detections in one cell at most; plain: no detection says more than its place */
    int64_t t;
    grid_t grid;
    scan_sums_t sums;
    int32_t occluders, occluder[MAX_OCCLUDERS]; /* tracks that hide what is behind them from this source */
} scan_t;

enum { UNASSIGNED = -1, MISSED = -2 }; /* in `hit`: not looked at, looked at in vain; else the detection_t */
enum { CROWDED = -3 };                 /* in `cell`: left out, for there are too many in its place */

/* Part of a caller's scratch: `count` items of `size` bytes from *end on, which moves behind them; returns where it
   begins. The walk that measures a scratch is the walk that lays it out, so that they cannot differ. */
static inline size_t part_of(size_t *end, size_t count, size_t size)
{
    size_t begin = (*end + 15) & ~(size_t)15;
    *end = begin + count * size;
    return begin;
}

/* scan.c */
void prepare_scan(const fusion_t *fusion, const source_t *source, scan_t *scan);
void predict_and_gate(fusion_t *fusion, scan_t *scan);
void release_detections(scan_t *scan);
void assign_nearest(scan_t *scan);

/* hits.c */
void apply_assignment(fusion_t *fusion, scan_t *scan);

/* jumps.c: whether a scan's stamp can be, beside those before it: TAKEN, TOO_OLD or TOO_NEW. Sets the time anew where
 * all say so. */
int check_stamp(fusion_t *fusion, int32_t source_id, int64_t t);

/* motion.c: prediction. `out` may not be `in`. */
void straight_step(const state_t *in, double dt, double q, state_t *out);
void turning_step(const turning_t *in, double dt, double q, double q_rate, turning_t *out);
void imm_mean(const imm_t *in, state_t *out);
transition_t model_transition(double dt, const motion_t *motion);
void imm_step(const imm_t *in, const transition_t *transition, imm_t *out);
/* slow, fast: variance of velocity of the straight and of the turning model: nobody knows yet whether a new one walks
 * or drives */
void imm_start(imm_t *out, const double x[4], const double r[3], double slow, double fast);

/* kalman.c: measurement */
void imm_update(imm_t *s, double x, double y, const double r[3]);
void imm_update_velocity(imm_t *s, double vx, double vy, double r);
/* h: 2x4, of position and velocity; z measured with noise r (xx, yy, xy) */
void imm_update_linear(imm_t *s, const double h[8], const double z[2], const double r[3]);
void imm_update_intersection(imm_t *s, const state_t *mean, double x, double y, const double r[3]);
/* as the vendor of a filtered track has it: its place with the noise of its increments, our error no less than its own
 */
void imm_update_filtered(imm_t *s, double x, double y, const double r[3]);
/* late.c: the past */
void store_posterior(track_t *track);
void state_at(const track_t *track, int64_t t, const motion_t *motion, state_t *out);
void imm_update_late(track_t *track, int64_t t, const motion_t *motion, double x, double y, const double r[3]);

/* gate.c: the grid, and the edges of one track (a row) to detections (columns): returns how many there are now */
void build_grid(fusion_t *fusion, scan_t *scan);
int awaits_second_hit(const track_t *track, int64_t t); /* a newborn that was carried on to t: its speed is not known */
int32_t gate_track(fusion_t *fusion, scan_t *scan, int32_t i, int32_t edges);

/* assign.c: rows 0..n-1 to columns, edges in CSR; mate[row] = column or -1 (left out at cost `miss`) */
size_t assign_scratch(int32_t rows, int32_t columns);
void assign(int32_t rows, int32_t columns, const int32_t *start, const int32_t *column, const double *cost, double miss,
            int32_t *mate, void *scratch);

/* life.c: what a hit or a miss says of a track */
void update_description(track_t *track, const detection_t *z, double right,
                        int own); /* own: the vehicle's own report */
int claim_identity(fusion_t *fusion, track_t *track, uint32_t vehicle, double x, double y, int64_t t);
void record_conflict(fusion_t *fusion, uint32_t vehicle, double x, double y, int64_t t);
double decayed_existence(const fusion_t *fusion, const track_t *track,
                         int64_t t); /* existence at t, before anybody looks at it then */
void apply_miss(fusion_t *fusion, scan_t *scan, int32_t i);
double probability_uncovered(const fusion_t *fusion, const track_t *track, double x, double y, double variance);
void find_occluders(fusion_t *fusion, scan_t *scan);
int is_occluded(const fusion_t *fusion, const scan_t *scan, double x, double y);
void update_existence(fusion_t *fusion, track_t *track, const scan_t *scan, const state_t *mean, const double *z,
                      const double r[3]); /* z: place; r: its noise */
double second_hit_existence(const fusion_t *fusion, const scan_t *scan, const track_t *track,
                            int32_t j); /* existence of a track of one hit, were detection j its second */
void prune(fusion_t *fusion, int64_t t);
double miss_probability(const fusion_t *fusion, const source_t *source,
                        const track_t *track);               /* of who is there, by the misses in a row so far */
void learn_stay(fusion_t *fusion, int64_t t);                /* time passes for everybody, until a scan of t */
void learn_miss_run(fusion_t *fusion, const track_t *track); /* what the misses before a hit say of misses in a row */
void record_birth_outcome(fusion_t *fusion, const track_t *track,
                          int proved); /* a track is proved to be a road user's, or ends without having been */
void initiate(fusion_t *fusion, const scan_t *scan, int32_t j);
void merge_duplicate(fusion_t *fusion, const scan_t *scan, int32_t i, int32_t j);
int looks_at(const source_t *source, double x, double y);
void extend_view(source_t *source, double x, double y); /* it hit a track there */
/* whether a detection_t, or another track, lies within the outline of a track, and both are of motor vehicles whose
   class is disputed: one and the same, for two cannot be in one another */
int overlaps(const track_t *track, double x, double y, uint8_t cls, double length);
/* the nearest track around a detection in that sense, of those that this scan has hit, or has not; FREE where there is
 * none */
int32_t enclosing_track(const fusion_t *fusion, const scan_t *scan, int32_t j, int hit);
/* merge young tracks with the vehicle they lie in, however far the middles are apart */
void merge_young_duplicates(fusion_t *fusion, const scan_t *scan);

/* sources.c: what is found out about sources */
void source_start(source_t *source);
void measurement_noise(const source_t *source, const detection_t *z, double r[3]);
/* residuals on one track, before and after its update (`mean` of the track) */
void note_residual(fusion_t *fusion, scan_t *scan, track_t *track, const state_t *before, const double *z,
                   const double *r);
void learn_source(fusion_t *fusion, const scan_t *scan);
/* what the class, size, velocity and id of a detection say of its source, on a track that is well known */
void learn_columns(fusion_t *fusion, const scan_t *scan, const track_t *track, const state_t *before,
                   const detection_t *z);

/* its velocity against how far it came since the place before */
void check_velocity(source_t *source, const track_t *track, const detection_t *z, int32_t source_id, int64_t t,
                    const double r[3]);

/* stamps.c: by how much (s) a scan's stamp may be off, and whether a detection only repeats the one before */
double stamp_uncertainty(source_t *source, int64_t t);
int repeats_position(const track_t *track, const detection_t *z, int32_t source_id, int64_t t, const state_t *m);

/* coverage.c: what a source covers. A road user seen at a place; one lost that was last seen at a place with a
   velocity, `ahead` s before it was missed; the probability that a place of so much variance (m^2) is beyond it;
   whether a place is in the strip in which road users first appear */
void extend_coverage(coverage_t *coverage, double x, double y);
void record_loss(coverage_t *coverage, double x, double y, double vx, double vy, double ahead);
double probability_beyond(const coverage_t *coverage, double x, double y, double variance);
int at_edge(const coverage_t *coverage, double x, double y);

#endif
