/* Gating: a grid over the scan's detections, and for each track the detections inside its own gate with the cost of
 * each pair. */
#include "one_track.h"

#define MAX_FIRST_GATE 40.0 /* m: of a track with one hit, whose speed is not known yet */
/* share of the cost of a miss by which a possible second hit that is less likely than a miss is still preferred */
#define SECOND_HIT_MARGIN 0.01
#define FIRST_SCANS 8           /* after which a source has seen all that are there */
#define AROUND 2.0              /* m: a crowd is as dense within it */
#define MIN_UNSEEN_DENSITY 1e-9 /* per m^2 */
#define PI 3.141592653589793
#define MAX_EXTENT 4e6 /* m: a scan is never wider, for positions are within 1,000 km */
#define MAX_CANDIDATES 64 /* detections examined per track, about: a gate that holds more shrinks */
#define CROWDED_EDGES ((MAX_EDGES + 1) / 2) /* edges kept of a gate that shrank */
#define MAX_CELL_MEAN 4.0                   /* mean number of detections per cell, at most */
#define MAX_DENSITY 8.0                     /* detections examined per m^2: the densest crowd holds fewer people */
#define REAPPEARANCE_COST 3.0 /* added cost of a confirmed track that was lost, against one that is seen */

/* Counting sort of the detections by cell: those of cell c are order[head[c]] .. order[head[c + 1] - 1]. A cell takes
 * the first detections of the scan, no more than road users can stand in it, so that the time of a scan is
 * proportional to its detections wherever they lie. Returns how many are left out. */
static int32_t sort_by_cell(scan_t *scan, const grid_t *grid)
{
    int32_t cells = grid->columns * grid->rows,
            room = (int32_t)bounded(MAX_DENSITY / (grid->cells_per_m * grid->cells_per_m), MAX_DENSITY, MAX_SCAN),
            crowded = 0;
    memset(scan->cell_start, 0, sizeof(int32_t) * ((size_t)cells + 1));
    scan->fullest_cell = 0;
    for (int32_t j = 0; j < scan->count; j++) {
        int32_t c =
            cell_index((scan->positions[2 * j] - grid->left) * grid->cells_per_m, grid->columns) +
            grid->columns * cell_index((scan->positions[2 * j + 1] - grid->bottom) * grid->cells_per_m, grid->rows);
        int full = scan->cell_start[c + 1] >= room;
        crowded += full;
        scan->cell_start[c + 1] += !full;
        scan->fullest_cell =
            scan->cell_start[c + 1] > scan->fullest_cell ? scan->cell_start[c + 1] : scan->fullest_cell;
        scan->owner[j] = full ? CROWDED : c;
    }
    for (int32_t c = 0; c < cells; c++)
        scan->cell_start[c + 1] += scan->cell_start[c];
    int32_t taken = scan->cell_start[cells];
    for (int32_t j = scan->count - 1; j >= 0; j--)
        if (scan->owner[j] != CROWDED) {
            int32_t at = --scan->cell_start[scan->owner[j] + 1];
            scan->cell_order[at] = j;
            scan->cell_positions[2 * at] = scan->positions[2 * j];
            scan->cell_positions[2 * at + 1] = scan->positions[2 * j + 1];
        }
    /* head[c + 1] is now where cell c begins; shift back */
    memmove(scan->cell_start, scan->cell_start + 1, sizeof(int32_t) * (size_t)cells);
    scan->cell_start[cells] = taken;
    return crowded;
}

/* Lay a grid over the scan: cells of about the size of the gates, their number of the order of the detections. */
void build_grid(fusion_t *fusion, scan_t *scan)
{
    double low[2] = {scan->positions[0], scan->positions[1]}, high[2] = {scan->positions[0], scan->positions[1]},
           size = bounded(1.3 * fusion->mean_gate, 0.5, MAX_GATE);
    for (int32_t j = 1; j < scan->count; j++)
        for (int i = 0; i < 2; i++) {
            double v = scan->positions[2 * j + i];
            low[i] = v < low[i] ? v : low[i];
            high[i] = v > high[i] ? v : high[i];
        }
    double width = lesser(high[0] - low[0] + 1e-3, MAX_EXTENT), height = lesser(high[1] - low[1] + 1e-3, MAX_EXTENT),
           most = (double)scan->max_cells;
    size = lesser(size, greater(sqrt(MAX_CELL_MEAN * width * height / (double)scan->count), 0.25));
    while ((floor(width / size) + 1.0) * (floor(height / size) + 1.0) > most)
        size *= 1.4;
    grid_t grid = {low[0], low[1], 1.0 / size, cell_index(width / size, scan->max_cells) + 1,
                   cell_index(height / size, scan->max_cells) + 1};
    scan->grid = grid;
    scan->area = width * height;
    fusion->crowded += (uint64_t)sort_by_cell(scan, &grid);
}

