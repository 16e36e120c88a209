/* Gating: a grid over the scan's detections, and for each track the detections inside its own gate with the cost of each pair. */
#include "numeric.h"
#include "track.h"

#include <math.h>

#define REACH 12.0   /* m: a gate is never wider */
#define FIRST_REACH 40.0 /* m: but of one seen once, which may be as far as its speed can be */
#define JUST_UNDER 0.01  /* of the cost of a miss: what a second hit that is less likely than a miss, but can be, costs less */
#define WIDEST 4e6   /* m: a scan is never wider, for positions are within 1,000 km */
#define LOST 0.6     /* noise variances by misses in a row squared: who is not seen may do what no model foresees */
#define BRAKES 0.0005 /* share of the speed's square by misses in a row squared: it may have changed by 2 % a scan */
#define LOOKS 64      /* detections that a track looks at, about: where its gate holds more, it shrinks */
#define FEW_EDGES ((MAX_EDGES + 1) / 2) /* of those it then keeps */
#define OCCUPIED 4.0  /* detections in a cell, on the mean, at most */
#define DENSITY 8.0  /* detections per m^2 that are looked at: a crush holds fewer people */
#define COMES_BACK 3.0 /* what a track that was proved and then lost costs more than one that is seen */
#define TOLD 4.0     /* what it counts that a source whose ids stay gives the same id as before, or another */
#define MOST_LIKE 4.0 /* what class, size and velocity together may count: they choose between road users, and break no track by themselves */

/* Counting sort of the detections by cell: those of cell c are order[head[c]] .. order[head[c + 1] - 1]. No more are taken than road users can
   stand in a cell, the first of the scan: so a scan's time grows with its detections, wherever they are. Returns how many are left out. */
