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
    test_assignment_is_the_cheapest();
    test_what_is_not_finite_is_refused();
    test_too_old_is_counted_and_refused();
    test_determinism_and_no_allocation();
    test_a_rough_ride();
    test_lost_road_users_go_on_under_their_ids();
    puts("9 passed");
    return 0;
}
