/* Globally optimal assignment on a sparse graph: shortest augmenting paths with duals, one row at a time. A search stays
 * within its row's connected cluster, so the cost is that of the clusters, not of the whole; and it looks at MAX_STEPS columns of it, nearest first.
 * Up to MAX_STEPS / 2 rows hang together exactly; where more do, a row that is not placed by then takes the nearest free column it has met. */
#include "track.h"

#include <math.h>
#include <string.h>

#define MAX_STEPS 64

typedef struct {
    double *u, *v, *dist;
    int32_t *owner, *from, *touched, *heap, *spot, *rank; /* spot: place in the heap; rank: in order of being met */
    uint8_t *done;
    int32_t met, waiting; /* columns met; of them in the heap */
} work_t;

/* Where each part of the scratch begins, bytes. */
typedef struct {
    size_t u, v, dist, owner, from, touched, heap, spot, rank, done, end;
} layout_t;

static layout_t layout(int32_t rows, int32_t columns)
{
    size_t all = (size_t)rows + (size_t)columns;
    layout_t l = {0};
    l.u = part_of(&l.end, (size_t)rows, sizeof(double));
    l.v = part_of(&l.end, all, sizeof(double));
    l.dist = part_of(&l.end, all, sizeof(double));
    l.owner = part_of(&l.end, all, sizeof(int32_t));
    l.from = part_of(&l.end, all, sizeof(int32_t));
    l.touched = part_of(&l.end, all, sizeof(int32_t));
    l.heap = part_of(&l.end, all, sizeof(int32_t));
    l.spot = part_of(&l.end, all, sizeof(int32_t));
    l.rank = part_of(&l.end, all, sizeof(int32_t));
    l.done = part_of(&l.end, all, 1);
    return l;
}

size_t assign_scratch(int32_t rows, int32_t columns) { return layout(rows, columns).end; }

static int nearer(const work_t *w, int32_t a, int32_t b)
{
    return w->dist[a] < w->dist[b] || (w->dist[a] == w->dist[b] && w->rank[a] < w->rank[b]);
}

static void put(work_t *w, int32_t at, int32_t c)
{
    w->heap[at] = c;
    w->spot[c] = at;
}