static int32_t sort_by_cell(frame_t *w, const grid_t *g)
{
    int32_t cells = g->columns * g->rows, room = (int32_t)bounded(DENSITY / (g->one * g->one), DENSITY, MAX_SCAN), crowded = 0;
    memset(w->head, 0, sizeof(int32_t) * ((size_t)cells + 1));
    w->fullest = 0;
    for (int32_t j = 0; j < w->n; j++) {
        int32_t c = clipped((w->xy[2 * j] - g->left) * g->one, g->columns) + g->columns * clipped((w->xy[2 * j + 1] - g->bottom) * g->one, g->rows);
        int full = w->head[c + 1] >= room;
        crowded += full;
        w->head[c + 1] += !full;
        w->fullest = w->head[c + 1] > w->fullest ? w->head[c + 1] : w->fullest;
        w->cell[j] = full ? CROWDED : c;
    }
    for (int32_t c = 0; c < cells; c++)
        w->head[c + 1] += w->head[c];
    int32_t taken = w->head[cells];
    for (int32_t j = w->n - 1; j >= 0; j--)
        if (w->cell[j] != CROWDED)
            w->order[--w->head[w->cell[j] + 1]] = j;
    /* head[c + 1] is now where cell c begins; shift back */
    memmove(w->head, w->head + 1, sizeof(int32_t) * (size_t)cells);
    w->head[cells] = taken;
    return crowded;
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
    double width = lesser(high[0] - low[0] + 1e-3, WIDEST), height = lesser(high[1] - low[1] + 1e-3, WIDEST), most = (double)w->cells;
    size = lesser(size, greater(sqrt(OCCUPIED * width * height / (double)w->n), 0.25));
    while ((floor(width / size) + 1.0) * (floor(height / size) + 1.0) > most)
        size *= 1.4;
    grid_t g = {low[0], low[1], 1.0 / size, clipped(width / size, w->cells) + 1, clipped(height / size, w->cells) + 1};
    w->grid = g;
    w->area = width * height;
    f->crowded += (uint64_t)sort_by_cell(w, &g);
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

/* What all detections of one noise are measured by: the inverse of the innovation's covariance, and what is added to the squared distance. */
typedef struct {
    double x, y, i[3], more;
} gauge_t;

static inline void gauge(gauge_t *g, const double *mean, const double *p, const double r[3])
{
    g->x = mean[0];
    g->y = mean[1];
    g->more = invert2(p[0] + r[0], p[4] + r[1], p[1] + r[2], g->i);
}

static inline double to(const gauge_t *g, double x, double y)
{
    double dx = x - g->x, dy = y - g->y;
    return dx * dx * g->i[0] + dy * dy * g->i[1] + 2.0 * dx * dy * g->i[2];
}

/* A track, as the detections of one noise are measured against it. Noise is mostly the same for all of a scan. */
typedef struct {
    double r[3]; /* the noise */
    gauge_t mean, slow, fast;
    int either; /* a track of one hit is a walker's or a driver's: the likelier of the two models counts */
} measure_t;

int seen_once(const track_t *k, int64_t t) { return k->hits == 1 && k->status == TENTATIVE && t == k->t && k->now.turns > 0.01; }

static void measure_for(measure_t *m, const track_t *k, const state_t *s, const double own[3], double late)
{
    const double r[3] = {own[0] + late, own[1] + late, own[2]};
    memcpy(m->r, own, sizeof m->r);
    gauge(&m->mean, s->x, s->p, r);
    if (late > 0.0) /* a gate widened for want of knowledge costs nothing by its width */
        m->mean.more = greater((s->p[0] + own[0]) * (s->p[4] + own[1]) - (s->p[1] + own[2]) * (s->p[1] + own[2]), 1e-12);
    m->mean.more = ln(m->mean.more);
    if (!m->either)
        return;
    gauge(&m->slow, k->now.straight.x, k->now.straight.p, r);
    gauge(&m->fast, k->now.turning.x, k->now.turning.p, r);
    m->slow.more = ln(m->slow.more) - 2.0 * ln(1.0 - k->now.turns);
    m->fast.more = ln(m->fast.more) - 2.0 * ln(k->now.turns);
}

static inline double cost_of(const measure_t *m, double d, double x, double y)
{
    if (!m->either)
        return d + m->mean.more;
    double a = to(&m->slow, x, y) + m->slow.more, b = to(&m->fast, x, y) + m->fast.more;
    return a < b ? a : b;
}

/* Keep an edge, in place of the worst where there are enough; `worst` is its place, or -1 while there is room. */
static int32_t keep(int32_t *column, double *cost, int32_t n, int32_t most, int32_t j, double c, int32_t *worst)
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

/* The cells that a gate touches; none where right < left. */
typedef struct {
    int32_t left, right, low, high;
} span_t;

static span_t span(const grid_t *g, const state_t *s, double hx, double hy)
{
    double x0 = (s->x[0] - hx - g->left) * g->one, x1 = (s->x[0] + hx - g->left) * g->one;
    double y0 = (s->x[1] - hy - g->bottom) * g->one, y1 = (s->x[1] + hy - g->bottom) * g->one;
    if (x1 < 0.0 || y1 < 0.0 || x0 > g->columns || y0 > g->rows)
        return (span_t){.left = 0, .right = -1};
    return (span_t){clipped(x0, g->columns), clipped(x1, g->columns), clipped(y0, g->rows), clipped(y1, g->rows)};
}

/* How many detections they hold, where it may be more than LOOKS. */
static int32_t held(const frame_t *w, const span_t *in)
{
    int32_t n = 0;
    if (w->fullest * (in->right - in->left + 1) * (in->high - in->low + 1) <= LOOKS)
        return 0;
    for (int32_t row = in->low; row <= in->high; row++)
        n += w->head[row * w->grid.columns + in->right + 1] - w->head[row * w->grid.columns + in->left];
    return n;
}

int32_t gate(fusion_t *f, frame_t *w, int32_t i, int32_t edges)
{
    const track_t *k = track_at(f, i);
    const state_t *s = &w->mean[i];
    const grid_t *g = &w->grid;
    int32_t *column = w->column + edges, n = 0, worst = -1;
    double *cost = w->cost + edges;
    double away = k->run < 5 ? (double)k->run : 5.0;
    double square = s->x[2] * s->x[2] + s->x[3] * s->x[3], late = w->unsure * square + away * away * (LOST * w->widest + BRAKES * square);
    double hx = lesser(sqrt(f->gate * (s->p[0] + w->widest + late)), REACH), hy = lesser(sqrt(f->gate * (s->p[4] + w->widest + late)), REACH);
    w->reach += hx;
    int once = seen_once(k, w->t);
    if (once) { /* it may be a driver's: as far as the faster of its models has it */
        hx = greater(hx, lesser(sqrt(f->gate * (k->now.turning.p[0] + w->widest + late)), FIRST_REACH));
        hy = greater(hy, lesser(sqrt(f->gate * (k->now.turning.p[4] + w->widest + late)), FIRST_REACH));
    }
    span_t in = span(g, s, hx, hy);
    int32_t most = MAX_EDGES;
    if (in.right < in.left)
        return edges;
    int32_t there = held(w, &in);
    if (there > LOOKS) { /* the nearest of so many are what matters: the others would fall out of the edges kept */
        double share = sqrt((double)LOOKS / (double)there);
        hx *= share;
        hy *= share;
        in = span(g, s, hx, hy);
        most = FEW_EDGES;
    }
    measure_t m; /* what is not set yet belongs to no noise: none is negative */
    m.r[0] = -1.0;
    m.either = k->hits == 1 && w->t == k->t && k->now.turns > 0.01;
    double young = k->existence < 0.9 ? -2.0 * ln(k->existence + 1e-3) : 0.0;
    if (k->status == CONFIRMED && f->sources[w->source].filtered) /* it may have given up one that is there */
        young = lesser(young, COMES_BACK);
    else if (k->status == CONFIRMED && k->run > 1) /* an occluded road user is unlikely to reappear at just this scan */
        young -= 2.0 * ln(1.0 - miss_chance(f, &f->sources[w->source], k));
    for (int32_t row = in.low; row <= in.high; row++)
        for (int32_t e = w->head[row * g->columns + in.left]; e < w->head[row * g->columns + in.right + 1]; e++) {
            int32_t j = w->order[e];
            double x = w->xy[2 * j], y = w->xy[2 * j + 1];
            if (fabs(x - s->x[0]) > hx || fabs(y - s->x[1]) > hy)
                continue;
            const double *own = &w->r[3 * j];
            if (own[0] != m.r[0] || own[1] != m.r[1] || own[2] != m.r[2])
                measure_for(&m, k, s, own, late);
            double d = to(&m.mean, x, y);
            if (!(d < f->gate) && !(once && to(&m.fast, x, y) < f->gate))
                continue;
            double c = young + (w->plain ? 0.0 : likeness(f, k, s, &w->z[j], w->source));
            c += cost_of(&m, d, x, y);
            if (once && c >= f->miss_cost && c < INFINITY && hit_chance(f, w, k, j) > f->drop) /* nobody knows its speed: the cost is that of not knowing */
                c = f->miss_cost * (1.0 - JUST_UNDER / c);
            if (c < f->miss_cost)
                n = keep(column, cost, n, most, j, c, &worst);
        }
    return edges + n;
}
