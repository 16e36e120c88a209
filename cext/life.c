/* What a hit, a miss or a report says of a track: class, size, heading, existence, identity; birth and merging. */
#include "numeric.h"
#include "track.h"

#include <math.h>

#define SHADOW 5          /* scans in which one of two alike was hit and not the other, before they are merged */
#define AROUND 60.0       /* m around what a source has seen that it is taken to look at: who leaves is missed there */
#define RIGHT 0.85f       /* probability that a detection's class is right */
#define CLAIMS_MOVE 20    /* reports in a row on another track before an identity moves from a track that is still seen */
#define UNSEEN 900000000  /* ns; a track that nobody has seen for so long holds no identity against reports from elsewhere */

static const float LENGTH[CLASSES] = {4.0f, 4.6f, 8.0f, 12.0f, 2.2f, 1.8f, 0.5f, 1.0f};
static const float WIDTH[CLASSES] = {1.8f, 1.8f, 2.5f, 2.5f, 0.9f, 0.7f, 0.5f, 1.0f};

/* Bayes over the classes: a class is reported right with RIGHT, else any other alike; a little is forgotten each time. */
static void classify(track_t *k, uint8_t cls)
{
    float sum = 0.0f, most = 0.0f;
    for (int c = 1; c < CLASSES; c++) {
        float p = 0.98f * k->class_p[c] + 0.02f / (CLASSES - 1);
        p *= c == cls ? RIGHT : (1.0f - RIGHT) / (CLASSES - 2);
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
void describe(track_t *k, const detection *z, int own)
{
    if (z->cls && z->cls < CLASSES && !(own && k->sensed))
        classify(k, z->cls);
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

/* Misses in a row are not independent: after the first, the probability of another is the one found (`again`). */
void miss(fusion_t *f, frame_t *w, int32_t i)
{
    track_t *k = track_at(f, i);
    const source_t *s = &f->sources[w->source];
    if (w->t <= k->last || !looks_at(s, w->mean[i].x[0], w->mean[i].x[1]))
        return;
    double one = 1.0 - s->seen, q = k->run && f->again > one ? f->again : one;
    if (k->status == TENTATIVE)
        q = one;
    else if (k->run == 0)
        w->sums.misses += 1.0;
    k->missed = w->t;
    if (k->run < 65535)
        k->run++;
    k->existence = q * k->existence / (1.0 - k->existence + q * k->existence);
    if (k->status == CONFIRMED && k->existence < 0.006 && f->drop < 0.02)
        k->existence = 0.006; /* kept, not shown, until `coast` is over: who comes back is known again */
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

void born(fusion_t *f, const frame_t *w, int32_t j)
{
    const detection *z = &w->z[j];
    const source_t *s = &f->sources[w->source];
    /* a part of the room is kept for what sensors see: reports under invented names cannot fill it */
    if (f->count >= (s->kind == COOPERATIVE ? f->capacity - f->capacity / 4 : f->capacity)) {
        f->full++;
        return;
    }
    track_t *k = track_at(f, f->count++);
    memset(k, 0, sizeof *k);
    int moving = isfinite(z->vx) && isfinite(z->vy);
    double known = s->sigma_v * s->sigma_v + 0.3, fast = moving ? known : z->cls == 7 ? 0.5 : z->cls == 6 ? 3.0 : z->cls == 5 ? 20.0 : 80.0;
    double slow = f->motion[z->cls & (CLASSES - 1)].enter > 0.0 ? 1.0 : fast; /* one model alone must hold both */
    double x[4] = {w->xy[2 * j], w->xy[2 * j + 1], moving ? z->vx : 0.0, moving ? z->vy : 0.0};
    imm_start(&k->now, x, &w->r[3 * j], moving ? known : slow, fast);
    imm_mean(&k->now, &k->mean);
    k->t = k->last = k->missed = w->t;
    remember(k);
    double sure = isfinite(z->confidence) ? bounded((double)z->confidence, 0.05, 0.99) : 0.7, odds = 0.11 * sure / (1.0 - sure);
    k->existence = odds / (1.0 + odds);
    if (sure >= 0.97 && moving && z->cls && s->kind == FROM_DETECTIONS) { /* one strong detection is enough */
        k->existence = greater(k->existence, f->confirm);
        k->status = CONFIRMED;
    }
    k->id = f->next_id++;
    k->sources = 1u << w->source;
    k->sensed = s->kind != COOPERATIVE;
    k->told = s->kind == FROM_TRACKS ? z->id : 0;
    k->teller = (uint8_t)w->source;
    k->hits = 1;
    k->cls = z->cls < CLASSES ? z->cls : 0;
    for (int c = 1; c < CLASSES; c++)
        k->class_p[c] = 1.0f / (CLASSES - 1);
    k->length = LENGTH[k->cls];
    k->width = WIDTH[k->cls];
    k->height = 1.5f;
    describe(k, z, s->kind == COOPERATIVE);
    if (z->vehicle) {
        k->claim = z->vehicle;
        k->claims = 1;
    }
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
    if (young->existence <= 0.0 || old->existence <= 0.0)
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
