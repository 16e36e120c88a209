/* Initiation: a detection that belongs to no track begins one. The track exists with the share of such births that came
 * to be road users, by the confidence its source reports and by where it lies. */
#include "numeric.h"
#include "scan.h"

#include <math.h>

#define MIN_VELOCITY_SAMPLES 50.0 /* velocities after which their variance is known */
#define UNKNOWN_VELOCITY 30.0     /* m^2/s^2: variance of a reported velocity before */
#define PRIOR_BIRTHS 8.0          /* births that the documented meaning of a confidence is worth */
#define MAX_BIRTHS 300.0f         /* births after which older ones count half */
#define TRACKER_BIRTH 0.7         /* share of true births of a source of tracks: these were confirmed before */
/* Births are never held to be rarer than this. Whatever came of those before, a second hit must be able to raise a true
 * one over the next miss, or none would be confirmed again once a burst of clutter has ended. Over `drop` for the same
 * reason. */
#define MIN_BIRTH_PROBABILITY 0.02
#define ARRIVAL_RADIUS 3.0         /* m: where road users came before, others come within it */
#define PRIOR_ARRIVALS 8.0         /* road users that are taken to have come anywhere */
#define MIN_ARRIVAL_DENSITY 1e-9   /* per m^2 and scan */
#define SLOW_SOURCE 0.2 /* s between scans: a source that is slower sees a fast car only twice within its gate */

/* by class; m^2/s^2: variance of the velocity of a road user of which it is not known */
static const double FAST[CLASSES] = {80.0, 80.0, 80.0, 80.0, 80.0, 20.0, 3.0, 0.5};
static const float DEFAULT_LENGTH[CLASSES] = {4.0f, 4.6f, 8.0f, 12.0f, 2.2f, 1.8f, 0.5f, 1.0f};
static const float DEFAULT_WIDTH[CLASSES] = {1.8f, 1.8f, 2.5f, 2.5f, 0.9f, 0.7f, 0.5f, 1.0f};
static const float DEFAULT_HEIGHT = 1.5f;

/* Share of births of a kind that came to be road users: at first by the documented meaning of the confidence. */
static double birth_probability(const fusion_t *fusion, const source_t *source, int bin)
{
    static const double PRIOR[CONFIDENCES] = {0.2, 0.03, 0.07, 0.14, 0.3, 0.45};
    double confirmed = (double)source->births.confirmed[bin], failed = (double)source->births.failed[bin];
    double prior = source->filtered ? TRACKER_BIRTH : PRIOR[bin % CONFIDENCES];
    double share = (confirmed + PRIOR_BIRTHS * prior) / (confirmed + failed + PRIOR_BIRTHS);
    return greater(share, greater(MIN_BIRTH_PROBABILITY, lesser(2.0 * fusion->drop, prior)));
}

static int birth_bin(const source_t *source, const detection_t *z, double x, double y)
{
    int bin = 0;
    if (isfinite(z->confidence)) {
        double c = (double)z->confidence;
        bin = c < 0.3 ? 1 : c < 0.5 ? 2 : c < 0.7 ? 3 : c < 0.9 ? 4 : 5;
    }
    return bin + (at_edge(&source->coverage, x, y) ? CONFIDENCES : 0);
}

void record_birth_outcome(fusion_t *fusion, const track_t *track, int confirmed)
{
    births_t *births = &fusion->sources[track->birth_source].births;
    int bin = track->birth_bin;
    if (births->confirmed[bin] + births->failed[bin] > MAX_BIRTHS) {
        births->confirmed[bin] *= 0.5f;
        births->failed[bin] *= 0.5f;
    }
    if (confirmed)
        births->confirmed[bin] += 1.0f;
    else
        births->failed[bin] += 1.0f;
}

void record_arrival(fusion_t *fusion, const track_t *track)
{
    const posterior_t *first = &track->past[track->past_slots[0]];
    int32_t at = (int32_t)(fusion->arrivals % MAX_ARRIVALS);
    fusion->arrival_x[at] = (float)first->x;
    fusion->arrival_y[at] = (float)first->y;
    fusion->arrivals++;
}

