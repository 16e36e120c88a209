/* What the assignment means for each track: a hit updates it, a miss lowers its existence. */
#include "numeric.h"
#include "scan.h"

#include <math.h>

/* A road user first seen in the first 3 s at 10 Hz was there before the source began, at any place: it is no evidence
 * of where road users enter, and would make every place an entrance. */
#define SETTLED_SCANS 30

/* A detection's noise for a track: an error of the stamp moves it along the track's velocity, and the first position
 * after a standstill that was none may lag in the same way. */
static void stamp_adjusted_noise(const scan_t *scan, int32_t i, int32_t j, const track_t *track, double r[3])
{
    double variance = scan->stamp_variance + (double)track->frozen_s * (double)track->frozen_s;
    memcpy(r, &scan->noise[3 * j], 3 * sizeof *r);
    if (variance > 0.0) {
        const double *v = &scan->mean[i].x[2];
        r[0] += variance * v[0] * v[0];
        r[1] += variance * v[1] * v[1];
        r[2] += variance * v[0] * v[1];
    }
}

/* Compare a reported position with the previous one. Returns whether it is only that one again: the road user is still
 * there, but not at that position. */
static int note_position(scan_t *scan, int32_t i, int32_t j, track_t *track, source_t *source)
{
    const detection_t *z = &scan->detections[j];
    int stale = repeats_position(track, z, scan->source_id, scan->t, &scan->mean[i]);
    source->repeated += (uint64_t)stale;
    if (!scan->positions_only && !stale)
        test_velocity(source, track, z, scan->source_id, scan->t, &scan->noise[3 * j]);

    track->frozen_s = stale ? (float)(scan->t - track->position_time) * 1e-9f : 0.0f;
    if (z->x != track->position_x || z->y != track->position_y) {
        track->position_time = scan->t;
        track->position_source = (uint8_t)scan->source_id;
        track->position_x = z->x;
        track->position_y = z->y;
    }
    return stale;
}

/* Update a track's models by a position of the time they are of. */
static void update_models(const scan_t *scan, const source_t *source, int32_t i, track_t *track, double x, double y,
                          const double r[3])
{
    if (source->filtered && track->sources == 1u << scan->source_id)
        imm_update_filtered(&track->models, x, y, r);
    else if (source->filtered)
        imm_update_intersection(&track->models, &scan->mean[i], x, y, r);
    else
        imm_update(&track->models, x, y, r);
}

/* `updated`: its models and their mean are, by the position. */
static void update_state(const fusion_t *fusion, const scan_t *scan, int32_t i, int32_t j, track_t *track,
                         const double r[3], int updated)
{
    const source_t *source = &fusion->sources[scan->source_id];
    const detection_t *z = &scan->detections[j];
    double x = scan->positions[2 * j], y = scan->positions[2 * j + 1];
    if (scan->t != track->t) {
        if (!updated) {
            imm_update_late(track, &scan->link[i], x, y, r);
            drop_implausible(track);
        }
        return;
    }

    if (!updated)
        update_models(scan, source, i, track, x, y, r);
    if (!scan->positions_only && velocity_usable(source, z)) {
        imm_update_velocity(&track->models, z->vx, z->vy, source->columns.velocity_variance);
        updated = 0;
    }
    if (!updated) {
        imm_mean(&track->models, &track->mean);
        drop_implausible(track);
    }
    store_posterior(track);
}

/* Count a hit on a track whose state has been updated. */
static void count_hit(const scan_t *scan, const source_t *source, track_t *track, const detection_t *z)
{
    if (scan->t > track->last_hit) {
        track->last_hit = scan->t;
        track->miss_run = 0;
    }
    track->sources |= 1u << scan->source_id;
    track->seen_by_sensor |= source->kind != COOPERATIVE;
    if (z->id && source->kind != COOPERATIVE) {
        track->reported_id = z->id;
        track->reporting_source = (uint8_t)scan->source_id;
    }
    if (track->hits < UINT16_MAX)
        track->hits++;
}

static void apply_hit(fusion_t *fusion, scan_t *scan, int32_t i, int32_t j)
{
    track_t *track = track_at(fusion, i);
    source_t *source = &fusion->sources[scan->source_id];
    const detection_t *z = &scan->detections[j];
    const state_t *before = &scan->mean[i];
    double x = scan->positions[2 * j], y = scan->positions[2 * j + 1], r[3], det;
    if (z->vehicle && !claim_identity(fusion, track, z->vehicle, x, y, scan->t))
        return;

    int updated = scan->hit[i] == UPDATED;
    scan->hit[i] = j;
    stamp_adjusted_noise(scan, i, j, track, r);
    double d = mahalanobis2(before->x, before->p, x, y, r, &det);
    update_existence(fusion, track, scan, &scan->positions[2 * j], r, d, det);
    if (!note_position(scan, i, j, track, source)) {
        update_state(fusion, scan, i, j, track, r, updated);
        if (track->hits > 1)
            note_residual(fusion, scan, track, before, &scan->positions[2 * j], &scan->noise[3 * j], d);
        if (!scan->positions_only && track->status == CONFIRMED && track->hits > 5)
            learn_columns(fusion, scan, track, before, z);
    }

    scan->sums.hits += track->status == CONFIRMED && track->miss_run == 0 && scan->t > track->last_hit;
    if (!source->has_position)
        extend_view(source, x, y);
    count_hit(scan, source, track, z);
    update_description(track, z, source->columns.class_accuracy, source->kind == COOPERATIVE);

    if (track->hits == MAX_RESUME_HITS + 1 && source->scans > SETTLED_SCANS)
        record_arrival(fusion, track);

    if (track->status != CONFIRMED && track->existence > fusion->confirm) {
        track->status = CONFIRMED;
        record_birth_outcome(fusion, track, 1);
    }
    int at_scan = scan->t == track->t; /* else its mean is where it has been predicted to since */
    if (track->status == CONFIRMED && source->kind != COOPERATIVE && at_scan)
        extend_coverage(&source->coverage, track->mean.x[0], track->mean.x[1]);
}

