/* Prediction: constant velocity, constant turn (extended), and the interacting multiple model of both (Blom, Bar-Shalom
 * 1988). The turn rate is the turning model's own: mixing shares position and velocity only. */
#include "numeric.h"
#include "scan.h"

#include <math.h>

#define MAX_TURN 1.2               /* rad in one step; no longer turn is predicted */
#define MAX_RATE 1.5               /* rad/s */
#define INITIAL_RATE_VARIANCE 0.16 /* rad^2/s^2 at birth */
#define RATE_TIME_CONSTANT 1.5     /* s: without evidence a turn ends */

static void add_noise(double *p, double dt, double q)
{
    double q1 = q * dt, q2 = 0.5 * q1 * dt, q3 = q1 * dt * dt * (1.0 / 3.0);
    p[0] += q3;
    p[4] += q3;
    p[2] += q2;
    p[6] += q2;
    p[7] += q1;
    p[9] += q1;
}

void straight_step(const state_t *in, double dt, double q, state_t *out)
{
    const double *x = in->x, *p = in->p;
    out->x[0] = x[0] + dt * x[2];
    out->x[1] = x[1] + dt * x[3];
    out->x[2] = x[2];
    out->x[3] = x[3];
    out->p[0] = p[0] + dt * (2.0 * p[2] + dt * p[7]);
    out->p[1] = p[1] + dt * (p[3] + p[5] + dt * p[8]);
    out->p[2] = p[2] + dt * p[7];
    out->p[3] = p[3] + dt * p[8];
    out->p[4] = p[4] + dt * (2.0 * p[6] + dt * p[9]);
    out->p[5] = p[5] + dt * p[8];
    out->p[6] = p[6] + dt * p[9];
    out->p[7] = p[7];
    out->p[8] = p[8];
    out->p[9] = p[9];
    add_noise(out->p, dt, q);
}

/* out = F p F' for F = [1 0 a -b f0; 0 1 b a f1; 0 0 c -s f2; 0 0 s c f3; 0 0 0 0 e] */
static void turn_covariance(const double *p, double a, double b, double c, double s, const double f[4], double e,
                            double *out)
{
    const double row2[5] = {p[2], p[5], p[7], p[8], p[12]}, row3[5] = {p[3], p[6], p[8], p[9], p[13]};
    const double row4[5] = {p[10], p[11], p[12], p[13], p[14]}, row0[5] = {p[0], p[1], p[2], p[3], p[10]};
    const double row1[5] = {p[1], p[4], p[5], p[6], p[11]};
    double m[4][5];
    for (int j = 0; j < 5; j++) {
        m[0][j] = row0[j] + a * row2[j] - b * row3[j] + f[0] * row4[j];
        m[1][j] = row1[j] + b * row2[j] + a * row3[j] + f[1] * row4[j];
        m[2][j] = c * row2[j] - s * row3[j] + f[2] * row4[j];
        m[3][j] = s * row2[j] + c * row3[j] + f[3] * row4[j];
    }
    out[0] = m[0][0] + a * m[0][2] - b * m[0][3] + f[0] * m[0][4];
    out[1] = m[0][1] + b * m[0][2] + a * m[0][3] + f[1] * m[0][4];
    out[2] = c * m[0][2] - s * m[0][3] + f[2] * m[0][4];
    out[3] = s * m[0][2] + c * m[0][3] + f[3] * m[0][4];
    out[4] = m[1][1] + b * m[1][2] + a * m[1][3] + f[1] * m[1][4];
    out[5] = c * m[1][2] - s * m[1][3] + f[2] * m[1][4];
    out[6] = s * m[1][2] + c * m[1][3] + f[3] * m[1][4];
    out[7] = c * m[2][2] - s * m[2][3] + f[2] * m[2][4];
    out[8] = s * m[2][2] + c * m[2][3] + f[3] * m[2][4];
    out[9] = s * m[3][2] + c * m[3][3] + f[3] * m[3][4];
    for (int j = 0; j < 4; j++)
        out[10 + j] = e * m[j][4];
    out[14] = e * e * p[14];
}

