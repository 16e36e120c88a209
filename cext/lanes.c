/* Several tracks side by side, one in each lane of a vector: the prediction and the update of models.h and updates.h
 * for four tracks at the price of little more than one. A lane does what the same arithmetic does on one double, in the
 * same order, and no multiplication is fused with an addition: its bits are those of a track that is worked on alone, as
 * all are on a processor without AVX2. */
#include "numeric.h"
#include "scan.h"

#include <math.h>

#if defined(__x86_64__) && defined(__GNUC__)

#define INLINE static inline __attribute__((always_inline, target("avx2")))
#define KERNEL __attribute__((target("avx2")))

typedef double lanes_t __attribute__((vector_size(LANES * sizeof(double))));
typedef int64_t lane_mask_t __attribute__((vector_size(LANES * sizeof(int64_t)))); /* of a comparison: 0 or -1 */
typedef int32_t lane_words_t __attribute__((vector_size(LANES * sizeof(int32_t))));

typedef struct {
    lanes_t x[4], p[10];
} state_lanes_t;

typedef struct {
    lanes_t x[5], p[15];
} turning_lanes_t;

typedef struct {
    state_lanes_t straight;
    turning_lanes_t turning;
    lanes_t turn_probability;
} imm_lanes_t;

typedef struct {
    lanes_t dt, to_turn, to_straight, straight, turning, turn_rate;
} step_lanes_t;

typedef struct {
    lanes_t sin, cos, sinc, cosc, dsinc, dcosc;
} turn_lanes_t;

typedef struct {
    lanes_t late, half_x, half_y, inverse[3], log_det;
} gate_lanes_t;

typedef struct {
    state_lanes_t past, predicted;
    lanes_t gain[16];
} smoother_link_lanes_t;

typedef struct {
    state_lanes_t start;
    lanes_t before, since, q;
} past_lanes_t;

_Static_assert(LANES == 4, "lanes are written out as four");
_Static_assert(sizeof(imm_t) * LANES == sizeof(imm_lanes_t), "imm_t is nothing but its figures");
_Static_assert(sizeof(state_t) * LANES == sizeof(state_lanes_t), "state_t is nothing but its figures");
_Static_assert(sizeof(gate_t) * LANES == sizeof(gate_lanes_t), "gate_t is nothing but its figures");
_Static_assert(sizeof(smoother_link_t) * LANES == sizeof(smoother_link_lanes_t), "a link is nothing but its figures");
_Static_assert(sizeof(past_t) * LANES == sizeof(past_lanes_t), "past_t is nothing but its figures");
_Static_assert(sizeof(step_t) * LANES == sizeof(step_lanes_t), "step_t is nothing but its figures");

#define FIGURES_OF(type) ((int)(sizeof(type) / sizeof(double)))

INLINE lanes_t choose(lane_mask_t condition, lanes_t a, lanes_t b)
{
    return (lanes_t)((condition & (lane_mask_t)a) | (~condition & (lane_mask_t)b));
}

INLINE lanes_t absolute(lanes_t x)
{
    const lane_mask_t all_but_sign = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
    return (lanes_t)((lane_mask_t)x & all_but_sign);
}

INLINE lanes_t root(lanes_t x) { return (lanes_t){sqrt(x[0]), sqrt(x[1]), sqrt(x[2]), sqrt(x[3])}; }

/* exp_negative of numeric.h */
INLINE lanes_t exponential(lanes_t x)
{
    lane_mask_t counts = x > -700.0;
    x = choose(counts & (x < 0.0), x, (lanes_t){0.0, 0.0, 0.0, 0.0});
    lane_words_t whole = __builtin_convertvector(x * PER_LN_2 - 0.5, lane_words_t);
    lanes_t k = __builtin_convertvector(whole, lanes_t), r = x - k * LN_2;
    lanes_t e = EXP_SERIES(r);
    lane_mask_t bits = (__builtin_convertvector(whole, lane_mask_t) + 1023) << 52;
    return choose(counts, e * (lanes_t)bits, (lanes_t){0.0, 0.0, 0.0, 0.0});
}

