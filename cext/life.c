/* What a hit, a miss or a report says of a track: class, size, heading, existence, identity; birth and merging. */
#include "numeric.h"
#include "track.h"

#include <math.h>

#define SHADOW 5          /* scans in which one of two alike was hit and not the other, before they are merged */
#define AROUND 60.0       /* m around what a source has seen that it is taken to look at: who leaves is missed there */
#define CLAIMS_MOVE 20    /* reports in a row on another track before an identity moves from a track that is still seen */
#define STAYS_KEPT 200.0  /* ends of road users after which the old ones count half */
#define MIN_STAY 5.0      /* s */
#define MAX_STAY 300.0
#define MISSES_KEPT 300.0 /* misses in a row after which the old ones count half */
#define MOST_AGAIN 0.99
#define HIDDEN 0.98       /* probability that a road user behind it is missed */
#define GIVEN_UP 0.003    /* probability that a source of tracks misses one that it has not given up */
#define LEAVES 0.15       /* s: who would have been over a side so long after it was last seen was lost there */
#define UNSEEN 900000000  /* ns; a track that nobody has seen for so long holds no identity against reports from elsewhere */

/* Bayes over the classes: a class is reported right with `right`, else any other alike; a little is forgotten each time. */
static void classify(track_t *k, uint8_t cls, float right)
{
    float sum = 0.0f, most = 0.0f;
    for (int c = 1; c < CLASSES; c++) {
        float p = 0.98f * k->class_p[c] + 0.02f / (CLASSES - 1);
        p *= c == cls ? right : (1.0f - right) / (CLASSES - 2);
        k->class_p[c] = p;
        sum += p;
    }
    for (int c = 1; c < CLASSES; c++) {
        k->class_p[c] /= sum;
        if (k->class_p[c] > most) {
            most = k->class_p[c];
            k->cls = (uint8_t)c;
        }
    }
}

/* Robust mean: one measurement moves it by no more than a quarter of itself. */
static void resize(float *size, float measured, float share)
{
    if (!isfinite(measured) || measured <= 0.0f)
        return;
    float step = measured - *size, most = 0.25f * *size;
    *size += share * (step > most ? most : step < -most ? -most : step);
}

/* Which way it points: as it moves, else as detected; either end of a detected axis may be the front. */
static void point(track_t *k, const detection *z)
{
    double vx = k->mean.x[2], vy = k->mean.x[3], square = vx * vx + vy * vy;
    if (square > 1.0 && square > 9.0 * (k->mean.p[7] + k->mean.p[9])) {
        float one = (float)(1.0 / sqrt(square));
        k->ahead[0] = (float)vx * one;
        k->ahead[1] = (float)vy * one;
        return;
    }
    if (!isfinite(z->heading))
        return;
    float x = (float)cos((double)z->heading), y = (float)sin((double)z->heading);
    float along = x * k->ahead[0] + y * k->ahead[1];
    if (k->ahead[0] == 0.0f && k->ahead[1] == 0.0f) {
        k->ahead[0] = x;
        k->ahead[1] = y;
        return;
    }
    float sign = along < 0.0f ? -1.0f : 1.0f;
    float nx = k->ahead[0] + 0.2f * (sign * x - k->ahead[0]), ny = k->ahead[1] + 0.2f * (sign * y - k->ahead[1]);
    float length = sqrtf(nx * nx + ny * ny);
    if (length > 0.1f) {
        k->ahead[0] = nx / length;
        k->ahead[1] = ny / length;
    }
}

/* What a vehicle says it is counts only while no sensor has seen it: it cannot outvote those that look at it. */
void describe(track_t *k, const detection *z, double right, int own)
{
    if (z->cls && z->cls < CLASSES && !(own && k->sensed))
        classify(k, z->cls, (float)right);
    if (isfinite(z->length) && z->length > 0.0f) {
        float share = k->sizes < 10 ? 1.0f / (float)(k->sizes + 1) : 0.1f;
        if (k->sizes == 0)
            k->length = z->length;
        resize(&k->length, z->length, share);
        resize(&k->width, z->width, share);
        resize(&k->height, z->height, share);
        if (k->sizes < 255)
            k->sizes++;
    }
    point(k, z);
}

