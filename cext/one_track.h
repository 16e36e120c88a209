/* The models' arithmetic (models.h, updates.h, gates.h, smoother.h) for one track alone. */
#ifndef CLOUDCTL_ONE_TRACK_H
#define CLOUDCTL_ONE_TRACK_H

#include "numeric.h"
#include "scan.h"

#include <math.h>

#define REAL double
#define MASK int
#define STATE state_t
#define TURNING turning_t
#define IMM imm_t
#define STEP step_t
#define TURN turn_t
#define GATE gate_t
#define LINK smoother_link_t
#define NAME(x) x##_1
#define INLINE static inline
#define SPLAT(c) (c)
#define CHOOSE(condition, a, b) ((condition) ? (a) : (b))
#define ABSOLUTE(x) fabs(x)
#define ROOT(x) sqrt(x)
#define EXPONENTIAL(x) exp_negative(x)
#define LOGARITHM(x) ln(x)
#include "models.h"
#include "updates.h"
#include "gates.h"
#include "smoother.h"

#endif