/* ln of numeric.h */
INLINE lanes_t logarithm(lanes_t x)
{
    lane_mask_t bits = (lane_mask_t)x, mantissa = (bits & 0xfffffffffffffLL) | 0x3ff0000000000000LL;
    lane_words_t exponent = __builtin_convertvector(bits >> 52, lane_words_t) - 1023; /* of a positive number */
    lanes_t m = (lanes_t)mantissa, k = __builtin_convertvector(exponent, lanes_t);
    lane_mask_t large = m > SQRT_2;
    m = choose(large, m * 0.5, m);
    k = choose(large, k + 1.0, k);
    lanes_t s = (m - 1.0) / (m + 1.0), z = s * s;
    return k * LN_2 + 2.0 * s * LN_SERIES(z);
}

#define REAL lanes_t
#define STATE state_lanes_t
#define TURNING turning_lanes_t
#define IMM imm_lanes_t
#define STEP step_lanes_t
#define TURN turn_lanes_t
#define GATE gate_lanes_t
#define LINK smoother_link_lanes_t
#define MASK lane_mask_t
#define NAME(x) x##_lanes
#define SPLAT(c) ((lanes_t){(c), (c), (c), (c)})
#define CHOOSE(condition, a, b) choose((condition), (a), (b))
#define ABSOLUTE(x) absolute(x)
#define ROOT(x) root(x)
#define EXPONENTIAL(x) exponential(x)
#define LOGARITHM(x) logarithm(x)
#include "models.h"
#include "updates.h"
#include "gates.h"
#include "smoother.h"

typedef struct { /* four figures of a track, wherever they are */
    lanes_t figures;
} __attribute__((packed, aligned(8), may_alias)) row_t;

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector((a), (b), i, j, k, l)
#else
#define SHUFFLE(a, b, i, j, k, l) __builtin_shuffle((a), (b), (lane_mask_t){i, j, k, l})
#endif

INLINE void transpose(lanes_t row[LANES])
{
    lanes_t a = SHUFFLE(row[0], row[1], 0, 4, 2, 6), b = SHUFFLE(row[0], row[1], 1, 5, 3, 7);
    lanes_t c = SHUFFLE(row[2], row[3], 0, 4, 2, 6), d = SHUFFLE(row[2], row[3], 1, 5, 3, 7);
    row[0] = SHUFFLE(a, c, 0, 1, 4, 5);
    row[1] = SHUFFLE(b, d, 0, 1, 4, 5);
    row[2] = SHUFFLE(a, c, 2, 3, 6, 7);
    row[3] = SHUFFLE(b, d, 2, 3, 6, 7);
}

INLINE lanes_t row_at(const double *from) { return ((const row_t *)(const void *)from)->figures; }

INLINE void put_row(lanes_t row, double *to) { ((row_t *)(void *)to)->figures = row; }

/* The first `count` figures of each of LANES structs of doubles, those of each in its lane. */
INLINE void gather(const double *const from[LANES], int count, lanes_t *to)
{
    int i = 0;
    for (; i + LANES <= count; i += LANES) {
        lanes_t row[LANES] = {row_at(from[0] + i), row_at(from[1] + i), row_at(from[2] + i), row_at(from[3] + i)};
        transpose(row);
        to[i] = row[0];
        to[i + 1] = row[1];
        to[i + 2] = row[2];
        to[i + 3] = row[3];
    }
    for (; i < count; i++)
        to[i] = (lanes_t){from[0][i], from[1][i], from[2][i], from[3][i]};
}

INLINE void scatter(const lanes_t *from, int count, double *const to[LANES])
{
    int i = 0;
    for (; i + LANES <= count; i += LANES) {
        lanes_t row[LANES] = {from[i], from[i + 1], from[i + 2], from[i + 3]};
        transpose(row);
        put_row(row[0], to[0] + i);
        put_row(row[1], to[1] + i);
        put_row(row[2], to[2] + i);
        put_row(row[3], to[3] + i);
    }
    for (; i < count; i++) {
        to[0][i] = from[i][0];
        to[1][i] = from[i][1];
        to[2][i] = from[i][2];
        to[3][i] = from[i][3];
    }
}

INLINE void load_models(track_t *const tracks[LANES], imm_lanes_t *models)
{
    const double *from[LANES];
    for (int lane = 0; lane < LANES; lane++)
        from[lane] = (const double *)(const void *)&tracks[lane]->models;
    gather(from, FIGURES_OF(imm_t), (lanes_t *)(void *)models);
}

INLINE void store_models(const imm_lanes_t *models, const state_lanes_t *mean, track_t *const tracks[LANES])
{
    double *to[LANES], *means[LANES];
    for (int lane = 0; lane < LANES; lane++) {
        to[lane] = (double *)(void *)&tracks[lane]->models;
        means[lane] = (double *)(void *)&tracks[lane]->mean;
    }
    scatter((const lanes_t *)(const void *)models, FIGURES_OF(imm_t), to);
    scatter((const lanes_t *)(const void *)mean, FIGURES_OF(state_t), means);
}