void find_gate(const fusion_t *fusion, const scan_t *scan, int32_t i, gate_t *gate)
{
    const state_t *s = &scan->mean[i];
    double late = unmodelled_variance(scan, track_at(fusion, i), s);
    find_gate_1(s, late, fusion->gate, scan->max_variance, scan->noise, gate);
}

/* What the cost of a detection depends on beside its position: the inverse of the innovation covariance for its noise,
 * and the term added to the squared distance. */
typedef struct {
    double x, y, inverse[3], log_det;
} innovation_t;

static inline void set_innovation(innovation_t *innovation, const double *mean, const double *p, const double r[3])
{
    innovation->x = mean[0];
    innovation->y = mean[1];
    innovation->log_det = invert2(p[0] + r[0], p[4] + r[1], p[1] + r[2], innovation->inverse);
}

static inline double squared_distance(const innovation_t *innovation, double x, double y)
{
    double dx = x - innovation->x, dy = y - innovation->y;
    return dx * dx * innovation->inverse[0] + dy * dy * innovation->inverse[1] + 2.0 * dx * dy * innovation->inverse[2];
}

/* A track and the metric for the detections of one noise, which is mostly the same for all of a scan. */
typedef struct {
    double noise[3]; /* the noise */
    innovation_t mean, slow, fast;
    int two_models; /* a track with one hit is a pedestrian or a vehicle: the likelier of the two models counts */
} track_innovation_t;

int awaits_second_hit(const track_t *track, int64_t t)
{
    return track->hits == 1 && track->status == TENTATIVE && t == track->t && track->models.turn_probability > 0.01;
}

static void set_noise(track_innovation_t *innovation, const track_t *track, const state_t *s, const double own[3],
                      double late)
{
    const double r[3] = {own[0] + late, own[1] + late, own[2]};
    memcpy(innovation->noise, own, sizeof innovation->noise);
    set_innovation(&innovation->mean, s->x, s->p, r);
    if (late > 0.0) /* a gate that is wide because the speed is unknown is not charged for its width */
        innovation->mean.log_det =
            greater((s->p[0] + own[0]) * (s->p[4] + own[1]) - (s->p[1] + own[2]) * (s->p[1] + own[2]), 1e-12);
    innovation->mean.log_det = ln(innovation->mean.log_det);
    if (!innovation->two_models)
        return;
    set_innovation(&innovation->slow, track->models.straight.x, track->models.straight.p, r);
    set_innovation(&innovation->fast, track->models.turning.x, track->models.turning.p, r);
    innovation->slow.log_det = ln(innovation->slow.log_det) - 2.0 * ln(1.0 - track->models.turn_probability);
    innovation->fast.log_det = ln(innovation->fast.log_det) - 2.0 * ln(track->models.turn_probability);
}

/* The same where the gate has it already. */
static inline void take_noise(track_innovation_t *innovation, const state_t *s, const double own[3], const gate_t *gate)
{
    memcpy(innovation->noise, own, sizeof innovation->noise);
    innovation->mean = (innovation_t){
        s->x[0], s->x[1], {gate->inverse[0], gate->inverse[1], gate->inverse[2]}, gate->log_det};
}

static inline double pair_cost(const track_innovation_t *innovation, double d, double x, double y)
{
    if (!innovation->two_models)
        return d + innovation->mean.log_det;
    double a = squared_distance(&innovation->slow, x, y) + innovation->slow.log_det,
           b = squared_distance(&innovation->fast, x, y) + innovation->fast.log_det;
    return a < b ? a : b;
}

