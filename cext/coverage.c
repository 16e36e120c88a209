/* What a source covers, found from where it sees road users: the tightest polygon of SIDES sides that holds every
 * place at which it saw one. Where road users are lost on their way over a side time and again, the source sees
 * nothing beyond it: a track predicted there is gone, and a detection just within it is likely to be a new road user.
 * A side beyond which a road user is seen is moved out, and the tracks that ended at it are forgotten. */
#include "numeric.h"
#include "scan.h"

#include <math.h>

#define MIN_OCCLUDER_LENGTH 6.0 /* m: a longer road user hides what is behind it */
#define OCCLUDER_MARGIN 0.7     /* m beside its outline that it hides too, because the hidden road user has a width */
/* m: depth of the strip along a side in which road users first appear: 1.5 periods at 10 m/s */
#define EDGE_STRIP 1.5
#define MIN_SIGHTINGS 200 /* positions seen before a side counts */
#define MAX_LOSSES 50.0f
#define PRIOR_LOSSES 2.0   /* prior weight against a side, in ended tracks */
#define MIN_LOGIT -20.0    /* further inside than this, a position is not beyond a side */
#define SIDE_VARIANCE 0.04 /* m^2: a side is known no better than to 0.2 m */

/* cos of 1/64 .. 7/64 of a turn */
#define C0 1.0
#define C1 0.98078528040323043
#define C2 0.92387953251128674
#define C3 0.83146961230254524
#define C4 0.70710678118654757
#define C5 0.55557023301960218
#define C6 0.38268343236508977
#define C7 0.19509032201612825

/* The outward normal of each side. */
static const double NORMAL_X[SIDES] = {C0,  C1,  C2,  C3,  C4,  C5,  C6,  C7,  0.0, -C7, -C6, -C5, -C4, -C3, -C2, -C1,
                                       -C0, -C1, -C2, -C3, -C4, -C5, -C6, -C7, 0.0, C7,  C6,  C5,  C4,  C3,  C2,  C1};
static const double NORMAL_Y[SIDES] = {0.0, C7,  C6,  C5,  C4,  C3,  C2,  C1,  C0,  C1,  C2,  C3,  C4,  C5,  C6,  C7,
                                       0.0, -C7, -C6, -C5, -C4, -C3, -C2, -C1, -C0, -C1, -C2, -C3, -C4, -C5, -C6, -C7};

/* How far a position lies along the normal of side k. */
static double side_distance(int k, double x, double y) { return NORMAL_X[k] * x + NORMAL_Y[k] * y; }

/* Most positions lie in a circle around the middle that touches no side's strip: only the others are compared with
 * every side. */
static int well_inside(const coverage_t *coverage, double x, double y)
{
    double dx = x - coverage->x - coverage->centre_x, dy = y - coverage->y - coverage->centre_y;
    return dx * dx + dy * dy < coverage->inner_radius2;
}

static void update_inner_circle(coverage_t *coverage)
{
    double least = 1e9;
    coverage->centre_x = 0.5 * (double)(coverage->extent[0] - coverage->extent[SIDES / 2]);
    coverage->centre_y = 0.5 * (double)(coverage->extent[SIDES / 4] - coverage->extent[3 * SIDES / 4]);
    for (int k = 0; k < SIDES; k++)
        least = lesser(least, (double)coverage->extent[k] - side_distance(k, coverage->centre_x, coverage->centre_y));
    least -= EDGE_STRIP;
    coverage->inner_radius2 = least > 0.0 ? least * least : 0.0;
}

void extend_coverage(coverage_t *coverage, double x, double y)
{
    if (coverage->sightings == 0) {
        coverage->x = x;
        coverage->y = y;
    }
    if (coverage->sightings < MIN_SIGHTINGS)
        coverage->sightings++;
    if (well_inside(coverage, x, y))
        return;
    int beyond = 0, moved = 0; /* most lie beyond none */
    for (int k = 0; k < SIDES; k++)
        beyond |= (float)side_distance(k, x - coverage->x, y - coverage->y) > coverage->extent[k];
    if (!beyond)
        return;
    for (int k = 0; k < SIDES; k++) {
        float there = (float)side_distance(k, x - coverage->x, y - coverage->y), more = there - coverage->extent[k];
        if (more <= 0.0f)
            continue;
        coverage->extent[k] = there;
        coverage->losses[k] *= more < 1.0f ? 1.0f - more : 0.0f;
        moved = 1;
    }
    if (moved)
        update_inner_circle(coverage);
}

