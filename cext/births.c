/* Birth: what a first detection is worth, by what its source says of its confidence, by where it is, and by what came of those before. */
#include "numeric.h"
#include "track.h"

#include <math.h>

#define SPEEDS_KNOWN 50.0 /* velocities after which it is known what one is worth */
#define BIRTHS_SAID 8.0   /* births that what a confidence says is worth */
#define BIRTHS_KEPT 300.0f
/* Births are never held to be rarer than this. Whatever came of those before, a second hit must be able to raise a true one over the next miss, or
   none would be proved again once the false detections have ended. Over `drop` for the same reason. */
#define MIN_CHANCE 0.02

static const float LENGTH[CLASSES] = {4.0f, 4.6f, 8.0f, 12.0f, 2.2f, 1.8f, 0.5f, 1.0f};
static const float WIDTH[CLASSES] = {1.8f, 1.8f, 2.5f, 2.5f, 0.9f, 0.7f, 0.5f, 1.0f};

/* Share of births of a kind that came to be road users, at first by the meaning that confidence is documented to have, then by the share found. */
static double birth_chance(const fusion_t *f, const source_t *s, int bin)
{
    static const double SAID[CONFIDENCES] = {0.2, 0.03, 0.07, 0.14, 0.3, 0.45}, FOLLOWED = 0.7;
    double proved = (double)s->births.proved[bin], failed = (double)s->births.failed[bin];
    double said = s->filtered ? FOLLOWED : SAID[bin % CONFIDENCES]; /* a tracker's have stood their trial */
    return greater((proved + BIRTHS_SAID * said) / (proved + failed + BIRTHS_SAID), greater(MIN_CHANCE, lesser(2.0 * f->drop, said)));
}

static int birth_bin(const source_t *s, const detection *z, double x, double y)
{
    int bin = 0;
    if (isfinite(z->confidence)) {
        double c = (double)z->confidence;
        bin = c < 0.3 ? 1 : c < 0.5 ? 2 : c < 0.7 ? 3 : c < 0.9 ? 4 : 5;
    }
    return bin + (at_edge(&s->covers, x, y) ? CONFIDENCES : 0);
}

void birth_ends(fusion_t *f, const track_t *k, int proved)
{
    births_t *b = &f->sources[k->origin & (SOURCES - 1)].births;
    int bin = k->entry % (2 * CONFIDENCES);
    if (b->proved[bin] + b->failed[bin] > BIRTHS_KEPT) {
        b->proved[bin] *= 0.5f;
        b->failed[bin] *= 0.5f;
    }
    if (proved)
        b->proved[bin] += 1.0f;
    else
        b->failed[bin] += 1.0f;
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
    double known = s->worth.speed + 0.3, fast = moving ? greater(known, s->worth.n[2] < SPEEDS_KNOWN ? 30.0 : 4.0 * known) : z->cls == 7 ? 0.5 : z->cls == 6 ? 3.0 : z->cls == 5 ? 20.0 : 80.0;
    double slow = f->motion[z->cls & (CLASSES - 1)].enter > 0.0 ? 1.0 : fast; /* one model alone must hold both */
    double x[4] = {w->xy[2 * j], w->xy[2 * j + 1], moving ? z->vx : 0.0, moving ? z->vy : 0.0};
    imm_start(&k->now, x, &w->r[3 * j], moving ? known : slow, fast);
    imm_mean(&k->now, &k->mean);
    k->t = k->last = k->missed = w->t;
    remember(k);
    k->origin = (uint8_t)w->source;
    k->entry = (uint8_t)birth_bin(s, z, x[0], x[1]);
    k->existence = birth_chance(f, s, k->entry);
    k->id = f->next_id++;
    k->sources = 1u << w->source;
    k->sensed = s->kind != COOPERATIVE;
    k->told = z->id;
    k->given = w->t;
    k->giver = (uint8_t)w->source;
    k->given_x = z->x;
    k->given_y = z->y;
    k->teller = (uint8_t)w->source;
    k->hits = 1;
    k->cls = z->cls < CLASSES ? z->cls : 0;
    for (int c = 1; c < CLASSES; c++)
        k->class_p[c] = 1.0f / (CLASSES - 1);
    k->length = LENGTH[k->cls];
    k->width = WIDTH[k->cls];
    k->height = 1.5f;
    describe(k, z, s->worth.right, s->kind == COOPERATIVE);
    if (z->vehicle) {
        k->claim = z->vehicle;
        k->claims = 1;
    }
}
