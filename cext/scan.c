/* A scan against the tracks: its noise, every track carried to its time, the pairs within the gates. */
#include "numeric.h"
#include "scan.h"

#include <math.h>

#define PRIOR_LATENCY 0.15      /* s: a latency not yet found, where several sources look */
#define LATENCY_SAMPLES 300.0   /* residuals after which it is */
#define MIN_STAMP_VARIANCE 6e-4 /* s^2: stamps that are off by less, 25 ms, are no worse than any */

void prepare_scan(const fusion_t *fusion, const source_t *source, scan_t *scan)
{
    scan->max_variance = scan->latency_variance = scan->gate_sum = 0.0;
    if (fusion->multiple_sources && source->kind != COOPERATIVE && source->offset_sums[0] < LATENCY_SAMPLES &&
        !(fusion->features & NO_LAG)) {
        double left = PRIOR_LATENCY * (1.0 - source->offset_sums[0] / LATENCY_SAMPLES);
        scan->latency_variance = left * left;
    }
    scan->stamp_variance =
        source->doubt_scale * scan->stamp_doubt +
        (source->moving_samples >= LATENCY_SAMPLES && source->jitter > MIN_STAMP_VARIANCE ? source->jitter : 0.0);
    scan->latency_variance += scan->stamp_variance;
    scan->lost_misses = lost_misses(source);
    scan->unresolved = 0;
    scan->use_lanes = lanes_usable();
    scan->positions_only = 1;
    for (int32_t j = 0; j < scan->count; j++) {
        const detection_t *z = &scan->detections[j];
        double *r = &scan->noise[3 * j];
        scan->positions[2 * j] = z->x - source->bias_x;
        scan->positions[2 * j + 1] = z->y - source->bias_y;
        measurement_noise(source, z, r);
        scan->max_variance = r[0] > scan->max_variance ? r[0] : scan->max_variance;
        scan->max_variance = r[1] > scan->max_variance ? r[1] : scan->max_variance;
        if (z->cls || z->vehicle || z->id || isfinite(z->vx) || isfinite(z->length))
            scan->positions_only = 0;
    }
    if (!scan->positions_only)
        prepare_columns(source, &scan->columns);
}

/* The few reports of connected vehicles concern few tracks: the others are left where they are, out of every gate. */
static int out_of_reach(const scan_t *scan, const track_t *track)
{
    double dt = fabs((double)(scan->t - track->t)) * 1e-9,
           reach = 30.0 + dt * (fabs(track->mean.x[2]) + fabs(track->mean.x[3]) + 10.0);
    for (int32_t j = 0; j < scan->count; j++)
        if (fabs(scan->positions[2 * j] - track->mean.x[0]) < reach &&
            fabs(scan->positions[2 * j + 1] - track->mean.x[1]) < reach)
            return 0;
    return 1;
}

/* Steps are found anew only where a track's interval or class is another than the one before. */
static void find_transition(const fusion_t *fusion, const scan_t *scan, const track_t *track, transition_t *transition)
{
    const motion_t *motion = &fusion->motion[track->cls];
    double dt = (double)(scan->t - track->t) * 1e-9;
    if (dt != transition->dt || motion != transition->motion)
        *transition = model_transition(dt, motion);
}

/* Carry a track on to the scan, or look back at it when the scan is older than what it knows. */
static void predict_track(const fusion_t *fusion, const scan_t *scan, track_t *track, transition_t *transition,
                          state_t *mean)
{
    if (scan->t < track->t) {
        smoother_link_t *link = &scan->link[mean - scan->mean];
        link_past(track, scan->t, &fusion->motion[track->cls], link);
        state_then(link, &track->mean, mean);
        return;
    }
    if (scan->t > track->t) {
        imm_t ahead;
        find_transition(fusion, scan, track, transition);
        imm_step(&track->models, transition, &ahead);
        track->models = ahead;
        track->t = scan->t;
        imm_mean(&track->models, &track->mean);
        drop_implausible(track);
    }
    *mean = track->mean;
}

/* Up to LANES tracks that are carried on side by side. */
typedef struct {
    track_t *tracks[LANES];
    state_t *means[LANES];
    step_t step[LANES];
    int count;
} ahead_t;

/* Up to LANES tracks that are looked back at side by side. */
typedef struct {
    int32_t index[LANES];
    past_t past[LANES];
    int count;
} back_t;

static void carry_on(ahead_t *ahead)
{
    const step_t *steps[LANES];
    for (int lane = 0; lane < LANES; lane++) {
        int from = lane < ahead->count ? lane : 0;
        steps[lane] = &ahead->step[from];
        ahead->tracks[lane] = ahead->tracks[from];
        ahead->means[lane] = ahead->means[from];
    }
    predict_lanes(ahead->tracks, steps, ahead->means);
}

