/* What is found out about a source while it is heard: noise, bias, latency, detection probability, false detections.
 * Residuals are taken on confirmed tracks only; each figure moves by its share of the evidence so far, and never stops moving. */
#include "numeric.h"
#include "track.h"

#include <math.h>

#define PRIOR 10.0    /* detections that what a source is said to have is worth */
#define MEMORY 1500.0 /* detections after which the old is forgotten; of offsets, which change less, after twice as many */
#define SLOW 0.25     /* m^2/s^2: who stands says nothing of noise, for sensors repeat themselves, nor of latency */
#define STIFF_BIAS 3.0 /* how firmly no bias and no latency are believed in at first: residual variance over the prior's */
#define STIFF_LAG 10.0
#define FEW 30.0       /* residuals before a source's offsets count */
#define LAG_MOST 0.8  /* s */
#define BIAS_MOST 2.0 /* m */

void source_start(source_t *s)
{
    s->scale = 1.0;
    s->bias_x = s->own_x = s->said_x;
    s->bias_y = s->own_y = s->said_y;
    s->lag = s->own_lag = s->said_lag;
    memset(s->sum, 0, sizeof s->sum);
    s->seen = s->p_detect;
    s->strewn = s->clutter;
    s->deaths = 0.0;
    s->residual = 2.0;
    s->weight = PRIOR;
}

void measurement_noise(const source_t *s, const detection *z, double r[3])
{
    double least = 0.03 * 0.03, own = s->sigma * s->sigma;
    r[0] = greater((isfinite(z->var_x) && z->var_x > 0.0f ? (double)z->var_x : own) * s->scale, least);
    r[1] = greater((isfinite(z->var_y) && z->var_y > 0.0f ? (double)z->var_y : own) * s->scale, least);
    double limit = 0.99 * sqrt(r[0] * r[1]);
    r[2] = isfinite(z->cov_xy) ? bounded((double)z->cov_xy * s->scale, -limit, limit) : 0.0;
}

/* Noise is the residual before times that after the update (Desroziers 2005); of a late scan, whose state is smoothed and not updated
 * itself, the square of the residual less the state's own variance. */
void note_residual(fusion_t *f, frame_t *w, const track_t *k, const state_t *before, const double *z, const double *r)
{
    source_t *s = &f->sources[w->source];
    sums_t *a = &w->sums;
    double nx = z[0] - before->x[0], ny = z[1] - before->x[1], det, vx = before->x[2], vy = before->x[3];
    double square = vx * vx + vy * vy, ox = nx + s->bias_x - s->lag * vx, oy = ny + s->bias_y - s->lag * vy;
    if (square < SLOW)
        return;
    const double more[7] = {1.0, vx, vy, square, ox, oy, ox * vx + oy * vy};
    for (int i = 0; i < 7; i++)
        s->sum[i] += more[i];
    a->moved += 1.0;
    a->n += 1.0;
    if (k->t == w->t)
        a->noise += nx * (z[0] - k->mean.x[0]) + ny * (z[1] - k->mean.x[1]);
    else
        a->noise += nx * nx + ny * ny - before->p[0] - before->p[4];
    a->said += r[0] + r[1];
    a->distance += distance(before->x, before->p, z[0], z[1], r, &det);
}

/* Least squares of o = bias - lag v over the faded sums. */
static void solve_offset(source_t *s)
{
    const double *m = s->sum;
    double n = m[0] + STIFF_BIAS, spread = m[3] + STIFF_LAG - (m[1] * m[1] + m[2] * m[2]) / n;
    double lag = -(m[6] - (m[1] * m[4] + m[2] * m[5]) / n) / spread;
    s->own_lag = bounded(lag, -LAG_MOST, LAG_MOST);
    s->own_x = bounded((m[4] + s->own_lag * m[1]) / n, -BIAS_MOST, BIAS_MOST);
    s->own_y = bounded((m[5] + s->own_lag * m[2]) / n, -BIAS_MOST, BIAS_MOST);
}

/* Only differences between sources can be seen. In time the connected vehicles, which have GNSS time, are the reference where there are
 * any, else the earliest source. In place the mean over the others is held to be right: a vehicle's place is no better than its
 * receiver, and no report may move what every unit sees. One source alone keeps what it was said to have. */
static void anchor(fusion_t *f)
{
    double bx = 0.0, by = 0.0, weights = 1e-12, least = 2.0 * LAG_MOST;
    const source_t *reference = NULL;
    int known = 0;
    for (int i = 0; i < SOURCES; i++) {
        const source_t *s = &f->sources[i];
        if (!(f->heard >> i & 1u) || s->sum[0] < FEW)
            continue;
        known++;
        least = s->own_lag - s->said_lag < least ? s->own_lag - s->said_lag : least;
        if (s->kind == COOPERATIVE) {
            reference = s;
            continue;
        }
        double weight = 1.0 / (s->scale * s->sigma * s->sigma);
        bx += weight * (s->own_x - s->said_x);
        by += weight * (s->own_y - s->said_y);
        weights += weight;
    }
    if (known < 2)
        return;
    least = reference ? reference->own_lag - reference->said_lag : least;
    for (int i = 0; i < SOURCES; i++) {
        source_t *s = &f->sources[i];
        if (!(f->heard >> i & 1u) || s->sum[0] < FEW)
            continue;
        if (!(f->features & NO_BIAS) && s->kind != COOPERATIVE) {
            s->bias_x = s->own_x - bx / weights;
            s->bias_y = s->own_y - by / weights;
        }
        if (!(f->features & NO_LAG))
            s->lag = s->own_lag - least;
    }
}

void learn(fusion_t *f, const frame_t *w)
{
    source_t *s = &f->sources[w->source];
    sums_t a = w->sums;
    if (w->area > 1.0 && !(f->features & NO_LIFE)) {
        s->strewn = bounded(s->strewn + 0.01 * (s->deaths / w->area - s->strewn), 1e-6, 0.1);
        s->deaths = 0.0;
    }
    if (a.hits + a.misses > 0.0 && !(f->features & NO_LIFE)) {
        double share = (a.hits + a.misses) / (300.0 + a.hits + a.misses);
        s->seen = bounded(s->seen + share * (a.hits / (a.hits + a.misses) - s->seen), 0.2, 0.98);
    }
    if (a.moved > 0.0) {
        double fade = 1.0 - a.moved / (2.0 * MEMORY + a.moved);
        for (int i = 0; i < 7; i++)
            s->sum[i] *= fade;
        solve_offset(s);
        anchor(f);
    }
    if (a.n <= 0.0)
        return;
    s->weight = lesser(s->weight + a.n, MEMORY);
    double share = a.n / s->weight;
    s->residual += share * (a.distance / a.n - s->residual);
    if (!(f->features & NO_NOISE) && s->kind != FROM_TRACKS) /* another's tracks err alike from scan to scan */
        s->scale = bounded(s->scale * (1.0 + share * (bounded(a.noise / a.said, 0.0, 10.0) - 1.0)), 0.01, 25.0);
}
