/* A tracker as bytes and back: its own part, then its live tracks in order. The bytes may come from anywhere: whatever is read from them as an index, a
 * count or a time is checked, and every figure is finite, so that no state can make the tracker leave its memory. */
#include "track.h"

#include <math.h>
#include <string.h>

#define LATEST (MAX_TIME + 1000000000000LL) /* ns: a stamp less a latency */
#define MAX_LAG 100.0 /* s */
#define MAX_BIAS 1e3  /* m */
#define MAX_FIGURE 1e9    /* m, m/s, rad/s: of a state; with MAX_VARIANCE no sum of products of these overflows, and none becomes NaN */
#define MAX_VARIANCE 1e16 /* m^2, m^2/s^2: of a state; a track that coasts for hours is surer */
#define ROUNDED 1e-3      /* share of its variances by which a covariance may be off: posteriors of the past are of single precision */

size_t fusion_state_size(int32_t count) { return sizeof(fusion_t) + sizeof(track_t) * (size_t)count; }

void fusion_save(const fusion_t *f, uint8_t *out)
{
    memcpy(out, f, sizeof *f);
    for (int32_t i = 0; i < f->count; i++)
        memcpy(out + sizeof *f + sizeof(track_t) * (size_t)i, track_at(f, i), sizeof(track_t));
}

static int is_time(int64_t t) { return t >= -LATEST && t <= LATEST; }

static int is_step(int64_t dt) { return dt >= 0 && dt <= LATEST; }

static int all_finite(const double *v, size_t n)
{
    int good = 1;
    for (size_t i = 0; i < n; i++)
        good &= isfinite(v[i]) != 0;
    return good;
}

static int all_finite_f(const float *v, size_t n)
{
    int good = 1;
    for (size_t i = 0; i < n; i++)
        good &= isfinite(v[i]) != 0;
    return good;
}

/* Whether every figure of a mean can be one. */
static int mean_can_be(const double *x, size_t n)
{
    int good = 1;
    for (size_t i = 0; i < n; i++)
        good &= fabs(x[i]) <= MAX_FIGURE;
    return good;
}

static int pair_can_be(double a, double b, double both) { return a > 0.0 && b > 0.0 && both * both <= a * b * (1.0 + ROUNDED); }

/* Whether a packed covariance of 10 figures, or of 15 with a fifth state, is one: variances over 0, places and velocities each with a determinant that is
 * not below 0, nothing beyond what can be. */
static int covariance(const double *p, size_t n)
{
    int good = pair_can_be(p[0], p[4], p[1]) && pair_can_be(p[7], p[9], p[8]) && (n < 15 || p[14] > 0.0);
    for (size_t i = 0; i < n; i++)
        good &= fabs(p[i]) <= MAX_VARIANCE;
    return good;
}

static int past_can_be(const past_t *k)
{
    const double x[] = {k->x, k->y, (double)k->v[0], (double)k->v[1]};
    double p[10];
    for (int i = 0; i < 10; i++)
        p[i] = (double)k->p[i];
    return mean_can_be(x, 4) && covariance(p, 10);
}

static int at_least_f(const float *v, size_t n, float least)
{
    int good = 1;
    for (size_t i = 0; i < n; i++)
        good &= isfinite(v[i]) != 0 && v[i] >= least;
    return good;
}

static int coverage_can_be(const coverage_t *e)
{
    const double figures[] = {e->x, e->y, e->middle_x, e->middle_y, e->inner};
    return all_finite(figures, sizeof figures / sizeof *figures) && all_finite_f(e->reach, SIDES) && at_least_f(e->ends, SIDES, 0.0f) && e->sights >= 0;
}

static int worth_can_be(const worth_t *g)
{
    const double figures[] = {g->size, g->speed, g->n[0], g->n[1], g->n[2], g->n[3], g->gross, g->noise, g->pairs};
    int counted = g->n[0] >= 0.0 && g->n[1] >= 0.0 && g->n[2] >= 0.0 && g->n[3] >= 0.0 && g->pairs >= 0.0;
    return all_finite(figures, sizeof figures / sizeof *figures) && counted && g->size > 0.0 && g->speed > 0.0 && g->right >= 0.0 && g->right <= 1.0 &&
           g->names >= 0.0 && g->names <= 1.0;
}

/* What is found of its stamps, births, coverage and columns. */
static int found_can_be(const source_t *s)
{
    const double figures[] = {s->area, s->period, s->backlog, s->jitter, s->believed, s->fast, s->doubted, s->cross, s->self};
    return all_finite(figures, sizeof figures / sizeof *figures) && s->fast >= 0.0 && s->doubted >= 0.0 && s->self >= 0.0 && s->intervals >= 0 &&
           is_time(s->stamp) && at_least_f(s->births.proved, 2 * CONFIDENCES, 0.0f) && at_least_f(s->births.failed, 2 * CONFIDENCES, 0.0f) &&
           coverage_can_be(&s->covers) && worth_can_be(&s->worth);
}

/* Offsets against the other sources are made of all sources' own, so that each of these is bounded too. */
static int offsets_can_be(const source_t *s)
{
    return fabs(s->said_lag) < MAX_LAG && fabs(s->own_lag) < MAX_LAG && fabs(s->lag) < 4.0 * MAX_LAG && fabs(s->said_x) < MAX_BIAS &&
           fabs(s->said_y) < MAX_BIAS && fabs(s->own_x) < MAX_BIAS && fabs(s->own_y) < MAX_BIAS && fabs(s->bias_x) < 4.0 * MAX_BIAS &&
           fabs(s->bias_y) < 4.0 * MAX_BIAS;
}

