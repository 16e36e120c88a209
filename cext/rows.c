/* Rows that break a rule: what means "not available" is taken as not measured, everything else is refused with its
 * reason. */
#include "rows.h"

/* Note why a message (row -1) or one of its rows is refused: the first ROW_FAULTS are kept, all are counted. */
int32_t fail(faults_t *f, int32_t row, const char *field, double v, const char *rule, const char *remedy)
{
    if (row >= 0 && f->refused >= ROW_FAULTS) {
        f->refused++;
        return -1;
    }
    fault_t *one = &f->first[row < 0 ? 0 : f->refused++];
    one->row = row;
    one->field = field;
    one->value = v;
    one->rule = rule;
    one->remedy = remedy;
    return -1;
}

/* What interfaces write for "not available" in a column of metres, m/s or rad: the widest figure of their integer,
   unscaled or in the units of J2735 and ETSI TS 102 894-2 (speed 8191 x .02 and 16383 x .01, heading 28800 x .0125 and
   3601 x .1 degrees, length 1023 x .1). */
static const double ANY[] = {-999.0,  -9999.0, -32768.0, 999.0,        9999.0,       32767.0,
                             65535.0, 99999.0, 1e9,      2147483647.0, 4294967295.0, 3.4028234663852886e38};
static const double SPEEDS[] = {163.82, 163.83, 163.84, 327.67, 327.68, 655.34, 655.35, 8191.0, 16383.0};
static const double HEADINGS[] = {360.0, 360.1, 6.2849309, 28800.0, 3601.0, 511.0};
static const double LENGTHS[] = {0.0, -1.0, 102.2, 102.3, 1023.0, 4095.0};
static const double SHARES[] = {-1.0, 1.01, 101.0, 255.0};

static int one_of(double v, const double *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fabs(v - list[i]) <= 1e-6 * fabs(list[i]) + 1e-4 * (fabs(list[i]) > 100.0))
            return 1;
    return 0;
}

#define IS(v, list)                                                                                                    \
    (one_of((double)(v), list, sizeof list / sizeof *list) || one_of((double)(v), ANY, sizeof ANY / sizeof *ANY))

static int blank(float *v, int unavailable)
{
    if (unavailable)
        *v = NAN;
    return unavailable;
}

/* A row that breaks a rule: put NaN, "not measured", where it has a usual word for that in a column that need not be
 * measured. Returns how often. */
static int mend(detection_t *d)
{
    int n = 0, speed = IS(hypot((double)d->vx, (double)d->vy), SPEEDS) || IS(fabs((double)d->vx), SPEEDS) ||
                       IS(fabs((double)d->vy), SPEEDS);
    n += blank(&d->vx, speed);
    n += blank(&d->vy, speed);
    n += blank(&d->heading, IS(d->heading, HEADINGS));
    n += blank(&d->length, IS(d->length, LENGTHS));
    n += blank(&d->width, IS(d->width, LENGTHS));
    n += blank(&d->height, IS(d->height, LENGTHS));
    n += blank(&d->confidence, IS(d->confidence, SHARES));
    return n;
}

static const char PLACE[] = "must be finite and within 2000 m of the origin",
                  PLACE_REMEDY[] = "leave out what has no place; x is metres east, y north";

/* The first rule that a row breaks, in `f`; NaN passes where "not measured" may stand. 0 where it breaks none. */
static int broken(const detection_t *d, fault_t *f)
{
    *f = (fault_t){.remedy = UNMEASURED};
#define RULE(bad, name, v, text)                                                                                       \
    if (bad) {                                                                                                         \
        f->field = name;                                                                                               \
        f->value = (double)(v);                                                                                        \
        f->rule = text;                                                                                                \
        return 1;                                                                                                      \
    }
    if (!(fabs(d->x) <= MAX_METRES) || !(fabs(d->y) <= MAX_METRES)) {
        int x = !(fabs(d->x) <= MAX_METRES);
        f->remedy = PLACE_REMEDY;
        RULE(1, x ? "x" : "y", x ? d->x : d->y, PLACE)
    }
    if (d->cls >= CLASSES) {
        f->remedy = "0 is unknown; docs/wire.md has the classes";
        RULE(1, "class", d->cls, "must be 0..7")
    }
    RULE(out_of(d->confidence, 0.0, 1.0), "confidence", d->confidence, "must be within 0..1")
    RULE(out_of(d->vx, -100, 100), "vx", d->vx, "must be within 100 m/s")
    RULE(out_of(d->vy, -100, 100), "vy", d->vy, "must be within 100 m/s")
    if (out_of(d->heading, -TURN, TURN)) {
        f->remedy = "send radians counter-clockwise from east; leave it out (NaN in a block) where it is not measured";
        RULE(1, "heading", d->heading, "must be radians, within a turn")
    }
    RULE(out_of(d->length, 1e-3, 60), "length", d->length, "must be over 0 and at most 60 m")
    RULE(out_of(d->width, 1e-3, 60), "width", d->width, "must be over 0 and at most 60 m")
    RULE(out_of(d->height, 1e-3, 60), "height", d->height, "must be over 0 and at most 60 m")
    RULE(out_of(d->var_x, 0, 1e4), "var_x, var_y", d->var_x, "must be within 0..10000 m2")
    RULE(out_of(d->var_y, 0, 1e4), "var_x, var_y", d->var_y, "must be within 0..10000 m2")
    RULE(out_of(d->cov_xy, -1e4, 1e4), "cov_xy", d->cov_xy, "must be within 10000 m2")
#undef RULE
    return 0;
}

int32_t mend_or_refuse(detection_t *d, int32_t row, faults_t *f)
{
    fault_t one;
    int mended = mend(d);
    if (broken(d, &one))
        return fail(f, row, one.field, one.value, one.rule, one.remedy);
    f->unmeasured += mended;
    return 0;
}
