/* The smoother of late.c, for one track or for several side by side: models.h. */

/* Inverse of a packed symmetric positive definite 4x4 by Cholesky; false where it is not. */
INLINE MASK NAME(invert4)(const REAL p[10], REAL out[16])
{
    REAL l[4][4];
    MASK definite = p[0] > 1e-12;
    for (int i = 0; i < 4; i++)
        for (int j = 0; j <= i; j++) {
            REAL sum = p[PACKED[i][j]];
            for (int k = 0; k < j; k++)
                sum -= l[i][k] * l[j][k];
            if (i == j) {
                definite = definite & (sum > 1e-12);
                l[i][i] = ROOT(sum);
            } else {
                l[i][j] = sum / l[j][j];
            }
        }
    for (int c = 0; c < 4; c++) {
        REAL y[4];
        for (int i = 0; i < 4; i++) {
            REAL sum = SPLAT(i == c ? 1.0 : 0.0);
            for (int k = 0; k < i; k++)
                sum -= l[i][k] * y[k];
            y[i] = sum / l[i][i];
        }
        for (int i = 3; i >= 0; i--) {
            REAL sum = y[i];
            for (int k = i + 1; k < 4; k++)
                sum -= l[k][i] * out[4 * k + c];
            out[4 * i + c] = sum / l[i][i];
        }
    }
    return definite;
}

INLINE void NAME(unpack)(const REAL p[10], REAL full[16])
{
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++)
            full[4 * r + c] = p[PACKED[r][c]];
}

/* Link the moment `before` (s) after the posterior `start` to the present, `since` (s) later still; q is the spectral
 * density of acceleration, m^2/s^3. False where the prediction of the present has no inverse. */
INLINE MASK NAME(link)(const STATE *start, REAL before, REAL since, REAL q, LINK *link)
{
    REAL inverse[16], full[16];
    NAME(step_straight)(start, before, q, &link->past);
    NAME(step_straight)(&link->past, since, q, &link->predicted);
    MASK definite = NAME(invert4)(link->predicted.p, inverse);
    NAME(unpack)(link->past.p, full);
    for (int r = 0; r < 4; r++) {
        const REAL *row = &full[4 * r];
        const REAL cross[4] = {row[0] + since * row[2], row[1] + since * row[3], row[2], row[3]};
        for (int c = 0; c < 4; c++)
            link->gain[4 * r + c] = cross[0] * inverse[c] + cross[1] * inverse[4 + c] + cross[2] * inverse[8 + c] +
                                    cross[3] * inverse[12 + c];
    }
    return definite;
}

/* out = g p g' */
INLINE void NAME(congruence)(const REAL gain[16], const REAL p[10], REAL out[16])
{
    REAL full[16], a[16];
    NAME(unpack)(p, full);
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++)
            a[4 * r + c] = gain[4 * r] * full[c] + gain[4 * r + 1] * full[4 + c] + gain[4 * r + 2] * full[8 + c] +
                           gain[4 * r + 3] * full[12 + c];
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++)
            out[4 * r + c] = a[4 * r] * gain[4 * c] + a[4 * r + 1] * gain[4 * c + 1] + a[4 * r + 2] * gain[4 * c + 2] +
                             a[4 * r + 3] * gain[4 * c + 3];
}

/* The state then, of a link and the mean now. */
INLINE void NAME(state_then)(const LINK *link, const STATE *now, STATE *out)
{
    static const uint8_t PLACE[10] = {0, 1, 2, 3, 5, 6, 7, 10, 11, 15}, VARIANCE[4] = {0, 4, 7, 9};
    REAL change[10], spread[16];
    for (int i = 0; i < 10; i++)
        change[i] = now->p[i] - link->predicted.p[i];
    NAME(congruence)(link->gain, change, spread);
    for (int r = 0; r < 4; r++) {
        out->x[r] = link->past.x[r];
        for (int c = 0; c < 4; c++)
            out->x[r] += link->gain[4 * r + c] * (now->x[c] - link->predicted.x[c]);
    }
    for (int i = 0; i < 10; i++)
        out->p[i] = link->past.p[i] + spread[PLACE[i]];
    for (int i = 0; i < 4; i++) {
        REAL variance = out->p[VARIANCE[i]];
        out->p[VARIANCE[i]] = CHOOSE(variance > 1e-6, variance, SPLAT(1e-6));
    }
}

/* What a position then, with noise r, measures of the present: z with noise rr, through the first rows of the gain. */
INLINE void NAME(measure_present)(const LINK *link, REAL x, REAL y, const REAL r[3], REAL z[2], REAL rr[3])
{
    REAL known[16];
    z[0] = x - link->past.x[0];
    z[1] = y - link->past.x[1];
    for (int c = 0; c < 4; c++) {
        z[0] += link->gain[c] * link->predicted.x[c];
        z[1] += link->gain[4 + c] * link->predicted.x[c];
    }
    NAME(congruence)(link->gain, link->predicted.p, known);
    rr[0] = r[0] + ABSOLUTE(link->past.p[0] - known[0]);
    rr[1] = r[1] + ABSOLUTE(link->past.p[4] - known[5]);
    rr[2] = r[2];
}
