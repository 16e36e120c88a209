/* Unit tests of the tracker in C alone: cc -std=c11 -fsanitize=address,undefined -Icext tests/c/test_track.c
 * cext/[a-z]*.c -lm */
#include "check.h"
#include "../../cext/numeric.h"
#include "../../cext/scan.h"

#include <string.h>

static int64_t allocations;

/* The core may not allocate: these replace the C library's for the whole programme (but not under a sanitizer, which
 * has its own). */
#ifdef COUNT_ALLOCATIONS
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n) { return allocations++, __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t m) { return allocations++, __real_calloc(n, m); }
void *__wrap_realloc(void *p, size_t n) { return allocations++, __real_realloc(p, n); }
#endif

#define CAPACITY 256
#define MOST 300

static fusion_t *fresh(void **scratch)
{
    fusion_t *fusion = calloc(1, fusion_size(CAPACITY));
    *scratch = malloc(fusion_scratch(CAPACITY, MOST));
    fusion_init(fusion, CAPACITY);
    return fusion;
}

static detection_t at(double x, double y)
{
    detection_t z = {.x = x,
                     .y = y,
                     .vx = NAN,
                     .vy = NAN,
                     .heading = NAN,
                     .length = NAN,
                     .width = NAN,
                     .height = NAN,
                     .var_x = NAN,
                     .var_y = NAN,
                     .cov_xy = NAN,
                     .confidence = NAN};
    return z;
}

static void test_functions(void)
{
    for (int i = 0; i < 20000; i++) {
        double x = uniform(-600.0, 0.0), y = exp(uniform(-40.0, 40.0)), a = uniform(-1.2, 1.2);
        CHECK(fabs(exp_negative(x) / exp(x) - 1.0) < 1e-10);
        CHECK(fabs(ln(y) - log(y)) < 1e-9);
        turn_t t = turn_of(a);
        CHECK(fabs(t.sin - sin(a)) < 1e-8 && fabs(t.cos - cos(a)) < 1e-8);
    }
    CHECK(exp_negative(-1e9) == 0.0 && exp_negative(0.0) == 1.0 && exp_negative(INFINITY) == 1.0);
    for (int i = 0; i < 200000; i++) {
        double size = exp(uniform(-30.0, 30.0)), x = size * uniform(-1.0, 1.0), y = size * uniform(-1.0, 1.0);
        CHECK(fabs(angle_of(y, x) - atan2(y, x)) < 1e-15);
    }
    const double few[] = {0.0, -0.0, 1.0, -1.0, 0.25, 0.125, -0.375};
    for (int i = 0; i < 7; i++)
        for (int j = 0; j < 7; j++)
            CHECK(fabs(angle_of(few[i], few[j]) - atan2(few[i], few[j])) < 1e-15);
    CHECK(cell_index(NAN, 5) == 0 && cell_index(-1.0, 5) == 0 && cell_index(1e300, 5) == 4 && cell_index(2.5, 5) == 2);
}

static void test_turning_is_straight_without_a_turn(void)
{
    state_t s = {{1, 2, 3, 4}, {1, 0.1, 0.2, 0, 1, 0, 0.3, 2, 0.1, 2}}, a;
    turning_t q = {{1, 2, 3, 4, 0}, {1, 0.1, 0.2, 0, 1, 0, 0.3, 2, 0.1, 2, 0, 0, 0, 0, 0}}, b;
    straight_step(&s, 0.7, 1.5, &a);
    turning_step(&q, 0.7, 1.5, 0.0, &b);
    for (int i = 0; i < 4; i++)
        CHECK(fabs(a.x[i] - b.x[i]) < 1e-12);
    for (int i = 0; i < 10; i++)
        CHECK(fabs(a.p[i] - b.p[i]) < 1e-12);
}

static void test_turning_follows_a_circle(void)
{
    turning_t q = {{0, 0, 10, 0, 0.5}, {0}}, b;
    turning_step(&q, 1.0, 0.0, 0.0, &b);
    CHECK(fabs(b.x[0] - 20.0 * sin(0.5)) < 1e-9 && fabs(b.x[1] - 20.0 * (1.0 - cos(0.5))) < 1e-9);
    CHECK(fabs(hypot(b.x[2], b.x[3]) - 10.0) < 1e-9);
}

