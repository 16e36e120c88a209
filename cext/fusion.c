/* The tracker: scans of any source in any order become tracks. Life by Bayes, association in the state at the scan's
 * time. */
#include "numeric.h"
#include "scan.h"

#include <math.h>

static const motion_t MOTION[CLASSES] = {
    /* straight, turning, turn rate, 1/s into a manoeuvre, 1/s out of it */
    {0.12, 3.0, 0.5, 0.15, 0.6}, {0.12, 3.0, 0.5, 0.15, 0.6}, {0.12, 2.5, 0.3, 0.12, 0.6}, {0.12, 2.5, 0.3, 0.12, 0.6},
    {0.15, 3.0, 0.6, 0.2, 0.6},  {0.12, 1.5, 0.6, 0.2, 0.6},  {0.08, 0.8, 1.0, 0.2, 0.6},  {0.01, 0.0, 0.0, 0.0, 0.0}};

size_t fusion_size(int32_t capacity)
{
    return HEADER_BYTES + (sizeof(track_slot_t) + sizeof(int32_t)) * (size_t)capacity;
}

/* Where each part of the scratch of a scan of n detections against k tracks begins, bytes. */
typedef struct {
    size_t mean, xy, r, cost, start, column, mate, hit, head, order, cell, rest, end;
} layout_t;

static int32_t grid_cells(int32_t n) { return 4 * n + 64; }

static layout_t scratch_layout(int32_t tracks, int32_t n)
{
    size_t k = (size_t)tracks, m = (size_t)n;
    layout_t layout = {0};
    layout.mean = part_of(&layout.end, k, sizeof(state_t));
    layout.xy = part_of(&layout.end, 2 * m, sizeof(double));
    layout.r = part_of(&layout.end, 3 * m, sizeof(double));
    layout.cost = part_of(&layout.end, MAX_EDGES * k, sizeof(double));
    layout.start = part_of(&layout.end, k + 1, sizeof(int32_t));
    layout.column = part_of(&layout.end, MAX_EDGES * k, sizeof(int32_t));
    layout.mate = part_of(&layout.end, k, sizeof(int32_t));
    layout.hit = part_of(&layout.end, k, sizeof(int32_t));
    layout.head = part_of(&layout.end, (size_t)grid_cells(n) + 1, sizeof(int32_t));
    layout.order = part_of(&layout.end, m, sizeof(int32_t));
    layout.cell = part_of(&layout.end, m, sizeof(int32_t));
    layout.rest = part_of(&layout.end, assign_scratch(tracks, n), 1);
    return layout;
}

size_t fusion_scratch(int32_t capacity, int32_t n) { return scratch_layout(capacity, n).end; }

void fusion_init(fusion_t *fusion, int32_t capacity)
{
    memset(fusion, 0, fusion_size(capacity));
    fusion->capacity = capacity;
    fusion->next_id = 1;
    for (int32_t i = 0; i < capacity; i++)
        order_of(fusion)[i] = i;
    fusion->window = 1000000000;
    fusion->gate = 20.0;
    fusion->miss_cost = 12.0;
    fusion->confirm = 0.97;
    fusion->show_threshold = 0.5;
    fusion->drop = 0.01;
    fusion->survive = 30.0;
    fusion->departures = PRIOR_DEPARTURES;
    fusion->followed_s = PRIOR_DEPARTURES * fusion->survive;
    fusion->coast = 2500000000;
    fusion->max_jump = 10000000000;
    /* a first miss is most often independent of the next; a road user missed several times in a row is likely occluded,
     * for a second or two */
    static const double MORE[MISS_BINS] = {0.4, 0.6, 0.85, 0.95}, SAID[MISS_BINS] = {10.0, 6.0, 4.0, 4.0};
    for (int i = 0; i < MISS_BINS; i++) {
        fusion->miss_runs[i] = SAID[i];
        fusion->repeat_misses[i] = SAID[i] * MORE[i];
    }
    memcpy(fusion->motion, MOTION, sizeof MOTION);
    for (int i = 0; i < SOURCES; i++) {
        source_t source = {.fov = 7.0, .range = 250.0, .sigma = 0.35, .sigma_v = 0.6, .p_detect = 0.9, .clutter = 1e-4};
        source.view_low[0] = source.view_low[1] = INFINITY;
        source.view_high[0] = source.view_high[1] = -INFINITY;
        fusion->sources[i] = source;
        source_start(&fusion->sources[i]);
    }
}

