/* One vehicle under two classes: two sensors, or two boxes of one sensor, take it for a car and a truck. Two vehicles cannot be in one another. */
#include "numeric.h"
#include "track.h"

#include <math.h>

#define CERTAIN 0.98f /* probability of a class that nobody disputes */
#define OVERLAP 0.6   /* of the width, across: a vehicle beside another is further away */
#define HALF 9.0      /* m: half of the longest vehicle that this looks at */
#define YOUNG 20      /* hits of a track that may yet turn out to be another's second box */

static int motor(uint8_t cls) { return cls == 1 || cls == 2 || cls == 3; }

static int disputed(const track_t *k, uint8_t cls) { return k->cls != cls || k->class_p[k->cls] < CERTAIN; }

int overlaps(const track_t *k, double x, double y, uint8_t cls, double length)
{
    double dx = x - k->mean.x[0], dy = y - k->mean.x[1], ux = k->ahead[0], uy = k->ahead[1];
    if (!motor(k->cls) || !motor(cls) || !disputed(k, cls) || (ux == 0.0 && uy == 0.0))
        return 0;
    return fabs(dx * ux + dy * uy) < 0.5 * greater((double)k->length, length) && fabs(dx * uy - dy * ux) < OVERLAP * (double)k->width;
}

int32_t around(const fusion_t *f, const frame_t *w, int32_t j, int hit)
{
    const detection *z = &w->z[j];
    double x = w->xy[2 * j], y = w->xy[2 * j + 1], length = isfinite(z->length) ? (double)z->length : 0.0, nearest = 2.0 * HALF * HALF;
    int32_t best = FREE;
    if (!motor(z->cls))
        return FREE;
    for (int32_t i = 0; i < w->known; i++) {
        double dx = x - w->mean[i].x[0], dy = y - w->mean[i].x[1], d = dx * dx + dy * dy;
        if (d >= nearest || (w->hit[i] >= 0) != hit)
            continue;
        const track_t *k = track_at(f, i);
        if (!(z->vehicle && k->vehicle && z->vehicle != k->vehicle) && overlaps(k, x, y, z->cls, length)) {
            nearest = d;
            best = i;
        }
    }
    return best;
}

void young_doubles(fusion_t *f, const frame_t *w)
{
    const grid_t *g = &w->grid;
    for (int32_t j = 0; w->n && j < w->known; j++) {
        const track_t *k = track_at(f, j);
        if (!motor(k->cls) || k->hits > YOUNG)
            continue;
        double x = (k->mean.x[0] - g->left) * g->one, y = (k->mean.x[1] - g->bottom) * g->one, reach = HALF * g->one;
        int32_t a = clipped(x - reach, g->columns), b = clipped(x + reach, g->columns);
        int32_t low = clipped(y - reach, g->rows), high = clipped(y + reach, g->rows);
        for (int32_t row = low; row <= high; row++)
            for (int32_t e = w->head[row * g->columns + a]; e < w->head[row * g->columns + b + 1]; e++) {
                int32_t i = w->cell[w->order[e]];
                if (i >= 0 && i != j && w->hit[i] >= 0 && overlaps(track_at(f, i), k->mean.x[0], k->mean.x[1], k->cls, (double)k->length))
                    merge_into(f, w, i, j);
            }
    }
}
