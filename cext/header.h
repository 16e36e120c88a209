/* The header of a perception message, where it is written as clients write it. */
#ifndef CLOUDCTL_HEADER_H
#define CLOUDCTL_HEADER_H

#include <stddef.h>
#include <stdint.h>

typedef struct { /* offsets are of the message */
    int64_t seq, t;
    double lat, lon;        /* degrees */
    size_t identity;        /* end of version, unit and sensor, with which it begins */
    size_t objects, behind; /* begin and end of the objects, a block */
} header_t;

/* Read the header of a message: 1 where its fields are in the usual order, each written the shortest way, and its
 * objects a block that is all there; else 0, which says nothing against the message. */
int header_read(const uint8_t *data, size_t size, header_t *out);

typedef struct { /* what a source's next frame goes on from, ns and degrees */
    int64_t seq;
    int64_t offset; /* of its gateway's clock, ahead of the node's */
    double lat, lon;
} previous_t;

/* The event time, ns, of a frame received at t_rx: 1 where it is the next of its source, at the same origin, no older
 * than max_age and no further in the future than max_future; else 0, which says nothing against the message. */
int header_goes_on(const header_t *header, const previous_t *from, int64_t t_rx, int64_t max_age, int64_t max_future,
                   int64_t *event);

#endif