/* plausible_mean of scan.h */
INLINE lane_mask_t plausible(const lanes_t *x)
{
    return (absolute(x[0]) <= MAX_TRACK_PLACE) & (absolute(x[1]) <= MAX_TRACK_PLACE) &
           (absolute(x[2]) <= MAX_TRACK_SPEED) & (absolute(x[3]) <= MAX_TRACK_SPEED);
}

INLINE int is_any(lane_mask_t mask) { return (mask[0] | mask[1] | mask[2] | mask[3]) != 0; }

/* drop_implausible of existence.c */
INLINE void drop(const imm_lanes_t *models, const lanes_t *p, track_t *const tracks[LANES])
{
    lane_mask_t good = plausible(models->straight.x) & plausible(models->turning.x) & (p[0] <= MAX_PLACE_VARIANCE) &
                       (p[4] <= MAX_PLACE_VARIANCE) & (p[7] <= MAX_SPEED_VARIANCE) & (p[9] <= MAX_SPEED_VARIANCE);
    if (!is_any(~good))
        return;
    for (int lane = 0; lane < LANES; lane++)
        if (!good[lane])
            tracks[lane]->existence = 0.0;
}

KERNEL void predict_lanes(track_t *const tracks[LANES], const step_t *const steps[LANES], state_t *const means[LANES])
{
    imm_lanes_t now, ahead;
    state_lanes_t mean;
    step_lanes_t step;
    const double *const figures[LANES] = {&steps[0]->dt, &steps[1]->dt, &steps[2]->dt, &steps[3]->dt};
    load_models(tracks, &now);
    gather(figures, FIGURES_OF(step_t), &step.dt);

    step_imm_lanes(&now, &step, &ahead);
    mean_of_lanes(&ahead, &mean);

    double *const copies[LANES] = {means[0]->x, means[1]->x, means[2]->x, means[3]->x};
    store_models(&ahead, &mean, tracks);
    scatter((const lanes_t *)&mean, FIGURES_OF(state_t), copies);
    drop(&ahead, mean.p, tracks);
}

/* Bound the variances of an updated covariance from below; returns the lanes in which one is too large. */
INLINE lane_mask_t bound(lanes_t *p, int n)
{
    lane_mask_t large = {0, 0, 0, 0};
    for (int r = 0; r < n; r++) {
        lanes_t *variance = &p[PACKED[r][r]];
        large |= *variance > MAX_VARIANCE;
        *variance = choose(*variance < MIN_VARIANCE, SPLAT(MIN_VARIANCE), *variance);
    }
    return large;
}

/* Weigh the updated models and store them with their mean; 0, and nothing is stored, where a variance is too large. */
INLINE int finish_update(imm_lanes_t *models, const lanes_t d[2], const lanes_t det[2], track_t *const tracks[LANES])
{
    if (is_any(bound(models->straight.p, 4) | bound(models->turning.p, 5)))
        return 0;
    weigh_models_lanes(models, d[0], det[0], d[1], det[1]);

    state_lanes_t mean;
    mean_of_lanes(models, &mean);
    store_models(models, &mean, tracks);
    drop(models, mean.p, tracks);
    return 1;
}

KERNEL int update_lanes(track_t *const tracks[LANES], const double *const positions[LANES],
                        const double *const noise[LANES])
{
    imm_lanes_t models;
    lanes_t z[2], r[3], d[2], det[2];
    load_models(tracks, &models);
    gather(positions, 2, z);
    gather(noise, 3, r);

    det[0] = pair_lanes(models.straight.x, models.straight.p, 4, 0, 1, z[0], z[1], r, &d[0]);
    det[1] = pair_lanes(models.turning.x, models.turning.p, 5, 0, 1, z[0], z[1], r, &d[1]);
    return finish_update(&models, d, det, tracks);
}

INLINE void load_links(const smoother_link_t *const links[LANES], smoother_link_lanes_t *link)
{
    const double *from[LANES];
    for (int lane = 0; lane < LANES; lane++)
        from[lane] = (const double *)(const void *)links[lane];
    gather(from, FIGURES_OF(smoother_link_t), (lanes_t *)(void *)link);
}

