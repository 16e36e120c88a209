/* Globally optimal assignment on a sparse graph: shortest augmenting paths with duals, one row at a time. A search
 * stays within its row's connected cluster, so the cost is that of the clusters, not of the whole; and it looks at
 * MAX_STEPS columns of it, nearest first. Up to MAX_STEPS / 2 rows hang together exactly; where more do, a row that is
 * not placed by then takes the nearest free column it has met. */
#include "scan.h"

#include <math.h>
#include <string.h>

#define MAX_STEPS 64

typedef struct {
    double *row_dual, *column_dual, *distance;
    int32_t *owner, *from, *reached, *heap, *heap_index,
        *reach_order; /* spot: place in the heap; rank: in order of being met */
    uint8_t *done;
    int32_t reached_count, heap_size; /* columns met, and of them those in the heap */
} search_t;

/* Where each part of the scratch begins, bytes. */
typedef struct {
    size_t u, v, dist, owner, from, touched, heap, spot, rank, done, end;
} layout_t;

static layout_t scratch_layout(int32_t rows, int32_t columns)
{
    size_t all = (size_t)rows + (size_t)columns;
    layout_t layout = {0};
    layout.u = part_of(&layout.end, (size_t)rows, sizeof(double));
    layout.v = part_of(&layout.end, all, sizeof(double));
    layout.dist = part_of(&layout.end, all, sizeof(double));
    layout.owner = part_of(&layout.end, all, sizeof(int32_t));
    layout.from = part_of(&layout.end, all, sizeof(int32_t));
    layout.touched = part_of(&layout.end, all, sizeof(int32_t));
    layout.heap = part_of(&layout.end, all, sizeof(int32_t));
    layout.spot = part_of(&layout.end, all, sizeof(int32_t));
    layout.rank = part_of(&layout.end, all, sizeof(int32_t));
    layout.done = part_of(&layout.end, all, 1);
    return layout;
}

size_t assign_scratch(int32_t rows, int32_t columns) { return scratch_layout(rows, columns).end; }

static int is_nearer(const search_t *search, int32_t a, int32_t b)
{
    return search->distance[a] < search->distance[b] ||
           (search->distance[a] == search->distance[b] && search->reach_order[a] < search->reach_order[b]);
}

static void heap_put(search_t *search, int32_t at, int32_t c)
{
    search->heap[at] = c;
    search->heap_index[c] = at;
}