static void lay_out_scratch(scan_t *scan, const fusion_t *fusion, const detection_t *z, int32_t n, void *scratch)
{
    char *base = scratch;
    layout_t layout = scratch_layout(fusion->count, n);
    scan->detections = z;
    scan->count = n;
    scan->tracks = fusion->count;
    scan->max_cells = grid_cells(n);
    scan->mean = (state_t *)(void *)(base + layout.mean);
    scan->positions = (double *)(void *)(base + layout.xy);
    scan->noise = (double *)(void *)(base + layout.r);
    scan->cost = (double *)(void *)(base + layout.cost);
    scan->start = (int32_t *)(void *)(base + layout.start);
    scan->column = (int32_t *)(void *)(base + layout.column);
    scan->assigned = (int32_t *)(void *)(base + layout.mate);
    scan->hit = (int32_t *)(void *)(base + layout.hit);
    scan->cell_start = (int32_t *)(void *)(base + layout.head);
    scan->cell_order = (int32_t *)(void *)(base + layout.order);
    scan->owner = (int32_t *)(void *)(base + layout.cell);
    scan->assignment = base + layout.rest;
    scan->area = scan->gate_sum = 0.0;
    memset(&scan->sums, 0, sizeof scan->sums);
}

int fusion_update(fusion_t *fusion, int64_t t, int32_t source_id, const detection_t *z, int32_t n, void *scratch)
{
    const char *field;
    if (fusion_check(z, n, &field) >= 0) {
        fusion->sources[source_id].refused++;
        return NOT_FINITE;
    }
    return fusion_update_checked(fusion, t, source_id, z, n, scratch);
}

int fusion_update_checked(fusion_t *fusion, int64_t t, int32_t source_id, const detection_t *z, int32_t n,
                          void *scratch)
{
    source_t *source = &fusion->sources[source_id];
    int64_t stamp = t;
    t -= (int64_t)(source->lag * 1e9);
    int code = check_stamp(fusion, source_id, t);
    if (code != ACCEPTED) {
        source->refused++;
        return code;
    }
    double doubt = stamp_uncertainty(source, stamp); /* a stamp that is refused says nothing of the source's beat */
    scan_t scan;
    lay_out_scratch(&scan, fusion, z, n, scratch);
    scan.t = t;
    scan.source_id = source_id;
    scan.stamp_doubt = doubt * doubt;
    prepare_scan(fusion, source, &scan);
    predict_and_gate(fusion, &scan);
    if (fusion->features & NO_GLOBAL)
        assign_nearest(&scan);
    else
        assign(scan.tracks, n, scan.start, scan.column, scan.cost, fusion->miss_cost, scan.assigned, scan.assignment);
    apply_assignment(fusion, &scan);
    learn_source(fusion, &scan);
    for (int32_t j = 0; j < n; j++)
        if (scan.owner[j] == UNASSIGNED && (fusion->features & NO_MERGE || enclosing_track(fusion, &scan, j, 1) < 0))
            initiate(fusion, &scan, j);
    learn_stay(fusion, t);
    fusion->active_sources |= 1u << source_id;
    fusion->multiple_sources = (fusion->active_sources & (fusion->active_sources - 1u)) != 0;
    source->late += t < fusion->newest;
    source->detections += (uint64_t)n;
    source->scans++;
    fusion->newest = t > fusion->newest ? t : fusion->newest;
    prune(fusion, fusion->newest);
    return ACCEPTED;
}
