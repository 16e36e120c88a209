/* The noise of a source whose scans are its first. Until a velocity is known, noise decides which detection of the
 * second scan is which of the first: in a crowd, one held to be noisier than it is passes the identities on along
 * whole rows. What the detections have moved between the two scans is motion and noise together, so the noise is no
 * more than that; where this is less than what was assumed, it takes its place, and the scan is assigned again. */
#include "numeric.h"
#include "scan.h"

#include <math.h>

#define MIN_DISPLACEMENTS 12 /* road users seen twice, for a median */
#define MEDIAN_SQUARE 1.3863 /* 2 ln 2: median of the squared length of a normal vector, over its variance by axis */
#define MIN_MOVED_SHARE 1e-4 /* below it the first scan was sent again: that says nothing of noise */
#define MIN_SHARE 0.04       /* of the assumed variance: a fifth of the deviation */
#define MAX_SHARE 0.7        /* a share above it changes no assignment */

/* The median, by Hoare's selection: the C library's sort may allocate. The values change their order. */
static double median_of(double *values, int32_t n)
{
    int32_t low = 0, high = n - 1, middle = n / 2;
    while (low < high) {
        double pivot = values[low + (high - low) / 2];
        int32_t i = low, j = high;
        while (i <= j) {
            while (values[i] < pivot)
                i++;
            while (values[j] > pivot)
                j--;
            if (i > j)
                break;
            double value = values[i];
            values[i++] = values[j];
            values[j--] = value;
        }
        if (middle <= j)
            high = j;
        else if (middle >= i)
            low = i;
        else
            break;
    }
    return values[middle];
}

/* Seen once before, by this source, an instant ago. */
static int is_comparable(const scan_t *scan, const track_t *track)
{
    return track->hits == 1 && track->birth_source == scan->source_id && track->last_hit < scan->t &&
           track->t == scan->t;
}

/* Return the variance by axis of the displacements over that of their noise as assumed; 1 where too few are seen. */
static double displacement_share(const fusion_t *fusion, scan_t *scan)
{
    double *share = scan->cost; /* the edges are found anew afterwards; one each is room enough */
    int32_t n = 0;
    for (int32_t i = 0; i < scan->tracks; i++) {
        int32_t j = scan->assigned[i];
        const track_t *track = track_at(fusion, i);
        if (j < 0 || !is_comparable(scan, track))
            continue;
        const posterior_t *first = &track->past[track->past_slots[0]];
        double dx = scan->positions[2 * j] - first->x, dy = scan->positions[2 * j + 1] - first->y;
        double noise = 0.5 * (scan->noise[3 * j] + scan->noise[3 * j + 1]) +
                       0.5 * (double)(first->p[0] + first->p[4]);
        share[n++] = (dx * dx + dy * dy) / (MEDIAN_SQUARE * noise);
    }
    if (n < MIN_DISPLACEMENTS)
        return 1.0;
    double median = median_of(share, n);
    return median < MIN_MOVED_SHARE ? 1.0 : median;
}

/* Take a share of its first detection's noise (xx, xy, yy) off a position's covariance. */
static void lower_position(double *p, const posterior_t *first, double by)
{
    p[0] -= by * (double)first->p[0];
    p[1] -= by * (double)first->p[1];
    p[4] -= by * (double)first->p[4];
}

int lower_first_noise(fusion_t *fusion, scan_t *scan)
{
    source_t *source = &fusion->sources[scan->source_id];
    double share = greater(displacement_share(fusion, scan), MIN_SHARE);
    if (share > MAX_SHARE)
        return 0;

    source->noise_scale = greater(source->noise_scale * share, MIN_NOISE_SCALE);
    for (int32_t i = 0; i < scan->tracks; i++) {
        track_t *track = track_at(fusion, i);
        if (!is_comparable(scan, track))
            continue;
        posterior_t *first = &track->past[track->past_slots[0]];
        lower_position(track->models.straight.p, first, 1.0 - share);
        lower_position(track->models.turning.p, first, 1.0 - share);
        first->p[0] *= (float)share;
        first->p[1] *= (float)share;
        first->p[4] *= (float)share;
        imm_mean(&track->models, &track->mean);
    }
    return 1;
}