/* A covariance of n states: of random vectors, so that it is one. */
static void random_covariance(int n, double scale, double *packed)
{
    static const int AT[5][5] = {
        {0, 1, 2, 3, 10}, {1, 4, 5, 6, 11}, {2, 5, 7, 8, 12}, {3, 6, 8, 9, 13}, {10, 11, 12, 13, 14}};
    double a[5][5];
    for (int r = 0; r < n; r++)
        for (int c = 0; c < n; c++)
            a[r][c] = scale * uniform(-1.0, 1.0);
    for (int r = 0; r < n; r++)
        for (int c = r; c < n; c++) {
            packed[AT[r][c]] = r == c ? 0.01 : 0.0;
            for (int k = 0; k < n; k++)
                packed[AT[r][c]] += a[r][k] * a[c][k];
        }
}

static track_t random_track(double scale)
{
    track_t track;
    memset(&track, 0, sizeof track);
    for (int i = 0; i < 4; i++) {
        track.models.straight.x[i] = uniform(-50.0, 50.0);
        track.models.turning.x[i] = track.models.straight.x[i] + scale * uniform(-1.0, 1.0);
    }
    track.models.turning.x[4] = uniform(-2.0, 2.0);
    random_covariance(4, scale, track.models.straight.p);
    random_covariance(5, scale, track.models.turning.p);
    track.models.turn_probability = uniform(0.001, 0.999);
    imm_mean(&track.models, &track.mean);
    track.existence = 0.9;
    track.miss_run = (uint16_t)uniform(0.0, 9.0);
    return track;
}

static int same_track(const track_t *a, const track_t *b)
{
    return memcmp(&a->models, &b->models, sizeof a->models) == 0 && memcmp(&a->mean, &b->mean, sizeof a->mean) == 0 &&
           a->existence == b->existence;
}

/* Prediction and look back of four tracks side by side, against each alone. */
static void check_lanes_predict(track_t tracks[LANES], const motion_t *motion)
{
    track_t alone[LANES], *pointers[LANES];
    state_t mean[LANES], *means[LANES], then;
    step_t step[LANES];
    past_t past[LANES];
    smoother_link_t link[LANES], *links[LANES], one;
    const step_t *steps[LANES];
    const past_t *pasts[LANES];
    const state_t *now[LANES];
    memcpy(alone, tracks, sizeof alone);
    for (int k = 0; k < LANES; k++) {
        alone[k].t = 100000000;
        store_posterior(&alone[k]);
        alone[k].t = (int64_t)uniform(2e8, 3e9);
        CHECK(find_past(&alone[k], 150000000, motion, &past[k]));
        pasts[k] = &past[k];
        now[k] = &alone[k].mean;
        links[k] = &link[k];
        means[k] = &mean[k];
    }
    CHECK(look_back_lanes(pasts, now, links, means));
    for (int k = 0; k < LANES; k++) {
        link_past(&alone[k], 150000000, motion, &one);
        state_then(&one, &alone[k].mean, &then);
        CHECK(memcmp(&one, &link[k], sizeof one) == 0 && memcmp(&then, &mean[k], sizeof then) == 0);
    }

    for (int k = 0; k < LANES; k++) {
        transition_t transition = model_transition(uniform(0.01, 3.0), motion);
        imm_t ahead;
        step[k] = step_of(&transition);
        steps[k] = &step[k];
        pointers[k] = &tracks[k];
        imm_step(&alone[k].models, &transition, &ahead);
        alone[k].models = ahead;
        imm_mean(&ahead, &alone[k].mean);
        drop_implausible(&alone[k]);
    }
    predict_lanes(pointers, steps, means);
    for (int k = 0; k < LANES; k++)
        CHECK(same_track(&tracks[k], &alone[k]) && memcmp(&mean[k], &alone[k].mean, sizeof mean[k]) == 0);
}