/* Move a column that came nearer towards the top of the heap. */
static void rise(work_t *w, int32_t c)
{
    int32_t at = w->spot[c];
    while (at > 0 && nearer(w, c, w->heap[(at - 1) / 2])) {
        put(w, at, w->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(w, at, c);
}

static int32_t take_nearest(work_t *w)
{
    int32_t best = w->heap[0], c = w->heap[--w->waiting], at = 0;
    for (int32_t next = 1; next < w->waiting; next = 2 * at + 1) {
        if (next + 1 < w->waiting && nearer(w, w->heap[next + 1], w->heap[next]))
            next++;
        if (!nearer(w, w->heap[next], c))
            break;
        put(w, at, w->heap[next]);
        at = next;
    }
    put(w, at, c);
    return best;
}

static void relax(work_t *w, int32_t row, int32_t c, double cost, double base)
{
    double d = base + cost - w->u[row] - w->v[c];
    if (w->from[c] == -1) {
        w->rank[c] = w->met;
        w->touched[w->met++] = c;
        w->spot[c] = w->waiting++;
    } else if (w->done[c] || !(d < w->dist[c])) {
        return;
    }
    w->dist[c] = d;
    w->from[c] = row;
    rise(w, c);
}

/* The nearest free column of those met: a row's own place is always one. */
static int32_t nearest_free(const work_t *w)
{
    int32_t best = -1;
    for (int32_t k = 0; k < w->waiting; k++) {
        int32_t c = w->heap[k];
        if (w->owner[c] < 0 && (best < 0 || nearer(w, c, best)))
            best = c;
    }
    return best;
}

/* A row's nearest column where that is free, as it mostly is, with the row's dual: the search would end with its first step. Else -1. */
static int32_t nearest_now(const work_t *w, int32_t row, int32_t columns, const int32_t *start, const int32_t *column, const double *cost, double miss,
                           double *dual)
{
    int32_t best = columns + row;
    double least = INFINITY;
    for (int32_t e = start[row]; e < start[row + 1]; e++) {
        double d = cost[e] - w->v[column[e]];
        if (d < least) {
            least = d;
            best = column[e];
        }
    }
    if (miss - w->v[columns + row] < least) {
        least = miss - w->v[columns + row];
        best = columns + row;
    }
    if (w->owner[best] >= 0)
        return -1;
    *dual = least;
    return best;
}

/* Augment from `row`; columns past `columns` are the rows' own places for "not assigned". */
static void augment(work_t *w, int32_t row, int32_t columns, const int32_t *start, const int32_t *column, const double *cost, double miss,
                    int32_t *mate)
{
    int32_t current = row, end = nearest_now(w, row, columns, start, column, cost, miss, &w->u[row]);
    double base = 0.0;
    if (end >= 0) {
        w->owner[end] = row;
        mate[row] = end;
        return;
    }
    w->met = w->waiting = 0;
    for (int32_t step = 0; end < 0; step++) {
        for (int32_t e = start[current]; e < start[current + 1]; e++)
            relax(w, current, column[e], cost[e], base);
        relax(w, current, columns + current, miss, base);
        if (step == MAX_STEPS) {
            end = nearest_free(w); /* further than `base`: the duals stay feasible, the row's costs are not the least */
            break;
        }
        int32_t best = take_nearest(w);
        base = w->dist[best];
        w->done[best] = 1;
        if (w->owner[best] < 0)
            end = best;
        else
            current = w->owner[best];
    }
    int32_t count = w->met;
    w->u[row] += base;
    for (int32_t k = 0; k < count; k++) {
        int32_t c = w->touched[k];
        if (w->done[c] && c != end) {
            w->v[c] += w->dist[c] - base;
            w->u[w->owner[c]] += base - w->dist[c];
        }
    }
    for (int32_t c = end;;) {
        int32_t r = w->from[c], next = mate[r];
        w->owner[c] = r;
        mate[r] = c;
        if (r == row)
            break;
        c = next;
    }
    for (int32_t k = 0; k < count; k++) {
        w->from[w->touched[k]] = -1;
        w->done[w->touched[k]] = 0;
    }
}

void assign(int32_t rows, int32_t columns, const int32_t *start, const int32_t *column, const double *cost, double miss, int32_t *mate,
            void *scratch)
{
    size_t all = (size_t)rows + (size_t)columns;
    char *base = scratch;
    layout_t l = layout(rows, columns);
    work_t w;
    w.u = (double *)(void *)(base + l.u);
    w.v = (double *)(void *)(base + l.v);
    w.dist = (double *)(void *)(base + l.dist);
    w.owner = (int32_t *)(void *)(base + l.owner);
    w.from = (int32_t *)(void *)(base + l.from);
    w.touched = (int32_t *)(void *)(base + l.touched);
    w.heap = (int32_t *)(void *)(base + l.heap);
    w.spot = (int32_t *)(void *)(base + l.spot);
    w.rank = (int32_t *)(void *)(base + l.rank);
    w.done = (uint8_t *)(base + l.done);
    memset(w.u, 0, sizeof(double) * (size_t)rows);
    memset(w.v, 0, sizeof(double) * all);
    memset(w.owner, 0xff, sizeof(int32_t) * all);
    memset(w.from, 0xff, sizeof(int32_t) * all);
    memset(w.done, 0, all);
    for (int32_t r = 0; r < rows; r++)
        mate[r] = -1;
    for (int32_t r = 0; r < rows; r++)
        augment(&w, r, columns, start, column, cost, miss, mate);
    for (int32_t r = 0; r < rows; r++)
        if (mate[r] >= columns)
            mate[r] = -1;
}
