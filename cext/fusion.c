/* The tracker: scans of any source in any order become tracks. Life by Bayes, association in the state at the scan's time. */
#include "numeric.h"
#include "track.h"

#include <math.h>

#define LAG_PRIOR 0.15 /* s: a latency not yet found, where several sources look */
#define SURE 300.0     /* residuals after which it is */
#define SOON 3         /* tracks ahead of the one that is worked on */
#define JITTER 6e-4    /* s^2: stamps that are off by less, 25 ms, are no worse than any */

static const motion_t MOTION[CLASSES] = {
    /* straight, turning, turn rate, 1/s into a manoeuvre, 1/s out of it */
    {0.12, 3.0, 0.5, 0.15, 0.6}, {0.12, 3.0, 0.5, 0.15, 0.6}, {0.12, 2.5, 0.3, 0.12, 0.6}, {0.12, 2.5, 0.3, 0.12, 0.6},
    {0.15, 3.0, 0.6, 0.2, 0.6}, {0.12, 1.5, 0.6, 0.2, 0.6}, {0.08, 0.8, 1.0, 0.2, 0.6}, {0.01, 0.0, 0.0, 0.0, 0.0}};

size_t fusion_size(int32_t capacity) { return HEAD_BYTES + (sizeof(place_t) + sizeof(int32_t)) * (size_t)capacity; }

/* Where each part of the scratch of a scan of n detections against k tracks begins, bytes. */
typedef struct {
    size_t mean, xy, r, cost, start, column, mate, hit, head, order, cell, rest, end;
} layout_t;

static int32_t cells_of(int32_t n) { return 4 * n + 64; }

static layout_t layout(int32_t tracks, int32_t n)
{
    size_t k = (size_t)tracks, m = (size_t)n;
    layout_t l = {0};
    l.mean = part_of(&l.end, k, sizeof(state_t));
    l.xy = part_of(&l.end, 2 * m, sizeof(double));
    l.r = part_of(&l.end, 3 * m, sizeof(double));
    l.cost = part_of(&l.end, MAX_EDGES * k, sizeof(double));
    l.start = part_of(&l.end, k + 1, sizeof(int32_t));
    l.column = part_of(&l.end, MAX_EDGES * k, sizeof(int32_t));
    l.mate = part_of(&l.end, k, sizeof(int32_t));
    l.hit = part_of(&l.end, k, sizeof(int32_t));
    l.head = part_of(&l.end, (size_t)cells_of(n) + 1, sizeof(int32_t));
    l.order = part_of(&l.end, m, sizeof(int32_t));
    l.cell = part_of(&l.end, m, sizeof(int32_t));
    l.rest = part_of(&l.end, assign_scratch(tracks, n), 1);
    return l;
}

size_t fusion_scratch(int32_t capacity, int32_t n) { return layout(capacity, n).end; }

void fusion_init(fusion_t *f, int32_t capacity)
{
    memset(f, 0, fusion_size(capacity));
    f->capacity = capacity;
    f->next_id = 1;
    for (int32_t i = 0; i < capacity; i++)
        order_of(f)[i] = i;
    f->window = 1000000000;
    f->gate = 20.0;
    f->miss_cost = 12.0;
    f->confirm = 0.97;
    f->show = 0.5;
    f->drop = 0.01;
    f->survive = 30.0;
    f->left = STAYS_SAID;
    f->lived = STAYS_SAID * f->survive;
    f->coast = 2500000000;
    f->jump = 10000000000;
    /* a first miss is most often independent of the next; a road user missed several times in a row is likely occluded, for a second or two */
    static const double MORE[ROWS] = {0.4, 0.6, 0.85, 0.95}, SAID[ROWS] = {10.0, 6.0, 4.0, 4.0};
    for (int i = 0; i < ROWS; i++) {
        f->misses[i] = SAID[i];
        f->more[i] = SAID[i] * MORE[i];
    }
    memcpy(f->motion, MOTION, sizeof MOTION);
    for (int i = 0; i < SOURCES; i++) {
        source_t s = {.fov = 7.0, .range = 250.0, .sigma = 0.35, .sigma_v = 0.6, .p_detect = 0.9, .clutter = 1e-4};
        s.low[0] = s.low[1] = INFINITY;
        s.high[0] = s.high[1] = -INFINITY;
        f->sources[i] = s;
        source_start(&f->sources[i]);
    }
}