/* Keep an edge; where MAX_EDGES are kept already, it replaces the worst, whose index is `worst` (-1 while there is
 * room). */
static int32_t keep_edge(int32_t *column, double *cost, int32_t n, int32_t most, int32_t j, double c, int32_t *worst)
{
    if (n < most) {
        column[n] = j;
        cost[n++] = c;
    } else if (c < cost[*worst]) {
        column[*worst] = j;
        cost[*worst] = c;
    } else {
        return n;
    }
    if (n == most) {
        *worst = 0;
        for (int32_t e = 1; e < n; e++)
            if (cost[e] > cost[*worst])
                *worst = e;
    }
    return n;
}

cell_range_t cells_in_gate(const grid_t *grid, const state_t *s, double hx, double hy)
{
    double x0 = (s->x[0] - hx - grid->left) * grid->cells_per_m, x1 = (s->x[0] + hx - grid->left) * grid->cells_per_m;
    double y0 = (s->x[1] - hy - grid->bottom) * grid->cells_per_m,
           y1 = (s->x[1] + hy - grid->bottom) * grid->cells_per_m;
    if (x1 < 0.0 || y1 < 0.0 || x0 > grid->columns || y0 > grid->rows)
        return (cell_range_t){.left = 0, .right = -1};
    return (cell_range_t){cell_index(x0, grid->columns), cell_index(x1, grid->columns), cell_index(y0, grid->rows),
                          cell_index(y1, grid->rows)};
}

/* Detections per m^2 around a state, beside one that may be its own. */
static double density_around(const scan_t *scan, const state_t *s)
{
    const double square = AROUND * AROUND;
    cell_range_t in = cells_in_gate(&scan->grid, s, AROUND, AROUND);
    if (in.right < in.left)
        return 0.0;

    int32_t n = 0;
    for (int32_t row = in.low; row <= in.high; row++) {
        const int32_t *cells = scan->cell_start + row * scan->grid.columns;
        for (int32_t e = cells[in.left]; e < cells[in.right + 1]; e++) {
            int32_t j = scan->cell_order[e];
            double dx = scan->positions[2 * j] - s->x[0], dy = scan->positions[2 * j + 1] - s->x[1];
            n += dx * dx + dy * dy < square;
        }
    }
    return n > 1 ? (double)(n - 1) / (PI * square) : 0.0;
}

/* The spatial cost up to which a detection is rather the second hit of a new track than of a road user that all scans
 * of a source that has just begun have missed. Who was seen once, at a velocity not known yet, could have gone to any
 * of those: in a crowd each would take the next one's. */
static double max_second_cost(const fusion_t *fusion, const scan_t *scan, const state_t *s)
{
    const source_t *source = &fusion->sources[scan->source_id];
    if (source->scans >= FIRST_SCANS)
        return INFINITY;

    double missed = 1.0;
    for (uint64_t k = 0; k < source->scans; k++)
        missed *= 1.0 - source->detection_probability;
    return -2.0 * ln(2.0 * PI * greater(missed * density_around(scan, s), MIN_UNSEEN_DENSITY));
}

/* Count the detections in a range of cells, where there may be more than MAX_CANDIDATES. */
static int32_t detections_in(const scan_t *scan, const cell_range_t *in)
{
    int32_t n = 0;
    if (scan->fullest_cell * (in->right - in->left + 1) * (in->high - in->low + 1) <= MAX_CANDIDATES)
        return 0;
    for (int32_t row = in->low; row <= in->high; row++)
        n += scan->cell_start[row * scan->grid.columns + in->right + 1] -
             scan->cell_start[row * scan->grid.columns + in->left];
    return n;
}

/* The cost of every detection for a track that may not be there, or that is not likely to be seen by just this scan. */
static double cost_of_doubt(const fusion_t *fusion, const scan_t *scan, const track_t *track)
{
    const source_t *source = &fusion->sources[scan->source_id];
    double young = track->existence < 0.9 ? -2.0 * ln(track->existence + 1e-3) : 0.0;
    if (track->status != CONFIRMED)
        return young;
    if (source->filtered) /* the source may have dropped a road user that is there */
        return lesser(young, REAPPEARANCE_COST);
    if (track->miss_run > 1) /* an occluded road user is unlikely to reappear at just this scan */
        young -= 2.0 * ln(1.0 - miss_probability(fusion, source, track));
    return young;
}

