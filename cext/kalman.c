/* Constant-velocity Kalman filter on x, y, vx, vy, and the fold of a late measurement into the present. */
#include "track.h"

#include <math.h>
#include <string.h>

static double seconds(int64_t ns) { return (double)ns * 1e-9; }

/* out = F p F' + Q for a step of dt (either sign; Q by |dt|) */
static void covariance_step(const double p[16], double dt, double q, double out[16])
{
    double a[16];
    for (int c = 0; c < 4; c++) {
        a[c] = p[c] + dt * p[8 + c];
        a[4 + c] = p[4 + c] + dt * p[12 + c];
        a[8 + c] = p[8 + c];
        a[12 + c] = p[12 + c];
    }
    for (int r = 0; r < 4; r++) {
        out[4 * r] = a[4 * r] + dt * a[4 * r + 2];
        out[4 * r + 1] = a[4 * r + 1] + dt * a[4 * r + 3];
        out[4 * r + 2] = a[4 * r + 2];
        out[4 * r + 3] = a[4 * r + 3];
    }
    double d = fabs(dt), s = dt < 0 ? -1.0 : 1.0;
    for (int i = 0; i < 2; i++) {
        out[5 * i] += q * d * d * d / 3.0;
        out[5 * i + 2] += s * q * d * d / 2.0;
        out[5 * i + 8] += s * q * d * d / 2.0;
        out[5 * i + 10] += q * d;
    }
}

void state_predict(const state_t *s, int64_t t, double q, state_t *out)
{
    double dt = seconds(t - s->t);
    out->t = t;
    out->x[0] = s->x[0] + dt * s->x[2];
    out->x[1] = s->x[1] + dt * s->x[3];
    out->x[2] = s->x[2];
    out->x[3] = s->x[3];
    covariance_step(s->p, dt, q, out->p);
}

/* Invert a symmetric positive definite 4x4 by Cholesky; 0 when it is not. */
static int invert(const double m[16], double out[16])
{
    double l[16] = {0};
    for (int i = 0; i < 4; i++)
        for (int j = 0; j <= i; j++) {
            double sum = m[4 * i + j];
            for (int k = 0; k < j; k++)
                sum -= l[4 * i + k] * l[4 * j + k];
            if (i == j) {
                if (!(sum > 1e-12))
                    return 0;
                l[5 * i] = sqrt(sum);
            } else {
                l[4 * i + j] = sum / l[5 * j];
            }
        }
    for (int c = 0; c < 4; c++) {
        double y[4];
        for (int i = 0; i < 4; i++) {
            double sum = i == c ? 1.0 : 0.0;
            for (int k = 0; k < i; k++)
                sum -= l[4 * i + k] * y[k];
            y[i] = sum / l[5 * i];
        }
        for (int i = 3; i >= 0; i--) {
            double sum = y[i];
            for (int k = i + 1; k < 4; k++)
                sum -= l[4 * k + i] * out[4 * k + c];
            out[4 * i + c] = sum / l[5 * i];
        }
    }
    return 1;
}

static void multiply(const double a[16], const double b[16], double out[16])
{
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++)
            out[4 * r + c] = a[4 * r] * b[c] + a[4 * r + 1] * b[4 + c] + a[4 * r + 2] * b[8 + c] + a[4 * r + 3] * b[12 + c];
}

static void transpose(const double a[16], double out[16])
{
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++)
            out[4 * c + r] = a[4 * r + c];
}

/* The newest kept posterior that is not after t, or NULL. */
static const state_t *before(const track_t *k, int64_t t)
{
    const state_t *best = NULL;
    for (int i = 0; i < k->filled; i++)
        if (k->past[i].t <= t && (best == NULL || k->past[i].t > best->t))
            best = &k->past[i];
    return best;
}

/* Smooth from the present back to t: state there given all that is known now, and gain = cov(now, then) P_now^-1 transposed. */
static void smooth(const track_t *k, int64_t t, double q, state_t *out, double gain[16])
{
    const state_t *from = before(k, t);
    state_t then, now;
    double f[16] = {0}, inverse[16], cross[16], diff[16], a[16], b[16], gt[16];
    if (from == NULL) { /* nothing kept from before: step back from the present */
        state_predict(&k->now, t, q, out);
        memset(gain, 0, 16 * sizeof(double));
        for (int i = 0; i < 4; i++)
            gain[5 * i] = 1.0;
        double back = seconds(t - k->now.t);
        gain[2] = gain[7] = back;
        return;
    }
    state_predict(from, t, q, &then);
    state_predict(&then, k->now.t, q, &now);
    double dt = seconds(k->now.t - t);
    for (int i = 0; i < 4; i++)
        f[5 * i] = 1.0;
    f[8] = f[13] = dt; /* F transposed */
    multiply(then.p, f, cross);
    if (!invert(now.p, inverse)) {
        *out = then;
        memset(gain, 0, 16 * sizeof(double));
        return;
    }
    multiply(cross, inverse, gain);
    out->t = t;
    for (int r = 0; r < 4; r++) {
        out->x[r] = then.x[r];
        for (int c = 0; c < 4; c++)
            out->x[r] += gain[4 * r + c] * (k->now.x[c] - now.x[c]);
    }
    for (int i = 0; i < 16; i++)
        diff[i] = k->now.p[i] - now.p[i];
    transpose(gain, gt);
    multiply(gain, diff, a);
    multiply(a, gt, b);
    for (int i = 0; i < 16; i++)
        out->p[i] = then.p[i] + b[i];
}