static void lay_out(frame_t *w, const fusion_t *f, const detection *z, int32_t n, void *scratch)
{
    char *base = scratch;
    layout_t l = layout(f->count, n);
    w->z = z;
    w->n = n;
    w->known = f->count;
    w->cells = cells_of(n);
    w->mean = (state_t *)(void *)(base + l.mean);
    w->xy = (double *)(void *)(base + l.xy);
    w->r = (double *)(void *)(base + l.r);
    w->cost = (double *)(void *)(base + l.cost);
    w->start = (int32_t *)(void *)(base + l.start);
    w->column = (int32_t *)(void *)(base + l.column);
    w->mate = (int32_t *)(void *)(base + l.mate);
    w->hit = (int32_t *)(void *)(base + l.hit);
    w->head = (int32_t *)(void *)(base + l.head);
    w->order = (int32_t *)(void *)(base + l.order);
    w->cell = (int32_t *)(void *)(base + l.cell);
    w->rest = base + l.rest;
    w->area = w->reach = 0.0;
    memset(&w->sums, 0, sizeof w->sums);
}

static void read_scan(const fusion_t *f, const source_t *s, frame_t *w)
{
    w->widest = w->unsure = 0.0;
    if (f->several && s->kind != COOPERATIVE && s->sum[0] < SURE && !(f->features & NO_LAG)) {
        double left = LAG_PRIOR * (1.0 - s->sum[0] / SURE);
        w->unsure = left * left;
    }
    w->blur = s->believed * w->doubt + (s->fast >= SURE && s->jitter > JITTER ? s->jitter : 0.0);
    w->unsure += w->blur;
    w->plain = 1;
    for (int32_t j = 0; j < w->n; j++) {
        const detection *z = &w->z[j];
        double *r = &w->r[3 * j];
        w->xy[2 * j] = z->x - s->bias_x;
        w->xy[2 * j + 1] = z->y - s->bias_y;
        measurement_noise(s, z, r);
        w->widest = r[0] > w->widest ? r[0] : w->widest;
        w->widest = r[1] > w->widest ? r[1] : w->widest;
        if (z->cls || z->vehicle || z->id || isfinite(z->vx) || isfinite(z->length))
            w->plain = 0;
    }
}

/* The few reports of connected vehicles concern few tracks: the others are left where they are, out of every gate. */
static int aloof(const frame_t *w, const track_t *k)
{
    double dt = fabs((double)(w->t - k->t)) * 1e-9, reach = 30.0 + dt * (fabs(k->mean.x[2]) + fabs(k->mean.x[3]) + 10.0);
    for (int32_t j = 0; j < w->n; j++)
        if (fabs(w->xy[2 * j] - k->mean.x[0]) < reach && fabs(w->xy[2 * j + 1] - k->mean.x[1]) < reach)
            return 0;
    return 1;
}

/* Carry a track on to the scan, or look back at it when the scan is older than what it knows. */
static void advance(const fusion_t *f, const frame_t *w, track_t *k, change_t *c, state_t *mean)
{
    const motion_t *m = &f->motion[k->cls];
    if (w->t < k->t) {
        state_at(k, w->t, m, mean);
        return;
    }
    if (w->t > k->t) {
        imm_t ahead;
        double dt = (double)(w->t - k->t) * 1e-9;
        if (dt != c->dt || m != c->motion)
            *c = change_after(dt, m);
        imm_step(&k->now, c, &ahead);
        k->now = ahead;
        k->t = w->t;
        imm_mean(&k->now, &k->mean);
    }
    *mean = k->mean;
}

/* Begin to read a track that is needed soon: of many intersections in turn, none is in a cache. Its past is not read whole. */
static inline void fetch(const track_t *k)
{
#if defined(__GNUC__)
    const char *from = (const char *)k, *end = from + sizeof *k;
    __builtin_prefetch(from, 1);
    for (from += offsetof(track_t, then); from < end; from += LINE)
        __builtin_prefetch(from, 1);
#else
    (void)k;
#endif
}

