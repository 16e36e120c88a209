/* The arithmetic of the two interacting models (Blom, Bar-Shalom 1988), for one track or for several side by side:
 * prediction at constant velocity and in a constant turn (extended), and mixing. The turn rate is the turning model's
 * own: mixing shares position and velocity only.
 *
 * This file, updates.h, gates.h and smoother.h are written in words that one_track.h and lanes.c define:
 *   REAL, MASK                          a number, or one for each lane; what a comparison of two gives
 *   STATE TURNING IMM STEP TURN GATE LINK   state_t, turning_t, ... of such numbers
 *   NAME(x), INLINE                     the name of a function for them, and how it is declared
 *   SPLAT(c)                            a constant as such a number
 *   CHOOSE(condition, a, b)             a where a comparison holds, else b
 *   ABSOLUTE ROOT EXPONENTIAL LOGARITHM     |x|, its square root, e^x for x <= 0, ln x */

#define MAX_TURN 1.2           /* rad in one step; no longer turn is predicted */
#define RATE_TIME_CONSTANT 1.5 /* s: without evidence a turn ends */

INLINE REAL NAME(within)(REAL x, REAL low, REAL high)
{
    return CHOOSE(x < low, low, CHOOSE(x > high, high, x));
}

INLINE void NAME(add_noise)(REAL *p, REAL dt, REAL q)
{
    REAL q1 = q * dt, q2 = 0.5 * q1 * dt, q3 = q1 * dt * dt * (1.0 / 3.0);
    p[0] += q3;
    p[4] += q3;
    p[2] += q2;
    p[6] += q2;
    p[7] += q1;
    p[9] += q1;
}

INLINE void NAME(step_straight)(const STATE *in, REAL dt, REAL q, STATE *out)
{
    const REAL *x = in->x, *p = in->p;
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
    NAME(add_noise)(out->p, dt, q);
}

/* For a turn of |a| <= 1.2 rad, to 1e-8: sin a, cos a, sin a / a, (1 - cos a) / a and the derivatives of the last two.
 */
INLINE void NAME(turn_of)(REAL a, TURN *t)
{
    REAL z = a * a;
    t->sinc = 1.0 - z * (1.0 / 6 - z * (1.0 / 120 - z * (1.0 / 5040 - z * (1.0 / 362880 - z * (1.0 / 39916800)))));
    t->cosc = a * (1.0 / 2 -
                   z * (1.0 / 24 - z * (1.0 / 720 - z * (1.0 / 40320 - z * (1.0 / 3628800 - z * (1.0 / 479001600))))));
    t->dsinc = -a * (1.0 / 3 - z * (1.0 / 30 - z * (1.0 / 840 - z * (1.0 / 45360 - z * (1.0 / 3991680)))));
    t->dcosc =
        1.0 / 2 - z * (1.0 / 8 - z * (1.0 / 144 - z * (1.0 / 5760 - z * (1.0 / 403200 - z * (1.0 / 43545600)))));
    t->sin = a * t->sinc;
    t->cos = 1.0 - a * t->cosc;
}

