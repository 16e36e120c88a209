/* A scan while it is folded in, and what the files of the core offer one another. */
#ifndef CLOUDCTL_SCAN_H
#define CLOUDCTL_SCAN_H

#include "track.h"

#include <math.h>

#define LANES 4                    /* tracks that are worked on side by side */
#define MAX_OCCLUDERS 16           /* of one scan */
#define ACTIVE_WITHIN 3000000000LL /* ns: a source without a scan for longer is not active */
#define MAX_TRACK_PLACE 2e6        /* m from the origin; a track beyond is pruned, as is one over these: */
#define MAX_TRACK_SPEED 1e4        /* m/s */
#define MAX_PLACE_VARIANCE 1e12    /* m^2 */
#define MAX_SPEED_VARIANCE 1e8     /* m^2/s^2 */
#define MAX_RATE_VARIANCE 0.64     /* rad^2/s^2 */
#define MIN_VARIANCE 1e-6          /* m^2: a variance never falls below with an update */
#define MAX_VARIANCE 1e4           /* m^2: nor is it larger after one */
#define MAX_EXISTENCE 0.9998       /* no evidence is certain */
#define MIN_MODEL_PROBABILITY 1e-6 /* of either model between two measurements */
#define PRIOR_WEIGHT 10.0          /* detections that the configured noise of a source is worth */
#define MIN_NOISE_SCALE 0.01       /* of a source: found over configured variance */
#define MIN_CORRELATION_PAIRS 60.0 /* pairs of residuals before it is decided whether a source filters */
#define MAX_NOISE_SCALE 25.0
#define MAX_CLOCK_OFFSET                                                                                               \
    315360000000000000LL /* ns, 10 years: no clock is further off, and no sum of times overflows                       \
                          */

enum { UNASSIGNED = -1 };            /* in scan_t.hit and scan_t.owner */
enum { UPDATED = -2 };               /* in scan_t.hit: its state is updated already, all else of the hit is to come */
enum { CROWDED = -3, DOUBLED = -4 }; /* in scan_t.owner: left out, too many in one place, or another one again */
enum { AWAITED = -5 };               /* in scan_t.owner: unassigned, and a lost track may be there */

typedef struct { /* what a step of dt (s) does to the probabilities of the models */
    double dt;
    const motion_t *motion;
    double to_turn, to_straight;
} transition_t;

typedef struct { /* the same, with what is needed of the class's motion */
    double dt, to_turn, to_straight, straight, turning, turn_rate;
} step_t;

/* Of a turn of an angle a (rad): sin a, cos a, sin a / a, (1 - cos a) / a and the derivatives of the last two. */
typedef struct {
    double sin, cos, sinc, cosc, dsinc, dcosc;
} turn_t;

typedef struct { /* a moment in the past of a track, tied to its present */
    state_t past, predicted; /* then, and now, by what was known before */
    double gain[16];
} smoother_link_t;

typedef struct { /* what a link is made from */
    state_t start; /* the posterior before the moment */
    double before, since, q; /* s: from it to the moment, from there to the present; m^2/s^3: of acceleration */
} past_t;

typedef struct { /* a grid over a scan's detections */
    double left, bottom, cells_per_m;
    int32_t columns, rows;
} grid_t;

typedef struct { /* of one track */
    double late;           /* m^2, by axis: what no model foresees of where it is found */
    double half_x, half_y; /* m: half widths */
    double inverse[3];     /* of the innovation's covariance for one noise (xx, yy, xy) */
    double log_det;        /* ln of its determinant */
} gate_t;

typedef struct { /* the cells that a gate touches; none where right < left */
    int32_t left, right, low, high;
} cell_range_t;

typedef struct { /* what the columns of a scan cost: columns.c */
    double unknown, other;      /* probability that a class is not known, and that it is one other than the right one */
    double in_clutter[CLASSES]; /* of each class there */
    double same_id, other_id;
} column_costs_t;

typedef struct { /* what one scan says of its source: sources.c */
    double samples, noise, nominal_noise, distance2;
    double hits, misses, moving;
    double stamp_samples, stamp_variance;
    double correlation_sum, correlation_pairs;
} scan_sums_t;