/* A source whose place is not known looks where it has hit tracks, and a little beyond: where the origin lies decides nothing. */
int looks_at(const source_t *s, double x, double y)
{
    double dx = x - s->x, dy = y - s->y;
    if (s->kind == COOPERATIVE || s->blind)
        return 0;
    if (!s->placed)
        return x > s->low[0] - AROUND && x < s->high[0] + AROUND && y > s->low[1] - AROUND && y < s->high[1] + AROUND;
    if (dx * dx + dy * dy > 0.81 * s->range * s->range)
        return 0;
    if (s->fov >= 6.283)
        return 1;
    return fabs(remainder(atan2(dy, dx) - s->heading, 6.283185307179586)) < 0.5 * s->fov;
}

void looked(source_t *s, double x, double y)
{
    s->low[0] = lesser(s->low[0], x);
    s->low[1] = lesser(s->low[1], y);
    s->high[0] = greater(s->high[0], x);
    s->high[1] = greater(s->high[1], y);
}

/* Whoever is there may leave at any time: after a mean stay of `survive` at first, then of what is found. */
double aged(const fusion_t *f, const track_t *k, int64_t t)
{
    int64_t since = k->missed > k->last ? k->missed : k->last;
    if (t <= since)
        return k->existence;
    return k->existence / (1.0 + (double)(t - since) * 1e-9 / (f->lived / f->left));
}

/* Probability that a place is beyond what every source covers, where nobody is followed. A vehicle that reports itself is followed everywhere. */
double gone(const fusion_t *f, const track_t *k, double x, double y, double variance)
{
    double least = 1.0;
    int sensors = 0;
    for (int i = 0; i < SOURCES && f->heard >> i; i++) {
        const source_t *s = &f->sources[i];
        if (!(f->heard >> i & 1u))
            continue;
        if (s->kind != COOPERATIVE) {
            sensors = 1;
            least = lesser(least, beyond(&s->covers, x, y, variance));
        } else if (k->sources >> i & 1u) {
            return 0.0;
        }
        if (least <= 0.0)
            return 0.0;
    }
    return sensors ? least : 0.0;
}

/* Misses in a row are not independent: most sensors miss at random now and then, and something that hides a road user does so for long. So the chance of
 * one more miss is found by how many there were: after one, after two, after three or four, after more. */
static const uint16_t FIRST[ROWS + 1] = {1, 2, 3, 5, 65535};

static int row_of(uint16_t run) { return run < 2 ? 0 : run < 3 ? 1 : run < 5 ? 2 : 3; }

void come_back(fusion_t *f, const track_t *k)
{
    if (k->existence < f->show) /* given up, wrongly */
        f->left = greater(f->left - 1.0, 0.1 * STAYS_SAID);
    for (int i = 0; i < ROWS && k->run >= FIRST[i]; i++) {
        int ended = k->run < FIRST[i + 1];
        double n = (double)((ended ? k->run + 1 : FIRST[i + 1]) - FIRST[i]);
        if (f->misses[i] > MISSES_KEPT) {
            f->misses[i] *= 0.5;
            f->more[i] *= 0.5;
        }
        f->misses[i] += n;
        f->more[i] += n - (double)ended;
    }
}

void live_on(fusion_t *f, int64_t t)
{
    if (f->features & NO_LIFE || t <= f->newest || f->heard == 0)
        return;
    f->lived += (double)f->count * lesser((double)(t - f->newest) * 1e-9, 1.0);
    if (f->left > STAYS_KEPT) {
        f->left *= 0.5;
        f->lived *= 0.5;
    }
    f->lived = bounded(f->lived, MIN_STAY * f->left, MAX_STAY * f->left);
}

double miss_chance(const fusion_t *f, const source_t *s, const track_t *k)
{
    double one = 1.0 - s->seen;
    if (s->filtered) /* it has waited already */
        return GIVEN_UP;
    if (k->run == 0 || k->status == TENTATIVE)
        return one;
    int i = row_of(k->run);
    return greater(one, bounded(f->more[i] / f->misses[i], 0.02, MOST_AGAIN));
}