/* Updates by a position of now and by one of before. */
static void check_lanes_update(track_t tracks[LANES], const motion_t *motion)
{
    track_t alone[LANES], late[LANES], late_alone[LANES], *pointers[LANES], *late_pointers[LANES];
    double z[LANES][2], r[LANES][3];
    const double *positions[LANES], *noise[LANES];
    smoother_link_t link[LANES];
    const smoother_link_t *links[LANES];
    int bounded_alone = 0;
    for (int k = 0; k < LANES; k++) {
        tracks[k].t = 200000000;
        tracks[k].past_count = 0;
        alone[k] = late[k] = late_alone[k] = tracks[k];
        pointers[k] = &tracks[k];
        late_pointers[k] = &late[k];
        for (int i = 0; i < 2; i++)
            z[k][i] = tracks[k].mean.x[i] + uniform(-3.0, 3.0);
        r[k][0] = uniform(0.01, 1.0);
        r[k][1] = uniform(0.01, 1.0);
        r[k][2] = 0.05 * r[k][0];
        positions[k] = z[k];
        noise[k] = r[k];
        link_past(&tracks[k], 190000000, motion, &link[k]);
        links[k] = &link[k];
        imm_update(&alone[k].models, z[k][0], z[k][1], r[k]);
        imm_mean(&alone[k].models, &alone[k].mean);
        drop_implausible(&alone[k]);
        imm_update_late(&late_alone[k], &link[k], z[k][0], z[k][1], r[k]);
        drop_implausible(&late_alone[k]);
        bounded_alone |= alone[k].models.straight.p[7] >= MAX_VARIANCE || alone[k].models.turning.p[7] >= MAX_VARIANCE;
    }
    int updated = update_lanes(pointers, positions, noise);
    int updated_late = update_late_lanes(late_pointers, links, positions, noise);
    CHECK(updated || bounded_alone || tracks[0].mean.p[7] > 1e3);
    for (int k = 0; k < LANES; k++) {
        CHECK(!updated || same_track(&tracks[k], &alone[k]));
        CHECK(!updated_late || same_track(&late[k], &late_alone[k]));
    }
}

static void test_lanes_have_the_bits_of_one_track(void)
{
    const motion_t motion = {0.12, 3.0, 0.5, 0.15, 0.6};
    if (!lanes_usable())
        return;
    for (int trial = 0; trial < 3000; trial++) {
        track_t tracks[LANES];
        double scale = trial % 100 == 0 ? 200.0 : exp(uniform(-3.0, 2.0));
        for (int k = 0; k < LANES; k++)
            tracks[k] = random_track(k == trial % LANES && trial % 7 == 0 ? 1e4 : scale);
        check_lanes_predict(tracks, &motion);
        for (int k = 0; k < LANES; k++)
            tracks[k] = random_track(scale);
        check_lanes_update(tracks, &motion);
    }
}

static void test_gates_in_lanes_have_the_bits_of_one(void)
{
    enum { ROOM = 4 };
    static _Alignas(64) char memory[ROOM * 1100 + 65536];
    fusion_t *fusion = (fusion_t *)(void *)memory;
    double noise[3] = {0.09, 0.16, 0.01};
    state_t mean[LANES];
    const state_t *means[LANES];
    const track_t *tracks[LANES];
    if (!lanes_usable())
        return;
    CHECK(fusion_size(ROOM) <= sizeof memory);
    fusion_init(fusion, ROOM);
    fusion->count = LANES;
    for (int trial = 0; trial < 3000; trial++) {
        gate_t gates[LANES], one;
        scan_t scan;
        memset(&scan, 0, sizeof scan);
        scan.mean = mean;
        scan.noise = noise;
        scan.max_variance = 0.16;
        scan.latency_variance = trial % 2 ? 0.02 : 0.0;
        for (int k = 0; k < LANES; k++) {
            track_t *track = track_at(fusion, k);
            *track = random_track(exp(uniform(-3.0, 3.0)));
            mean[k] = track->mean;
            tracks[k] = track;
            means[k] = &mean[k];
        }
        gate_lanes(&scan, tracks, means, fusion->gate, gates);
        for (int k = 0; k < LANES; k++) {
            find_gate(fusion, &scan, k, &one);
            CHECK(memcmp(&one, &gates[k], sizeof one) == 0);
        }
    }
}