typedef struct { /* all pointers into the caller's scratch */
    int64_t t;   /* ns: the stamp less the latency, on the tracker's time line */
    int32_t source_id;
    const detection_t *detections;
    int32_t count;
    column_costs_t columns; /* where one has */
    int32_t positions_only; /* no detection has a column beside its position */
    double *positions;      /* m, per detection: x, y less the source's bias */
    double *noise;          /* m^2, per detection: variance xx, yy, xy */
    double max_variance;    /* m^2: the largest of these */
    double area;            /* m^2: of the box around the detections */

    int32_t lost_misses; /* misses in a row from which a track is lost: resume.c */
    int32_t use_lanes;   /* the processor can work on tracks side by side */
    int32_t unresolved;  /* there are lost tracks, or young ones that may be one */

    int32_t tracks;  /* live before this scan */
    state_t *mean;   /* per track: at the scan's time, of both models */
    smoother_link_t *link; /* per track: of one that knows of more than the scan, to the scan's time */
    int32_t *hit;    /* per track: its detection, or UNASSIGNED */
    double gate_sum; /* m: of the gates' half widths */

    grid_t grid;
    int32_t max_cells, fullest_cell;  /* fullest_cell: most detections in one cell */
    int32_t *cell_start, *cell_order; /* detections of cell c: cell_order[cell_start[c]] .. [cell_start[c + 1] - 1] */
    double *cell_positions;           /* m: their positions, in that order */
    int32_t *owner; /* per detection: its cell while the grid is built, then the track it hit, or UNASSIGNED */

    int32_t *start, *column; /* edges of track i: column[start[i]] .. column[start[i + 1] - 1] */
    double *cost;            /* per edge */
    int32_t *assigned;       /* per track: its detection in the assignment, or -1 */
    void *assignment;        /* scratch of assign() */

    double latency_variance; /* s^2: of a latency that is not yet found, and of the stamp */
    double stamp_variance;   /* s^2 */
    double stamp_doubt;      /* s^2: the part of it that is this scan's own */
    scan_sums_t sums;
    int32_t occluders, occluder[MAX_OCCLUDERS]; /* tracks that hide what is behind them from this source */
} scan_t;

/* Whether a position (m) and a velocity (m/s) can be a road user's. */
static inline int plausible_mean(const double *x)
{
    return fabs(x[0]) <= MAX_TRACK_PLACE && fabs(x[1]) <= MAX_TRACK_PLACE && fabs(x[2]) <= MAX_TRACK_SPEED &&
           fabs(x[3]) <= MAX_TRACK_SPEED;
}

/* Part of a caller's scratch: `count` items of `size` bytes from *end on, which moves behind them; returns where it
 * begins. The walk that measures a scratch is the walk that lays it out, so that they cannot differ. */
static inline size_t part_of(size_t *end, size_t count, size_t size)
{
    size_t begin = (*end + 15) & ~(size_t)15;
    *end = begin + count * size;
    return begin;
}