void miss(fusion_t *f, frame_t *w, int32_t i)
{
    track_t *k = track_at(f, i);
    source_t *s = &f->sources[w->source];
    const state_t *m = &w->mean[i];
    if (w->t <= k->last || !looks_at(s, m->x[0], m->x[1]))
        return;
    double variance = 0.5 * (m->p[0] + m->p[4]), blind = f->features & NO_LIFE ? 0.0 : beyond(&s->covers, m->x[0], m->x[1], variance);
    int behind = w->hiding && hidden(f, w, m->x[0], m->x[1]);
    double one = behind ? HIDDEN : miss_chance(f, s, k), q = blind + (1.0 - blind) * one, before = k->existence;
    if (k->status == CONFIRMED && k->run == 0 && !behind)
        w->sums.misses += 1.0;
    k->existence = aged(f, k, w->t);
    k->missed = w->t;
    if (k->run < 65535)
        k->run++;
    if (blind > 0.0)
        k->existence *= 1.0 - gone(f, k, m->x[0], m->x[1], variance);
    k->existence = q * k->existence / (1.0 - k->existence + q * k->existence);
    if (k->status != CONFIRMED)
        return;
    if (before >= f->show && k->existence < f->show && k->kept) {
        f->left += 1.0 - blind;
        const past_t *last = &k->past[k->slot[k->kept - 1]];
        for (int n = 0; n < SOURCES && f->heard >> n; n++)
            if (f->heard >> n & 1u && f->sources[n].kind != COOPERATIVE)
                lost_at(&f->sources[n].covers, last->x, last->y, (double)last->v[0], (double)last->v[1], LEAVES);
    }
    if (k->existence < 0.006 && f->drop < 0.02)
        k->existence = 0.006; /* kept, not shown, until `coast` is over: who comes back is known again */
}

/* How much likelier a detection is as a road user's than as a false one. */
static double odds_of(const source_t *s, double d, double det) { return s->seen * exp_negative(-0.5 * d) / (6.283185307179586 * sqrt(det) * s->strewn); }

/* Of a track of one hit, by the likelier of the mean and its faster model: the mean knows of no driver's speed. */
static double odds_of_second(const track_t *k, const source_t *s, double odds, double x, double y, const double r[3])
{
    double det, d = distance(k->now.turning.x, k->now.turning.p, x, y, r, &det);
    return greater(odds, k->now.turns * odds_of(s, d, det));
}

double hit_chance(const fusion_t *f, const frame_t *w, const track_t *k, int32_t j)
{
    double odds = odds_of_second(k, &f->sources[w->source], 0.0, w->xy[2 * j], w->xy[2 * j + 1], &w->r[3 * j]), prior = aged(f, k, w->t);
    return odds * prior / (1.0 - prior + odds * prior);
}

void exist(fusion_t *f, track_t *k, const frame_t *w, const state_t *mean, const double *z, const double r[3])
{
    int64_t t = w->t;
    const source_t *s = &f->sources[w->source];
    if (k->status == CONFIRMED && t <= k->last && t < k->missed) /* it was there then, which is known; the misses since say where it is now */
        return;
    double det, d = distance(mean->x, mean->p, z[0], z[1], r, &det), ratio = odds_of(s, d, det);
    if (seen_once(k, t))
        ratio = odds_of_second(k, s, ratio, z[0], z[1], r);
    if (k->status == CONFIRMED && k->run && t > k->last && !(f->features & NO_LIFE))
        come_back(f, k);
    double prior = aged(f, k, t);
    k->existence = bounded(ratio * prior / (1.0 - prior + ratio * prior), 0.0, 0.999);
}

void bury(fusion_t *f, int64_t t)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < f->count; i++) {
        track_t *k = track_at(f, i);
        int seen = k->missed > k->last, looked_again = k->hits > 1 || seen; /* nobody has failed before it could be seen twice */
        if ((k->status == TENTATIVE && k->existence < f->drop && looked_again) || k->existence <= 0.0 || t - k->last > patience(f, k)) {
            if (k->status == TENTATIVE) {
                f->sources[k->origin].deaths += 1.0;
                birth_ends(f, k, 0);
            }
            if (!k->sensed && k->claim && seen)
                blame(f, k->claim, k->mean.x[0], k->mean.x[1], t);
            continue;
        }
        int32_t *order = order_of(f), slot = order[i];
        order[i] = order[kept];
        order[kept++] = slot;
    }
    f->count = kept;
}

