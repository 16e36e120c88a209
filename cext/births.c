/* Birth: what a first detection is worth, by what its source says of its confidence, by where it is, and by what came
 * of those before. */
#include "numeric.h"
#include "scan.h"

#include <math.h>

#define MIN_VELOCITY_SAMPLES 50.0 /* velocities after which it is known what one is worth */
#define PRIOR_BIRTHS 8.0          /* births that what a confidence says is worth */
#define MAX_BIRTHS 300.0f
/* Births are never held to be rarer than this. Whatever came of those before, a second hit must be able to raise a true
   one over the next miss, or none would be proved again once the false detections have ended. Over `drop` for the same
   reason. */
#define MIN_BIRTH_PROBABILITY 0.02

static const float DEFAULT_LENGTH[CLASSES] = {4.0f, 4.6f, 8.0f, 12.0f, 2.2f, 1.8f, 0.5f, 1.0f};
static const float DEFAULT_WIDTH[CLASSES] = {1.8f, 1.8f, 2.5f, 2.5f, 0.9f, 0.7f, 0.5f, 1.0f};

/* Share of births of a kind that came to be road users, at first by the meaning that confidence is documented to have,
 * then by the share found. */
static double birth_probability(const fusion_t *fusion, const source_t *source, int bin)
{
    static const double PRIOR[CONFIDENCES] = {0.2, 0.03, 0.07, 0.14, 0.3, 0.45}, TRACKER_PRIOR = 0.7;
    double proved = (double)source->births.confirmed[bin], failed = (double)source->births.failed[bin];
    double said = source->filtered ? TRACKER_PRIOR : PRIOR[bin % CONFIDENCES]; /* a tracker's have stood their trial */
    return greater((proved + PRIOR_BIRTHS * said) / (proved + failed + PRIOR_BIRTHS),
                   greater(MIN_BIRTH_PROBABILITY, lesser(2.0 * fusion->drop, said)));
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

void record_birth_outcome(fusion_t *fusion, const track_t *track, int proved)
{
    births_t *births = &fusion->sources[track->birth_source & (SOURCES - 1)].births;
    int bin = track->birth_bin % (2 * CONFIDENCES);
    if (births->confirmed[bin] + births->failed[bin] > MAX_BIRTHS) {
        births->confirmed[bin] *= 0.5f;
        births->failed[bin] *= 0.5f;
    }
    if (proved)
        births->confirmed[bin] += 1.0f;
    else
        births->failed[bin] += 1.0f;
}

void initiate(fusion_t *fusion, const scan_t *scan, int32_t j)
{
    const detection_t *z = &scan->detections[j];
    const source_t *source = &fusion->sources[scan->source_id];
    /* a part of the room is kept for what sensors see: reports under invented names cannot fill it */
    if (fusion->count >= (source->kind == COOPERATIVE ? fusion->capacity - fusion->capacity / 4 : fusion->capacity)) {
        fusion->refused_births++;
        return;
    }
    track_t *track = track_at(fusion, fusion->count++);
    memset(track, 0, sizeof *track);
    int moving = velocity_usable(source, z);
    double known = source->columns.velocity_variance + 0.3,
           fast = moving        ? greater(known, source->columns.samples[2] < MIN_VELOCITY_SAMPLES ? 30.0 : 4.0 * known)
                  : z->cls == 7 ? 0.5
                  : z->cls == 6 ? 3.0
                  : z->cls == 5 ? 20.0
                                : 80.0;
    double slow = fusion->motion[z->cls & (CLASSES - 1)].enter > 0.0 ? 1.0 : fast; /* one model alone must hold both */
    double x[4] = {scan->positions[2 * j], scan->positions[2 * j + 1], moving ? z->vx : 0.0, moving ? z->vy : 0.0};
    imm_start(&track->models, x, &scan->noise[3 * j], moving ? known : slow, fast);
    imm_mean(&track->models, &track->mean);
    track->t = track->last_hit = track->last_miss = scan->t;
    store_posterior(track);
    track->birth_source = (uint8_t)scan->source_id;
    track->birth_bin = (uint8_t)birth_bin(source, z, x[0], x[1]);
    track->existence = birth_probability(fusion, source, track->birth_bin);
    track->id = fusion->next_id++;
    track->sources = 1u << scan->source_id;
    track->seen_by_sensor = source->kind != COOPERATIVE;
    track->reported_id = z->id;
    track->position_time = scan->t;
    track->position_source = (uint8_t)scan->source_id;
    track->position_x = z->x;
    track->position_y = z->y;
    track->reporting_source = (uint8_t)scan->source_id;
    track->hits = 1;
    track->cls = z->cls < CLASSES ? z->cls : 0;
    for (int c = 1; c < CLASSES; c++)
        track->class_p[c] = 1.0f / (CLASSES - 1);
    track->length = DEFAULT_LENGTH[track->cls];
    track->width = DEFAULT_WIDTH[track->cls];
    track->height = 1.5f;
    update_description(track, z, source->columns.class_accuracy, source->kind == COOPERATIVE);
    if (z->vehicle) {
        track->claimed_vehicle = z->vehicle;
        track->claim_count = 1;
    }
}