void state_at(const track_t *k, int64_t t, double q, state_t *out)
{
    double gain[16];
    if (t >= k->now.t)
        state_predict(&k->now, t, q, out);
    else
        smooth(k, t, q, out, gain);
}

/* Inverse of S = H p H' + r (r: xx, yy, xy); returns the determinant. */
static double innovation(const double p[16], const double r[3], double s[3])
{
    double a = p[0] + r[0], b = p[5] + r[1], c = p[1] + r[2];
    double det = a * b - c * c;
    if (!(det > 1e-9))
        det = 1e-9;
    s[0] = b / det;
    s[1] = a / det;
    s[2] = -c / det;
    return det;
}

double state_distance(const state_t *s, double x, double y, const double r[3], double *log_det)
{
    double i[3], dx = x - s->x[0], dy = y - s->x[1];
    *log_det = log(innovation(s->p, r, i));
    return dx * dx * i[0] + dy * dy * i[1] + 2.0 * dx * dy * i[2];
}

/* x += w v, p -= w (pht)' for a gain w = pht S^-1 of two measured components */
static void correct(double x[4], double p[16], const double pht[8], const double i[3], double dx, double dy)
{
    double w[8];
    for (int r = 0; r < 4; r++) {
        w[2 * r] = pht[2 * r] * i[0] + pht[2 * r + 1] * i[2];
        w[2 * r + 1] = pht[2 * r] * i[2] + pht[2 * r + 1] * i[1];
        x[r] += w[2 * r] * dx + w[2 * r + 1] * dy;
    }
    for (int r = 0; r < 4; r++)
        for (int c = r; c < 4; c++) {
            double value = p[4 * r + c] - (w[2 * r] * pht[2 * c] + w[2 * r + 1] * pht[2 * c + 1]);
            p[4 * r + c] = p[4 * c + r] = value;
        }
    for (int r = 0; r < 4; r++)
        if (p[5 * r] < 1e-6)
            p[5 * r] = 1e-6;
}

void state_update(state_t *s, double x, double y, const double r[3])
{
    double i[3], pht[8];
    innovation(s->p, r, i);
    for (int k = 0; k < 4; k++) {
        pht[2 * k] = s->p[4 * k];
        pht[2 * k + 1] = s->p[4 * k + 1];
    }
    correct(s->x, s->p, pht, i, x - s->x[0], y - s->x[1]);
}

void state_update_velocity(state_t *s, double vx, double vy, double r)
{
    double i[3], pht[8], a = s->p[10] + r, b = s->p[15] + r, c = s->p[11], det = a * b - c * c;
    double dx = vx - s->x[2], dy = vy - s->x[3];
    i[0] = b / det;
    i[1] = a / det;
    i[2] = -c / det;
    if (dx * dx * i[0] + dy * dy * i[1] + 2.0 * dx * dy * i[2] > 16.0)
        return; /* a velocity that disagrees says more of the sensor than of the track */
    for (int k = 0; k < 4; k++) {
        pht[2 * k] = s->p[4 * k + 2];
        pht[2 * k + 1] = s->p[4 * k + 3];
    }
    correct(s->x, s->p, pht, i, dx, dy);
}

void state_update_late(track_t *k, int64_t t, double q, double x, double y, const double r[3])
{
    state_t then;
    double gain[16], gt[16], cross[16], i[3], pht[8];
    smooth(k, t, q, &then, gain);
    transpose(gain, gt);
    multiply(k->now.p, gt, cross); /* cov(now, then) */
    innovation(then.p, r, i);
    for (int a = 0; a < 4; a++) {
        pht[2 * a] = cross[4 * a];
        pht[2 * a + 1] = cross[4 * a + 1];
    }
    correct(k->now.x, k->now.p, pht, i, x - then.x[0], y - then.x[1]);
}