/* out = F p F' for F = [1 0 a -b f0; 0 1 b a f1; 0 0 c -s f2; 0 0 s c f3; 0 0 0 0 e] */
INLINE void NAME(turn_covariance)(const REAL *p, REAL a, REAL b, REAL c, REAL s, const REAL f[4], REAL e, REAL *out)
{
    const REAL row2[5] = {p[2], p[5], p[7], p[8], p[12]}, row3[5] = {p[3], p[6], p[8], p[9], p[13]};
    const REAL row4[5] = {p[10], p[11], p[12], p[13], p[14]}, row0[5] = {p[0], p[1], p[2], p[3], p[10]};
    const REAL row1[5] = {p[1], p[4], p[5], p[6], p[11]};
    REAL m[4][5];
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

INLINE void NAME(step_turning)(const TURNING *in, REAL dt, REAL q, REAL q_rate, TURNING *out)
{
    const REAL *x = in->x;
    REAL span = ABSOLUTE(dt);
    REAL rate = CHOOSE(ABSOLUTE(x[4] * dt) <= MAX_TURN, x[4], CHOOSE(x[4] < 0.0, -MAX_TURN / span, MAX_TURN / span));
    TURN t;
    NAME(turn_of)(rate * dt, &t);
    REAL a = dt * t.sinc, b = dt * t.cosc, da = dt * dt * t.dsinc, db = dt * dt * t.dcosc;
    REAL f[4] = {da * x[2] - db * x[3], db * x[2] + da * x[3], -dt * (t.sin * x[2] + t.cos * x[3]),
                 dt * (t.cos * x[2] - t.sin * x[3])};
    REAL fade = 1.0 / (1.0 + span / RATE_TIME_CONSTANT);
    out->x[0] = x[0] + a * x[2] - b * x[3];
    out->x[1] = x[1] + b * x[2] + a * x[3];
    out->x[2] = t.cos * x[2] - t.sin * x[3];
    out->x[3] = t.sin * x[2] + t.cos * x[3];
    out->x[4] = fade * rate;
    NAME(turn_covariance)(in->p, a, b, t.cos, t.sin, f, fade, out->p);
    NAME(add_noise)(out->p, dt, q);
    REAL variance = out->p[14] + q_rate * span;
    out->p[14] = CHOOSE(variance < MAX_RATE_VARIANCE, variance, SPLAT(MAX_RATE_VARIANCE));
}

/* a = (1 - w) a + w b, with the spread of the means, on the four shared states */
INLINE void NAME(mix)(const REAL *xa, const REAL *pa, const REAL *xb, const REAL *pb, REAL w, REAL *x, REAL *p)
{
    REAL d[4], keep = 1.0 - w, both = w * keep;
    for (int i = 0; i < 4; i++) {
        d[i] = xb[i] - xa[i];
        x[i] = xa[i] + w * d[i];
    }
    const REAL s[10] = {d[0] * d[0], d[0] * d[1], d[0] * d[2], d[0] * d[3], d[1] * d[1],
                        d[1] * d[2], d[1] * d[3], d[2] * d[2], d[2] * d[3], d[3] * d[3]};
    for (int i = 0; i < 10; i++)
        p[i] = keep * pa[i] + w * pb[i] + both * s[i];
}

INLINE void NAME(mean_of)(const IMM *in, STATE *out)
{
    NAME(mix)(in->straight.x, in->straight.p, in->turning.x, in->turning.p, in->turn_probability, out->x, out->p);
}

INLINE void NAME(step_imm)(const IMM *in, const STEP *step, IMM *out)
{
    REAL to_turn = step->to_turn, to_straight = step->to_straight, w = in->turn_probability;
    REAL turns = NAME(within)(w * (1.0 - to_straight) + (1.0 - w) * to_turn, SPLAT(MIN_MODEL_PROBABILITY),
                              SPLAT(1.0 - MIN_MODEL_PROBABILITY));
    REAL from_turn = w * to_straight / (1.0 - turns), from_straight = (1.0 - w) * to_turn / turns;
    STATE a;
    TURNING b;
    NAME(mix)(in->straight.x, in->straight.p, in->turning.x, in->turning.p, from_turn, a.x, a.p);
    NAME(mix)(in->turning.x, in->turning.p, in->straight.x, in->straight.p, from_straight, b.x, b.p);
    b.x[4] = in->turning.x[4];
    for (int i = 10; i < 14; i++)
        b.p[i] = (1.0 - from_straight) * in->turning.p[i];
    b.p[14] = in->turning.p[14];
    NAME(step_straight)(&a, step->dt, step->straight, &out->straight);
    NAME(step_turning)(&b, step->dt, step->turning, step->turn_rate, &out->turning);
    out->turn_probability = turns;
}
