/* The floor: a grid, gated nearest neighbour, a four-state Kalman filter with its full covariance. No feature beyond that. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define MAX 16384
#define BUCKETS 16384
#define CELL 4.0

typedef struct {
    double x[4], p[4][4]; /* x, y, vx, vy */
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
    double dt = (double)(t - k->t) * 1e-9, a[4][4];
    k->t = t;
    k->x[0] += dt * k->x[2];
    k->x[1] += dt * k->x[3];
    for (int c = 0; c < 4; c++) {
        a[0][c] = k->p[0][c] + dt * k->p[2][c];
        a[1][c] = k->p[1][c] + dt * k->p[3][c];
        a[2][c] = k->p[2][c];
        a[3][c] = k->p[3][c];
    }
    for (int r = 0; r < 4; r++) {
        k->p[r][0] = a[r][0] + dt * a[r][2];
        k->p[r][1] = a[r][1] + dt * a[r][3];
        k->p[r][2] = a[r][2];
        k->p[r][3] = a[r][3];
    }
    for (int i = 0; i < 2; i++) {
        k->p[i][i] += q * dt * dt * dt / 3;
        k->p[i][i + 2] += q * dt * dt / 2;
        k->p[i + 2][i] += q * dt * dt / 2;
        k->p[i + 2][i + 2] += q * dt;
    }
}

static void update(track *k, double x, double y, double r)
{
    double a = k->p[0][0] + r, b = k->p[1][1] + r, c = k->p[0][1], det = a * b - c * c, w[4][2], h[2][4];
    double dx = x - k->x[0], dy = y - k->x[1];
    for (int i = 0; i < 4; i++) {
        h[0][i] = k->p[0][i];
        h[1][i] = k->p[1][i];
        w[i][0] = (k->p[i][0] * b - k->p[i][1] * c) / det;
        w[i][1] = (k->p[i][1] * a - k->p[i][0] * c) / det;
        k->x[i] += w[i][0] * dx + w[i][1] * dy;
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            k->p[i][j] -= w[i][0] * h[0][j] + w[i][1] * h[1][j];
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
        uint32_t b = bucket((int32_t)floor(k->x[0] / CELL), (int32_t)floor(k->x[1] / CELL));
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
                    double a = k->p[0][0] + sigma * sigma, e = k->p[1][1] + sigma * sigma, c = k->p[0][1];
                    double dx = x - k->x[0], dy = y - k->x[1], d = (dx * dx * e + dy * dy * a - 2 * dx * dy * c) / (a * e - c * c);
                    if (d < best && !k->taken) {
                        best = d;
                        who = i;
                    }
                }
        if (who >= 0)
            update(&f->tracks[who], x, y, sigma * sigma);
        else if (f->count < MAX)
            f->tracks[f->count++] = (track){{x, y, 0, 0}, {{sigma * sigma}, {0, sigma * sigma}, {0, 0, 60.0}, {0, 0, 0, 60.0}}, t, ++f->next_id, 1, 0, 1};
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
        xy[2 * n] = k->x[0] + dt * k->x[2];
        xy[2 * n++ + 1] = k->x[1] + dt * k->x[3];
    }
    return n;
}