static void look_back(const fusion_t *fusion, const scan_t *scan, const back_t *back, transition_t *transition)
{
    const past_t *pasts[LANES];
    const state_t *now[LANES];
    smoother_link_t *links[LANES];
    state_t *means[LANES];
    for (int lane = 0; lane < LANES; lane++) {
        int from = lane < back->count ? lane : 0;
        int32_t i = back->index[from];
        pasts[lane] = &back->past[from];
        now[lane] = &track_at(fusion, i)->mean;
        links[lane] = &scan->link[i];
        means[lane] = &scan->mean[i];
    }
    if (look_back_lanes(pasts, now, links, means))
        return;
    for (int k = 0; k < back->count; k++)
        predict_track(fusion, scan, track_at(fusion, back->index[k]), transition, &scan->mean[back->index[k]]);
}

/* The tracks from `first` on, up to LANES: those that can be are predicted side by side, the others one by one. */
static void predict_block(const fusion_t *fusion, const scan_t *scan, int32_t first, int32_t count,
                          transition_t *transition)
{
    ahead_t ahead;
    back_t back;
    ahead.count = back.count = 0;
    for (int32_t i = first; i < first + count; i++) {
        track_t *track = track_at(fusion, i);
        const motion_t *motion = &fusion->motion[track->cls];
        if (scan->use_lanes && scan->t > track->t && motion->enter > 0.0) {
            find_transition(fusion, scan, track, transition);
            ahead.step[ahead.count] = step_of(transition);
            ahead.tracks[ahead.count] = track;
            ahead.means[ahead.count++] = &scan->mean[i];
            track->t = scan->t;
        } else if (scan->use_lanes && scan->t < track->t &&
                   find_past(track, scan->t, motion, &back.past[back.count])) {
            back.index[back.count++] = i;
        } else {
            predict_track(fusion, scan, track, transition, &scan->mean[i]);
        }
    }
    if (ahead.count)
        carry_on(&ahead);
    if (back.count)
        look_back(fusion, scan, &back, transition);
}

static void find_gates(const fusion_t *fusion, const scan_t *scan, int32_t first, int32_t count, gate_t gates[LANES])
{
    if (!scan->use_lanes || count < LANES) {
        for (int32_t k = 0; k < count; k++)
            find_gate(fusion, scan, first + k, &gates[k]);
        return;
    }
    const track_t *tracks[LANES];
    const state_t *means[LANES];
    for (int32_t k = 0; k < LANES; k++) {
        tracks[k] = track_at(fusion, first + k);
        means[k] = &scan->mean[first + k];
    }
    gate_lanes(scan, tracks, means, fusion->gate, gates);
}

/* A few reports of vehicles: only the tracks near one of them are looked at. */
static int32_t predict_and_gate_few(fusion_t *fusion, scan_t *scan, transition_t *transition)
{
    int32_t edges = 0;
    for (int32_t i = 0; i < scan->tracks; i++) {
        track_t *track = track_at(fusion, i);
        if (out_of_reach(scan, track)) {
            scan->mean[i] = track->mean;
        } else {
            predict_track(fusion, scan, track, transition, &scan->mean[i]);
            if (scan->count) {
                gate_t gate;
                find_gate(fusion, scan, i, &gate);
                edges = gate_track(fusion, scan, i, &gate, edges);
            }
        }
        scan->start[i + 1] = edges;
    }
    return edges;
}

void predict_and_gate(fusion_t *fusion, scan_t *scan)
{
    int32_t edges = 0, few = scan->count <= 4 && fusion->sources[scan->source_id].kind == COOPERATIVE;
    transition_t transition = {0.0, NULL, 0.0, 0.0};
    gate_t gates[LANES];
    if (scan->count)
        build_grid(fusion, scan);
    scan->start[0] = 0;
    memset(scan->hit, 0xff, sizeof *scan->hit * (size_t)scan->tracks); /* UNASSIGNED */
    if (few) {
        predict_and_gate_few(fusion, scan, &transition);
        return;
    }

    for (int32_t first = 0; first < scan->tracks; first += LANES) {
        int32_t count = scan->tracks - first < LANES ? scan->tracks - first : LANES;
        predict_block(fusion, scan, first, count, &transition);
        if (scan->count)
            find_gates(fusion, scan, first, count, gates);
        for (int32_t i = first; i < first + count; i++) {
            if (scan->count)
                edges = gate_track(fusion, scan, i, &gates[i - first], edges);
            scan->start[i + 1] = edges;
        }
    }
    if (scan->tracks && scan->count)
        fusion->mean_gate = scan->gate_sum / (double)scan->tracks;
}

/* From cells to owners: nobody has a detection yet. */
void release_detections(scan_t *scan)
{
    for (int32_t j = 0; j < scan->count; j++)
        if (scan->owner[j] != CROWDED)
            scan->owner[j] = UNASSIGNED;
}

void assign_nearest(scan_t *scan)
{
    release_detections(scan);
    for (int32_t i = 0; i < scan->tracks; i++) {
        int32_t best = -1;
        for (int32_t e = scan->start[i]; e < scan->start[i + 1]; e++)
            if (scan->owner[scan->column[e]] == UNASSIGNED && (best < 0 || scan->cost[e] < scan->cost[best]))
                best = e;
        scan->assigned[i] = best < 0 ? -1 : scan->column[best];
        if (best >= 0)
            scan->owner[scan->column[best]] = i;
    }
}