static void test_assignment_is_the_cheapest(void)
{
    enum { N = 5 };
    for (int trial = 0; trial < 2000; trial++) {
        double cost[N * N], best = INFINITY, found = 0.0;
        int32_t start[N + 1], column[N * N], mate[N], edges = 0;
        char memory[4096];
        for (int r = 0; r < N; r++) {
            start[r] = edges;
            for (int c = 0; c < N; c++)
                if (uniform(0, 1) < 0.6) {
                    column[edges] = c;
                    cost[edges++] = uniform(-5.0, 10.0);
                }
        }
        start[N] = edges;
        CHECK(assign_scratch(N, N) <= sizeof memory);
        assign(N, N, start, column, cost, 6.0, mate, memory);
        for (int code = 0; code < 7776; code++) { /* every choice of a column, or none, for each row */
            double sum = 0.0;
            int used = 0, good = 1;
            for (int r = 0, rest = code; r < N && good; r++, rest /= 6) {
                int c = rest % 6, e = start[r];
                if (c == N) {
                    sum += 6.0;
                    continue;
                }
                while (e < start[r + 1] && column[e] != c)
                    e++;
                good = e < start[r + 1] && !(used >> c & 1);
                used |= 1 << c;
                sum += good ? cost[e] : 0.0;
            }
            if (good && sum < best)
                best = sum;
        }
        for (int r = 0; r < N; r++) {
            double one = 6.0;
            for (int e = start[r]; e < start[r + 1]; e++)
                if (column[e] == mate[r])
                    one = cost[e];
            found += one;
        }
        CHECK(fabs(found - best) < 1e-9);
    }
}

static void sane(const fusion_t *fusion, int64_t t)
{
    track_row_t out[CAPACITY];
    int32_t n = fusion_tracks(fusion, t, out);
    CHECK(fusion->count >= 0 && fusion->count <= fusion->capacity && n <= fusion->count);
    for (int32_t i = 0; i < n; i++) {
        const track_row_t *r = &out[i];
        CHECK(isfinite(r->x) && isfinite(r->y) && isfinite(r->vx) && isfinite(r->vy) && isfinite(r->heading));
        CHECK(r->var_x > 0 && r->var_y > 0 && r->var_vx > 0 && r->var_vy > 0);
        CHECK((double)r->cov_xy * r->cov_xy <= (double)r->var_x * r->var_y * 1.0001);
        CHECK(r->existence >= 0 && r->existence <= 1 && (i == 0 || out[i - 1].id < r->id));
    }
}

/* Three sources, late scans, clutter, twins of the same detection_t, jumps of time: everything stays finite, bounded
 * and in order. */
static void test_a_rough_ride(void)
{
    void *scratch;
    fusion_t *fusion = fresh(&scratch);
    detection_t z[MOST];
    int64_t t = 1000000000;
    fusion->sources[2].kind = FROM_TRACKS;
    fusion->sources[3].kind = COOPERATIVE;
    for (int k = 0; k < 3000; k++) {
        int source_id = k % 4, n = source_id == 3 ? 1 : (int)uniform(0, 80);
        t += uniform(0, 1) < 0.01 ? (int64_t)uniform(0, 4e9) : 25000000;
        for (int j = 0; j < n; j++) {
            double phase = 0.05 * j + 0.0002 * k * j;
            z[j] = at(60.0 * cos(phase) + normal(0.3), 60.0 * sin(phase) + normal(0.3));
            z[j].cls = (uint8_t)uniform(0, 8);
            z[j].id = (uint32_t)j;
            z[j].vehicle = source_id == 3 ? 1 + (uint32_t)uniform(0, 20) : 0;
            z[j].vx = uniform(0, 1) < 0.5 ? (float)uniform(-20, 20) : NAN;
            z[j].vy = z[j].vx;
            z[j].var_x = uniform(0, 1) < 0.3 ? (float)uniform(-1, 9) : NAN;
            z[j].var_y = z[j].var_x;
            z[j].cov_xy = (float)uniform(-9, 9);
            z[j].heading = (float)uniform(-4, 4);
            z[j].length = (float)uniform(-1, 12);
            z[j].confidence = (float)uniform(-1, 2);
        }
        fusion_update(fusion, t - (int64_t)uniform(0, 3e8), source_id, z, n, scratch);
        if (k % 7 == 0)
            sane(fusion, t + (int64_t)uniform(-5e8, 1e9));
    }
    CHECK(fusion->next_id > 100);
    free(fusion);
    free(scratch);
}

/* Thirty on their lanes, each hidden for 1.2 s now and then, amid clutter that fills the gates of the lost at times;
 * every third scan is late. */
