/* One row of a perception message against the rules. The check of a good row is inline: it is most of what is done to
 * it. */
#ifndef CLOUDCTL_ROWS_H
#define CLOUDCTL_ROWS_H

#include "messages.h"

#include <math.h>

#define TURN 6.2841853 /* rad: a whole turn, and what 32 bits round it to */
#define UNMEASURED "leave it out (NaN in a block) where it is not measured"

/* Note why a message (row -1) or one of its rows is refused: the first ROW_FAULTS are kept, all are counted. Returns
 * -1. */
int32_t fail(faults_t *f, int32_t row, const char *field, double v, const char *rule, const char *remedy);
/* What is to be done with a row that breaks a rule: 0 where it was mended, else -1 with the fault noted. */
int32_t mend_or_refuse(detection_t *d, int32_t row, faults_t *f);

static inline int out_of(double v, double low, double high) { return (int)(v < low) | (int)(v > high); }

/* Whether a row breaks none of those rules, which nearly all do: without a branch for each. */
static inline int fine(const detection_t *d)
{
    int good = fabs(d->x) <= MAX_METRES, bad = d->cls >= CLASSES;
    good &= (int)(fabs(d->y) <= MAX_METRES);
    bad |= out_of(d->confidence, 0.0, 1.0) | out_of(d->vx, -100, 100) | out_of(d->vy, -100, 100) |
           out_of(d->heading, -TURN, TURN);
    bad |= out_of(d->length, 1e-3, 60) | out_of(d->width, 1e-3, 60) | out_of(d->height, 1e-3, 60);
    bad |= out_of(d->var_x, 0, 1e4) | out_of(d->var_y, 0, 1e4) | out_of(d->cov_xy, -1e4, 1e4);
    return good > bad;
}

/* Check one row. Returns 0 where it can be used, as it is or mended; else -1 with the fault noted. */
static inline int32_t check(detection_t *d, int32_t row, faults_t *f)
{
    return fine(d) ? 0 : mend_or_refuse(d, row, f);
}

#endif
