/* The update of the two interacting models by measurements, for one track or for several side by side: models.h. */

static const uint8_t PACKED[5][5] = { /* where a covariance's rows and columns are */
    {0, 1, 2, 3, 10}, {1, 4, 5, 6, 11}, {2, 5, 7, 8, 12}, {3, 6, 8, 9, 13}, {10, 11, 12, 13, 14}};

/* Inverse of the symmetric 2x2 (xx, yy, xy); returns the determinant, kept positive. */
INLINE REAL NAME(inverse)(REAL xx, REAL yy, REAL xy, REAL inverse[3])
{
    REAL det = xx * yy - xy * xy;
    det = CHOOSE(det > 1e-12, det, SPLAT(1e-12));
    REAL one = 1.0 / det;
    inverse[0] = yy * one;
    inverse[1] = xx * one;
    inverse[2] = -xy * one;
    return det;
}

/* x += w v, p -= w (pht)' for a gain w = pht S^-1 of two measured components; n is 4 or 5. The variances are then still
 * to be bounded. */
INLINE void NAME(gain)(REAL *x, REAL *p, int n, const REAL *pht, const REAL i[3], REAL dx, REAL dy)
{
    REAL w[10];
    for (int r = 0; r < n; r++) {
        w[2 * r] = pht[2 * r] * i[0] + pht[2 * r + 1] * i[2];
        w[2 * r + 1] = pht[2 * r] * i[2] + pht[2 * r + 1] * i[1];
        x[r] += w[2 * r] * dx + w[2 * r + 1] * dy;
    }
    for (int r = 0; r < n; r++)
        for (int c = r; c < n; c++)
            p[PACKED[r][c]] -= w[2 * r] * pht[2 * c] + w[2 * r + 1] * pht[2 * c + 1];
}

/* Fold in two components a and b of the state, measured; returns their likelihood's density without 1 / 2 pi. */
INLINE REAL NAME(pair)(REAL *x, REAL *p, int n, int a, int b, REAL za, REAL zb, const REAL r[3], REAL *d)
{
    REAL i[3], pht[10], dx = za - x[a], dy = zb - x[b];
    REAL det = NAME(inverse)(p[PACKED[a][a]] + r[0], p[PACKED[b][b]] + r[1], p[PACKED[a][b]] + r[2], i);
    for (int k = 0; k < n; k++) {
        pht[2 * k] = p[PACKED[k][a]];
        pht[2 * k + 1] = p[PACKED[k][b]];
    }
    *d = dx * dx * i[0] + dy * dy * i[1] + 2.0 * dx * dy * i[2];
    NAME(gain)(x, p, n, pht, i, dx, dy);
    return det;
}

/* The same for two linear combinations h (2x4) of position and velocity, measured as z with noise r */
INLINE REAL NAME(combination)(REAL *x, REAL *p, int n, const REAL h[8], const REAL z[2], const REAL r[3], REAL *d)
{
    REAL i[3], pht[10], v[2] = {z[0], z[1]}, s[3] = {r[0], r[1], r[2]};
    for (int k = 0; k < n; k++) {
        pht[2 * k] = pht[2 * k + 1] = SPLAT(0.0);
        for (int c = 0; c < 4; c++) {
            pht[2 * k] += p[PACKED[k][c]] * h[c];
            pht[2 * k + 1] += p[PACKED[k][c]] * h[4 + c];
        }
    }
    for (int c = 0; c < 4; c++) {
        v[0] -= h[c] * x[c];
        v[1] -= h[4 + c] * x[c];
        s[0] += h[c] * pht[2 * c];
        s[1] += h[4 + c] * pht[2 * c + 1];
        s[2] += h[c] * pht[2 * c + 1];
    }
    REAL det = NAME(inverse)(s[0], s[1], s[2], i);
    *d = v[0] * v[0] * i[0] + v[1] * v[1] * i[1] + 2.0 * v[0] * v[1] * i[2];
    NAME(gain)(x, p, n, pht, i, v[0], v[1]);
    return det;
}

/* Bayes over the two models from their distances and determinants. */
INLINE void NAME(weigh_models)(IMM *s, REAL da, REAL det_a, REAL db, REAL det_b)
{
    REAL off = 0.5 * (da - db), e = EXPONENTIAL(-ABSOLUTE(off)), p = s->turn_probability;
    REAL straight = (1.0 - p) * ROOT(det_b) * CHOOSE(off > 0.0, e, SPLAT(1.0)),
         turning = p * ROOT(det_a) * CHOOSE(off > 0.0, SPLAT(1.0), e);
    s->turn_probability = NAME(within)(turning / (straight + turning), SPLAT(0.001), SPLAT(0.999));
}