double arrival_density(const fusion_t *fusion, const source_t *source, double x, double y)
{
    int32_t known = fusion->arrivals < MAX_ARRIVALS ? (int32_t)fusion->arrivals : MAX_ARRIVALS, near = 0;
    for (int32_t i = 0; i < known; i++) {
        double dx = x - (double)fusion->arrival_x[i], dy = y - (double)fusion->arrival_y[i];
        near += dx * dx + dy * dy < ARRIVAL_RADIUS * ARRIVAL_RADIUS;
    }
    double circle = 3.141592653589793 * ARRIVAL_RADIUS * ARRIVAL_RADIUS, area = greater(source->area, circle);
    double per_s = (double)fusion->count * fusion->departures / fusion->followed_s; /* as many come as leave */
    double share = ((double)near + PRIOR_ARRIVALS * circle / area) / ((double)known + PRIOR_ARRIVALS);
    return greater(per_s * bounded(source->period, 0.02, 1.0) * share / circle, MIN_ARRIVAL_DENSITY);
}

/* A new road user is a walker's or a driver's until its second hit: one model starts slow, the other fast. */
static void start_models(const fusion_t *fusion, const source_t *source, const detection_t *z, const double position[2],
                         const double r[3], track_t *track)
{
    int cls = z->cls & (CLASSES - 1);
    if (velocity_usable(source, z)) {
        const double x[4] = {position[0], position[1], z->vx, z->vy};
        double variance = source->columns.velocity_variance + 0.3;
        double fast = source->columns.samples[2] < MIN_VELOCITY_SAMPLES ? UNKNOWN_VELOCITY : 4.0 * variance;
        imm_start(&track->models, x, r, variance, greater(variance, fast));
    } else {
        const double x[4] = {position[0], position[1], 0.0, 0.0};
        double fast = FAST[cls] * (1.0 + bounded(source->period - SLOW_SOURCE, 0.0, 1.0));
        double slow = fusion->motion[cls].enter > 0.0 ? 1.0 : fast; /* one model alone must hold both */
        imm_start(&track->models, x, r, slow, fast);
    }
    imm_mean(&track->models, &track->mean);
}

void initiate(fusion_t *fusion, const scan_t *scan, int32_t j, int awaited)
{
    const detection_t *z = &scan->detections[j];
    const source_t *source = &fusion->sources[scan->source_id];
    const double *position = &scan->positions[2 * j];
    /* a part of the room is kept for what sensors see: reports under invented names cannot fill it */
    int32_t room = source->kind == COOPERATIVE ? fusion->capacity - fusion->capacity / 4 : fusion->capacity;
    if (fusion->count >= room || fusion->next_id == UINT32_MAX) {
        fusion->refused_births++;
        return;
    }

    track_t *track = track_at(fusion, fusion->count++);
    memset(track, 0, sizeof *track);
    track->id = fusion->next_id++;
    track->t = track->last_hit = track->last_miss = scan->t;
    start_models(fusion, source, z, position, &scan->noise[3 * j], track);
    store_posterior(track);

    track->birth_source = (uint8_t)scan->source_id;
    track->birth_bin = (uint8_t)birth_bin(source, z, position[0], position[1]);
    track->existence = birth_probability(fusion, source, track->birth_bin);
    track->hits = 1;
    track->undecided = (uint8_t)awaited;
    track->sources = 1u << scan->source_id;
    track->seen_by_sensor = source->kind != COOPERATIVE;
    track->reported_id = z->id;
    track->reporting_source = (uint8_t)scan->source_id;
    track->position_time = scan->t;
    track->position_source = (uint8_t)scan->source_id;
    track->position_x = z->x;
    track->position_y = z->y;
    if (z->vehicle) {
        track->claimed_vehicle = z->vehicle;
        track->claim_count = 1;
    }

    track->cls = z->cls < CLASSES ? z->cls : 0;
    for (int c = 1; c < CLASSES; c++)
        track->class_p[c] = 1.0f / (CLASSES - 1);
    track->length = DEFAULT_LENGTH[track->cls];
    track->width = DEFAULT_WIDTH[track->cls];
    track->height = DEFAULT_HEIGHT;
    update_description(track, z, source->columns.class_accuracy, source->kind == COOPERATIVE);
}