/* Move a column that came nearer towards the top of the heap. */
static void heap_rise(search_t *search, int32_t c)
{
    int32_t at = search->heap_index[c];
    while (at > 0 && is_nearer(search, c, search->heap[(at - 1) / 2])) {
        heap_put(search, at, search->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(search, at, c);
}

static int32_t heap_pop(search_t *search)
{
    int32_t best = search->heap[0], c = search->heap[--search->heap_size], at = 0;
    for (int32_t next = 1; next < search->heap_size; next = 2 * at + 1) {
        if (next + 1 < search->heap_size && is_nearer(search, search->heap[next + 1], search->heap[next]))
            next++;
        if (!is_nearer(search, search->heap[next], c))
            break;
        heap_put(search, at, search->heap[next]);
        at = next;
    }
    heap_put(search, at, c);
    return best;
}

static void relax(search_t *search, int32_t row, int32_t c, double cost, double base)
{
    double d = base + cost - search->row_dual[row] - search->column_dual[c];
    if (search->from[c] == -1) {
        search->reach_order[c] = search->reached_count;
        search->reached[search->reached_count++] = c;
        search->heap_index[c] = search->heap_size++;
    } else if (search->done[c] || !(d < search->distance[c])) {
        return;
    }
    search->distance[c] = d;
    search->from[c] = row;
    heap_rise(search, c);
}

/* The nearest free column of those met: a row's own place is always one. */
static int32_t nearest_free(const search_t *search)
{
    int32_t best = -1;
    for (int32_t k = 0; k < search->heap_size; k++) {
        int32_t c = search->heap[k];
        if (search->owner[c] < 0 && (best < 0 || is_nearer(search, c, best)))
            best = c;
    }
    return best;
}

/* Return a row's nearest column where it is free, and set the row's dual, as a search that ends with its first step
 * would; else -1. Most rows end here. */
static int32_t free_nearest(const search_t *search, int32_t row, int32_t columns, const int32_t *start,
                            const int32_t *column, const double *cost, double miss, double *dual)
{
    int32_t best = columns + row;
    double least = INFINITY;
    for (int32_t e = start[row]; e < start[row + 1]; e++) {
        double d = cost[e] - search->column_dual[column[e]];
        if (d < least) {
            least = d;
            best = column[e];
        }
    }
    if (miss - search->column_dual[columns + row] < least) {
        least = miss - search->column_dual[columns + row];
        best = columns + row;
    }
    if (search->owner[best] >= 0)
        return -1;
    *dual = least;
    return best;
}

/* Augment from `row`; columns past `columns` are the rows' own places for "not assigned". */
static void augment(search_t *search, int32_t row, int32_t columns, const int32_t *start, const int32_t *column,
                    const double *cost, double miss, int32_t *mate)
{
    int32_t current = row, end = free_nearest(search, row, columns, start, column, cost, miss, &search->row_dual[row]);
    double base = 0.0;
    if (end >= 0) {
        search->owner[end] = row;
        mate[row] = end;
        return;
    }
    search->reached_count = search->heap_size = 0;
    for (int32_t step = 0; end < 0; step++) {
        for (int32_t e = start[current]; e < start[current + 1]; e++)
            relax(search, current, column[e], cost[e], base);
        relax(search, current, columns + current, miss, base);
        if (step == MAX_STEPS) {
            /* further than `base`: the duals stay feasible, but this row's assignment need not be the cheapest */
            end = nearest_free(search);
            break;
        }
        int32_t best = heap_pop(search);
        base = search->distance[best];
        search->done[best] = 1;
        if (search->owner[best] < 0)
            end = best;
        else
            current = search->owner[best];
    }
    int32_t count = search->reached_count;
    search->row_dual[row] += base;
    for (int32_t k = 0; k < count; k++) {
        int32_t c = search->reached[k];
        if (search->done[c] && c != end) {
            search->column_dual[c] += search->distance[c] - base;
            search->row_dual[search->owner[c]] += base - search->distance[c];
        }
    }
    for (int32_t c = end;;) {
        int32_t r = search->from[c], next = mate[r];
        search->owner[c] = r;
        mate[r] = c;
        if (r == row)
            break;
        c = next;
    }
    for (int32_t k = 0; k < count; k++) {
        search->from[search->reached[k]] = -1;
        search->done[search->reached[k]] = 0;
    }
}

void assign(int32_t rows, int32_t columns, const int32_t *start, const int32_t *column, const double *cost, double miss,
            int32_t *mate, void *scratch)
{
    size_t all = (size_t)rows + (size_t)columns;
    char *base = scratch;
    layout_t layout = scratch_layout(rows, columns);
    search_t search;
    search.row_dual = (double *)(void *)(base + layout.u);
    search.column_dual = (double *)(void *)(base + layout.v);
    search.distance = (double *)(void *)(base + layout.dist);
    search.owner = (int32_t *)(void *)(base + layout.owner);
    search.from = (int32_t *)(void *)(base + layout.from);
    search.reached = (int32_t *)(void *)(base + layout.touched);
    search.heap = (int32_t *)(void *)(base + layout.heap);
    search.heap_index = (int32_t *)(void *)(base + layout.spot);
    search.reach_order = (int32_t *)(void *)(base + layout.rank);
    search.done = (uint8_t *)(base + layout.done);
    memset(search.row_dual, 0, sizeof(double) * (size_t)rows);
    memset(search.column_dual, 0, sizeof(double) * all);
    memset(search.owner, 0xff, sizeof(int32_t) * all);
    memset(search.from, 0xff, sizeof(int32_t) * all);
    memset(search.done, 0, all);
    for (int32_t r = 0; r < rows; r++)
        mate[r] = -1;
    for (int32_t r = 0; r < rows; r++)
        augment(&search, r, columns, start, column, cost, miss, mate);
    for (int32_t r = 0; r < rows; r++)
        if (mate[r] >= columns)
            mate[r] = -1;
}
