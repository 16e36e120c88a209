/* What is found out about a source while it is heard: noise, bias, latency, detection probability, false detections.
 * Residuals are taken on confirmed tracks only; each figure moves by its share of the evidence so far, and never stops moving. */
#include "numeric.h"
#include "track.h"

#include <math.h>

#define PRIOR 10.0    /* detections that what a source is said to have is worth */
#define MEMORY 1500.0 /* detections after which the old is forgotten; of offsets, which change less, after twice as many */
#define CORRELATED_KEPT 600.0 /* pairs of residuals after which the old count less */
#define CORRELATED_PRIOR 300.0 /* pairs that the configured kind "tracks" counts for */
#define CORRELATED_SURE 60.0  /* pairs before it is known whether a source filters */
#define FILTERED 0.3   /* mean cosine of residuals a scan apart: of what is measured anew each time it is 0, of filtered tracks 0.5 and more */
#define UNFILTERED -0.1 /* while it is followed closely: of what is measured anew the increments turn back, -0.4 */
#define TINY 1e-8      /* m^2 */
#define SLOW 0.25     /* m^2/s^2: who stands says nothing of noise, for sensors repeat themselves, nor of latency */
#define STIFF_BIAS 3.0 /* how firmly no bias and no latency are believed in at first: residual variance over the prior's */
#define STIFF_LAG 10.0
#define FEW 30.0       /* residuals before a source's offsets count */
#define SETTLED 300.0  /* residuals after which its offsets are found: until then they are in every residual, and those look alike */
#define AREA_FADES 0.9995 /* a scan: a few detections do not show how far the source looks */
#define MIN_AREA 400.0 /* m^2 */
#define RIGHT 0.85     /* share of right classes before any is found */
#define WORTH_SAID 20.0   /* detections that what a source is held to be worth at first is worth */
#define WORTH_KEPT 1000.0 /* detections after which the old count less */
#define MIN_PAIRS 30.0 /* velocities held against places before they are judged by it */
#define GROSS 2.0      /* m^2/s^2 */
#define FAST 9.0       /* m^2/s^2: a slower road user tells nothing of time stamps */
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
    s->worth = (worth_t){.right = RIGHT, .size = 1.0, .speed = s->sigma_v * s->sigma_v, .names = s->kind == FROM_TRACKS ? 0.95 : 0.5};
    s->jitter = s->fast = s->doubted = 0.0;
    s->believed = 1.0;
    s->self = s->kind == FROM_TRACKS ? CORRELATED_PRIOR : 0.0; /* the configured kind is a hint */
    s->cross = 0.6 * s->self;
    s->filtered = s->kind == FROM_TRACKS;
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
void note_residual(fusion_t *f, frame_t *w, track_t *k, const state_t *before, const double *z, const double *r)
{
    source_t *s = &f->sources[w->source];
    sums_t *a = &w->sums;
    double nx = z[0] - before->x[0], ny = z[1] - before->x[1], det, vx = before->x[2], vy = before->x[3];
    double square = vx * vx + vy * vy, ox = nx + s->bias_x - s->lag * vx, oy = ny + s->bias_y - s->lag * vy;
    if (square < SLOW)
        return;
    double now = nx * nx + ny * ny, then = (double)k->off[0] * (double)k->off[0] + (double)k->off[1] * (double)k->off[1];
    int settled = !f->several || s->sum[0] >= SETTLED;
    if (k->judge == w->source + 1 && settled && now > TINY && then > TINY) { /* the cosine: one jump says no more than one scan */
        a->cross += (nx * (double)k->off[0] + ny * (double)k->off[1]) / sqrt(now * then);
        a->self += 1.0;
    }
    k->judge = (uint8_t)(w->source + 1);
    k->off[0] = (float)nx;
    k->off[1] = (float)ny;
    if (square > FAST) { /* a stamp that is off moves a road user along its way, noise does so either way */
        double ahead = nx * vx + ny * vy, aside = nx * vy - ny * vx;
        a->fast += 1.0;
        a->along += (ahead * ahead - aside * aside) / (square * square);
    }
    if (w->doubt > 0.0)
        return;
    const double more[7] = {1.0, vx, vy, square, ox, oy, ox * vx + oy * vy};
    for (int i = 0; i < 7; i++)
        s->sum[i] += more[i];
    a->moved += 1.0;
    a->n += 1.0;
    if (w->blur > 0.0) { /* what its stamps do is no noise of its places: taken across the way alone */
        double aside = nx * vy - ny * vx, after = (z[0] - k->mean.x[0]) * vy - (z[1] - k->mean.x[1]) * vx;
        a->noise += 2.0 * (k->t == w->t ? aside * after / square : aside * aside / square - 0.5 * (before->p[0] + before->p[4]));
    } else if (k->t == w->t)
        a->noise += nx * (z[0] - k->mean.x[0]) + ny * (z[1] - k->mean.x[1]);
    else
        a->noise += nx * nx + ny * ny - before->p[0] - before->p[4];
    a->said += r[0] + r[1];
    a->distance += distance(before->x, before->p, z[0], z[1], r, &det);
}

