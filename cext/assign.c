/* Globally optimal assignment on a sparse graph: shortest augmenting paths with duals, one row at a time. A search stays
 * within its row's connected cluster, so the cost is that of the clusters, not of the whole. */
#include "track.h"

#include <string.h>

typedef struct {
    double *u, *v, *dist;
    int32_t *owner, *from, *touched;
    uint8_t *done;
} work_t;

size_t assign_scratch(int32_t rows, int32_t columns)
{
    size_t all = (size_t)rows + (size_t)columns;
    return sizeof(double) * ((size_t)rows + 2 * all) + sizeof(int32_t) * 3 * all + all + 64;
}

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
    work_t w;
    w.u = scratch;
    w.v = w.u + rows;
    w.dist = w.v + all;
    w.owner = (int32_t *)(w.dist + all);
    w.from = w.owner + all;
    w.touched = w.from + all;
    w.done = (uint8_t *)(w.touched + all);
    memset(w.u, 0, sizeof(double) * ((size_t)rows + all));
    memset(w.owner, 0xff, sizeof(int32_t) * 2 * all);
    memset(w.done, 0, all);
    for (int32_t r = 0; r < rows; r++)
        mate[r] = -1;
    for (int32_t r = 0; r < rows; r++)
        augment(&w, r, columns, start, column, cost, miss, mate);
    for (int32_t r = 0; r < rows; r++)
        if (mate[r] >= columns)
            mate[r] = -1;
}