static int source_can_be(const source_t *s)
{
    const double figures[] = {s->x, s->y, s->heading, s->fov, s->range, s->sigma, s->sigma_v, s->p_detect, s->clutter, s->scale, s->bias_x, s->bias_y,
                              s->lag, s->seen, s->strewn, s->deaths, s->residual, s->weight, s->said_x, s->said_y, s->said_lag, s->own_x, s->own_y, s->own_lag};
    return all_finite(figures, sizeof figures / sizeof *figures) && all_finite(s->sum, 7) && s->kind >= FROM_DETECTIONS && s->kind <= COOPERATIVE &&
           offsets_can_be(s) && s->sigma > 0.0 && s->scale > 0.0 && !isnan(s->low[0] + s->low[1]) && !isnan(s->high[0] + s->high[1]) &&
           found_can_be(s);
}

static int track_can_be(const track_t *k)
{
    if (!is_time(k->t) || !is_time(k->last) || !is_time(k->missed) || !is_time(k->given) || k->kept > KEPT || k->cls >= CLASSES || k->status > COASTING)
        return 0;
    if (k->teller >= SOURCES || k->origin >= SOURCES || k->giver >= SOURCES || k->judge > SOURCES || k->entry >= 2 * CONFIDENCES)
        return 0;
    int good = k->now.turns >= 0.0 && k->now.turns < 1.0 && k->existence >= 0.0 && k->existence <= 1.0;
    uint32_t used = 0;
    for (int i = 0; i < k->kept; i++) {
        if (k->slot[i] >= KEPT || used >> k->slot[i] & 1u || !is_time(k->then[i]))
            return 0;
        used |= 1u << k->slot[i];
        good &= past_can_be(&k->past[k->slot[i]]);
    }
    if (k->kept < KEPT && used != (1u << k->kept) - 1u) /* the next goes to the first slot that was never used */
        return 0;
    const float rest[] = {k->length, k->width, k->height, k->ahead[0], k->ahead[1], k->off[0], k->off[1], k->held};
    good &= mean_can_be(k->mean.x, 4) && covariance(k->mean.p, 10) && mean_can_be(k->now.straight.x, 4) && covariance(k->now.straight.p, 10);
    good &= mean_can_be(k->now.turning.x, 5) && (k->now.turns == 0.0 ? all_finite(k->now.turning.p, 15) : covariance(k->now.turning.p, 15));
    good &= all_finite_f(k->class_p, CLASSES) && all_finite_f(rest, 8) && fabs(k->given_x) <= MAX_FIGURE && fabs(k->given_y) <= MAX_FIGURE;
    return good;
}

static const char *flaw(const fusion_t *f)
{
    const double figures[] = {f->gate, f->miss_cost, f->confirm, f->show, f->drop, f->survive, f->reach, f->lived, f->left};
    if (!all_finite(figures, sizeof figures / sizeof *figures) || !(f->gate > 0.0) || !(f->survive > 0.0))
        return "configuration";
    if (!(f->lived > 0.0) || !(f->left > 0.0) || !all_finite(f->misses, ROWS) || !all_finite(f->more, ROWS))
        return "misses";
    for (int i = 0; i < ROWS; i++)
        if (!(f->misses[i] > 0.0) || f->more[i] < 0.0)
            return "misses";
    if (!is_time(f->newest) || !is_step(f->window) || !is_step(f->coast) || f->coast > LATEST / 4 || !is_step(f->jump) || !is_step(f->pace) ||
        f->pace > LATEST / 4 || !is_time(f->apart.first) || !is_time(f->apart.last) || f->apart.count < 0)
        return "times";
    if (!all_finite(&f->motion[0].straight, CLASSES * MOTION_FIGURES))
        return "motion";
    for (int i = 0; i < SOURCES; i++)
        if (!source_can_be(&f->sources[i]))
            return "sources";
    for (int i = 0; i < WRONG; i++)
        if (!is_time(f->wrong[i].t) || !isfinite(f->wrong[i].x) || !isfinite(f->wrong[i].y))
            return "wrong claims";
    return NULL;
}

const char *fusion_load(fusion_t *f, const uint8_t *data, size_t size)
{
    int32_t capacity = f->capacity, count;
    if (size < sizeof *f)
        return "length";
    memcpy(f, data, sizeof *f);
    count = f->count;
    f->count = 0;
    if (f->capacity != capacity || count < 0 || count > capacity)
        return "capacity";
    if (size != fusion_state_size(count))
        return "length";
    const char *wrong = flaw(f);
    if (wrong != NULL)
        return wrong;
    uint32_t newest = 0;
    for (int32_t i = 0; i < count; i++) {
        track_t *k = &places_of(f)[i].track;
        order_of(f)[i] = i;
        memcpy(k, data + sizeof *f + sizeof(track_t) * (size_t)i, sizeof *k);
        if (k->id <= newest || !track_can_be(k))
            return "tracks";
        newest = k->id;
    }
    if (newest >= f->next_id)
        return "ids";
    f->count = count;
    return NULL;
}
