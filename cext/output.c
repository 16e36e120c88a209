/* Tracks as they are given out: what is known of them at any moment near the last scan. */
#include "numeric.h"
#include "track.h"

#define SEEN_LATELY 300000000 /* ns; who was not seen for longer is coasting */

/* Whether anything is known of a track at t. Once the last scan is `coast` ago, the sensors may all be dead: nothing is foreseen any more, but for
   vehicles known by their own reports, which come seldom. What is older than any late scan may be was never asked for in time. */
static int known_at(const fusion_t *f, const track_t *k, int64_t t)
{
    int64_t most = t - f->newest > f->coast && k->sensed ? f->coast : patience(f, k);
    return t - k->last <= most && f->newest - t <= f->window + f->coast;
}

/* Existence at t: less after it was last looked at by the chance to have left, and by that of being beyond what every source covers. */
static double existence_at(const fusion_t *f, const track_t *k, int64_t t, const state_t *m)
{
    double existence = aged(f, k, t);
    if (t <= k->last || f->features & NO_LIFE)
        return existence;
    return (1.0 - gone(f, k, m->x[0], m->x[1], 0.5 * (m->p[0] + m->p[4]))) * existence;
}

/* Field by field into its place: a row made elsewhere and copied would wait for its own bytes. */
static void give_out(const track_t *k, int64_t t, const state_t *s, double existence, track_row *row)
{
    const double *x = s->x, *p = s->p;
    double square = x[2] * x[2] + x[3] * x[3];
    int along = square > 1.0 || (k->ahead[0] == 0.0f && k->ahead[1] == 0.0f);
    row->t = t;
    row->x = x[0];
    row->y = x[1];
    row->vx = (float)x[2];
    row->vy = (float)x[3];
    row->heading = (float)(along ? angle_of(x[3], x[2]) : angle_of((double)k->ahead[1], (double)k->ahead[0]));
    row->yaw_rate = (float)(k->now.turns * k->now.turning.x[4]);
    row->length = k->length;
    row->width = k->width;
    row->height = k->height;
    row->var_x = (float)p[0];
    row->var_y = (float)p[4];
    row->cov_xy = (float)p[1];
    row->var_vx = (float)p[7];
    row->var_vy = (float)p[9];
    row->cov_vxvy = (float)p[8];
    row->existence = (float)existence;
    row->class_p = k->cls ? k->class_p[k->cls] : 0.0f;
    row->id = k->id;
    row->vehicle = k->vehicle;
    row->sources = k->sources;
    row->last = k->last;
    row->cls = k->cls;
    row->status = t - k->last > SEEN_LATELY ? COASTING : CONFIRMED;
    memset(row->pad, 0, sizeof row->pad);
}

int32_t fusion_tracks(const fusion_t *f, int64_t t, track_row *out)
{
    int32_t n = 0;
    for (int32_t i = 0; i < f->count; i++) {
        const track_t *k = track_at(f, i);
        if (k->existence < f->show || !known_at(f, k, t))
            continue;
        state_t s;
        state_at(k, t, &f->motion[k->cls], &s);
        double existence = existence_at(f, k, t, &s);
        if (existence >= f->show)
            give_out(k, t, &s, existence, &out[n++]);
    }
    return n;
}
