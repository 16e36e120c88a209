/* Identity: the vehicle that reports a track as its own, and two tracks of one road user. */
#include "numeric.h"
#include "scan.h"

#include <math.h>

#define MIN_DUPLICATE_SCANS 5 /* scans in which one of two alike was hit and not the other, before they are merged */
#define MIN_MOVING_CLAIMS                                                                                              \
    20 /* reports in a row on another track before an identity moves from a track that is still seen */
#define IDENTITY_HOLD                                                                                                  \
    900000000 /* ns; a track that nobody has seen for so long holds no identity against reports from elsewhere */

void record_conflict(fusion_t *fusion, uint32_t vehicle, double x, double y, int64_t t)
{
    conflict_t *free_ = &fusion->conflicts[0];
    for (int i = 0; i < MAX_CONFLICTS; i++) {
        conflict_t *conflict = &fusion->conflicts[i];
        if (conflict->vehicle == vehicle) {
            free_ = conflict;
            break;
        }
        if (conflict->t < free_->t)
            free_ = conflict;
    }
    if (free_->vehicle != vehicle)
        *free_ = (conflict_t){.vehicle = vehicle};
    free_->count++;
    free_->t = t;
    free_->x = x;
    free_->y = y;
}

static track_t *track_of_vehicle(fusion_t *fusion, uint32_t vehicle)
{
    for (int32_t i = 0; i < fusion->count; i++)
        if (track_at(fusion, i)->vehicle == vehicle)
            return track_at(fusion, i);
    return NULL;
}

/* A report on track k names `vehicle`. 0 when another track that is still seen has that name: the report is then not
 * believed. */
int claim_identity(fusion_t *fusion, track_t *track, uint32_t vehicle, double x, double y, int64_t t)
{
    if (!vehicle || track->vehicle == vehicle)
        return 1;
    track_t *other = track_of_vehicle(fusion, vehicle);
    track->claim_count = track->claimed_vehicle == vehicle ? (uint16_t)(track->claim_count + 1) : 1;
    track->claimed_vehicle = vehicle;
    if (other != NULL && other->existence > 0.5 && t - other->last_hit < IDENTITY_HOLD &&
        track->claim_count < MIN_MOVING_CLAIMS) {
        record_conflict(fusion, vehicle, x, y, t);
        return 0;
    }
    if (track->claim_count < 2)
        return 1;
    if (other != NULL)
        other->vehicle = 0;
    track->vehicle = vehicle;
    return 1;
}

static int similar_velocity(const state_t *a, const state_t *b)
{
    double vx = b->x[2] - a->x[2], vy = b->x[3] - a->x[3];
    return vx * vx + vy * vy < 1.0 + 4.0 * (a->p[7] + b->p[7] + a->p[9] + b->p[9]);
}

static int coincide(const scan_t *scan, const track_t *track, int32_t i, int32_t j)
{
    const state_t *a = &scan->mean[i], *b = &scan->mean[j];
    double dx = b->x[0] - a->x[0], dy = b->x[1] - a->x[1];
    double reach = track->cls == 6 ? 0.5 : track->cls == 5 || track->cls == 4 ? 0.9 : track->cls == 0 ? 0.8 : 1.6;
    return dx * dx + dy * dy < reach * reach && similar_velocity(a, b);
}

/* Two tracks that stand and move alike, and of which a source hits one or the other but never both, are one road
 * user's; so are two of which one lies within the other's vehicle, and two that are hit by the same box time and again.
 * The older keeps its id and takes the state of the one that is hit. */
void merge_duplicate(fusion_t *fusion, const scan_t *scan, int32_t hit, int32_t other_index)
{
    track_t *track = track_at(fusion, hit), *other = track_at(fusion, other_index);
    track_t *old = track->id < other->id ? track : other, *young = track->id < other->id ? other : track;
    double show = fusion->show_threshold; /* a track that was lost is no double: who passes there keeps its own id */
    if (track->existence < show || other->existence < show)
        return;

    int both = scan->hit[other_index] >= 0;
    int inside = overlaps(old, young->mean.x[0], young->mean.x[1], young->cls, (double)young->length) &&
                 similar_velocity(&scan->mean[hit], &scan->mean[other_index]);
    if (!inside && !coincide(scan, old, hit, other_index))
        return;
    if (both && !inside && !same_box(scan, scan->hit[hit], scan->hit[other_index])) {
        young->duplicate_scans = 0;
        return;
    }
    if (++young->duplicate_scans < MIN_DUPLICATE_SCANS)
        return;

    if (young == track) {
        track_t kept = *young;
        kept.id = old->id;
        kept.vehicle = old->vehicle;
        kept.claimed_vehicle = old->claimed_vehicle;
        kept.claim_count = old->claim_count;
        *old = kept;
    }
    if (young->vehicle && !old->vehicle)
        old->vehicle = young->vehicle;
    old->status = CONFIRMED;
    old->duplicate_scans = 0;
    young->existence = 0.0;
    young->status = TENTATIVE;
    fusion->merged++;
}
