/* The tracker: scans of any source in any order become tracks. Life by Bayes, association in the state at the scan's time. */
#include "track.h"

#include <math.h>
#include <string.h>

#define CELL 8.0      /* m; at least the widest gate */
#define BUCKETS 1024  /* of the hash grid; a power of two */
#define MAX_EDGES 16  /* tracks one detection may be gated with */
#define MISS_EVERY 90000000 /* ns: a track is missed at most once in so long, however many sources look */
#define MISS_SHARE 0.45     /* of p_detect that a miss is believed: what is not seen may be hidden */
#define SHADOW 4            /* scans a duplicate is given before it is merged */

static const double NOISE[CLASSES] = {2.0, 2.0, 1.5, 1.5, 3.0, 1.0, 0.4, 0.01};
static const float LENGTH[CLASSES] = {4.0f, 4.6f, 8.0f, 12.0f, 2.2f, 1.8f, 0.5f, 1.0f};
static const float WIDTH[CLASSES] = {1.8f, 1.8f, 2.5f, 2.5f, 0.9f, 0.7f, 0.5f, 1.0f};

typedef struct {
    state_t *at;
    int32_t *head, *next, *start, *column, *mate, *hit;
    double *cost;
    void *rest;
} frame_t;

size_t fusion_size(int32_t capacity) { return sizeof(fusion_t) + sizeof(track_t) * (size_t)capacity; }

size_t fusion_scratch(int32_t capacity, int32_t n)
{
    size_t tracks = (size_t)capacity, rows = (size_t)n;
    return sizeof(state_t) * tracks + sizeof(int32_t) * (BUCKETS + 2 * tracks + rows + 1 + rows * MAX_EDGES + rows) +
           sizeof(double) * rows * MAX_EDGES + assign_scratch(n, capacity) + 256;
}

void fusion_init(fusion_t *f, int32_t capacity)
{
    memset(f, 0, fusion_size(capacity));
    f->capacity = capacity;
    f->next_id = 1;
    f->window = 1000000000;
    f->gate = 16.0;
    f->miss_cost = 15.0;
    f->confirm = 0.95;
    f->drop = 0.02;
    f->survive = 30.0;
    f->coast = 2500000000;
    memcpy(f->noise, NOISE, sizeof NOISE);
    for (int i = 0; i < SOURCES; i++) {
        source_t s = {0, 0, 0, 7.0, 250.0, 0.35, 0.6, 0.9, 1e-4, FROM_DETECTIONS, 0, 0, 0, 0};
        f->sources[i] = s;
    }
}

static uint32_t bucket(int32_t cx, int32_t cy) { return ((uint32_t)cx * 73856093u ^ (uint32_t)cy * 19349663u) & (BUCKETS - 1); }

static int32_t cell(double v) { return (int32_t)floor(v / CELL); }

static void lay_out(frame_t *w, const fusion_t *f, int32_t n, void *scratch)
{
    w->at = scratch;
    w->cost = (double *)(w->at + f->capacity);
    w->head = (int32_t *)(w->cost + (size_t)n * MAX_EDGES);
    w->next = w->head + BUCKETS;
    w->hit = w->next + f->capacity;
    w->start = w->hit + f->capacity;
    w->column = w->start + n + 1;
    w->mate = w->column + (size_t)n * MAX_EDGES;
    uintptr_t end = (uintptr_t)(w->mate + n);
    w->rest = (void *)((end + 15) & ~(uintptr_t)15);
}

static void measurement_noise(const source_t *s, const detection *z, double r[3])
{
    double floor_ = 0.05 * 0.05, own = s->sigma * s->sigma;
    r[0] = isfinite(z->var_x) ? fmax(z->var_x, floor_) : own;
    r[1] = isfinite(z->var_y) ? fmax(z->var_y, floor_) : own;
    double limit = 0.99 * sqrt(r[0] * r[1]);
    r[2] = isfinite(z->cov_xy) ? fmin(fmax(z->cov_xy, -limit), limit) : 0.0;
}

static void place(const fusion_t *f, int64_t t, frame_t *w)
{
    memset(w->head, 0xff, sizeof(int32_t) * BUCKETS);
    for (int32_t i = f->count - 1; i >= 0; i--) {
        state_at(&f->tracks[i], t, f->noise[f->tracks[i].cls], &w->at[i]);
        uint32_t b = bucket(cell(w->at[i].x[0]), cell(w->at[i].x[1]));
        w->next[i] = w->head[b];
        w->head[b] = i;
        w->hit[i] = -1;
    }
}

