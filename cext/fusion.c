/* The tracker: scans of any source in any order become tracks. A scan is associated with the tracks in their state at
 * its own time (scan.c, gate.c, assign.c), which it then updates (hits.c, kalman.c, late.c, existence.c); what it shows
 * of its source is learned (sources.c, columns.c). */
#include "numeric.h"
#include "scan.h"

#define FIT_UNCERTAINTY 0.05 /* s: of a stamp that was moved to where its detections fit */

static const motion_t MOTION[CLASSES] = {
    /* m^2/s^3 straight on and turning, rad^2/s^3, manoeuvres begun and ended per s */
    {0.12, 3.0, 0.5, 0.15, 0.6}, {0.12, 3.0, 0.5, 0.15, 0.6}, {0.12, 2.5, 0.3, 0.12, 0.6}, {0.12, 2.5, 0.3, 0.12, 0.6},
    {0.15, 3.0, 0.6, 0.2, 0.6},  {0.12, 1.5, 0.6, 0.2, 0.6},  {0.08, 0.8, 1.0, 0.2, 0.6},  {0.01, 0.0, 0.0, 0.0, 0.0}};

/* A first miss is most often independent of the next; a road user missed several times in a row is likely occluded, for
 * a second or two: probability of one more miss, and the runs that this prior is worth. */
static const double PRIOR_REPEATS[MISS_BINS] = {0.4, 0.6, 0.85, 0.95}, PRIOR_RUNS[MISS_BINS] = {10.0, 6.0, 4.0, 4.0};

size_t fusion_size(int32_t capacity)
{
    return HEADER_BYTES + (sizeof(track_slot_t) + sizeof(int32_t)) * (size_t)capacity;
}

/* Where each part of a scan's scratch begins, bytes. */
typedef struct {
    size_t mean, link, positions, cell_positions, noise, cost, start, column, assigned, hit, cell_start, cell_order, owner, assignment, end;
} layout_t;

static int32_t grid_cells(int32_t detections) { return 4 * detections + 64; }

static layout_t scratch_layout(int32_t tracks, int32_t detections)
{
    size_t k = (size_t)tracks, m = (size_t)detections;
    layout_t layout = {0};
    layout.mean = part_of(&layout.end, k, sizeof(state_t));
    layout.link = part_of(&layout.end, k, sizeof(smoother_link_t));
    layout.positions = part_of(&layout.end, 2 * m, sizeof(double));
    layout.cell_positions = part_of(&layout.end, 2 * m, sizeof(double));
    layout.noise = part_of(&layout.end, 3 * m, sizeof(double));
    layout.cost = part_of(&layout.end, MAX_EDGES * k, sizeof(double));
    layout.start = part_of(&layout.end, k + 1, sizeof(int32_t));
    layout.column = part_of(&layout.end, MAX_EDGES * k, sizeof(int32_t));
    layout.assigned = part_of(&layout.end, k, sizeof(int32_t));
    layout.hit = part_of(&layout.end, k, sizeof(int32_t));
    layout.cell_start = part_of(&layout.end, (size_t)grid_cells(detections) + 1, sizeof(int32_t));
    layout.cell_order = part_of(&layout.end, m, sizeof(int32_t));
    layout.owner = part_of(&layout.end, m, sizeof(int32_t));
    layout.assignment = part_of(&layout.end, assign_scratch(tracks, detections), 1);
    return layout;
}

size_t fusion_scratch(int32_t capacity, int32_t detections) { return scratch_layout(capacity, detections).end; }

