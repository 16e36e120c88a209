/* Prediction: constant velocity, constant turn (extended), and the interacting multiple model of both (Blom, Bar-Shalom
 * 1988). The turn rate is the turning model's own: mixing shares position and velocity only. */
#include "one_track.h"

#define INITIAL_RATE_VARIANCE 0.16 /* rad^2/s^2 at birth */

turn_t turn_of(double a)
{
    turn_t turn;
    turn_of_1(a, &turn);
    return turn;
}

void straight_step(const state_t *in, double dt, double q, state_t *out) { step_straight_1(in, dt, q, out); }

void turning_step(const turning_t *in, double dt, double q, double q_rate, turning_t *out)
{
    step_turning_1(in, dt, q, q_rate, out);
}

void imm_mean(const imm_t *in, state_t *out) { mean_of_1(in, out); }

/* Transition probabilities of the models after dt: a manoeuvre has begun, or ended. */
transition_t model_transition(double dt, const motion_t *motion)
{
    double both = motion->enter + motion->leave, h = both * fabs(dt),
           change = (1.0 - 1.0 / (1.0 + h * (1.0 + 0.5 * h))) / (both + 1e-12);
    transition_t transition = {dt, motion, change * motion->enter, change * motion->leave};
    return transition;
}

void imm_step(const imm_t *in, const transition_t *transition, imm_t *out)
{
    const motion_t *motion = transition->motion;
    if (motion->enter <= 0.0) {
        straight_step(&in->straight, transition->dt, motion->straight, &out->straight);
        out->turning = in->turning;
        out->turn_probability = 0.0;
        return;
    }
    const step_t step = step_of(transition);
    step_imm_1(in, &step, out);
}

void imm_start(imm_t *out, const double x[4], const double r[3], double slow, double fast)
{
    memset(out, 0, sizeof *out);
    for (int i = 0; i < 4; i++)
        out->straight.x[i] = out->turning.x[i] = x[i];
    double *p[2] = {out->straight.p, out->turning.p};
    for (int k = 0; k < 2; k++) {
        p[k][0] = r[0];
        p[k][4] = r[1];
        p[k][1] = r[2];
        p[k][7] = p[k][9] = k ? fast : slow;
    }
    out->turning.p[14] = INITIAL_RATE_VARIANCE;
    out->turn_probability = slow < fast ? 0.5 : 0.2;
}