/* Cost of giving z to track i, or infinity outside the gate: distance, spread, class and claimed identity. */
static double pair_cost(const fusion_t *f, const frame_t *w, int32_t i, const detection *z, const double r[3])
{
    const track_t *k = &f->tracks[i];
    double log_det, d = state_distance(&w->at[i], z->x, z->y, r, &log_det);
    if (!(d < f->gate) || (z->vehicle && k->vehicle && z->vehicle != k->vehicle))
        return INFINITY;
    double cost = d + log_det;
    if (z->cls && k->cls && z->cls != k->cls) {
        int person = (z->cls == 6) != (k->cls == 6);
        cost += person ? 3.0 : 1.0;
    }
    if (isfinite(z->vx) && isfinite(z->vy)) {
        double dx = z->vx - w->at[i].x[2], dy = z->vy - w->at[i].x[3], s = 0.8 + w->at[i].p[10] + w->at[i].p[15];
        cost += fmin((dx * dx + dy * dy) / s, 6.0);
    }
    if (z->vehicle && z->vehicle == k->vehicle)
        cost -= 6.0;
    return cost;
}

/* Visit each cell once: cells may share a bucket, so a track counts only in its own cell. */
static int32_t gate(const fusion_t *f, const frame_t *w, const detection *z, const double r[3], int32_t *column, double *cost)
{
    int32_t n = 0, cx = cell(z->x), cy = cell(z->y);
    for (int32_t dx = -1; dx <= 1; dx++)
        for (int32_t dy = -1; dy <= 1; dy++)
            for (int32_t i = w->head[bucket(cx + dx, cy + dy)]; i >= 0; i = w->next[i]) {
                if (cell(w->at[i].x[0]) != cx + dx || cell(w->at[i].x[1]) != cy + dy)
                    continue;
                double c = pair_cost(f, w, i, z, r);
                if (isinf(c))
                    continue;
                int32_t at = n;
                if (n == MAX_EDGES) {
                    at = 0;
                    for (int32_t e = 1; e < n; e++)
                        if (cost[e] > cost[at])
                            at = e;
                    if (c >= cost[at])
                        continue;
                } else {
                    n++;
                }
                column[at] = i;
                cost[at] = c;
            }
    return n;
}

static void remember(track_t *k)
{
    k->past[k->ring] = k->now;
    k->ring = (uint8_t)((k->ring + 1) % RING);
    if (k->filled < RING)
        k->filled++;
}

static void describe(track_t *k, const detection *z)
{
    double most = -1.0;
    for (int c = 0; c < CLASSES; c++) {
        k->score[c] = 0.95 * k->score[c] + (c == z->cls && z->cls ? 1.0 : 0.0);
        if (k->score[c] > most) {
            most = k->score[c];
            k->cls = (uint8_t)c;
        }
    }
    if (most <= 0.0)
        k->cls = 0;
    float g = k->hits < 10 ? 1.0f / (float)(k->hits + 1) : 0.1f;
    if (isfinite(z->length) && z->length > 0)
        k->length += g * (fminf(fmaxf(z->length, 0.5f * k->length), 2.0f * k->length) - k->length);
    if (isfinite(z->width) && z->width > 0)
        k->width += g * (fminf(fmaxf(z->width, 0.5f * k->width), 2.0f * k->width) - k->width);
    if (isfinite(z->height) && z->height > 0)
        k->height += g * (z->height - k->height);
    if (isfinite(z->heading))
        k->heading = z->heading;
}

static void claim(fusion_t *f, track_t *k, uint32_t vehicle)
{
    if (!vehicle || k->vehicle == vehicle)
        return;
    k->claims = k->claim == vehicle ? (uint16_t)(k->claims + 1) : 1;
    k->claim = vehicle;
    if (k->claims < 2)
        return;
    for (int32_t i = 0; i < f->count; i++)
        if (f->tracks[i].vehicle == vehicle)
            f->tracks[i].vehicle = 0;
    k->vehicle = vehicle;
}

static void decay(const fusion_t *f, track_t *k, int64_t t)
{
    if (t > k->now.t)
        k->existence *= exp(-(double)(t - k->now.t) * 1e-9 / f->survive);
}

