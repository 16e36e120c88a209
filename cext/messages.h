/* Perception messages: the objects of a message as detections, and why a message or a row of it is refused. */
#ifndef CLOUDCTL_MESSAGES_H
#define CLOUDCTL_MESSAGES_H

#include "track.h"

#define BLOCK_BYTES 57   /* of one object: FLOATS and an id of 4 bytes each, a class of 1 */
#define FLOATS 13        /* columns of an object that are numbers */
#define MAX_OBJECTS 1024 /* of one message */
#define MAX_METRES 2000.0
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x) /* of a macro's value */
_Static_assert(BLOCK_BYTES == 4 * (FLOATS + 1) + 1, "every column of an object");
#define ROW_FAULTS 8 /* refused rows of a message that are named; all are counted */

typedef struct { /* why a message (row -1), or one of its rows, is refused */
    int32_t row;
    const char *field, *rule, *remedy;
    double value;
} fault_t;

typedef struct {
    fault_t first[ROW_FAULTS];
    int32_t refused;    /* rows; the first ROW_FAULTS of them stand in `first` */
    int32_t unmeasured; /* figures that mean "not available" and were taken as NaN */
} faults_t;

/* Number of objects in a msgpack value (block or list of maps), or -1 with the message's fault in first[0]. */
int32_t objects_count(const uint8_t *data, size_t size, faults_t *faults);
/* Decode them into `out` (room for objects_count rows), shifted by dx, dy: the number of rows that can be used, in
   order; -1 with the message's fault in first[0]. */
int32_t objects_decode(const uint8_t *data, size_t size, double dx, double dy, detection_t *out, faults_t *faults);

#endif
