/* What a source covers, found from where it sees road users: the tightest polygon of SIDES sides that holds every place at which it saw one.
 * Where road users are lost on their way over a side time and again, the source sees nothing beyond it: a track predicted there is gone,
 * and a detection just within it is likely to be somebody new. A side that is passed is moved out, and what ended at it is forgotten. */
#include "numeric.h"
#include "track.h"

#include <math.h>

#define OCCLUDES 6.0      /* m: a longer road user hides what is behind it */
#define SHADE 0.7         /* m: and so much beside its outline, for what is hidden has a width too */
#define MARGIN 1.5      /* m: so deep is the strip along a side in which road users first appear: 1.5 periods at 10 m/s */
#define MIN_SIGHTS 200  /* places seen before a side is one */
#define MAX_ENDS 50.0f
#define DOUBTED 2.0     /* ends at a side that the chance that it is none is worth */
#define SOFT 0.04       /* m^2: a side is known no better than to 0.2 m */

/* cos of 0, 1/64, .. 8/32 of a full turn */
static const double COS[9] = {1.0,
                              0.98078528040323043,
                              0.92387953251128674,
                              0.83146961230254524,
                              0.70710678118654757,
                              0.55557023301960218,
                              0.38268343236508977,
                              0.19509032201612825,
                              0.0};

/* How far a place lies along the normal of side k. */
static double along(int k, double x, double y)
{
    double c = COS[k & 7], s = COS[8 - (k & 7)], a = c * x + s * y, b = c * y - s * x;
    switch (k >> 3) {
    case 0:
        return a;
    case 1:
        return b;
    case 2:
        return -a;
    default:
        return -b;
    }
}

/* Most places lie in the circle around the middle that touches no side's strip: only the others are held against every side. */
static int well_inside(const coverage_t *e, double x, double y)
{
    double dx = x - e->x - e->middle_x, dy = y - e->y - e->middle_y;
    return dx * dx + dy * dy < e->inner;
}

static void round_off(coverage_t *e)
{
    double least = 1e9;
    e->middle_x = 0.5 * (double)(e->reach[0] - e->reach[SIDES / 2]);
    e->middle_y = 0.5 * (double)(e->reach[SIDES / 4] - e->reach[3 * SIDES / 4]);
    for (int k = 0; k < SIDES; k++)
        least = lesser(least, (double)e->reach[k] - along(k, e->middle_x, e->middle_y));
    least -= MARGIN;
    e->inner = least > 0.0 ? least * least : 0.0;
}

void cover(coverage_t *e, double x, double y)
{
    if (e->sights == 0) {
        e->x = x;
        e->y = y;
    }
    if (e->sights < MIN_SIGHTS)
        e->sights++;
    if (well_inside(e, x, y))
        return;
    int moved = 0;
    for (int k = 0; k < SIDES; k++) {
        float there = (float)along(k, x - e->x, y - e->y), more = there - e->reach[k];
        if (more <= 0.0f)
            continue;
        e->reach[k] = there;
        e->ends[k] *= more < 1.0f ? 1.0f - more : 0.0f;
        moved = 1;
    }
    if (moved)
        round_off(e);
}

void lost_at(coverage_t *e, double x, double y, double vx, double vy, double ahead)
{
    if (well_inside(e, x + ahead * vx, y + ahead * vy))
        return;
    for (int k = 0; k < SIDES; k++) {
        double v = along(k, vx, vy);
        if (v > 0.0 && along(k, x - e->x, y - e->y) + ahead * v > (double)e->reach[k] && e->ends[k] < MAX_ENDS)
            e->ends[k] += 1.0f;
    }
}

double beyond(const coverage_t *e, double x, double y, double variance)
{
    double most = 0.0, sharp = 0.0;
    if (e->sights < MIN_SIGHTS || well_inside(e, x, y))
        return 0.0;
    for (int k = 0; k < SIDES; k++) {
        double ends = (double)e->ends[k];
        if (ends < 1.0)
            continue;
        if (sharp <= 0.0)
            sharp = 1.7 / sqrt(variance + SOFT); /* the logistic curve nearest the normal distribution */
        double z = sharp * (along(k, x - e->x, y - e->y) - (double)e->reach[k]), tail = exp_negative(z < 0.0 ? z : -z);
        most = greater(most, ends / (ends + DOUBTED) * (z < 0.0 ? tail : 1.0) / (1.0 + tail));
    }
    return most;
}

int at_edge(const coverage_t *e, double x, double y)
{
    if (e->sights < MIN_SIGHTS || well_inside(e, x, y))
        return 0;
    for (int k = 0; k < SIDES; k++)
        if (along(k, x - e->x, y - e->y) > (double)e->reach[k] - MARGIN)
            return 1;
    return 0;
}

/* What is long enough to hide others, and was seen in this scan by a source whose place is known. */
void find_occluders(fusion_t *f, frame_t *w)
{
    w->hiding = 0;
    if (w->plain || !f->sources[w->source].placed)
        return;
    for (int32_t i = 0; i < w->known && w->hiding < OCCLUDERS; i++) {
        const track_t *k = track_at(f, i);
        if (w->hit[i] >= 0 && k->length > OCCLUDES && k->status == CONFIRMED)
            w->occluder[w->hiding++] = i;
    }
}

/* Whether something long stands in the line of sight from the source to a place. */
int hidden(const fusion_t *f, const frame_t *w, double x, double y)
{
    const source_t *s = &f->sources[w->source];
    double tx = x - s->x, ty = y - s->y, far = sqrt(tx * tx + ty * ty);
    for (int n = 0; n < w->hiding && far > 1.0; n++) {
        const track_t *o = track_at(f, w->occluder[n]);
        double ox = o->mean.x[0] - s->x, oy = o->mean.x[1] - s->y, along = (ox * tx + oy * ty) / far, aside = fabs(ox * ty - oy * tx) / far;
        double slant = fabs((double)o->ahead[0] * ty - (double)o->ahead[1] * tx) / far;
        double half = 0.5 * ((double)o->length * slant + (double)o->width) + SHADE;
        if (along > 0.0 && along < far - OCCLUDES * 0.5 && aside < half)
            return 1;
    }
    return 0;
}
