/* Elementary functions that give the same bits on every machine: libm's choose their code by the processor. */
#ifndef CLOUDCTL_NUMERIC_H
#define CLOUDCTL_NUMERIC_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define LN_2 0.6931471805599453
#define PER_LN_2 1.4426950408889634
#define SQRT_2 1.4142135623730951

/* The series of e^r for |r| <= ln 2 / 2, and of the logarithm ln((1 + s) / (1 - s)) / 2 s of z = s^2: of one number, or
 * of one in each lane of a vector (lanes.c). */
#define EXP_SERIES(r)                                                                                                  \
    (1.0 +                                                                                                             \
     (r) * (1.0 +                                                                                                      \
            (r) * (1.0 / 2 +                                                                                           \
                   (r) * (1.0 / 6 +                                                                                    \
                          (r) * (1.0 / 24 +                                                                            \
                                 (r) * (1.0 / 120 +                                                                    \
                                        (r) * (1.0 / 720 +                                                             \
                                               (r) * (1.0 / 5040 + (r) * (1.0 / 40320 + (r) * (1.0 / 362880))))))))))
#define LN_SERIES(z)                                                                                                   \
    (1.0 + (z) * (1.0 / 3 + (z) * (1.0 / 5 + (z) * (1.0 / 7 + (z) * (1.0 / 9 + (z) * (1.0 / 11 + (z) * (1.0 / 13)))))))

/* e^x for x <= 0 to 1e-12 relative; 0 below -700, 1 above 0. */
static inline double exp_negative(double x)
{
    if (!(x > -700.0))
        return 0.0;
    x = x < 0.0 ? x : 0.0;
    double k = (double)(int64_t)(x * PER_LN_2 - 0.5), r = x - k * LN_2, scale;
    double e = EXP_SERIES(r);
    uint64_t bits = (uint64_t)((int64_t)k + 1023) << 52;
    memcpy(&scale, &bits, sizeof scale);
    return e * scale;
}

/* ln x for a positive normal x to 1e-11 */
static inline double ln(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int64_t k = (int64_t)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffULL) | 0x3ff0000000000000ULL;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > SQRT_2) {
        m *= 0.5;
        k++;
    }
    double s = (m - 1.0) / (m + 1.0), z = s * s;
    return (double)k * LN_2 + 2.0 * s * LN_SERIES(z);
}

/* atan2(y, x) to 1e-15: about the nearest of five tangents, by its series. */
static inline double angle_of(double y, double x)
{
    static const double AT[5] = {0.0, 0.24497866312686414, 0.4636476090008061, 0.6435011087932844, 0.7853981633974483};
    double ax = fabs(x), ay = fabs(y), most = ax > ay ? ax : ay, least = ax > ay ? ay : ax,
           t = most > 0.0 ? least / most : 0.0;
    int near = t > 0.0 && t <= 1.0 ? (int)(4.0 * t + 0.5) : 0; /* NaN has no nearest */
    double c = 0.25 * near, u = (t - c) / (1.0 + t * c), z = u * u, z2 = z * z;
    double low = 1.0 - z * (1.0 / 3) + z2 * (1.0 / 5 - z * (1.0 / 7)),
           high = 1.0 / 9 - z * (1.0 / 11) + z2 * (1.0 / 13 - z * (1.0 / 15) + z2 * (1.0 / 17));
    double a = AT[near] + u * (low + z2 * z2 * high);
    a = ay > ax ? 1.5707963267948966 - a : a;
    a = signbit(x) ? 3.141592653589793 - a : a;
    return copysign(a, y);
}

/* fmin and fmax are calls; these are instructions */
static inline double lesser(double a, double b) { return a < b ? a : b; }

static inline double greater(double a, double b) { return a > b ? a : b; }

static inline double bounded(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

/* Which of `most` cells v falls into, whatever it is: the nearest for those outside, the first for NaN. */
static inline int32_t cell_index(double v, int32_t most)
{
    return !(v > 0.0) ? 0 : v >= (double)most ? most - 1 : (int32_t)v;
}

#endif
