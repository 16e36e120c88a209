/* One road user reported twice: by two sensors that take it for a car and a truck, by two boxes of one sensor, or by
 * the same box twice in a scan. Two vehicles cannot be in one another. */
#include "numeric.h"
#include "scan.h"

#include <math.h>

#define UNDISPUTED 0.98f    /* probability of a class that is not disputed */
#define OVERLAP_WIDTH 0.6   /* of the width, across: a vehicle beside another is further away */
#define MAX_HALF_LENGTH 9.0 /* m: of a vehicle that others are compared with */
#define MAX_YOUNG_HITS 20   /* hits of a track that may yet turn out to be another's second box */
#define SAME_BOX 0.1        /* m: two people are further apart, and in a crowd their detections are too */
#define SAME_MOTOR_BOX 0.8  /* m: nor two motor vehicles */

static int is_motor_vehicle(uint8_t cls) { return cls == 1 || cls == 2 || cls == 3; }

static int class_disputed(const track_t *track, uint8_t cls)
{
    return track->cls != cls || track->class_p[track->cls] < UNDISPUTED;
}

int encloses(const track_t *track, double x, double y, uint8_t cls, double length)
{
    double dx = x - track->mean.x[0], dy = y - track->mean.x[1], ux = track->direction[0], uy = track->direction[1];
    if (!is_motor_vehicle(track->cls) || !is_motor_vehicle(cls) || (ux == 0.0 && uy == 0.0))
        return 0;
    return fabs(dx * ux + dy * uy) < 0.5 * greater((double)track->length, length) &&
           fabs(dx * uy - dy * ux) < OVERLAP_WIDTH * (double)track->width;
}

int overlaps(const track_t *track, double x, double y, uint8_t cls, double length)
{
    return class_disputed(track, cls) && encloses(track, x, y, cls, length);
}

int same_box(const scan_t *scan, int32_t j, int32_t other)
{
    const detection_t *a = &scan->detections[j], *b = &scan->detections[other];
    double dx = a->x - b->x, dy = a->y - b->y;
    double within = is_motor_vehicle(a->cls) && is_motor_vehicle(b->cls) ? SAME_MOTOR_BOX : SAME_BOX;
    if (a->vehicle && b->vehicle && a->vehicle != b->vehicle)
        return 0;
    return dx * dx + dy * dy < within * within;
}

/* Of the boxes that coincide, one is used: the one that hit a track, else the first. */
int is_doubled(const fusion_t *fusion, const scan_t *scan, int32_t j)
{
    const grid_t *grid = &scan->grid;
    double x = (scan->positions[2 * j] - grid->left) * grid->cells_per_m;
    double y = (scan->positions[2 * j + 1] - grid->bottom) * grid->cells_per_m,
           reach = SAME_MOTOR_BOX * grid->cells_per_m;
    int32_t left = cell_index(x - reach, grid->columns), right = cell_index(x + reach, grid->columns);
    int32_t low = cell_index(y - reach, grid->rows), high = cell_index(y + reach, grid->rows);
    for (int32_t row = low; row <= high; row++)
        for (int32_t e = scan->cell_start[row * grid->columns + left];
             e < scan->cell_start[row * grid->columns + right + 1]; e++) {
            int32_t other = scan->cell_order[e];
            int begins = scan->owner[other] == UNASSIGNED || scan->owner[other] == AWAITED;
            int used = scan->owner[other] >= 0 || (begins && other < j);
            if (other != j && used && same_box(scan, j, other))
                return 1;
        }
    return enclosing_track(fusion, scan, j, 1) >= 0;
}

int32_t enclosing_track(const fusion_t *fusion, const scan_t *scan, int32_t j, int hit)
{
    const detection_t *z = &scan->detections[j];
    double x = scan->positions[2 * j], y = scan->positions[2 * j + 1],
           length = isfinite(z->length) ? (double)z->length : 0.0, nearest = 2.0 * MAX_HALF_LENGTH * MAX_HALF_LENGTH;
    int32_t best = UNASSIGNED;
    if (!is_motor_vehicle(z->cls))
        return UNASSIGNED;
    for (int32_t i = 0; i < scan->tracks; i++) {
        double dx = x - scan->mean[i].x[0], dy = y - scan->mean[i].x[1], d = dx * dx + dy * dy;
        if (d >= nearest || (scan->hit[i] >= 0) != hit)
            continue;
        const track_t *track = track_at(fusion, i);
        if (!(z->vehicle && track->vehicle && z->vehicle != track->vehicle) && overlaps(track, x, y, z->cls, length)) {
            nearest = d;
            best = i;
        }
    }
    return best;
}

void merge_young_duplicates(fusion_t *fusion, const scan_t *scan)
{
    const grid_t *grid = &scan->grid;
    for (int32_t j = 0; scan->count && j < scan->tracks; j++) {
        const track_t *track = track_at(fusion, j);
        if (!is_motor_vehicle(track->cls) || track->hits > MAX_YOUNG_HITS)
            continue;
        double x = (track->mean.x[0] - grid->left) * grid->cells_per_m,
               y = (track->mean.x[1] - grid->bottom) * grid->cells_per_m, reach = MAX_HALF_LENGTH * grid->cells_per_m;
        int32_t a = cell_index(x - reach, grid->columns), b = cell_index(x + reach, grid->columns);
        int32_t low = cell_index(y - reach, grid->rows), high = cell_index(y + reach, grid->rows);
        for (int32_t row = low; row <= high; row++)
            for (int32_t e = scan->cell_start[row * grid->columns + a];
                 e < scan->cell_start[row * grid->columns + b + 1]; e++) {
                int32_t i = scan->owner[scan->cell_order[e]];
                if (i >= 0 && i != j && scan->hit[i] >= 0 &&
                    overlaps(track_at(fusion, i), track->mean.x[0], track->mean.x[1], track->cls,
                             (double)track->length))
                    merge_duplicate(fusion, scan, i, j);
            }
    }
}