/* Inverse of the symmetric 2x2 (xx, yy, xy); returns the determinant, kept positive. */
static inline double invert2(double xx, double yy, double xy, double inverse[3])
{
    double det = xx * yy - xy * xy;
    det = det > 1e-12 ? det : 1e-12;
    double one = 1.0 / det;
    inverse[0] = yy * one;
    inverse[1] = xx * one;
    inverse[2] = -xy * one;
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

/* noise variances, times the square of the misses in a row: unmodelled motion of a road user that is not seen */
#define RUN_NOISE 0.6
/* share of the squared speed, times the square of the misses in a row: the speed may have changed by 2 % per scan */
#define RUN_SPEED_NOISE 0.0005

#define MAX_GATE 12.0 /* m: half of a gate is never wider */
#define MAX_AWAY 5 /* misses in a row after which the speed is held to have changed no more */

/* m^2, by axis: what no model foresees of where a track is found: an uncertain stamp, motion while it was missed. */
static inline double unmodelled_variance(const scan_t *scan, const track_t *track, const state_t *s)
{
    double away = track->miss_run < MAX_AWAY ? (double)track->miss_run : MAX_AWAY,
           square = s->x[2] * s->x[2] + s->x[3] * s->x[3];
    return scan->latency_variance * square +
           away * away * (RUN_NOISE * scan->max_variance + RUN_SPEED_NOISE * square);
}

/* alignment.c: the time of a scan on the tracker's time line: its stamp, or where its detections fit the tracks.
 * ACCEPTED, or NOT_COMPARED while that cannot be known of a new source. */
int align_stamp(fusion_t *fusion, int32_t source_id, int64_t stamp, const detection_t *detections, int32_t count,
                int64_t *t);

/* jumps.c: whether a scan's time is plausible beside those before it: ACCEPTED, TOO_OLD or TOO_NEW. */
int check_stamp(fusion_t *fusion, int32_t source_id, int64_t t);

/* stamps.c */
int stamp_unit(source_t *source, int64_t stamp);           /* ACCEPTED, or WRONG_UNIT where its stamps are no ns */
double stamp_uncertainty(source_t *source, int64_t stamp); /* s: how far a scan's stamp may be off */
/* Whether a detection repeats the source's previous one of the same road user, which must have moved since. */
int repeats_position(const track_t *track, const detection_t *z, int32_t source_id, int64_t t, const state_t *mean);

/* scan.c */
void prepare_scan(const fusion_t *fusion, const source_t *source, scan_t *scan);
void predict_and_gate(fusion_t *fusion, scan_t *scan);
void release_detections(scan_t *scan);
void assign_nearest(scan_t *scan);

/* motion.c: prediction. `out` may not be `in`. */
turn_t turn_of(double a);
void straight_step(const state_t *in, double dt, double q, state_t *out);
void turning_step(const turning_t *in, double dt, double q, double q_rate, turning_t *out);
void imm_mean(const imm_t *in, state_t *out);
transition_t model_transition(double dt, const motion_t *motion);
static inline step_t step_of(const transition_t *transition)
{
    const motion_t *motion = transition->motion;
    return (step_t){.dt = transition->dt,
                    .to_turn = transition->to_turn,
                    .to_straight = transition->to_straight,
                    .straight = motion->straight,
                    .turning = motion->turning,
                    .turn_rate = motion->turn_rate};
}

void imm_step(const imm_t *in, const transition_t *transition, imm_t *out);
/* slow, fast: velocity variances (m^2/s^2) of the straight and of the turning model of a new track */
void imm_start(imm_t *out, const double x[4], const double r[3], double slow, double fast);

/* lanes.c: the same for LANES tracks side by side, where the processor can. A track may stand in several lanes. */
int lanes_usable(void);
/* Carry tracks on, each by its own step, and note their means; one that is no road user's any more is dropped. */
void predict_lanes(track_t *const tracks[LANES], const step_t *const steps[LANES], state_t *const means[LANES]);
/* Update tracks, each by its own position (m) with its own noise (m^2). Returns 0, and has changed none, where the
 * variances of one are to be bounded. */
int update_lanes(track_t *const tracks[LANES], const double *const positions[LANES], const double *const noise[LANES]);

/* Link moments to the present (`now`: the means), and find the means then. Returns 0 where one cannot be linked. */
int look_back_lanes(const past_t *const pasts[LANES], const state_t *const now[LANES],
                    smoother_link_t *const links[LANES], state_t *const means[LANES]);
/* As update_lanes, by positions of the times of `links`. */
int update_late_lanes(track_t *const tracks[LANES], const smoother_link_t *const links[LANES],
                      const double *const positions[LANES], const double *const noise[LANES]);
/* The gates of tracks for a scan, with the noise of its first detection. */
void gate_lanes(const scan_t *scan, const track_t *const tracks[LANES], const state_t *const means[LANES], double gate,
                gate_t gates[LANES]);

/* kalman.c: measurement updates; r: noise xx, yy, xy (m^2) */
void imm_update(imm_t *models, double x, double y, const double r[3]);
void imm_update_velocity(imm_t *models, double vx, double vy, double variance);
/* h: 2x4, of position and velocity; z = h x + noise */
void imm_update_linear(imm_t *models, const double h[8], const double z[2], const double r[3]);
void imm_update_intersection(imm_t *models, const state_t *mean, double x, double y, const double r[3]);
void imm_update_filtered(imm_t *models, double x, double y, const double r[3]);

/* late.c: earlier states, and late measurements */
void store_posterior(track_t *track);
void state_at(const track_t *track, int64_t t, const motion_t *motion, state_t *out);
/* Find the kept posterior that a link begins with; 0 where none is from before t. */
int find_past(const track_t *track, int64_t t, const motion_t *motion, past_t *past);
void link_past(const track_t *track, int64_t t, const motion_t *motion, smoother_link_t *link);
void state_then(const smoother_link_t *link, const state_t *now, state_t *out);
/* Fold in a position of the time of `link`. */
void imm_update_late(track_t *track, const smoother_link_t *link, double x, double y, const double r[3]);

/* first_noise.c: lower the assumed noise of a source, and that of its tracks, to what its first two scans show; returns
 * whether it was lower. */
int lower_first_noise(fusion_t *fusion, scan_t *scan);

/* gate.c */
void build_grid(fusion_t *fusion, scan_t *scan);
cell_range_t cells_in_gate(const grid_t *grid, const state_t *s, double hx, double hy); /* hx, hy (m): half widths */
/* The gate of track i, with the noise of the scan's first detection. */
void find_gate(const fusion_t *fusion, const scan_t *scan, int32_t i, gate_t *gate);
/* Add the edges of track i behind the first `edges`; returns how many there are then. */
int32_t gate_track(fusion_t *fusion, scan_t *scan, int32_t i, const gate_t *gate, int32_t edges);
int awaits_second_hit(const track_t *track, int64_t t); /* a new track, predicted to t, whose velocity is unknown */

/* resume.c: lost road users that are seen again */
int32_t lost_misses(const source_t *source); /* misses in a row from which its tracks are lost */
int is_lost(const fusion_t *fusion, const scan_t *scan, const track_t *track);
/* The spatial cost (squared distance, and ln of the covariance's determinant) up to which the lost track i takes a
 * detection. */
double max_direct_cost(const fusion_t *fusion, const scan_t *scan, int32_t i);
void resume_lost(fusion_t *fusion, scan_t *scan);

/* assign.c: rows 0..n-1 to columns, edges in CSR; mate[row] = column or -1 (left out at cost `miss`) */
size_t assign_scratch(int32_t rows, int32_t columns);
void assign(int32_t rows, int32_t columns, const int32_t *start, const int32_t *column, const double *cost, double miss,
            int32_t *mate, void *scratch);

/* hits.c */
void apply_assignment(fusion_t *fusion, scan_t *scan);

/* existence.c */
int looks_at(const source_t *source, double x, double y);
void extend_view(source_t *source, double x, double y);                            /* it hit a track there */
/* Existence before any look at t, when the track is at `position`. */
double decayed_existence(const fusion_t *fusion, const track_t *track, int64_t t, const double *position);
/* Probability that a position is outside the coverage of every source, where no track is kept. */
double probability_uncovered(const fusion_t *fusion, const track_t *track, double x, double y, double variance);
/* Probability that a road user that is there is missed, by its misses in a row. */
double miss_probability(const fusion_t *fusion, const source_t *source, const track_t *track);
void apply_miss(fusion_t *fusion, scan_t *scan, int32_t i);
/* d, det: squared Mahalanobis distance of the hit with noise r, and the determinant of its covariance. */
void update_existence(fusion_t *fusion, track_t *track, const scan_t *scan, const double *position, const double r[3],
                      double d, double det);
void drop_implausible(track_t *track);
/* Existence that a track of one hit would have, were detection j its second. */
double second_hit_existence(const fusion_t *fusion, const scan_t *scan, const track_t *track, int32_t j);
void learn_stay(fusion_t *fusion, int64_t t);                /* time passes for all tracks, until a scan of t */
void learn_miss_run(fusion_t *fusion, const track_t *track); /* from the misses before a hit */
void prune(fusion_t *fusion, int64_t t);
int64_t max_silence(const fusion_t *fusion, const track_t *track); /* ns without a measurement until it is pruned */

/* births.c */
#define MAX_RESUME_HITS 6 /* hits of a track that may yet turn out to be a lost one: resume.c */
/* Begin a track; `awaited`: it may turn out to be a lost one that goes on. */
void initiate(fusion_t *fusion, const scan_t *scan, int32_t j, int awaited);
void record_birth_outcome(fusion_t *fusion, const track_t *track, int confirmed);
/* A track has proved to be a new road user: where it was first seen, others may be. */
void record_arrival(fusion_t *fusion, const track_t *track);
/* Density at which a scan sees new road users at a place, per m^2. */
double arrival_density(const fusion_t *fusion, const source_t *source, double x, double y);

/* description.c; own_report: of the vehicle itself */
void update_description(track_t *track, const detection_t *z, double class_accuracy, int own_report);

/* identity.c */
/* A report on a track names `vehicle`; 0 where another track that is still seen has that name. */
int claim_identity(fusion_t *fusion, track_t *track, uint32_t vehicle, double x, double y, int64_t t);
void record_conflict(fusion_t *fusion, uint32_t vehicle, double x, double y, int64_t t);
/* Merge the tracks at `hit` and `other`, of which the first was hit, once they prove to be one road user's. */
void merge_duplicate(fusion_t *fusion, const scan_t *scan, int32_t hit, int32_t other);

/* doubles.c */
/* Whether a motor vehicle's position lies within the outline of a track of one: two cannot be in one another. */
int encloses(const track_t *track, double x, double y, uint8_t cls, double length);
int overlaps(const track_t *track, double x, double y, uint8_t cls, double length); /* and their class is disputed */
/* The nearest track around a detection in that sense, of those that this scan has hit, or has not; or UNASSIGNED. */
int32_t enclosing_track(const fusion_t *fusion, const scan_t *scan, int32_t j, int hit);
/* Whether two detections of one scan are the same box: too near to one another to be two road users. */
int same_box(const scan_t *scan, int32_t j, int32_t other);
/* Whether a detection that hit no track is another one of the scan again, or lies in a vehicle that was hit. */
int is_doubled(const fusion_t *fusion, const scan_t *scan, int32_t j);
void merge_young_duplicates(fusion_t *fusion, const scan_t *scan);

/* sources.c: noise, bias, latency, detection probability */
void measurement_noise(const source_t *source, const detection_t *z, double r[3]);
/* The residual of one track: `before` its update, and its mean after it. */
void note_residual(fusion_t *fusion, scan_t *scan, track_t *track, const state_t *before, const double *position,
                   const double *r, double d);
void learn_source(fusion_t *fusion, const scan_t *scan);

/* columns.c: what the columns beside the position are worth */
void columns_start(source_t *source);
int velocity_usable(const source_t *source, const detection_t *z);
/* What of it is the same for all pairs of a scan. */
void prepare_columns(const source_t *source, column_costs_t *costs);
double attribute_cost(const fusion_t *fusion, const scan_t *scan, const track_t *track, const state_t *mean,
                      const detection_t *z);
void learn_columns(fusion_t *fusion, const scan_t *scan, const track_t *track, const state_t *before,
                   const detection_t *z);
void learn_clutter(fusion_t *fusion, const scan_t *scan);
void test_velocity(source_t *source, track_t *track, const detection_t *z, int32_t source_id, int64_t t,
                   const double noise[3]);

/* coverage.c: the area in which a source sees road users */
void extend_coverage(coverage_t *coverage, double x, double y);
/* A road user last seen at a position was lost on its way; `ahead` (s) later it would have been missed. */
void record_loss(coverage_t *coverage, double x, double y, double vx, double vy, double ahead);
double probability_beyond(const coverage_t *coverage, double x, double y, double variance);
int is_well_inside(const coverage_t *coverage, double x, double y); /* further from every side than its strip */
int at_edge(const coverage_t *coverage, double x, double y); /* where road users first appear */
void find_occluders(fusion_t *fusion, scan_t *scan);
int is_occluded(const fusion_t *fusion, const scan_t *scan, double x, double y);

#endif