static void hit(fusion_t *f, frame_t *w, int32_t i, int32_t source, const detection *z, int64_t t)
{
    track_t *k = &f->tracks[i];
    source_t *s = &f->sources[source];
    double r[3], log_det;
    measurement_noise(s, z, r);
    double d = state_distance(&w->at[i], z->x, z->y, r, &log_det);
    double ratio = s->p_detect * exp(-0.5 * (d + log_det)) / 6.283185307179586 / s->clutter;
    decay(f, k, t);
    k->existence = fmin(ratio * k->existence / (1.0 - k->existence + ratio * k->existence), 0.999);
    if (t >= k->now.t) {
        remember(k);
        k->now = w->at[i];
        state_update(&k->now, z->x, z->y, r);
        if (isfinite(z->vx) && isfinite(z->vy))
            state_update_velocity(&k->now, z->vx, z->vy, s->sigma_v * s->sigma_v);
    } else {
        state_update_late(k, t, f->noise[k->cls], z->x, z->y, r);
        s->late++;
    }
    if (t > k->last)
        k->last = t;
    k->sources = (k->sources & ~(1u << source)) | (1u << source);
    if (k->hits < 65535)
        k->hits++;
    describe(k, z);
    claim(f, k, z->vehicle);
    if (k->status != CONFIRMED && k->existence > f->confirm && k->hits >= 3)
        k->status = CONFIRMED;
}

static int looks_at(const source_t *s, const state_t *x)
{
    double dx = x->x[0] - s->x, dy = x->x[1] - s->y;
    if (s->kind == COOPERATIVE || dx * dx + dy * dy > 0.81 * s->range * s->range)
        return 0;
    if (s->fov >= 6.283)
        return 1;
    return fabs(remainder(atan2(dy, dx) - s->heading, 6.283185307179586)) < 0.5 * s->fov;
}

static void miss(fusion_t *f, frame_t *w, int32_t i, int32_t source, int64_t t)
{
    track_t *k = &f->tracks[i];
    const source_t *s = &f->sources[source];
    if (t - k->missed < MISS_EVERY || t - k->last < MISS_EVERY || !looks_at(s, &w->at[i]))
        return;
    double p = s->p_detect * MISS_SHARE;
    k->missed = t;
    k->existence = (1.0 - p) * k->existence / (1.0 - p * k->existence);
}

static void birth(fusion_t *f, int32_t source, const detection *z, int64_t t)
{
    if (f->count >= f->capacity) {
        f->full++;
        return;
    }
    const source_t *s = &f->sources[source];
    track_t *k = &f->tracks[f->count++];
    double r[3];
    measurement_noise(s, z, r);
    memset(k, 0, sizeof *k);
    int moving = isfinite(z->vx) && isfinite(z->vy);
    double spread = moving ? s->sigma_v * s->sigma_v + 0.3 : z->cls == 6 ? 3.0 : z->cls == 5 ? 30.0 : 80.0;
    k->now.t = t;
    k->now.x[0] = z->x;
    k->now.x[1] = z->y;
    k->now.x[2] = moving ? z->vx : 0.0;
    k->now.x[3] = moving ? z->vy : 0.0;
    k->now.p[0] = r[0];
    k->now.p[5] = r[1];
    k->now.p[1] = k->now.p[4] = r[2];
    k->now.p[10] = k->now.p[15] = spread;
    k->last = k->missed = t;
    k->existence = 0.3 * (isfinite(z->confidence) ? fmin(fmax(z->confidence, 0.1), 1.0) : 0.7);
    k->id = f->next_id++;
    k->sources = 1u << source;
    k->hits = 1;
    k->cls = z->cls;
    k->score[z->cls] = z->cls ? 1.0 : 0.0;
    k->length = isfinite(z->length) && z->length > 0 ? z->length : LENGTH[z->cls];
    k->width = isfinite(z->width) && z->width > 0 ? z->width : WIDTH[z->cls];
    k->height = isfinite(z->height) && z->height > 0 ? z->height : 1.5f;
    k->heading = isfinite(z->heading) ? z->heading : NAN;
    if (z->vehicle) {
        k->claim = z->vehicle;
        k->claims = 1;
    }
}