KERNEL int update_late_lanes(track_t *const tracks[LANES], const smoother_link_t *const links[LANES],
                             const double *const positions[LANES], const double *const noise[LANES])
{
    imm_lanes_t models;
    smoother_link_lanes_t link;
    lanes_t position[2], r[3], z[2], rr[3], d[2], det[2];
    load_links(links, &link);
    load_models(tracks, &models);
    gather(positions, 2, position);
    gather(noise, 3, r);

    measure_present_lanes(&link, position[0], position[1], r, z, rr);
    det[0] = combination_lanes(models.straight.x, models.straight.p, 4, link.gain, z, rr, &d[0]);
    det[1] = combination_lanes(models.turning.x, models.turning.p, 5, link.gain, z, rr, &d[1]);
    return finish_update(&models, d, det, tracks);
}

KERNEL int look_back_lanes(const past_t *const pasts[LANES], const state_t *const now[LANES],
                           smoother_link_t *const links[LANES], state_t *const means[LANES])
{
    past_lanes_t past;
    state_lanes_t present, then;
    smoother_link_lanes_t link;
    const double *from[LANES], *now_from[LANES];
    double *link_to[LANES], *mean_to[LANES];
    for (int lane = 0; lane < LANES; lane++) {
        from[lane] = (const double *)(const void *)pasts[lane];
        now_from[lane] = now[lane]->x;
        link_to[lane] = (double *)(void *)links[lane];
        mean_to[lane] = means[lane]->x;
    }
    gather(from, FIGURES_OF(past_t), (lanes_t *)(void *)&past);
    gather(now_from, FIGURES_OF(state_t), (lanes_t *)(void *)&present);

    lane_mask_t definite = link_lanes(&past.start, past.before, past.since, past.q, &link);
    if (is_any(~definite))
        return 0;
    state_then_lanes(&link, &present, &then);
    scatter((const lanes_t *)(const void *)&link, FIGURES_OF(smoother_link_t), link_to);
    scatter((const lanes_t *)(const void *)&then, FIGURES_OF(state_t), mean_to);
    return 1;
}

KERNEL void gate_lanes(const scan_t *scan, const track_t *const tracks[LANES], const state_t *const means[LANES],
                       double gate, gate_t gates[LANES])
{
    state_lanes_t s;
    lanes_t away;
    gate_lanes_t found;
    const double *const from[LANES] = {means[0]->x, means[1]->x, means[2]->x, means[3]->x};
    gather(from, FIGURES_OF(state_t), (lanes_t *)(void *)&s);
    for (int lane = 0; lane < LANES; lane++)
        away[lane] = tracks[lane]->miss_run < MAX_AWAY ? (double)tracks[lane]->miss_run : MAX_AWAY;

    /* unmodelled_variance of scan.h */
    lanes_t square = s.x[2] * s.x[2] + s.x[3] * s.x[3];
    lanes_t late =
        scan->latency_variance * square + away * away * (RUN_NOISE * scan->max_variance + RUN_SPEED_NOISE * square);
    find_gate_lanes(&s, late, gate, scan->max_variance, scan->noise, &found);

    double *const to[LANES] = {&gates[0].late, &gates[1].late, &gates[2].late, &gates[3].late};
    scatter((const lanes_t *)(const void *)&found, FIGURES_OF(gate_t), to);
}

int lanes_usable(void) { return __builtin_cpu_supports("avx2") != 0; }

#else

int lanes_usable(void) { return 0; }

void predict_lanes(track_t *const tracks[LANES], const step_t *const steps[LANES], state_t *const means[LANES])
{
    (void)tracks, (void)steps, (void)means;
}

int update_lanes(track_t *const tracks[LANES], const double *const positions[LANES], const double *const noise[LANES])
{
    (void)tracks, (void)positions, (void)noise;
    return 0;
}

int look_back_lanes(const past_t *const pasts[LANES], const state_t *const now[LANES],
                    smoother_link_t *const links[LANES], state_t *const means[LANES])
{
    (void)pasts, (void)now, (void)links, (void)means;
    return 0;
}

int update_late_lanes(track_t *const tracks[LANES], const smoother_link_t *const links[LANES],
                      const double *const positions[LANES], const double *const noise[LANES])
{
    (void)tracks, (void)links, (void)positions, (void)noise;
    return 0;
}

void gate_lanes(const scan_t *scan, const track_t *const tracks[LANES], const state_t *const means[LANES], double gate,
                gate_t gates[LANES])
{
    (void)scan, (void)tracks, (void)means, (void)gate, (void)gates;
}

#endif