static void move_to(double *value, double *n, double found)
{
    *n = lesser(*n + 1.0, WORTH_KEPT);
    *value += (found - *value) / (WORTH_SAID + *n);
}

void note_worth(fusion_t *f, const frame_t *w, const track_t *k, const state_t *before, const detection *z)
{
    worth_t *g = &f->sources[w->source].worth;
    if (z->cls && k->cls && k->class_p[k->cls] > 0.8f)
        move_to(&g->right, &g->n[0], z->cls == k->cls ? 0.99 : 0.12);
    if (isfinite(z->length) && z->length > 0.0f && k->sizes > 5) {
        double off = (double)(z->length - k->length) / (0.3 + 0.15 * (double)k->length);
        move_to(&g->size, &g->n[1], bounded(off * off, 0.1, 40.0));
    }
    if (isfinite(z->vx) && isfinite(z->vy) && !g->drawn) {
        double dx = (double)z->vx - before->x[2], dy = (double)z->vy - before->x[3];
        move_to(&g->speed, &g->n[2], bounded(0.5 * (dx * dx + dy * dy - before->p[7] - before->p[9]), 0.01, 400.0));
    }
    if (z->id && k->told && k->teller == w->source)
        move_to(&g->names, &g->n[3], z->id == k->told ? 1.0 : 0.0);
}

/* A velocity that is far from what was travelled, as a column that is always 0, would draw the tracks after it and then look right to them: so it is held
 * against the places alone, which are noisy but cannot be drawn. */
void note_speed(source_t *s, const track_t *k, const detection *z, int32_t source, int64_t t, const double r[3])
{
    worth_t *g = &s->worth;
    double dt = (double)(t - k->given) * 1e-9;
    if (k->giver != source || dt < 0.02 || dt > 1.0 || !isfinite(z->vx) || !isfinite(z->vy))
        return;
    double dx = (z->x - k->given_x) / dt - (double)z->vx, dy = (z->y - k->given_y) / dt - (double)z->vy, noise = (r[0] + r[1]) / (dt * dt);
    g->pairs = lesser(g->pairs + 1.0, WORTH_KEPT);
    g->gross += (0.5 * (dx * dx + dy * dy) - noise - g->gross) / g->pairs;
    g->noise += (noise - g->noise) / g->pairs;
    g->drawn = g->pairs >= MIN_PAIRS && g->gross > GROSS + 2.0 * s->sigma_v * s->sigma_v + 4.0 * g->noise / sqrt(g->pairs);
    if (g->drawn)
        g->speed = lesser(g->gross, 400.0);
}

/* How far stamps are off, from residuals along the way against those across it; and whether errors of one scan are those of the scan before. */
static void learn_stamps(source_t *s, const frame_t *w)
{
    const sums_t *a = &w->sums;
    if (a->self > 0.0 && w->doubt <= 0.0) {
        double fade = 1.0 - a->self / (CORRELATED_KEPT + a->self);
        s->cross = fade * s->cross + a->cross;
        s->self = fade * s->self + a->self;
        double alike = s->cross / s->self;
        if (s->self > CORRELATED_SURE && !s->filtered && alike > FILTERED) {
            s->filtered = 1;
            s->scale = 1.0; /* what was found of its noise was that of its increments */
        } else if (s->self > CORRELATED_SURE && s->filtered && alike < UNFILTERED) {
            s->filtered = 0;
        }
    }
    if (a->fast <= 0.0)
        return;
    if (w->doubt > 0.0) {
        s->doubted = lesser(s->doubted + a->fast, 300.0);
        s->believed += a->fast / (WORTH_SAID + s->doubted) * (bounded(a->along / (a->fast * w->doubt), 0.0, 2.0) - s->believed);
        return;
    }
    s->fast = lesser(s->fast + a->fast, MEMORY);
    s->jitter += a->fast / s->fast * (a->along / a->fast - s->jitter);
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
 * receiver, and no report may move what every unit sees. A single source keeps its configured values. */
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
    s->area = greater(AREA_FADES * s->area, greater(w->area, MIN_AREA));
    if (!(f->features & NO_LIFE)) {
        s->strewn = bounded(s->strewn + 0.01 * (s->deaths / s->area - s->strewn), 1e-6, 0.1);
        s->deaths = 0.0;
    }
    if (a.hits + a.misses > 0.0 && !(f->features & NO_LIFE)) {
        double share = (a.hits + a.misses) / (300.0 + a.hits + a.misses);
        s->seen = bounded(s->seen + share * (a.hits / (a.hits + a.misses) - s->seen), 0.2, 0.98);
    }
    learn_stamps(s, w);
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
    if (!(f->features & NO_NOISE) && !s->filtered) /* another's tracks err alike from scan to scan */
        s->scale = bounded(s->scale * (1.0 + share * (bounded(a.noise / a.said, 0.0, 10.0) - 1.0)), 0.01, 25.0);
}