/* Whether a hit does nothing but update the models by its position, before anything else of it is known. */
static int is_plain_hit(const scan_t *scan, const source_t *source, const track_t *track, int32_t i, int32_t j)
{
    const detection_t *z = &scan->detections[j];
    return track->t >= scan->t && track->hits > 1 && (track->t > scan->t || !source->filtered) && !z->vehicle &&
           track->models.turn_probability > 0.0 &&
           !repeats_position(track, z, scan->source_id, scan->t, &scan->mean[i]);
}

/* Up to LANES hits by which tracks are updated side by side. */
typedef struct {
    int32_t index[LANES];
    track_t *tracks[LANES];
    const double *positions[LANES];
    const smoother_link_t *links[LANES];
    double noise[LANES][3];
    int count;
} plain_hits_t;

static void update_together(scan_t *scan, plain_hits_t *hits, int late)
{
    if (hits->count < 2)
        return;
    const double *noise[LANES];
    for (int lane = 0; lane < LANES; lane++) {
        int from = lane < hits->count ? lane : 0;
        hits->tracks[lane] = hits->tracks[from];
        hits->positions[lane] = hits->positions[from];
        hits->links[lane] = hits->links[from];
        noise[lane] = hits->noise[from];
    }
    if (late ? update_late_lanes(hits->tracks, hits->links, hits->positions, noise)
             : update_lanes(hits->tracks, hits->positions, noise))
        for (int lane = 0; lane < hits->count; lane++)
            scan->hit[hits->index[lane]] = UPDATED;
}

/* Update the states of the next tracks that are plainly hit, side by side; returns up to where this is done. */
static int32_t update_next(const fusion_t *fusion, scan_t *scan, int32_t first)
{
    const source_t *source = &fusion->sources[scan->source_id];
    plain_hits_t hits[2]; /* of tracks as they are now, and of those that know of more than the scan */
    int32_t i = first;
    hits[0].count = hits[1].count = 0;
    for (; i < scan->tracks && hits[0].count < LANES && hits[1].count < LANES; i++) {
        int32_t j = scan->assigned[i];
        track_t *track = track_at(fusion, i);
        if (j < 0 || !is_plain_hit(scan, source, track, i, j))
            continue;
        plain_hits_t *same = &hits[track->t > scan->t];
        int k = same->count++;
        same->index[k] = i;
        same->tracks[k] = track;
        same->positions[k] = &scan->positions[2 * j];
        same->links[k] = &scan->link[i];
        stamp_adjusted_noise(scan, i, j, track, same->noise[k]);
    }
    update_together(scan, &hits[0], 0);
    update_together(scan, &hits[1], 1);
    return i;
}

/* Tracks whose gates hold the same detection may be two of one road user. */
static void merge_duplicates(fusion_t *fusion, const scan_t *scan)
{
    for (int32_t j = 0; j < scan->tracks; j++)
        for (int32_t e = scan->start[j]; e < scan->start[j + 1]; e++) {
            int32_t i = scan->owner[scan->column[e]];
            if (i >= 0 && i != j && scan->hit[i] >= 0)
                merge_duplicate(fusion, scan, i, j);
        }
    merge_young_duplicates(fusion, scan);
}

/* A motor vehicle's detection that is left over belongs to the track in whose outline it lies, where that has none. */
static void adopt_enclosed(fusion_t *fusion, scan_t *scan)
{
    for (int32_t j = 0; j < scan->count; j++) {
        uint8_t cls = scan->detections[j].cls;
        if (scan->owner[j] != UNASSIGNED || cls < 1 || cls > 3)
            continue;
        scan->owner[j] = enclosing_track(fusion, scan, j, 0);
        if (scan->owner[j] >= 0)
            apply_hit(fusion, scan, scan->owner[j], j);
    }
}

void apply_assignment(fusion_t *fusion, scan_t *scan)
{
    const source_t *source = &fusion->sources[scan->source_id];
    int32_t updated = scan->use_lanes ? 0 : scan->tracks; /* up to where states are updated */
    release_detections(scan);
    for (int32_t i = 0; i < scan->tracks; i++) {
        if (i == updated)
            updated = update_next(fusion, scan, i);
        if (scan->assigned[i] >= 0) {
            scan->owner[scan->assigned[i]] = i;
            apply_hit(fusion, scan, i, scan->assigned[i]);
        }
    }
    if (!(fusion->features & NO_MERGE) && !scan->positions_only)
        adopt_enclosed(fusion, scan);
    if (source->kind == COOPERATIVE) /* a vehicle reports itself: who it does not report is not missed */
        return;

    find_occluders(fusion, scan);
    for (int32_t i = 0; i < scan->tracks; i++)
        if (scan->hit[i] < 0)
            apply_miss(fusion, scan, i);
    if (!(fusion->features & NO_MERGE))
        merge_duplicates(fusion, scan);
}
