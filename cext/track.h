/* The tracker's types. Plain C: no Python header, no allocation; the caller owns all memory. */
#ifndef CLOUDCTL_TRACK_H
#define CLOUDCTL_TRACK_H

#include <stddef.h>
#include <stdint.h>

#define CLASSES 8
#define SOURCES 32
#define RING 4 /* posteriors kept per track for scans that come late */

typedef struct { /* one detection; NaN where not measured; metres east-north of the intersection */
    double x, y;
    float vx, vy, heading, length, width, height, var_x, var_y, cov_xy, confidence;
    uint32_t id, vehicle;
    uint8_t cls, pad[7];
} detection;

typedef struct { /* one track as it is given out, predicted to t */
    int64_t t;
    double x, y;
    float vx, vy, heading, yaw_rate, length, width, height;
    float var_x, var_y, cov_xy, var_vx, var_vy, cov_vxvy, existence, class_p;
    uint32_t id, vehicle, sources;
    int64_t last;
    uint8_t cls, status, pad[6];
} track_row;

enum { TENTATIVE = 0, CONFIRMED = 1, COASTING = 2 };
enum { FROM_DETECTIONS = 0, FROM_TRACKS = 1, COOPERATIVE = 2 };

typedef struct { /* what is known of one source */
    double x, y, heading, fov, range, sigma, sigma_v, p_detect, clutter; /* clutter: false detections per m^2 */
    int32_t kind, known;
    uint64_t scans, late, refused;
} source_t;

typedef struct {
    int64_t t;
    double x[4];  /* x, y, vx, vy */
    double p[16]; /* covariance, row major */
} state_t;

typedef struct {
    state_t now, past[RING];
    int64_t last, missed; /* ns: last measurement, last counted miss */
    double existence, score[CLASSES];
    uint32_t id, vehicle, claim, sources;
    float length, width, height, heading;
    uint16_t hits, claims, shadow;
    uint8_t ring, filled, status, cls;
} track_t;

typedef struct {
    int32_t capacity, count;
    uint32_t next_id, pad;
    int64_t newest, window; /* ns */
    double noise[CLASSES];  /* spectral density of acceleration, m^2/s^3 */
    double gate, miss_cost, confirm, drop, survive; /* survive: s */
    int64_t coast;                                  /* ns without a measurement before a track is dropped */
    uint64_t refused_old, full;
    source_t sources[SOURCES];
    track_t tracks[];
} fusion_t;

size_t fusion_size(int32_t capacity);
void fusion_init(fusion_t *f, int32_t capacity);
size_t fusion_scratch(int32_t capacity, int32_t detections);
/* 0 taken, 1 too old, refused */
int fusion_update(fusion_t *f, int64_t t, int32_t source, const detection *z, int32_t n, void *scratch);
int32_t fusion_tracks(const fusion_t *f, int64_t t, track_row *out);

/* kalman.c */
void state_predict(const state_t *s, int64_t t, double q, state_t *out);
void state_at(const track_t *k, int64_t t, double q, state_t *out);
double state_distance(const state_t *s, double x, double y, const double r[3], double *log_det);
void state_update(state_t *s, double x, double y, const double r[3]);
void state_update_velocity(state_t *s, double vx, double vy, double r);
void state_update_late(track_t *k, int64_t t, double q, double x, double y, const double r[3]);

/* assign.c: rows 0..n-1 to columns, edges in CSR; mate[row] = column or -1 (left out at cost `miss`) */
size_t assign_scratch(int32_t rows, int32_t columns);
void assign(int32_t rows, int32_t columns, const int32_t *start, const int32_t *column, const double *cost, double miss, int32_t *mate,
            void *scratch);

/* decode.c */
typedef struct {
    int32_t row;
    const char *field, *rule;
    double value;
} fault_t;

#define BLOCK_BYTES 57
#define MAX_OBJECTS 1024
#define MAX_METRES 2000.0

/* Number of objects in a msgpack value (block or list of maps), or -1 with the fault set. */
int32_t objects_count(const uint8_t *data, size_t size, fault_t *fault);
/* Decode them into `out` (objects_count rows), shifted by dx, dy; -1 with the fault set. */
int32_t objects_decode(const uint8_t *data, size_t size, double dx, double dy, detection *out, fault_t *fault);

#endif
