/* Gating: a grid over the scan's detections, and for each track the detections inside its own gate with the cost of each pair. */
#include "numeric.h"
#include "track.h"

#include <math.h>

#define REACH 12.0   /* m: a gate is never wider */
#define LOST 0.6     /* noise variances by misses in a row squared: who is not seen may do what no model foresees */
#define BRAKES 0.0005 /* share of the speed's square by misses in a row squared: it may have changed by 2 % a scan */
#define COMES_BACK 3.0 /* what a track that was proved and then lost costs more than one that is seen */
#define TOLD 4.0     /* what it counts that a source whose ids stay gives the same id as before, or another */
#define MOST_LIKE 4.0 /* what class, size and velocity together may count: they choose between road users, and break no track by themselves */

static int32_t clipped(double v, int32_t most)
{
    int32_t k = v < 0.0 ? 0 : v >= (double)most ? most - 1 : (int32_t)v;
    return k;
}

/* Counting sort of the detections by cell: those of cell c are order[head[c]] .. order[head[c + 1] - 1]. */
static void sort_by_cell(frame_t *w, const grid_t *g)
{
    int32_t cells = g->columns * g->rows;
    memset(w->head, 0, sizeof(int32_t) * ((size_t)cells + 1));
    for (int32_t j = 0; j < w->n; j++) {
        int32_t c = clipped((w->xy[2 * j] - g->left) * g->one, g->columns) + g->columns * clipped((w->xy[2 * j + 1] - g->bottom) * g->one, g->rows);
        w->cell[j] = c;
        w->head[c + 1]++;
    }
    for (int32_t c = 0; c < cells; c++)
        w->head[c + 1] += w->head[c];
    for (int32_t j = w->n - 1; j >= 0; j--)
        w->order[--w->head[w->cell[j] + 1]] = j;
    /* head[c + 1] is now where cell c begins; shift back */
    memmove(w->head, w->head + 1, sizeof(int32_t) * (size_t)cells);
    w->head[cells] = w->n;
}

/* Cells of about the gates' size, so many that their number stays of the order of the detections'. */
void lay_grid(fusion_t *f, frame_t *w)
{
    double low[2] = {w->xy[0], w->xy[1]}, high[2] = {w->xy[0], w->xy[1]}, size = bounded(1.3 * f->reach, 0.5, REACH);
    for (int32_t j = 1; j < w->n; j++)
        for (int i = 0; i < 2; i++) {
            double v = w->xy[2 * j + i];
            low[i] = v < low[i] ? v : low[i];
            high[i] = v > high[i] ? v : high[i];
        }
    double width = high[0] - low[0] + 1e-3, height = high[1] - low[1] + 1e-3, most = (double)w->cells;
    while ((floor(width / size) + 1.0) * (floor(height / size) + 1.0) > most)
        size *= 1.4;
    grid_t g = {low[0], low[1], 1.0 / size, (int32_t)(width / size) + 1, (int32_t)(height / size) + 1};
    w->grid = g;
    w->area = width * height;
    sort_by_cell(w, &g);
}

/* What class, size, velocity and claimed identity add to the cost of a pair; INFINITY when they forbid it. */
static double likeness(const fusion_t *f, const track_t *k, const state_t *s, const detection *z, int32_t source)
{
    const worth_t *g = &f->sources[source].worth;
    double cost = 0.0;
    if (g->names > 0.5 && z->id && k->told && k->teller == source) {
        double kept = TOLD * (2.0 * g->names - 1.0);
        cost += z->id == k->told ? -kept : k->run == 0 ? kept : 0.0; /* the id of one that was given up is not used again */
    }
    if (z->vehicle && k->vehicle && z->vehicle != k->vehicle)
        return INFINITY;
    if (z->vehicle && z->vehicle == k->vehicle)
        cost -= 6.0;
    if (f->features & NO_CLASS)
        return cost;
    double like = 0.0;
    if (z->cls && k->cls) {
        double own = (double)k->class_p[z->cls & (CLASSES - 1)], other = (1.0 - g->right) / (CLASSES - 2);
        like -= 2.0 * ln((CLASSES - 1) * (own * g->right + (1.0 - own) * other));
    }
    if (isfinite(z->length) && z->length > 0.0f && k->sizes) {
        double off = (double)(z->length - k->length) / (0.3 + 0.15 * (double)k->length);
        like += lesser(off * off / g->size, 6.0) - 1.0;
    }
    if (isfinite(z->vx) && isfinite(z->vy)) {
        double dx = (double)z->vx - s->x[2], dy = (double)z->vy - s->x[3];
        like += lesser((dx * dx + dy * dy) / (2.0 * g->speed + 0.1 + s->p[7] + s->p[9]), 6.0) - 2.0;
    }
    return cost + bounded(like, -MOST_LIKE, MOST_LIKE);
}

