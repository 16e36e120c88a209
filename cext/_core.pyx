"""The seam to the C core: memory in, arrays out. No arithmetic here."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Realloc
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stddef cimport size_t

import numpy as np

cdef extern from "track.h" nogil:
    const double STAYS_SAID
    enum:
        CLASSES
        SOURCES
        WRONG
        ROWS
        MOTION_FIGURES
        MAX_OBJECTS
        BLOCK_BYTES
        NOT_FINITE
        CONFIRMED
        FROM_DETECTIONS
        FROM_TRACKS
        COOPERATIVE
        NO_TURNS
        NO_NOISE
        NO_BIAS
        NO_LAG
        NO_LIFE
        NO_LATE
        NO_MERGE
        NO_CLASS
        NO_GLOBAL
    ctypedef struct detection:
        double x, y
        float vx, vy, heading, length, width, height, var_x, var_y, cov_xy, confidence
        uint32_t id, vehicle
        uint8_t cls
    ctypedef struct track_row:
        int64_t t
    ctypedef struct track_t:
        uint32_t id
    ctypedef struct worth_t:
        double right, size, speed, names
    ctypedef struct source_t:
        double x, y, heading, fov, range, sigma, sigma_v, p_detect, clutter
        int32_t kind, known, blind, filtered
        uint64_t scans, late, refused, detections, repeated
        double period, jitter, believed, cross, self
        worth_t worth
        double said_x, said_y, said_lag, scale, bias_x, bias_y, lag, seen, strewn, residual, weight
    ctypedef struct motion_t:
        double straight
    ctypedef struct wrong_t:
        uint32_t vehicle, count
        int64_t t
        double x, y
    ctypedef struct fusion_t:
        int32_t count
        uint32_t features
        int64_t window, coast
        double gate, miss_cost, confirm, show, drop, survive, lived, left
        double misses[ROWS]
        double more[ROWS]
        motion_t motion[CLASSES]
        uint64_t refused_old, full, merged
        source_t sources[SOURCES]
        wrong_t wrong[WRONG]
    ctypedef struct member_t:
        const char *name
        size_t offset, size
        char kind
    const member_t DETECTION_FIELDS[]
    const member_t TRACK_FIELDS[]
    ctypedef struct fault_t:
        int32_t row
        const char *field
        const char *rule
        const char *remedy
        double value
    ctypedef struct faults_t:
        fault_t first[8]
        int32_t refused, unmeasured
    int32_t fusion_check(const detection *z, int32_t n, const char **field)
    void source_start(source_t *s)
    size_t fusion_size(int32_t capacity)
    void fusion_init(fusion_t *f, int32_t capacity)
    size_t fusion_scratch(int32_t capacity, int32_t detections)
    int fusion_update(fusion_t *f, int64_t t, int32_t source, const detection *z, int32_t n, void *scratch)
    int32_t fusion_tracks(const fusion_t *f, int64_t t, track_row *out)
    int32_t objects_count(const uint8_t *data, size_t size, faults_t *faults)
    int32_t objects_decode(const uint8_t *data, size_t size, double dx, double dy, detection *out, faults_t *faults)

DETECTION_SIZE = sizeof(detection)
TRACK_SIZE = sizeof(track_row)
TRACK_STATE_BYTES = sizeof(track_t)
SEEN_LATELY = CONFIRMED  # status of a track
KINDS = {"detections": FROM_DETECTIONS, "tracks": FROM_TRACKS, "cooperative": COOPERATIVE}
KIND_NAMES = {number: name for name, number in KINDS.items()}
FEATURES = {"turns": NO_TURNS, "noise": NO_NOISE, "bias": NO_BIAS, "lag": NO_LAG, "life": NO_LIFE, "late": NO_LATE, "merge": NO_MERGE,
            "class": NO_CLASS, "global": NO_GLOBAL}
LIMITS = {"classes": CLASSES, "sources": SOURCES, "objects": MAX_OBJECTS, "object_bytes": BLOCK_BYTES}


cdef list members(const member_t *field):
    cdef list out = []
    while field.name != NULL:
        out.append((field.name.decode(), chr(field.kind), field.size, field.offset))
        field += 1
    return out


DETECTION_LAYOUT, TRACK_LAYOUT = members(DETECTION_FIELDS), members(TRACK_FIELDS)


cdef class Tracker:
    """One intersection's tracker: a flat block of memory and the scratch its updates use."""
    cdef fusion_t *f
    cdef void *scratch
    cdef size_t scratch_size
    cdef readonly int capacity

    def __cinit__(self, int capacity):
        self.capacity = capacity
        self.f = <fusion_t *>PyMem_Calloc(1, fusion_size(capacity))
        if self.f == NULL:
            raise MemoryError
        fusion_init(self.f, capacity)

    def __dealloc__(self):
        PyMem_Free(self.f)
        PyMem_Free(self.scratch)

    cdef int reserve(self, int32_t n) except -1:
        cdef size_t need = fusion_scratch(self.capacity, n)
        cdef void *more
        if need > self.scratch_size:
            more = PyMem_Realloc(self.scratch, need)
            if more == NULL:
                raise MemoryError
            self.scratch = more
            self.scratch_size = need
        return 0

    def configure(self, double gate, double miss_cost, double confirm, double show, double drop, double survive, int64_t coast,
                  int64_t window, unsigned int features):
        self.f.gate, self.f.miss_cost, self.f.confirm, self.f.show, self.f.drop = gate, miss_cost, confirm, show, drop
        self.f.left = STAYS_SAID
        self.f.lived = STAYS_SAID * survive
        self.f.survive, self.f.coast, self.f.window, self.f.features = survive, coast, window, features

    def motion(self):
        """A view of the motion model's figures, float64[CLASSES, MOTION_FIGURES] by class: straight, turning, rate, enter, leave. Writable."""
        return np.asarray(<double[:CLASSES, :MOTION_FIGURES]>&self.f.motion[0].straight)

    def source(self, int index, double x, double y, double heading, double fov, double reach, double sigma, double sigma_v, double p_detect,
               double clutter, int kind, double bias_x, double bias_y, double lag):
        cdef source_t *s = &self.f.sources[index]
        s.x, s.y, s.heading, s.fov, s.range, s.sigma, s.sigma_v = x, y, heading, fov, reach, sigma, sigma_v
        s.p_detect, s.clutter, s.kind, s.known = p_detect, clutter, kind, 1
        s.said_x, s.said_y, s.said_lag = bias_x, bias_y, lag
        source_start(s)

    def blind(self, int index, bint blind):
        self.f.sources[index].blind = blind

    def update(self, int64_t t, int32_t source, rows):
        """Fold in one scan (contiguous detections); returns None, or the row and field that cannot be used (nothing is folded in then)."""
        cdef Py_buffer buffer
        cdef const char *field = NULL
        cdef int32_t n, row = -1
        cdef int code
        PyObject_GetBuffer(rows, &buffer, PyBUF_SIMPLE)
        try:
            n = <int32_t>(buffer.len // <Py_ssize_t>sizeof(detection))
            self.reserve(n)
            with nogil:
                code = fusion_update(self.f, t, source, <const detection *>buffer.buf, n, self.scratch)
                if code == NOT_FINITE:
                    row = fusion_check(<const detection *>buffer.buf, n, &field)
        finally:
            PyBuffer_Release(&buffer)
        return None if code != NOT_FINITE else (row, field.decode())

    def tracks(self, int64_t t, dtype):
        """The confirmed tracks at t as a fresh array of `dtype`, whose items are track_row."""
        cdef Py_buffer buffer
        cdef int32_t n = 0
        out = np.empty(self.f.count, dtype)
        PyObject_GetBuffer(out, &buffer, PyBUF_WRITABLE)
        with nogil:
            n = fusion_tracks(self.f, t, <track_row *>buffer.buf)
        PyBuffer_Release(&buffer)
        return out if n == self.f.count else out[:n]

    def stats(self):
        sources = {}
        for k in range(SOURCES):
            s = self.f.sources[k]
            if s.scans or s.refused:
                sources[k] = {"scans": s.scans, "late": s.late, "refused": s.refused, "detections": s.detections, "scale": s.scale,
                              "sigma": s.sigma, "bias_x": s.bias_x, "bias_y": s.bias_y, "lag": s.lag, "p_detect": s.seen,
                              "clutter": s.strewn, "residual": s.residual, "weight": s.weight,
                              "kind": KIND_NAMES[COOPERATIVE if s.kind == COOPERATIVE else FROM_TRACKS if s.filtered else FROM_DETECTIONS],
                              "correlation": s.cross / s.self if s.self > 0 else 0.0, "jitter": max(s.jitter, 0.0) ** 0.5,
                              "period": s.period, "repeated": s.repeated, "class_right": s.worth.right, "ids_stay": s.worth.names,
                              "sigma_v": s.worth.speed ** 0.5}
        wrong = [{"vehicle": self.f.wrong[k].vehicle, "count": self.f.wrong[k].count, "t": self.f.wrong[k].t, "x": self.f.wrong[k].x,
                  "y": self.f.wrong[k].y} for k in range(WRONG) if self.f.wrong[k].vehicle]
        return {"count": self.f.count, "refused_old": self.f.refused_old, "full": self.f.full, "merged": self.f.merged,
                "stay": self.f.lived / self.f.left, "again": [self.f.more[k] / self.f.misses[k] for k in range(ROWS)], "sources": sources, "wrong_claims": wrong}


def update_batch(list trackers, const int64_t[::1] t, const int32_t[::1] sources, const uint8_t[::1] rows, const int64_t[::1] offsets):
    """Feed frame k (rows offsets[k] to offsets[k+1]) to trackers[k], in order, in one call without the GIL."""
    cdef Py_ssize_t n = len(trackers), k
    cdef Tracker tracker
    plan = np.empty((n, 2), np.uintp)
    cdef size_t[:, ::1] where = plan
    cdef const detection *first = <const detection *>&rows[0] if rows.shape[0] else NULL
    for k in range(n):
        tracker = trackers[k]
        tracker.reserve(<int32_t>(offsets[k + 1] - offsets[k]))
    for k in range(n):
        tracker = trackers[k]
        where[k, 0], where[k, 1] = <size_t>tracker.f, <size_t>tracker.scratch
    with nogil:
        for k in range(n):
            fusion_update(<fusion_t *>where[k, 0], t[k], sources[k], first + offsets[k], <int32_t>(offsets[k + 1] - offsets[k]), <void *>where[k, 1])


cdef tuple words(const fault_t *fault):
    return fault.row, fault.field.decode(), f"{fault.value:g}", fault.rule.decode(), fault.remedy.decode()


def decode_batch(list payloads, shifts=None):
    """Decode the objects of many messages: (rows as bytes, offsets, faults).

    faults[k] is None where every row of message k can be used; else (refused, unmeasured, [(row, field, value, rule, remedy)]): -1 refused
    where the whole message is, with its one fault; else how many rows are, with the first of their faults."""
    cdef Py_ssize_t n = len(payloads), k
    cdef faults_t fault
    cdef int32_t got, i
    cdef const uint8_t *data
    cdef const double[:, ::1] shift = None
    if shifts is not None:
        shift = np.ascontiguousarray(shifts, np.float64)
    cdef double dx = 0.0, dy = 0.0
    offsets = np.empty(n + 1, np.int64)
    cdef int64_t[::1] at = offsets
    faults = [None] * n
    cdef int64_t total = 0
    for k in range(n):
        got = objects_count(<const uint8_t *>PyBytes_AS_STRING(payloads[k]), PyBytes_GET_SIZE(payloads[k]), &fault)
        total += got if got > 0 else 0
    rows = np.empty(total * sizeof(detection), np.uint8)
    cdef uint8_t[::1] view = rows
    at[0] = 0
    for k in range(n):
        if shift is not None:
            dx, dy = shift[k, 0], shift[k, 1]
        data = <const uint8_t *>PyBytes_AS_STRING(payloads[k])
        got = objects_decode(data, PyBytes_GET_SIZE(payloads[k]), dx, dy, <detection *>&view[0] + at[k] if total else NULL, &fault)
        if got < 0:
            faults[k] = (-1, 0, [words(&fault.first[0])])
            got = 0
        elif fault.refused or fault.unmeasured:
            faults[k] = (fault.refused, fault.unmeasured, [words(&fault.first[i]) for i in range(min(fault.refused, 8))])
        at[k + 1] = at[k] + got
    return rows if at[n] == total else rows[:at[n] * sizeof(detection)], offsets, faults