static void test_lost_road_users_go_on_under_their_ids(void)
{
    void *scratch;
    fusion_t *fusion = fresh(&scratch);
    detection_t z[MOST];
    for (int k = 0; k < 1200; k++) {
        int64_t t = 1000000000 + k * 100000000LL;
        int n = 0, clutter = k % 200 < 190 ? (int)uniform(0, 6) : MOST - 30;
        for (int j = 0; j < 30; j++)
            if ((k + 17 * j) % 80 >= 12)
                z[n++] = at(fmod(5.0 * j + 0.8 * k, 150.0) + normal(0.2), 6.0 * j + normal(0.2));
        for (int j = 0; j < clutter; j++)
            z[n++] = at(uniform(0, 150), uniform(-5, clutter > 100 ? 20 : 180));
        fusion_update(fusion, t - (k % 3 == 2) * 30000000, k % 2, z, n, scratch);
        sane(fusion, t);
    }
    CHECK(fusion->resumed > 100);
    free(fusion);
    free(scratch);
}

static void test_what_is_not_finite_is_refused(void)
{
    void *scratch;
    fusion_t *fusion = fresh(&scratch);
    detection_t z[3] = {at(0, 0), at(5, 5), at(9, 9)};
    const char *field;
    CHECK(fusion_check(z, 3, &field) == -1);
    z[1].y = NAN;
    CHECK(fusion_check(z, 3, &field) == 1 && strcmp(field, "y") == 0);
    CHECK(fusion_update(fusion, 1, 0, z, 3, scratch) == NOT_FINITE && fusion->count == 0 &&
          fusion->sources[0].refused == 1);
    z[1].y = 5.0;
    z[2].var_y = INFINITY;
    CHECK(fusion_check(z, 3, &field) == 2 && strcmp(field, "var_y") == 0);
    free(fusion);
    free(scratch);
}

static void test_too_old_is_counted_and_refused(void)
{
    void *scratch;
    fusion_t *fusion = fresh(&scratch);
    detection_t z = at(0, 0);
    CHECK(fusion_update(fusion, 5000000000, 0, &z, 1, scratch) == ACCEPTED);
    CHECK(fusion_update(fusion, 3900000000, 0, &z, 1, scratch) == TOO_OLD);
    CHECK(fusion->refused_old == 1 && fusion->sources[0].refused == 1);
    CHECK(fusion_update(fusion, 4100000000, 0, &z, 1, scratch) == ACCEPTED);
    free(fusion);
    free(scratch);
}

/* Same inputs, same bytes; and nothing is allocated while scans are folded in and tracks are read. */
static void test_determinism_and_no_allocation(void)
{
    void *sa, *sb;
    fusion_t *a = fresh(&sa), *b = fresh(&sb);
    detection_t z[60];
    static track_row_t out[CAPACITY];
    int64_t before = allocations;
    for (int k = 0; k < 1000; k++) {
        int64_t t = 1000000000 + k * 40000000LL - (k % 5 == 0) * 90000000LL;
        for (int j = 0; j < 60; j++)
            z[j] = at(10.0 * (j % 8) + 0.3 * k * 0.04 * j + normal(0.2), 10.0 * (j / 8) + normal(0.2));
        fusion_update(a, t, k % 3, z, 60, sa);
        fusion_update(b, t, k % 3, z, 60, sb);
        fusion_tracks(a, t, out);
    }
    CHECK(allocations == before);
    CHECK(a->count > 20 && memcmp(a, b, fusion_size(CAPACITY)) == 0);
    free(a);
    free(b);
    free(sa);
    free(sb);
}

int main(void)
{
    CHECK(sizeof(track_t) + sizeof(int32_t) <= 1024);
    test_functions();
    test_turning_is_straight_without_a_turn();
    test_turning_follows_a_circle();
    test_lanes_have_the_bits_of_one_track();
    test_gates_in_lanes_have_the_bits_of_one();
    test_assignment_is_the_cheapest();
    test_what_is_not_finite_is_refused();
    test_too_old_is_counted_and_refused();
    test_determinism_and_no_allocation();
    test_a_rough_ride();
    test_lost_road_users_go_on_under_their_ids();
    puts("9 passed");
    return 0;
}