int32_t gate_track(fusion_t *fusion, scan_t *scan, int32_t i, const gate_t *gate, int32_t edges)
{
    const track_t *track = track_at(fusion, i);
    const state_t *s = &scan->mean[i];
    const grid_t *grid = &scan->grid;
    int32_t *column = scan->column + edges, n = 0, worst = -1;
    double *cost = scan->cost + edges;
    int lost = is_lost(fusion, scan, track);
    scan->unresolved |= lost || track->undecided;
    double late = gate->late, hx = gate->half_x, hy = gate->half_y;
    scan->gate_sum += hx;
    int once = awaits_second_hit(track, scan->t);
    if (once) { /* it may be a vehicle: as wide as the faster of its models needs */
        hx = greater(
            hx, lesser(sqrt(fusion->gate * (track->models.turning.p[0] + scan->max_variance + late)), MAX_FIRST_GATE));
        hy = greater(
            hy, lesser(sqrt(fusion->gate * (track->models.turning.p[4] + scan->max_variance + late)), MAX_FIRST_GATE));
    }
    cell_range_t in = cells_in_gate(grid, s, hx, hy);
    int32_t most = MAX_EDGES;
    if (in.right < in.left)
        return edges;
    int32_t there = detections_in(scan, &in);
    if (there >
        MAX_CANDIDATES) { /* only the nearest matter: the others would not be among the edges kept */
        double share = sqrt((double)MAX_CANDIDATES / (double)there);
        hx *= share;
        hy *= share;
        in = cells_in_gate(grid, s, hx, hy);
        most = CROWDED_EDGES;
    }
    double max_second = once ? max_second_cost(fusion, scan, s) : INFINITY;
    track_innovation_t innovation;
    innovation.two_models = track->hits == 1 && scan->t == track->t && track->models.turn_probability > 0.01;
    if (innovation.two_models)
        set_noise(&innovation, track, s, scan->noise, late);
    else
        take_noise(&innovation, s, scan->noise, gate);
    double young = 0.0, max_direct = INFINITY; /* found with the first detection inside: many tracks have none */
    int found = 0;
    for (int32_t row = in.low; row <= in.high; row++)
        for (int32_t e = scan->cell_start[row * grid->columns + in.left];
             e < scan->cell_start[row * grid->columns + in.right + 1]; e++) {
            double x = scan->cell_positions[2 * e], y = scan->cell_positions[2 * e + 1];
            if ((fabs(x - s->x[0]) > hx) | (fabs(y - s->x[1]) > hy)) /* one branch: which of both is a toss-up */
                continue;
            int32_t j = scan->cell_order[e];
            const double *own = &scan->noise[3 * j];
            if (own[0] != innovation.noise[0] || own[1] != innovation.noise[1] || own[2] != innovation.noise[2])
                set_noise(&innovation, track, s, own, late);
            double d = squared_distance(&innovation.mean, x, y);
            if (!(d < fusion->gate) && !(once && squared_distance(&innovation.fast, x, y) < fusion->gate))
                continue;
            if (!found) {
                young = cost_of_doubt(fusion, scan, track);
                max_direct = lost ? max_direct_cost(fusion, scan, i) : INFINITY;
                found = 1;
            }
            if (!(d + innovation.mean.log_det <= max_direct))
                continue;
            double c =
                young +
                (scan->positions_only ? 0.0 : attribute_cost(fusion, scan, track, s, &scan->detections[j]));
            double spatial = pair_cost(&innovation, d, x, y);
            if (spatial > max_second)
                continue;
            c += spatial;
            if (once && c >= fusion->miss_cost && c < INFINITY &&
                second_hit_existence(fusion, scan, track, j) >
                    fusion->drop) /* the speed is not known: the cost of an unknown speed */
                c = fusion->miss_cost * (1.0 - SECOND_HIT_MARGIN / c);
            if (c < fusion->miss_cost)
                n = keep_edge(column, cost, n, most, j, c, &worst);
        }
    return edges + n;
}
