/* What a road user is: class, size and direction, from the detections that hit its track. */
#include "numeric.h"
#include "scan.h"

#include <math.h>

/* Bayes over the classes: a class is reported right with `right`, else any other alike; a little is forgotten each
 * time. */
static void update_class(track_t *track, uint8_t cls, float right)
{
    float sum = 0.0f, most = 0.0f, wrong = (1.0f - right) / (CLASSES - 2), p[CLASSES];
    for (int c = 0; c < CLASSES; c++) { /* with the unknown class, which counts nothing: so all go side by side */
        p[c] = 0.98f * track->class_p[c] + 0.02f / (CLASSES - 1);
        p[c] *= c == cls ? right : wrong;
    }
    for (int c = 1; c < CLASSES; c++)
        sum += p[c];
    for (int c = 0; c < CLASSES; c++)
        p[c] /= sum;
    p[0] = track->class_p[0];
    memcpy(track->class_p, p, sizeof p);
    for (int c = 1; c < CLASSES; c++) {
        if (p[c] > most) {
            most = p[c];
            track->cls = (uint8_t)c;
        }
    }
}

/* Robust mean: one measurement moves it by no more than a quarter of itself. */
static void update_size(float *size, float measured, float share)
{
    if (!isfinite(measured) || measured <= 0.0f)
        return;
    float step = measured - *size, most = 0.25f * *size;
    *size += share * (step > most ? most : step < -most ? -most : step);
}

/* Which way it points: as it moves, else as detected; either end of a detected axis may be the front. */
static void update_direction(track_t *track, const detection_t *z)
{
    double vx = track->mean.x[2], vy = track->mean.x[3], square = vx * vx + vy * vy;
    if (square > 1.0 && square > 9.0 * (track->mean.p[7] + track->mean.p[9])) {
        float one = (float)(1.0 / sqrt(square));
        track->direction[0] = (float)vx * one;
        track->direction[1] = (float)vy * one;
        return;
    }
    if (!isfinite(z->heading))
        return;
    float x = (float)cos((double)z->heading), y = (float)sin((double)z->heading);
    float along = x * track->direction[0] + y * track->direction[1];
    if (track->direction[0] == 0.0f && track->direction[1] == 0.0f) {
        track->direction[0] = x;
        track->direction[1] = y;
        return;
    }
    float sign = along < 0.0f ? -1.0f : 1.0f;
    float nx = track->direction[0] + 0.2f * (sign * x - track->direction[0]),
          ny = track->direction[1] + 0.2f * (sign * y - track->direction[1]);
    float length = sqrtf(nx * nx + ny * ny);
    if (length > 0.1f) {
        track->direction[0] = nx / length;
        track->direction[1] = ny / length;
    }
}

/* What a vehicle says it is counts only while no sensor has seen it: it cannot outvote those that look at it. */
void update_description(track_t *track, const detection_t *z, double right, int own)
{
    if (z->cls && z->cls < CLASSES && !(own && track->seen_by_sensor))
        update_class(track, z->cls, (float)right);
    if (isfinite(z->length) && z->length > 0.0f) {
        float share = track->size_samples < 10 ? 1.0f / (float)(track->size_samples + 1) : 0.1f;
        if (track->size_samples == 0)
            track->length = z->length;
        update_size(&track->length, z->length, share);
        update_size(&track->width, z->width, share);
        update_size(&track->height, z->height, share);
        if (track->size_samples < 255)
            track->size_samples++;
    }
    update_direction(track, z);
}
