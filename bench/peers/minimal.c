/* The floor: a grid, gated nearest neighbour, a four-state Kalman filter in decoupled axes. No feature beyond that. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define MAX 16384
#define BUCKETS 16384
#define CELL 4.0

typedef struct {
    double x, y, vx, vy, pp, pv, vv;
    int64_t t;
    int32_t id, hits, missed, taken;
} track;

typedef struct {
    track tracks[MAX];
    int32_t head[BUCKETS], next[MAX];
    int32_t count, next_id;
} minimal;

size_t minimal_size(void) { return sizeof(minimal); }

static uint32_t bucket(int32_t a, int32_t b) { return ((uint32_t)a * 73856093u ^ (uint32_t)b * 19349663u) & (BUCKETS - 1); }

static void predict(track *k, int64_t t, double q)
{
    double dt = (double)(t - k->t) * 1e-9;
    k->t = t;
    k->x += dt * k->vx;
    k->y += dt * k->vy;
    k->pp += dt * (2 * k->pv + dt * k->vv) + q * dt * dt * dt / 3;
    k->pv += dt * k->vv + q * dt * dt / 2;
    k->vv += q * dt;
}

static void update(track *k, double x, double y, double r)
{
    double s = k->pp + r, a = k->pp / s, b = k->pv / s, dx = x - k->x, dy = y - k->y;
    k->x += a * dx;
    k->vx += b * dx;
    k->y += a * dy;
    k->vy += b * dy;
    k->vv -= b * k->pv;
    k->pv -= a * k->pv;
    k->pp -= a * k->pp;
    k->hits++;
    k->missed = 0;
    k->taken = 1;
}

/* Fold in n positions of one scan; scans must come in order. */
void minimal_update(minimal *f, int64_t t, const double *xy, int32_t n, double sigma, double q, double gate, int32_t patience)
{
    memset(f->head, 0xff, sizeof f->head);
    for (int32_t i = 0; i < f->count; i++) {
        track *k = &f->tracks[i];
        predict(k, t, q);
        k->taken = 0;
        uint32_t b = bucket((int32_t)floor(k->x / CELL), (int32_t)floor(k->y / CELL));
        f->next[i] = f->head[b];
        f->head[b] = i;
    }
    for (int32_t j = 0; j < n; j++) {
        double x = xy[2 * j], y = xy[2 * j + 1], best = gate;
        int32_t cx = (int32_t)floor(x / CELL), cy = (int32_t)floor(y / CELL), who = -1;
        for (int32_t a = -1; a <= 1; a++)
            for (int32_t b = -1; b <= 1; b++)
                for (int32_t i = f->head[bucket(cx + a, cy + b)]; i >= 0; i = f->next[i]) {
                    const track *k = &f->tracks[i];
                    double dx = x - k->x, dy = y - k->y, d = (dx * dx + dy * dy) / (k->pp + sigma * sigma);
                    if (d < best && !k->taken) {
                        best = d;
                        who = i;
                    }
                }
        if (who >= 0)
            update(&f->tracks[who], x, y, sigma * sigma);
        else if (f->count < MAX)
            f->tracks[f->count++] = (track){x, y, 0, 0, sigma * sigma, 0, 60.0, t, ++f->next_id, 1, 0, 1};
    }
    int32_t kept = 0;
    for (int32_t i = 0; i < f->count; i++) {
        track *k = &f->tracks[i];
        k->missed += !k->taken;
        if (k->missed <= (k->hits < 3 ? 1 : patience))
            f->tracks[kept++] = *k;
    }
    f->count = kept;
}

int32_t minimal_tracks(const minimal *f, int64_t t, int32_t *id, double *xy)
{
    int32_t n = 0;
    for (int32_t i = 0; i < f->count; i++) {
        const track *k = &f->tracks[i];
        double dt = (double)(t - k->t) * 1e-9;
        if (k->hits < 3)
            continue;
        id[n] = k->id;
        xy[2 * n] = k->x + dt * k->vx;
        xy[2 * n++ + 1] = k->y + dt * k->vy;
    }
    return n;
}