void blame(fusion_t *f, uint32_t vehicle, double x, double y, int64_t t)
{
    wrong_t *free_ = &f->wrong[0];
    for (int i = 0; i < WRONG; i++) {
        wrong_t *o = &f->wrong[i];
        if (o->vehicle == vehicle) {
            free_ = o;
            break;
        }
        if (o->t < free_->t)
            free_ = o;
    }
    if (free_->vehicle != vehicle)
        *free_ = (wrong_t){.vehicle = vehicle};
    free_->count++;
    free_->t = t;
    free_->x = x;
    free_->y = y;
}

static track_t *track_of(fusion_t *f, uint32_t vehicle)
{
    for (int32_t i = 0; i < f->count; i++)
        if (track_at(f, i)->vehicle == vehicle)
            return track_at(f, i);
    return NULL;
}

/* A report on track k names `vehicle`. 0 when another track that is still seen has that name: the report is then not believed. */
int claim(fusion_t *f, track_t *k, uint32_t vehicle, double x, double y, int64_t t)
{
    if (!vehicle || k->vehicle == vehicle)
        return 1;
    track_t *o = track_of(f, vehicle);
    k->claims = k->claim == vehicle ? (uint16_t)(k->claims + 1) : 1;
    k->claim = vehicle;
    if (o != NULL && o->existence > 0.5 && t - o->last < UNSEEN && k->claims < CLAIMS_MOVE) {
        blame(f, vehicle, x, y, t);
        return 0;
    }
    if (k->claims < 2)
        return 1;
    if (o != NULL)
        o->vehicle = 0;
    k->vehicle = vehicle;
    return 1;
}

static int similar(const state_t *a, const state_t *b)
{
    double vx = b->x[2] - a->x[2], vy = b->x[3] - a->x[3];
    return vx * vx + vy * vy < 1.0 + 4.0 * (a->p[7] + b->p[7] + a->p[9] + b->p[9]);
}

static int alike(const frame_t *w, const track_t *k, int32_t i, int32_t j)
{
    const state_t *a = &w->mean[i], *b = &w->mean[j];
    double dx = b->x[0] - a->x[0], dy = b->x[1] - a->x[1];
    double reach = k->cls == 6 ? 0.5 : k->cls == 5 || k->cls == 4 ? 0.9 : k->cls == 0 ? 0.8 : 1.6;
    return dx * dx + dy * dy < reach * reach && similar(a, b);
}

/* Two tracks that stand and move alike, and of which a source hits one or the other but never both, are one road user's: the older
 * keeps its name and takes the state of the one that is hit. `hit` and `other` are places, of which the first was hit. */
void merge_into(fusion_t *f, const frame_t *w, int32_t hit, int32_t other)
{
    track_t *k = track_at(f, hit), *o = track_at(f, other), *old = k->id < o->id ? k : o, *young = k->id < o->id ? o : k;
    if (k->existence < f->show || o->existence < f->show) /* one that was lost is nobody's double: who passes there keeps its own name */
        return;
    /* two vehicles cannot be in one another, however often both are hit: one was reported twice, under two classes */
    int one = overlaps(old, young->mean.x[0], young->mean.x[1], young->cls, (double)young->length) && similar(&w->mean[hit], &w->mean[other]);
    if (!one && !alike(w, old, hit, other))
        return;
    if (w->hit[other] >= 0 && !one) {
        young->shadow = 0;
        return;
    }
    if (++young->shadow < SHADOW)
        return;
    if (young == k) {
        track_t kept = *young;
        kept.id = old->id;
        kept.vehicle = old->vehicle;
        kept.claim = old->claim;
        kept.claims = old->claims;
        *old = kept;
    }
    if (young->vehicle && !old->vehicle)
        old->vehicle = young->vehicle;
    old->status = CONFIRMED;
    old->shadow = 0;
    young->existence = 0.0;
    young->status = TENTATIVE;
    f->merged++;
}