/* Distance and log determinant to the likelier of the two models: a track of one hit is a walker's or a driver's. */
static double either(const imm_t *m, double x, double y, const double r[3])
{
    double det_a, det_b, a = distance(m->straight.x, m->straight.p, x, y, r, &det_a);
    double b = distance(m->turning.x, m->turning.p, x, y, r, &det_b);
    a += ln(det_a) - 2.0 * ln(1.0 - m->turns);
    b += ln(det_b) - 2.0 * ln(m->turns);
    return a < b ? a : b;
}

static int32_t keep(int32_t *column, double *cost, int32_t n, int32_t j, double c)
{
    if (n < MAX_EDGES) {
        column[n] = j;
        cost[n] = c;
        return n + 1;
    }
    int32_t worst = 0;
    for (int32_t e = 1; e < n; e++)
        if (cost[e] > cost[worst])
            worst = e;
    if (c < cost[worst]) {
        column[worst] = j;
        cost[worst] = c;
    }
    return n;
}

int32_t gate(fusion_t *f, frame_t *w, int32_t i, int32_t edges)
{
    const track_t *k = track_at(f, i);
    const state_t *s = &w->mean[i];
    const grid_t *g = &w->grid;
    int32_t *column = w->column + edges, n = 0;
    double *cost = w->cost + edges;
    double away = k->run < 5 ? (double)k->run : 5.0;
    double square = s->x[2] * s->x[2] + s->x[3] * s->x[3], late = w->unsure * square + away * away * (LOST * w->widest + BRAKES * square);
    double hx = lesser(sqrt(f->gate * (s->p[0] + w->widest + late)), REACH), hy = lesser(sqrt(f->gate * (s->p[4] + w->widest + late)), REACH);
    double x0 = (s->x[0] - hx - g->left) * g->one, x1 = (s->x[0] + hx - g->left) * g->one;
    double y0 = (s->x[1] - hy - g->bottom) * g->one, y1 = (s->x[1] + hy - g->bottom) * g->one;
    w->reach += hx;
    if (x1 < 0.0 || y1 < 0.0 || x0 > g->columns || y0 > g->rows)
        return edges;
    int32_t a = clipped(x0, g->columns), b = clipped(x1, g->columns), top = clipped(y1, g->rows);
    double young = k->existence < 0.9 ? -2.0 * ln(k->existence + 1e-3) : 0.0;
    if (k->status == CONFIRMED && f->sources[w->source].filtered) /* it may have given up one that is there */
        young = lesser(young, COMES_BACK);
    else if (k->status == CONFIRMED && k->run > 1) /* who is hidden is not likely to be back at just this scan */
        young -= 2.0 * ln(1.0 - miss_chance(f, &f->sources[w->source], k));
    for (int32_t row = clipped(y0, g->rows); row <= top; row++)
        for (int32_t e = w->head[row * g->columns + a]; e < w->head[row * g->columns + b + 1]; e++) {
            int32_t j = w->order[e];
            double x = w->xy[2 * j], y = w->xy[2 * j + 1], det;
            if (fabs(x - s->x[0]) > hx || fabs(y - s->x[1]) > hy)
                continue;
            const double *own = &w->r[3 * j], r[3] = {own[0] + late, own[1] + late, own[2]};
            double d = distance(s->x, s->p, x, y, r, &det);
            if (!(d < f->gate))
                continue;
            if (late > 0.0) /* a gate widened for want of knowledge costs nothing by its width */
                det = greater((s->p[0] + own[0]) * (s->p[4] + own[1]) - (s->p[1] + own[2]) * (s->p[1] + own[2]), 1e-12);
            double c = young + (w->plain ? 0.0 : likeness(f, k, s, &w->z[j], w->source));
            c += k->hits == 1 && w->t == k->t && k->now.turns > 0.01 ? either(&k->now, x, y, r) : d + ln(det);
            if (c < f->miss_cost)
                n = keep(column, cost, n, j, c);
        }
    return edges + n;
}