void fusion_init(fusion_t *fusion, int32_t capacity)
{
    memset(fusion, 0, HEADER_BYTES); /* a slot is cleared when a track begins in it: until then it takes no memory */
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
    fusion->departures = fusion->inside_departures = PRIOR_DEPARTURES;
    fusion->followed_s = PRIOR_DEPARTURES * fusion->survive;
    fusion->coast = 2500000000;
    fusion->max_jump = 10000000000;

    for (int i = 0; i < MISS_BINS; i++) {
        fusion->miss_runs[i] = PRIOR_RUNS[i];
        fusion->repeat_misses[i] = PRIOR_RUNS[i] * PRIOR_REPEATS[i];
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
    scan->link = (smoother_link_t *)(void *)(base + layout.link);
    scan->positions = (double *)(void *)(base + layout.positions);
    scan->cell_positions = (double *)(void *)(base + layout.cell_positions);
    scan->noise = (double *)(void *)(base + layout.noise);
    scan->cost = (double *)(void *)(base + layout.cost);
    scan->start = (int32_t *)(void *)(base + layout.start);
    scan->column = (int32_t *)(void *)(base + layout.column);
    scan->assigned = (int32_t *)(void *)(base + layout.assigned);
    scan->hit = (int32_t *)(void *)(base + layout.hit);
    scan->cell_start = (int32_t *)(void *)(base + layout.cell_start);
    scan->cell_order = (int32_t *)(void *)(base + layout.cell_order);
    scan->owner = (int32_t *)(void *)(base + layout.owner);
    scan->assignment = base + layout.assignment;
    scan->area = 0.0;
    memset(&scan->sums, 0, sizeof scan->sums);
}

/* Predict, gate and assign: scan->assigned then has the detection of each track. */
static void associate(fusion_t *fusion, scan_t *scan)
{
    predict_and_gate(fusion, scan);
    if (fusion->features & NO_GLOBAL)
        assign_nearest(scan);
    else
        assign(scan->tracks, scan->count, scan->start, scan->column, scan->cost, fusion->miss_cost, scan->assigned,
               scan->assignment);
}

/* Assign detections to tracks, update both, and begin tracks from the detections that are left. */
static void fold_scan(fusion_t *fusion, scan_t *scan)
{
    source_t *source = &fusion->sources[scan->source_id];
    associate(fusion, scan);
    int noise_known = source->weight > PRIOR_WEIGHT || source->filtered || fusion->features & NO_NOISE;
    if (!noise_known && lower_first_noise(fusion, scan)) {
        prepare_scan(fusion, source, scan);
        associate(fusion, scan);
    }
    apply_assignment(fusion, scan);

    learn_source(fusion, scan);
    if (!scan->positions_only)
        learn_clutter(fusion, scan);
    if (!(fusion->features & NO_RESUME))
        resume_lost(fusion, scan);

    for (int32_t j = 0; j < scan->count; j++) {
        int awaited = scan->owner[j] == AWAITED;
        if (scan->owner[j] != UNASSIGNED && !awaited)
            continue;
        if (!(fusion->features & NO_MERGE) && is_doubled(fusion, scan, j)) {
            fusion->sources[scan->source_id].doubled++;
            scan->owner[j] = DOUBLED;
            continue;
        }
        initiate(fusion, scan, j, awaited);
    }
}

int fusion_update(fusion_t *fusion, int64_t t, int32_t source_id, const detection_t *detections, int32_t count,
                  void *scratch)
{
    const char *field;
    if (fusion_check(detections, count, &field) >= 0) {
        fusion->sources[source_id].refused++;
        return NOT_FINITE;
    }
    return fusion_update_checked(fusion, t, source_id, detections, count, scratch);
}

int fusion_update_checked(fusion_t *fusion, int64_t stamp, int32_t source_id, const detection_t *detections,
                          int32_t count, void *scratch)
{
    source_t *source = &fusion->sources[source_id];
    int code = stamp_unit(source, stamp);
    if (code != ACCEPTED) {
        source->refused++;
        source->wrong_unit++;
        return code;
    }

    int64_t claimed = stamp + source->clock_offset - (int64_t)(source->lag * 1e9);
    int64_t t;
    code = align_stamp(fusion, source_id, stamp, detections, count, &t);
    if (code == ACCEPTED)
        code = check_stamp(fusion, source_id, t);
    if (code != ACCEPTED) {
        source->refused++;
        return code;
    }

    /* a stamp that is refused says nothing of the source's beat; one that was moved is known by the fit alone */
    double doubt = stamp_uncertainty(source, stamp);
    if (t != claimed)
        doubt = lesser(doubt, FIT_UNCERTAINTY);

    scan_t scan;
    lay_out_scratch(&scan, fusion, detections, count, scratch);
    scan.t = t;
    scan.source_id = source_id;
    scan.stamp_doubt = doubt * doubt;
    prepare_scan(fusion, source, &scan);
    fold_scan(fusion, &scan);

    learn_stay(fusion, t);
    fusion->active_sources |= 1u << source_id;
    fusion->multiple_sources = (fusion->active_sources & (fusion->active_sources - 1u)) != 0;
    source->late += t < fusion->newest;
    source->detections += (uint64_t)count;
    source->scans++;
    fusion->newest = t > fusion->newest ? t : fusion->newest;
    prune(fusion, fusion->newest);
    return ACCEPTED;
}