/* A younger track that stands in an older one's place, and is passed over when that is hit, is the same road user. */
static void shadow(fusion_t *f, frame_t *w)
{
    for (int32_t i = 0; i < f->count; i++) {
        track_t *k = &f->tracks[i];
        if (w->hit[i] < 0)
            continue;
        int32_t cx = cell(w->at[i].x[0]), cy = cell(w->at[i].x[1]);
        double reach = k->cls == 6 ? 0.5 : k->cls == 5 || k->cls == 4 ? 0.9 : 1.6;
        for (int32_t j = w->head[bucket(cx, cy)]; j >= 0; j = w->next[j]) {
            track_t *o = &f->tracks[j];
            double dx = w->at[j].x[0] - w->at[i].x[0], dy = w->at[j].x[1] - w->at[i].x[1];
            if (j == i || o->id < k->id || dx * dx + dy * dy > reach * reach)
                continue;
            if (w->hit[j] >= 0)
                o->shadow = 0;
            else if (++o->shadow >= SHADOW) {
                o->existence = 0.0;
                if (o->vehicle && !k->vehicle)
                    k->vehicle = o->vehicle;
            }
        }
    }
}

static void bury(fusion_t *f, int64_t t)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < f->count; i++) {
        track_t *k = &f->tracks[i];
        int64_t patience = k->status == CONFIRMED ? f->coast : 400000000;
        if (k->existence < f->drop || t - k->last > patience)
            continue;
        if (kept != i)
            f->tracks[kept] = *k;
        kept++;
    }
    f->count = kept;
}

int fusion_update(fusion_t *f, int64_t t, int32_t source, const detection *z, int32_t n, void *scratch)
{
    source_t *s = &f->sources[source];
    if (t < f->newest - f->window) {
        f->refused_old++;
        s->refused++;
        return 1;
    }
    frame_t w;
    lay_out(&w, f, n, scratch);
    place(f, t, &w);
    int32_t edges = 0;
    for (int32_t j = 0; j < n; j++) {
        double r[3];
        w.start[j] = edges;
        measurement_noise(s, &z[j], r);
        edges += gate(f, &w, &z[j], r, w.column + edges, w.cost + edges);
    }
    w.start[n] = edges;
    assign(n, f->count, w.start, w.column, w.cost, f->miss_cost, w.mate, w.rest);
    int32_t known = f->count;
    for (int32_t j = 0; j < n; j++)
        if (w.mate[j] >= 0) {
            w.hit[w.mate[j]] = j;
            hit(f, &w, w.mate[j], source, &z[j], t);
        }
    if (s->kind != COOPERATIVE) {
        for (int32_t i = 0; i < known; i++)
            if (w.hit[i] < 0)
                miss(f, &w, i, source, t);
        shadow(f, &w);
    }
    for (int32_t j = 0; j < n; j++)
        if (w.mate[j] < 0)
            birth(f, source, &z[j], t);
    if (t > f->newest)
        f->newest = t;
    s->scans++;
    bury(f, f->newest);
    return 0;
}

int32_t fusion_tracks(const fusion_t *f, int64_t t, track_row *out)
{
    int32_t n = 0;
    for (int32_t i = 0; i < f->count; i++) {
        const track_t *k = &f->tracks[i];
        if (k->status != CONFIRMED)
            continue;
        state_t s;
        state_at(k, t, f->noise[k->cls], &s);
        double speed = hypot(s.x[2], s.x[3]), total = 0.0;
        for (int c = 0; c < CLASSES; c++)
            total += k->score[c];
        track_row row = {.t = t, .x = s.x[0], .y = s.x[1], .vx = (float)s.x[2], .vy = (float)s.x[3], .yaw_rate = 0.0f,
                         .length = k->length, .width = k->width, .height = k->height, .var_x = (float)s.p[0], .var_y = (float)s.p[5],
                         .cov_xy = (float)s.p[1], .var_vx = (float)s.p[10], .var_vy = (float)s.p[15], .cov_vxvy = (float)s.p[11],
                         .existence = (float)k->existence, .id = k->id, .vehicle = k->vehicle, .sources = k->sources, .last = k->last,
                         .cls = k->cls};
        row.heading = speed > 1.0 || !isfinite(k->heading) ? (float)atan2(s.x[3], s.x[2]) : k->heading;
        row.class_p = total > 0.0 ? (float)(k->score[k->cls] / total) : 0.0f;
        row.status = t - k->last > 300000000 ? COASTING : CONFIRMED;
        int32_t at = n++;
        for (; at > 0 && out[at - 1].id > row.id; at--)
            out[at] = out[at - 1];
        out[at] = row;
    }
    return n;
}