void turning_step(const turning_t *in, double dt, double q, double q_rate, turning_t *out)
{
    const double *x = in->x;
    double rate = fabs(x[4] * dt) <= MAX_TURN ? x[4] : x[4] < 0.0 ? -MAX_TURN / fabs(dt) : MAX_TURN / fabs(dt);
    turn_t t = turn_of(rate * dt);
    double a = dt * t.sinc, b = dt * t.cosc, da = dt * dt * t.dsinc, db = dt * dt * t.dcosc;
    double f[4] = {da * x[2] - db * x[3], db * x[2] + da * x[3], -dt * (t.sin * x[2] + t.cos * x[3]),
                   dt * (t.cos * x[2] - t.sin * x[3])};
    double fade = 1.0 / (1.0 + fabs(dt) / RATE_TIME_CONSTANT);
    out->x[0] = x[0] + a * x[2] - b * x[3];
    out->x[1] = x[1] + b * x[2] + a * x[3];
    out->x[2] = t.cos * x[2] - t.sin * x[3];
    out->x[3] = t.sin * x[2] + t.cos * x[3];
    out->x[4] = fade * rate;
    turn_covariance(in->p, a, b, t.cos, t.sin, f, fade, out->p);
    add_noise(out->p, dt, q);
    out->p[14] = lesser(out->p[14] + q_rate * fabs(dt), MAX_RATE_VARIANCE);
}

/* a = (1 - w) a + w b, with the spread of the means, on the four shared states */
static void mix(const double *xa, const double *pa, const double *xb, const double *pb, double w, double *x, double *p)
{
    double d[4], keep = 1.0 - w, both = w * keep;
    for (int i = 0; i < 4; i++) {
        d[i] = xb[i] - xa[i];
        x[i] = xa[i] + w * d[i];
    }
    double s[10] = {d[0] * d[0], d[0] * d[1], d[0] * d[2], d[0] * d[3], d[1] * d[1],
                    d[1] * d[2], d[1] * d[3], d[2] * d[2], d[2] * d[3], d[3] * d[3]};
    for (int i = 0; i < 10; i++)
        p[i] = keep * pa[i] + w * pb[i] + both * s[i];
}

void imm_mean(const imm_t *in, state_t *out)
{
    mix(in->straight.x, in->straight.p, in->turning.x, in->turning.p, in->turn_probability, out->x, out->p);
}

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
    double dt = transition->dt, to_turn = transition->to_turn, to_straight = transition->to_straight,
           w = in->turn_probability;
    if (motion->enter <= 0.0) {
        straight_step(&in->straight, dt, motion->straight, &out->straight);
        out->turning = in->turning;
        out->turn_probability = 0.0;
        return;
    }
    double turns =
        bounded(w * (1.0 - to_straight) + (1.0 - w) * to_turn, MIN_MODEL_PROBABILITY, 1.0 - MIN_MODEL_PROBABILITY);
    double from_turn = w * to_straight / (1.0 - turns), from_straight = (1.0 - w) * to_turn / turns;
    state_t a;
    turning_t b;
    mix(in->straight.x, in->straight.p, in->turning.x, in->turning.p, from_turn, a.x, a.p);
    mix(in->turning.x, in->turning.p, in->straight.x, in->straight.p, from_straight, b.x, b.p);
    b.x[4] = in->turning.x[4];
    for (int i = 10; i < 14; i++)
        b.p[i] = (1.0 - from_straight) * in->turning.p[i];
    b.p[14] = in->turning.p[14];
    straight_step(&a, dt, motion->straight, &out->straight);
    turning_step(&b, dt, motion->turning, motion->turn_rate, &out->turning);
    out->turn_probability = turns;
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