void record_loss(coverage_t *coverage, double x, double y, double vx, double vy, double ahead)
{
    if (well_inside(coverage, x + ahead * vx, y + ahead * vy))
        return;
    for (int k = 0; k < SIDES; k++) {
        double v = side_distance(k, vx, vy);
        if (v > 0.0 && side_distance(k, x - coverage->x, y - coverage->y) + ahead * v > (double)coverage->extent[k] &&
            coverage->losses[k] < MAX_LOSSES)
            coverage->losses[k] += 1.0f;
    }
}

int is_well_inside(const coverage_t *coverage, double x, double y)
{
    return coverage->sightings >= MIN_SIGHTINGS && !at_edge(coverage, x, y);
}

double probability_beyond(const coverage_t *coverage, double x, double y, double variance)
{
    if (coverage->sightings < MIN_SIGHTINGS || well_inside(coverage, x, y))
        return 0.0;

    double dx = x - coverage->x, dy = y - coverage->y;
    double sharp = 1.7 / sqrt(variance + SIDE_VARIANCE); /* of the logistic curve nearest the normal distribution */
    double most = 0.0;
    for (int k = 0; k < SIDES; k++) {
        double losses = (double)coverage->losses[k];
        if (losses < 1.0)
            continue;
        double z = sharp * (NORMAL_X[k] * dx + NORMAL_Y[k] * dy - (double)coverage->extent[k]); /* m beyond the side */
        if (z < MIN_LOGIT)
            continue;
        double tail = exp_negative(z < 0.0 ? z : -z);
        most = greater(most, losses / (losses + PRIOR_LOSSES) * (z < 0.0 ? tail : 1.0) / (1.0 + tail));
    }
    return most;
}

int at_edge(const coverage_t *coverage, double x, double y)
{
    if (coverage->sightings < MIN_SIGHTINGS || well_inside(coverage, x, y))
        return 0;
    for (int k = 0; k < SIDES; k++)
        if (side_distance(k, x - coverage->x, y - coverage->y) > (double)coverage->extent[k] - EDGE_STRIP)
            return 1;
    return 0;
}

/* List the road users that are long enough to hide others and were seen in this scan by a source whose position is
 * known. */
void find_occluders(fusion_t *fusion, scan_t *scan)
{
    scan->occluders = 0;
    if (scan->positions_only || !fusion->sources[scan->source_id].has_position)
        return;
    for (int32_t i = 0; i < scan->tracks && scan->occluders < MAX_OCCLUDERS; i++) {
        const track_t *track = track_at(fusion, i);
        if (scan->hit[i] >= 0 && track->length > MIN_OCCLUDER_LENGTH && track->status == CONFIRMED)
            scan->occluder[scan->occluders++] = i;
    }
}

/* Return whether a long road user stands in the line of sight from the source to a position. */
int is_occluded(const fusion_t *fusion, const scan_t *scan, double x, double y)
{
    const source_t *source = &fusion->sources[scan->source_id];
    double tx = x - source->x, ty = y - source->y, far = sqrt(tx * tx + ty * ty);
    for (int n = 0; n < scan->occluders && far > 1.0; n++) {
        const track_t *other = track_at(fusion, scan->occluder[n]);
        double ox = other->mean.x[0] - source->x, oy = other->mean.x[1] - source->y, along = (ox * tx + oy * ty) / far,
               aside = fabs(ox * ty - oy * tx) / far;
        double slant = fabs((double)other->direction[0] * ty - (double)other->direction[1] * tx) / far;
        double half = 0.5 * ((double)other->length * slant + (double)other->width) + OCCLUDER_MARGIN;
        if (along > 0.0 && along < far - MIN_OCCLUDER_LENGTH * 0.5 && aside < half)
            return 1;
    }
    return 0;
}
