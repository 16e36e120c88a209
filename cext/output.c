/* Tracks as they are returned: their state at any moment near the last scan. */
#include "numeric.h"
#include "scan.h"

#define COASTING_AFTER 300000000 /* ns; a track not seen for longer is coasting */

/* Return whether a track can be given at t. Once the last scan is `coast` ago, all sensors may be dead: only vehicles
 * known by their own reports, which come seldom, are predicted further. Nor is it given for a time before the oldest
 * scan that may still come. */
static int is_known(const fusion_t *fusion, const track_t *track, int64_t t)
{
    int64_t most =
        t - fusion->newest > fusion->coast && track->seen_by_sensor ? fusion->coast : max_silence(fusion, track);
    return t - track->last_hit <= most && fusion->newest - t <= fusion->window + fusion->coast;
}

/* Return the existence at t: since the road user was last looked at, it may have left, or may be beyond what every
 * source covers. */
static double existence_at(const fusion_t *fusion, const track_t *track, int64_t t, const state_t *m)
{
    double existence = decayed_existence(fusion, track, t, m->x);
    if (t <= track->last_hit || fusion->features & NO_LIFE)
        return existence;
    return (1.0 - probability_uncovered(fusion, track, m->x[0], m->x[1], 0.5 * (m->p[0] + m->p[4]))) * existence;
}

/* Written field by field: copying a row made elsewhere would stall on store forwarding. */
static void write_row(const track_t *track, int64_t t, const state_t *s, double existence, track_row_t *row)
{
    const double *x = s->x, *p = s->p;
    double square = x[2] * x[2] + x[3] * x[3];
    int along = square > 1.0 || (track->direction[0] == 0.0f && track->direction[1] == 0.0f);
    row->t = t;
    row->x = x[0];
    row->y = x[1];
    row->vx = (float)x[2];
    row->vy = (float)x[3];
    row->heading =
        (float)(along ? angle_of(x[3], x[2]) : angle_of((double)track->direction[1], (double)track->direction[0]));
    row->yaw_rate = (float)(track->models.turn_probability * track->models.turning.x[4]);
    row->length = track->length;
    row->width = track->width;
    row->height = track->height;
    row->var_x = (float)p[0];
    row->var_y = (float)p[4];
    row->cov_xy = (float)p[1];
    row->var_vx = (float)p[7];
    row->var_vy = (float)p[9];
    row->cov_vxvy = (float)p[8];
    row->existence = (float)existence;
    row->class_p = track->cls ? track->class_p[track->cls] : 0.0f;
    row->id = track->id;
    row->vehicle = track->vehicle;
    row->sources = track->sources;
    row->last = track->last_hit;
    row->cls = track->cls;
    row->status = t - track->last_hit > COASTING_AFTER ? COASTING : CONFIRMED;
    memset(row->pad, 0, sizeof row->pad);
}

int32_t fusion_tracks(const fusion_t *fusion, int64_t t, track_row_t *out)
{
    int32_t n = 0;
    for (int32_t i = 0; i < fusion->count; i++) {
        const track_t *track = track_at(fusion, i);
        if (track->existence < fusion->show_threshold || track->undecided || !is_known(fusion, track, t))
            continue;
        state_t other;
        const state_t *s = &track->mean;
        if (t != track->t) {
            state_at(track, t, &fusion->motion[track->cls], &other);
            s = &other;
        }
        double existence = existence_at(fusion, track, t, s);
        if (existence >= fusion->show_threshold)
            write_row(track, t, s, existence, &out[n++]);
    }
    return n;
}
