/* The range of every figure of a saved tracker. */
#ifndef CLOUDCTL_VALID_H
#define CLOUDCTL_VALID_H

#include "track.h"

typedef struct { /* a member of a structure, one figure or an array of them; `kind` as in Python's struct module. The
                    last has no name. */
    const char *name;
    size_t offset, size;
    char kind;
    double low, high;
} range_t;

extern const range_t TRACK_RANGES[], SOURCE_RANGES[], FUSION_RANGES[];

/* NULL, or the part of a tracker's own state, or of a track, that is invalid. */
const char *invalid_fusion(const fusion_t *fusion);
int valid_track(const track_t *track);

#endif
