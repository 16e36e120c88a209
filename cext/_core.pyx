"""The seam to the C core: memory in, arrays out. No arithmetic here."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Realloc
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stddef cimport size_t

import numpy as np

cdef extern from "track.h" nogil:
    ctypedef struct detection:
        double x, y
        float vx, vy, heading, length, width, height, var_x, var_y, cov_xy, confidence
        uint32_t id, vehicle
        uint8_t cls
    ctypedef struct track_row:
        int64_t t
    ctypedef struct track_t:
        uint32_t id
    ctypedef struct source_t:
        double x, y, heading, fov, range, sigma, sigma_v, p_detect, clutter
        int32_t kind, known
        uint64_t scans, late, refused
    ctypedef struct fusion_t:
        int32_t count
        int64_t window, coast
        double gate, miss_cost, confirm, drop, survive
        double noise[8]
        uint64_t refused_old, full
        source_t sources[32]
    ctypedef struct fault_t:
        int32_t row
        const char *field
        const char *rule
        double value
    size_t fusion_size(int32_t capacity)
    void fusion_init(fusion_t *f, int32_t capacity)
    size_t fusion_scratch(int32_t capacity, int32_t detections)
    int fusion_update(fusion_t *f, int64_t t, int32_t source, const detection *z, int32_t n, void *scratch)
    int32_t fusion_tracks(const fusion_t *f, int64_t t, track_row *out)
    int32_t objects_count(const uint8_t *data, size_t size, fault_t *fault)
    int32_t objects_decode(const uint8_t *data, size_t size, double dx, double dy, detection *out, fault_t *fault)

DETECTION_SIZE = sizeof(detection)
TRACK_SIZE = sizeof(track_row)
TRACK_STATE_BYTES = sizeof(track_t)


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

    def configure(self, double gate, double miss_cost, double confirm, double drop, double survive, int64_t coast, int64_t window,
                  const double[::1] noise):
        self.f.gate, self.f.miss_cost, self.f.confirm, self.f.drop = gate, miss_cost, confirm, drop
        self.f.survive, self.f.coast, self.f.window = survive, coast, window
        for k in range(8):
            self.f.noise[k] = noise[k]

    def source(self, int index, double x, double y, double heading, double fov, double reach, double sigma, double sigma_v, double p_detect,
               double clutter, int kind):
        cdef source_t *s = &self.f.sources[index]
        s.x, s.y, s.heading, s.fov, s.range, s.sigma, s.sigma_v = x, y, heading, fov, reach, sigma, sigma_v
        s.p_detect, s.clutter, s.kind, s.known = p_detect, clutter, kind, 1

    def update(self, int64_t t, int32_t source, const uint8_t[::1] rows):
        cdef int32_t n = <int32_t>(rows.shape[0] // sizeof(detection))
        self.reserve(n)
        with nogil:
            fusion_update(self.f, t, source, <const detection *>&rows[0] if n else NULL, n, self.scratch)

    def tracks(self, int64_t t):
        out = np.empty(self.f.count * sizeof(track_row), np.uint8)
        cdef uint8_t[::1] view = out
        cdef int32_t n = 0
        if self.f.count:
            with nogil:
                n = fusion_tracks(self.f, t, <track_row *>&view[0])
        return out[:n * sizeof(track_row)]

    def stats(self):
        sources = {k: {"scans": self.f.sources[k].scans, "late": self.f.sources[k].late, "refused": self.f.sources[k].refused}
                   for k in range(32) if self.f.sources[k].scans or self.f.sources[k].refused}
        return {"count": self.f.count, "refused_old": self.f.refused_old, "full": self.f.full, "sources": sources}


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


def decode_batch(list payloads, shifts=None):
    """Decode the objects of many messages: (rows as bytes, offsets, faults); a message with a fault gives no rows."""
    cdef Py_ssize_t n = len(payloads), k
    cdef fault_t fault
    cdef int32_t got
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
            faults[k] = (fault.row, fault.field.decode(), f"{fault.value:g}", fault.rule.decode())
            got = 0
        at[k + 1] = at[k] + got
    return rows if at[n] == total else rows[:at[n] * sizeof(detection)], offsets, faults
