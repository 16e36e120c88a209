/* What is found out about a source while it is heard: noise, bias, latency, detection probability, false detections.
 * Residuals are taken on confirmed tracks only; each figure moves by its share of the evidence so far, and never stops moving. */
#include "numeric.h"
#include "track.h"

#include <math.h>

#define PRIOR 20.0    /* detections that what a source is said to have is worth */
#define MEMORY 1500.0 /* detections after which the old is forgotten */
#define LAG_MOST 0.8  /* s */
#define BIAS_MOST 2.0 /* m */

void source_start(source_t *s)
{
    s->scale = 1.0;
    s->bias_x = s->bias_y = s->lag = 0.0;
    s->seen = s->p_detect;
    s->strewn = s->clutter;
    s->deaths = 0.0;
    s->residual = 2.0;
    s->weight = PRIOR;
}

void measurement_noise(const source_t *s, const detection *z, double r[3])
{
    double least = 0.03 * 0.03, own = s->sigma * s->sigma;
    r[0] = fmax((isfinite(z->var_x) && z->var_x > 0.0f ? (double)z->var_x : own) * s->scale, least);
    r[1] = fmax((isfinite(z->var_y) && z->var_y > 0.0f ? (double)z->var_y : own) * s->scale, least);
    double limit = 0.99 * sqrt(r[0] * r[1]);
    r[2] = isfinite(z->cov_xy) ? bounded((double)z->cov_xy * s->scale, -limit, limit) : 0.0;
}

typedef struct {
    double n, noise, said, vx, vy, vv, ex, ey, ev, distance, hits, misses;
} sums_t;

static void take(sums_t *a, const track_t *k, const state_t *before, const double *z, const double *r)
{
    double nx = z[0] - before->x[0], ny = z[1] - before->x[1], det;
    double ax = z[0] - k->mean.x[0], ay = z[1] - k->mean.x[1], vx = before->x[2], vy = before->x[3];
    a->n += 1.0;
    a->noise += nx * ax + ny * ay;
    a->said += r[0] + r[1];
    a->vx += vx;
    a->vy += vy;
    a->vv += vx * vx + vy * vy;
    a->ex += nx;
    a->ey += ny;
    a->ev += nx * vx + ny * vy;
    a->distance += distance(before->x, before->p, z[0], z[1], r, &det);
}

/* Bias and latency by least squares of residual = bias - lag v over the scan; moved by the scan's share, more carefully than noise. */
static void learn_offset(fusion_t *f, source_t *s, const sums_t *a, double share)
{
    double mx = a->ex / a->n, my = a->ey / a->n, ux = a->vx / a->n, uy = a->vy / a->n;
    double spread = a->vv - a->n * (ux * ux + uy * uy), with = a->ev - a->n * (mx * ux + my * uy);
    double lag = -with / (spread + 4.0 * a->n);
    if (!(f->features & NO_LAG))
        s->lag = bounded(s->lag + share * lag, -LAG_MOST, LAG_MOST);
    if (f->features & NO_BIAS)
        return;
    s->bias_x = bounded(s->bias_x + share * (mx + lag * ux), -BIAS_MOST, BIAS_MOST);
    s->bias_y = bounded(s->bias_y + share * (my + lag * uy), -BIAS_MOST, BIAS_MOST);
}

/* Only differences between sources can be seen: the connected vehicles' own clock and place are the reference where there are any,
 * else the mean bias is none and the earliest source is on time. */
static void anchor(fusion_t *f)
{
    double bx = 0.0, by = 0.0, weights = 0.0, least = LAG_MOST;
    const source_t *reference = NULL;
    for (int i = 0; i < SOURCES; i++) {
        const source_t *s = &f->sources[i];
        if (s->weight <= PRIOR + 20.0)
            continue;
        if (s->kind == COOPERATIVE)
            reference = s;
        double weight = 1.0 / (s->scale * s->sigma * s->sigma);
        bx += weight * s->bias_x;
        by += weight * s->bias_y;
        weights += weight;
        least = s->lag < least ? s->lag : least;
    }
    if (weights <= 0.0)
        return;
    bx = reference ? reference->bias_x : bx / weights;
    by = reference ? reference->bias_y : by / weights;
    least = reference ? reference->lag : least;
    for (int i = 0; i < SOURCES; i++) {
        source_t *s = &f->sources[i];
        if (s->weight <= PRIOR + 20.0)
            continue;
        s->bias_x -= bx;
        s->bias_y -= by;
        s->lag -= least;
    }
}

void learn(fusion_t *f, const frame_t *w)
{
    source_t *s = &f->sources[w->source];
    sums_t a = {0};
    for (int32_t i = 0; i < w->known; i++) {
        const track_t *k = &f->tracks[i];
        int32_t j = w->hit[i];
        if (j == MISSED)
            a.misses += 1.0;
        if (j < 0)
            continue;
        a.hits += k->status == CONFIRMED && w->run[i] == 0;
        if (k->hits > 2 && k->t == w->t)
            take(&a, k, &w->mean[i], &w->xy[2 * j], &w->r[3 * j]);
    }
    if (w->area > 1.0 && !(f->features & NO_LIFE)) {
        s->strewn = bounded(s->strewn + 0.01 * (s->deaths / w->area - s->strewn), 1e-6, 0.1);
        s->deaths = 0.0;
    }
    if (a.hits + a.misses > 0.0 && !(f->features & NO_LIFE)) {
        double share = (a.hits + a.misses) / (300.0 + a.hits + a.misses);
        s->seen = bounded(s->seen + share * (a.hits / (a.hits + a.misses) - s->seen), 0.2, 0.98);
    }
    if (a.n <= 0.0)
        return;
    s->weight = fmin(s->weight + a.n, MEMORY);
    double share = a.n / s->weight;
    s->residual += share * (a.distance / a.n - s->residual);
    if (!(f->features & NO_NOISE))
        s->scale = bounded(s->scale * (1.0 + share * (a.noise / a.said - 1.0)), 0.01, 25.0);
    learn_offset(f, s, &a, 0.5 * share);
    anchor(f);
}
