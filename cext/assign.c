/* Globally optimal assignment on a sparse graph: shortest augmenting paths with duals, one row at a time. A search stays
 * within its row's connected cluster, so the cost is that of the clusters, not of the whole. */
#include "track.h"

#include <string.h>

typedef struct {
    double *u, *v, *dist;
    int32_t *owner, *from, *touched;
    uint8_t *done;
} work_t;

/* Where each part of the scratch begins, bytes. */
typedef struct {
    size_t u, v, dist, owner, from, touched, done, end;
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
    l.done = part_of(&l.end, all, 1);
    return l;
}

size_t assign_scratch(int32_t rows, int32_t columns) { return layout(rows, columns).end; }

static void relax(work_t *w, int32_t row, int32_t c, double cost, double base, int32_t *count)
{
    double d = base + cost - w->u[row] - w->v[c];
    if (w->from[c] == -1) {
        w->touched[(*count)++] = c;
        w->dist[c] = d;
        w->from[c] = row;
    } else if (!w->done[c] && d < w->dist[c]) {
        w->dist[c] = d;
        w->from[c] = row;
    }
}

/* Augment from `row`; columns past `columns` are the rows' own places for "not assigned". */
static void augment(work_t *w, int32_t row, int32_t columns, const int32_t *start, const int32_t *column, const double *cost, double miss,
                    int32_t *mate)
{
    int32_t count = 0, current = row, end = -1;
    double base = 0.0;
    while (end < 0) {
        for (int32_t e = start[current]; e < start[current + 1]; e++)
            relax(w, current, column[e], cost[e], base, &count);
        relax(w, current, columns + current, miss, base, &count);
        int32_t best = -1;
        for (int32_t k = 0; k < count; k++) {
            int32_t c = w->touched[k];
            if (!w->done[c] && (best < 0 || w->dist[c] < w->dist[best]))
                best = c;
        }
        base = w->dist[best];
        w->done[best] = 1;
        if (w->owner[best] < 0)
            end = best;
        else
            current = w->owner[best];
    }
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