static void place(fusion_t *f, frame_t *w)
{
    int32_t edges = 0, few = w->n <= 4 && f->sources[w->source].kind == COOPERATIVE;
    change_t c = {0.0, NULL, 0.0, 0.0};
    if (w->n)
        lay_grid(f, w);
    w->start[0] = 0;
    for (int32_t i = 0; i < w->known; i++) {
        track_t *k = track_at(f, i);
        if (i + SOON < w->known)
            fetch(track_at(f, i + SOON));
        w->hit[i] = FREE;
        if (few && aloof(w, k)) {
            w->mean[i] = k->mean;
        } else {
            advance(f, w, k, &c, &w->mean[i]);
            if (w->n)
                edges = gate(f, w, i, edges);
        }
        w->start[i + 1] = edges;
    }
    if (w->known && w->n && !few)
        f->reach = w->reach / (double)w->known;
}

/* From cells to owners: nobody has a detection yet. */
static void free_all(frame_t *w)
{
    for (int32_t j = 0; j < w->n; j++)
        if (w->cell[j] != CROWDED)
            w->cell[j] = FREE;
}

static void nearest(frame_t *w)
{
    free_all(w);
    for (int32_t i = 0; i < w->known; i++) {
        int32_t best = -1;
        for (int32_t e = w->start[i]; e < w->start[i + 1]; e++)
            if (w->cell[w->column[e]] == FREE && (best < 0 || w->cost[e] < w->cost[best]))
                best = e;
        w->mate[i] = best < 0 ? -1 : w->column[best];
        if (best >= 0)
            w->cell[w->column[best]] = i;
    }
}

/* A detection's noise for a track: a stamp that is off moves it along the track's way; the first place after a standstill that was none may lag too. */
static void noise_along(const frame_t *w, int32_t i, int32_t j, const track_t *k, double r[3])
{
    double blur = w->blur + (double)k->held * (double)k->held;
    memcpy(r, &w->r[3 * j], 3 * sizeof *r);
    if (blur > 0.0) {
        const double *v = &w->mean[i].x[2];
        r[0] += blur * v[0] * v[0];
        r[1] += blur * v[1] * v[1];
        r[2] += blur * v[0] * v[1];
    }
}

/* What the place is beside the one its source gave before. Returns whether it is only that one again: the road user is still there, but not where it was. */
static int follow_place(frame_t *w, int32_t i, int32_t j, track_t *k, source_t *s)
{
    const detection *z = &w->z[j];
    int stale = said_before(k, z, w->source, w->t, &w->mean[i]);
    s->repeated += (uint64_t)stale;
    if (!w->plain && !stale)
        note_speed(s, k, z, w->source, w->t, &w->r[3 * j]);
    k->held = stale ? (float)(w->t - k->given) * 1e-9f : 0.0f;
    if (z->x != k->given_x || z->y != k->given_y) {
        k->given = w->t;
        k->giver = (uint8_t)w->source;
        k->given_x = z->x;
        k->given_y = z->y;
    }
    return stale;
}

static void measure(const fusion_t *f, const frame_t *w, int32_t i, int32_t j, track_t *k, const double r[3])
{
    const source_t *s = &f->sources[w->source];
    const detection *z = &w->z[j];
    double x = w->xy[2 * j], y = w->xy[2 * j + 1];
    if (w->t != k->t) {
        imm_update_late(k, w->t, &f->motion[k->cls], x, y, r);
        return;
    }
    if (s->filtered && k->sources == 1u << w->source)
        imm_follow(&k->now, x, y, r);
    else if (s->filtered)
        imm_intersect(&k->now, &w->mean[i], x, y, r);
    else
        imm_update(&k->now, x, y, r);
    if (isfinite(z->vx) && isfinite(z->vy))
        imm_update_velocity(&k->now, z->vx, z->vy, s->worth.speed);
    imm_mean(&k->now, &k->mean);
    remember(k);
}

