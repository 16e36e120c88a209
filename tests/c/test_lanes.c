/* Four tracks side by side (lanes.c) against each alone, to the bit; on a processor without AVX2 there are no lanes. */
#include "check.h"
#include "../../cext/scan.h"

#include <string.h>

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

int main(void)
{
    test_lanes_have_the_bits_of_one_track();
    test_gates_in_lanes_have_the_bits_of_one();
    puts("2 passed");
    return 0;
}
