/* Whether detections can be used: checked whole before anything of a scan is folded in. */
#include "track.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define MAX_SPEED 150.0f /* m/s, of either axis: no road user is faster */
#define MIN_SIZE 1e-3f   /* m */
#define MAX_SIZE 100.0f  /* m: the longest road trains are about 60 m */
#define MAX_NOISE 1e6f   /* m^2: a standard deviation of 1 km says nothing */
#define FIGURES 10       /* of a detection that need not be measured */

static const char *const NAMES[FIGURES] = {"vx",     "vy",    "heading", "length", "width",
                                           "height", "var_x", "var_y",   "cov_xy", "confidence"};

/* Whether no figure is infinite and the position is one; NaN stands for "not measured". Without a branch for each:
 * nearly all are good. */
static inline int usable(const detection_t *d)
{
    int bad = !(fabs(d->x) <= MAX_PLACE) | !(fabs(d->y) <= MAX_PLACE);
    bad |= (fabsf(d->vx) > FLT_MAX) | (fabsf(d->vy) > FLT_MAX) | (fabsf(d->heading) > FLT_MAX) |
           (fabsf(d->length) > FLT_MAX);
    bad |= (fabsf(d->width) > FLT_MAX) | (fabsf(d->height) > FLT_MAX) | (fabsf(d->var_x) > FLT_MAX) |
           (fabsf(d->var_y) > FLT_MAX);
    bad |= (fabsf(d->cov_xy) > FLT_MAX) | (fabsf(d->confidence) > FLT_MAX);
    return !bad;
}

int32_t fusion_check(const detection_t *z, int32_t n, const char **field)
{
    for (int32_t j = 0; j < n; j++) {
        if (usable(&z[j]))
            continue;
        const float v[FIGURES] = {z[j].vx,     z[j].vy,    z[j].heading, z[j].length, z[j].width,
                                  z[j].height, z[j].var_x, z[j].var_y,   z[j].cov_xy, z[j].confidence};
        *field = !(fabs(z[j].x) <= MAX_PLACE) ? "x" : !(fabs(z[j].y) <= MAX_PLACE) ? "y" : NULL;
        for (int i = 0; i < FIGURES && *field == NULL; i++)
            if (isinf(v[i]))
                *field = NAMES[i];
        return j;
    }
    return -1;
}

/* What a figure that somebody filled in by hand is at least and at most: a size or variance is over 0, a confidence is
 * one, and nothing is beyond what can be measured of a road user. */
static const float LEAST[FIGURES] = {-MAX_SPEED, -MAX_SPEED,    -FLT_MAX,      MIN_SIZE, MIN_SIZE,
                                     MIN_SIZE,   FLT_TRUE_MIN, FLT_TRUE_MIN, -FLT_MAX, 0.0f};
static const float MOST[FIGURES] = {MAX_SPEED, MAX_SPEED, FLT_MAX,   MAX_SIZE, MAX_SIZE,
                                    MAX_SIZE,  MAX_NOISE, MAX_NOISE, FLT_MAX,  1.0f};

_Static_assert(offsetof(detection_t, confidence) == offsetof(detection_t, vx) + (FIGURES - 1) * sizeof(float),
               "the figures follow one another");

/* Whether a row is usable, and filled in as it should be. NaN passes, but as a position. */
static inline int plausible(const detection_t *d)
{
    float v[FIGURES];
    int bad = !(fabs(d->x) <= MAX_PLACE) | !(fabs(d->y) <= MAX_PLACE) | (d->cls >= CLASSES);
    memcpy(v, (const char *)d + offsetof(detection_t, vx), sizeof v);
    for (int i = 0; i < FIGURES; i++)
        bad |= (v[i] < LEAST[i]) | (v[i] > MOST[i]);
    return !bad;
}

static int no_size(float v) { return v < MIN_SIZE || v > MAX_SIZE; }

static int no_variance(float v) { return v <= 0.0f || v > MAX_NOISE; }

static const char *implausible_field(const detection_t *d)
{
    return fabsf(d->vx) > MAX_SPEED   ? "vx"
           : fabsf(d->vy) > MAX_SPEED ? "vy"
           : no_size(d->length)       ? "length"
           : no_size(d->width)        ? "width"
           : no_size(d->height)       ? "height"
           : no_variance(d->var_x)    ? "var_x"
           : no_variance(d->var_y)    ? "var_y"
           : d->cls >= CLASSES        ? "class"
                                      : "confidence";
}

int32_t fusion_check_strict(const detection_t *z, int32_t n, const char **field)
{
    for (int32_t j = 0; j < n; j++) {
        const detection_t *d = &z[j];
        if (plausible(d))
            continue;
        if (fusion_check(d, 1, field) < 0)
            *field = implausible_field(d);
        return j;
    }
    return -1;
}