static void hit(fusion_t *f, frame_t *w, int32_t i, int32_t j)
{
    track_t *k = track_at(f, i);
    source_t *s = &f->sources[w->source];
    const detection *z = &w->z[j];
    double x = w->xy[2 * j], y = w->xy[2 * j + 1], r[3];
    if (z->vehicle && !claim(f, k, z->vehicle, x, y, w->t))
        return;
    w->hit[i] = j;
    noise_along(w, i, j, k, r);
    exist(f, k, w, &w->mean[i], &w->xy[2 * j], r);
    if (!follow_place(w, i, j, k, s)) {
        measure(f, w, i, j, k, r);
        if (k->hits > 1)
            note_residual(f, w, k, &w->mean[i], &w->xy[2 * j], &w->r[3 * j]);
        if (!w->plain && k->status == CONFIRMED && k->hits > 5)
            note_worth(f, w, k, &w->mean[i], z);
    }
    w->sums.hits += k->status == CONFIRMED && k->run == 0 && w->t > k->last;
    if (!s->placed)
        looked(s, x, y);
    if (w->t > k->last) {
        k->last = w->t;
        k->run = 0;
    }
    k->sources |= 1u << w->source;
    k->sensed |= s->kind != COOPERATIVE;
    if (z->id && s->kind != COOPERATIVE) {
        k->told = z->id;
        k->teller = (uint8_t)w->source;
    }
    if (k->hits < 65535)
        k->hits++;
    describe(k, z, s->worth.right, s->kind == COOPERATIVE);
    if (k->status != CONFIRMED && k->existence > f->confirm) {
        k->status = CONFIRMED;
        birth_ends(f, k, 1);
    }
    if (k->status == CONFIRMED && s->kind != COOPERATIVE && w->t == k->t) /* not where it has been carried to since */
        cover(&s->covers, k->mean.x[0], k->mean.x[1]);
}

/* Tracks whose gates hold the same detection may be two of one road user. */
static void duplicates(fusion_t *f, const frame_t *w)
{
    for (int32_t j = 0; j < w->known; j++)
        for (int32_t e = w->start[j]; e < w->start[j + 1]; e++) {
            int32_t i = w->cell[w->column[e]];
            if (i >= 0 && i != j && w->hit[i] >= 0)
                merge_into(f, w, i, j);
        }
    young_doubles(f, w);
}

/* Owners of detections from the assignment, hits, then misses of who was looked at in vain. */
static void settle(fusion_t *f, frame_t *w)
{
    const source_t *s = &f->sources[w->source];
    free_all(w);
    for (int32_t i = 0; i < w->known; i++)
        if (w->mate[i] >= 0) {
            w->cell[w->mate[i]] = i;
            hit(f, w, i, w->mate[i]);
        }
    if (!(f->features & NO_MERGE))
        for (int32_t j = 0; j < w->n; j++)
            if (w->cell[j] == FREE && w->z[j].cls >= 1 && w->z[j].cls <= 3 && (w->cell[j] = around(f, w, j, 0)) >= 0)
                hit(f, w, w->cell[j], j);
    if (s->kind == COOPERATIVE)
        return;
    find_occluders(f, w);
    for (int32_t i = 0; i < w->known; i++)
        if (w->hit[i] < 0)
            miss(f, w, i);
    if (!(f->features & NO_MERGE))
        duplicates(f, w);
}

int fusion_update(fusion_t *f, int64_t t, int32_t source, const detection *z, int32_t n, void *scratch)
{
    const char *field;
    if (fusion_check(z, n, &field) >= 0) {
        f->sources[source].refused++;
        return NOT_FINITE;
    }
    return fusion_fold(f, t, source, z, n, scratch);
}

int fusion_fold(fusion_t *f, int64_t t, int32_t source, const detection *z, int32_t n, void *scratch)
{
    source_t *s = &f->sources[source];
    int64_t stamp = t;
    t -= (int64_t)(s->lag * 1e9);
    int code = stamp_check(f, source, t);
    if (code != TAKEN) {
        s->refused++;
        return code;
    }
    double doubt = stamp_doubt(s, stamp); /* a stamp that is refused says nothing of the source's beat */
    frame_t w;
    lay_out(&w, f, z, n, scratch);
    w.t = t;
    w.source = source;
    w.doubt = doubt * doubt;
    read_scan(f, s, &w);
    place(f, &w);
    if (f->features & NO_GLOBAL)
        nearest(&w);
    else
        assign(w.known, n, w.start, w.column, w.cost, f->miss_cost, w.mate, w.rest);
    settle(f, &w);
    learn(f, &w);
    for (int32_t j = 0; j < n; j++)
        if (w.cell[j] == FREE && (f->features & NO_MERGE || around(f, &w, j, 1) < 0))
            born(f, &w, j);
    live_on(f, t);
    f->heard |= 1u << source;
    f->several = (f->heard & (f->heard - 1u)) != 0;
    s->late += t < f->newest;
    s->detections += (uint64_t)n;
    s->scans++;
    f->newest = t > f->newest ? t : f->newest;
    bury(f, f->newest);
    return TAKEN;
}
