/* Just enough to test C with: a check that says where it failed, a random source with a seed, an allocator that counts.
 */
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(what)                                                                                                    \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #what);                                   \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static uint64_t seed_ = 1;

static inline double uniform(double low, double high)
{
    seed_ ^= seed_ << 13;
    seed_ ^= seed_ >> 7;
    seed_ ^= seed_ << 17;
    return low + (high - low) * (double)(seed_ >> 11) / 9007199254740992.0;
}

static inline double normal(double sigma)
{
    double sum = 0.0;
    for (int i = 0; i < 12; i++)
        sum += uniform(-0.5, 0.5);
    return sigma * sum;
}

#endif
