"""The seam to the C core: memory in, arrays out. No arithmetic here."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from cpython.pythread cimport (
    NOWAIT_LOCK, PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_release_lock, PyThread_type_lock, WAIT_LOCK)
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stddef cimport size_t
from libc.string cimport memcpy

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
        LINE
        MAX_CAPACITY
        MAX_SCAN
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
    const int64_t MAX_TIME
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
        int32_t kind, known, blind, placed, filtered
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
        int32_t capacity, count
        uint32_t features
        int64_t window, coast, jump
        double gate, miss_cost, confirm, show, drop, survive, lived, left
        double misses[ROWS]
        double more[ROWS]
        motion_t motion[CLASSES]
        uint64_t refused_old, refused_ahead, steps, crowded, full, merged
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
    int32_t fusion_check_filled(const detection *z, int32_t n, const char **field)
    void source_start(source_t *s)
    size_t fusion_size(int32_t capacity)
    void fusion_init(fusion_t *f, int32_t capacity)
    size_t fusion_scratch(int32_t capacity, int32_t detections)
    int fusion_fold(fusion_t *f, int64_t t, int32_t source, const detection *z, int32_t n, void *scratch)
    size_t fusion_state_size(int32_t count)
    void fusion_save(const fusion_t *f, uint8_t *out)
    const char *fusion_load(fusion_t *f, const uint8_t *data, size_t size)
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
BOUNDS = {"capacity": MAX_CAPACITY, "scan": MAX_SCAN, "time": MAX_TIME}  # tracks of one tracker, detections of one scan, ns from the epoch
STATE_SIZES = (sizeof(fusion_t), sizeof(track_t))


cdef list members(const member_t *field):
    cdef list out = []
    while field.name != NULL:
        out.append((field.name.decode(), chr(field.kind), field.size, field.offset))
        field += 1
    return out


DETECTION_LAYOUT, TRACK_LAYOUT = members(DETECTION_FIELDS), members(TRACK_FIELDS)


cdef class Aligned:
    """Memory that begins with a line of the cache."""
    cdef void *block
    cdef char *start
    cdef size_t size

    def __cinit__(self, size_t size):
        self.block = PyMem_Calloc(1, size + LINE)
        if self.block == NULL:
            raise MemoryError
        self.start = <char *>((<uintptr_t>self.block + LINE - 1) // LINE * LINE)
        self.size = size

    def __dealloc__(self):
        PyMem_Free(self.block)


cdef list SCRATCH = []  # what updates work in: one for each thread that updates at a time, whatever the number of trackers


cdef Aligned borrow(size_t size):
    cdef Aligned found = SCRATCH.pop() if SCRATCH else None
    if found is None or found.size < size:
        found = Aligned(size + size // 2)
    return found


cdef class Tracker:
    """One intersection's tracker: a flat block of memory. One thread at a time is in it; another waits."""
    cdef fusion_t *f
    cdef Aligned memory
    cdef PyThread_type_lock lock
    cdef readonly int capacity

    def __cinit__(self, int capacity):
        if not 1 <= capacity <= MAX_CAPACITY:
            raise ValueError(f"capacity = {capacity}: must be 1..{MAX_CAPACITY} tracks")
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError
        self.capacity = capacity
        self.memory = Aligned(fusion_size(capacity))
        self.f = <fusion_t *>self.memory.start
        fusion_init(self.f, capacity)

    def __dealloc__(self):
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    cdef void hold(self) noexcept:
        if not PyThread_acquire_lock(self.lock, NOWAIT_LOCK):
            with nogil:
                PyThread_acquire_lock(self.lock, WAIT_LOCK)

    cdef void let_go(self) noexcept:
        PyThread_release_lock(self.lock)

    cdef fusion_t head(self) noexcept:
        """A copy of the tracker's own part: no Python object is made while a tracker is held, for that could run anybody's code."""
        cdef fusion_t head
        self.hold()
        memcpy(&head, self.f, sizeof(fusion_t))
        self.let_go()
        return head

    def configure(self, double gate, double miss_cost, double confirm, double show, double drop, double survive, int64_t coast,
                  int64_t window, int64_t jump, unsigned int features):
        self.hold()
        self.f.gate, self.f.miss_cost, self.f.confirm, self.f.show, self.f.drop = gate, miss_cost, confirm, show, drop
        self.f.left, self.f.lived = STAYS_SAID, STAYS_SAID * survive
        self.f.survive, self.f.coast, self.f.window, self.f.jump, self.f.features = survive, coast, window, jump, features
        self.let_go()

    def motion(self):
        """The motion model's figures, float64[CLASSES, MOTION_FIGURES] by class: straight, turning, rate, enter, leave. A copy."""
        cdef fusion_t head = self.head()
        return np.array(<double[:CLASSES, :MOTION_FIGURES]>&head.motion[0].straight)

    def set_motion(self, figures):
        cdef const double[:, ::1] given = np.ascontiguousarray(figures, np.float64)
        cdef double *to = &self.f.motion[0].straight
        if given.shape[0] != CLASSES or given.shape[1] != MOTION_FIGURES:
            raise ValueError(f"figures must be of shape ({CLASSES}, {MOTION_FIGURES})")
        self.hold()
        for k in range(CLASSES * MOTION_FIGURES):
            to[k] = (&given[0, 0])[k]
        self.let_go()

    def source(self, int index, bint placed, double x, double y, double heading, double fov, double reach, double sigma, double sigma_v,
               double p_detect, double clutter, int kind, double bias_x, double bias_y, double lag):
        check_source(index)
        cdef source_t *s = &self.f.sources[index]
        self.hold()
        s.placed, s.x, s.y, s.heading, s.fov, s.range, s.sigma, s.sigma_v = placed, x, y, heading, fov, reach, sigma, sigma_v
        s.p_detect, s.clutter, s.kind, s.known = p_detect, clutter, kind, 1
        s.said_x, s.said_y, s.said_lag = bias_x, bias_y, lag
        source_start(s)
        self.let_go()

    def blind(self, int index, bint blind):
        check_source(index)
        self.hold()
        self.f.sources[index].blind = blind
        self.let_go()

    def update(self, int64_t t, int32_t source, rows):
        """Fold in one scan (contiguous detections); returns None, or the row and field that cannot be used (nothing is folded in then)."""
        cdef Py_buffer buffer
        cdef const char *field = NULL
        cdef int32_t n, row
        cdef Aligned scratch
        check_time(t)
        check_source(source)
        get_rows(rows, &buffer)
        try:
            n = count_rows(buffer.len)
            scratch = borrow(fusion_scratch(self.capacity, n))
            self.hold()
            with nogil:
                row = fusion_check_filled(<const detection *>buffer.buf, n, &field)
                if row < 0:
                    fusion_fold(self.f, t, source, <const detection *>buffer.buf, n, scratch.start)
                else:
                    self.f.sources[source].refused += 1
            self.let_go()
            SCRATCH.append(scratch)
        finally:
            PyBuffer_Release(&buffer)
        return None if row < 0 else (row, field.decode())

    def tracks(self, int64_t t, dtype):
        """The confirmed tracks at t as a fresh array of `dtype`, whose items are track_row."""
        cdef Py_buffer buffer
        cdef int32_t n = -1, room
        check_time(t)
        if dtype.itemsize != sizeof(track_row):
            raise ValueError(f"dtype: must be of {sizeof(track_row)} bytes")
        while n < 0:  # the tracks may become more before it is held
            room = self.f.count
            out = np.empty(room, dtype)
            PyObject_GetBuffer(out, &buffer, PyBUF_WRITABLE)
            self.hold()
            if self.f.count <= room:
                with nogil:
                    n = fusion_tracks(self.f, t, <track_row *>buffer.buf)
            self.let_go()
            PyBuffer_Release(&buffer)
        return out if n == room else out[:n]

    def stats(self):
        cdef fusion_t head = self.head()
        return figures_of(&head)

    def save(self):
        """The whole state as bytes, for `load`."""
        cdef uint8_t *copy
        cdef size_t size
        self.hold()
        size = fusion_state_size(self.f.count)
        copy = <uint8_t *>PyMem_Malloc(size)
        if copy != NULL:
            fusion_save(self.f, copy)
        self.let_go()
        if copy == NULL:
            raise MemoryError
        try:
            return PyBytes_FromStringAndSize(<const char *>copy, size)
        finally:
            PyMem_Free(copy)

    @staticmethod
    def load(bytes state):
        """A tracker from what `save` returned, wherever it was; ValueError names what of it cannot be."""
        cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(state)
        cdef fusion_t head
        cdef Tracker out
        cdef const char *flaw
        if <size_t>PyBytes_GET_SIZE(state) < sizeof(fusion_t):
            raise ValueError("length")
        memcpy(&head, data, sizeof(fusion_t))
        out = Tracker(head.capacity)
        flaw = fusion_load(out.f, data, PyBytes_GET_SIZE(state))
        if flaw != NULL:
            raise ValueError(flaw.decode())
        return out


cdef dict figures_of(const fusion_t *f):
    sources = {}
    for k in range(SOURCES):
        s = f.sources[k]
        if s.scans or s.refused:
            kind = COOPERATIVE if s.kind == COOPERATIVE else FROM_TRACKS if s.filtered else FROM_DETECTIONS
            sources[k] = {"scans": s.scans, "late": s.late, "refused": s.refused, "detections": s.detections, "scale": s.scale,
                          "sigma": s.sigma, "bias_x": s.bias_x, "bias_y": s.bias_y, "lag": s.lag, "p_detect": s.seen,
                          "clutter": s.strewn, "residual": s.residual, "weight": s.weight, "kind": KIND_NAMES[kind],
                          "correlation": s.cross / s.self if s.self > 0 else 0.0, "jitter": max(s.jitter, 0.0) ** 0.5,
                          "period": s.period, "repeated": s.repeated, "class_right": s.worth.right, "ids_stay": s.worth.names,
                          "sigma_v": s.worth.speed ** 0.5}
    wrong = [{"vehicle": f.wrong[k].vehicle, "count": f.wrong[k].count, "t": f.wrong[k].t, "x": f.wrong[k].x,
              "y": f.wrong[k].y} for k in range(WRONG) if f.wrong[k].vehicle]
    return {"count": f.count, "refused_old": f.refused_old, "refused_ahead": f.refused_ahead, "clock_steps": f.steps, "crowded": f.crowded,
            "full": f.full, "merged": f.merged, "stay": f.lived / f.left,
            "again": [f.more[k] / f.misses[k] for k in range(ROWS)], "sources": sources, "wrong_claims": wrong}


cdef int check_source(int index) except -1:
    if not 0 <= index < SOURCES:
        raise ValueError(f"source {index}: sources are numbered 0..{SOURCES - 1}")
    return 0


cdef int check_time(int64_t t) except -1:
    if not -MAX_TIME <= t <= MAX_TIME:
        raise ValueError(f"t = {t}: must be within {MAX_TIME} ns of the epoch")
    return 0


cdef int32_t count_rows(Py_ssize_t size) except -1:
    """How many detections so many bytes are."""
    if size % <Py_ssize_t>sizeof(detection) or size // <Py_ssize_t>sizeof(detection) > MAX_SCAN:
        raise ValueError(f"{size} bytes: a scan is up to {MAX_SCAN} detections of {sizeof(detection)} bytes")
    return <int32_t>(size // <Py_ssize_t>sizeof(detection))


cdef int get_rows(rows, Py_buffer *buffer) except -1:
    """The rows' memory, of a copy where they do not begin as a double must."""
    PyObject_GetBuffer(rows, buffer, PyBUF_SIMPLE)
    if <uintptr_t>buffer.buf % sizeof(double):
        PyBuffer_Release(buffer)
        PyObject_GetBuffer(np.array(np.frombuffer(rows, np.uint8)), buffer, PyBUF_SIMPLE)
    return 0


def update_batch(trackers, const int64_t[::1] t, const int32_t[::1] sources, rows, const int64_t[::1] offsets):
    """Feed frame k (rows offsets[k] to offsets[k+1]) to trackers[k], in order, in one call without the GIL.

    Returns None, or the frame, the row in it and the field that cannot be used; nothing is folded in then."""
    cdef list own = list(trackers)
    cdef Py_ssize_t n = len(own), k, total
    cdef Py_buffer buffer
    cdef const detection *first
    cdef const char *field = NULL
    cdef int32_t row = -1
    if t.shape[0] != n or sources.shape[0] != n or offsets.shape[0] != n + 1:
        raise ValueError(f"t_ns, sources, offsets have {t.shape[0]}, {sources.shape[0]}, {offsets.shape[0]}: {n} fusions need {n}, {n} and {n + 1}. "
                         "Give one of each frame, and where the last ends")
    get_rows(rows, &buffer)
    try:
        total = buffer.len // <Py_ssize_t>sizeof(detection)
        if buffer.len % <Py_ssize_t>sizeof(detection):
            raise ValueError(f"rows of {buffer.len} bytes: must be detections of {sizeof(detection)} bytes")
        for k in range(n + 1):
            if not 0 <= offsets[k] <= total:
                raise ValueError(f"offsets[{k}] = {offsets[k]}: must be within 0..{total}, the rows that there are. Give where each frame begins")
        for k in range(n):
            if not isinstance(own[k], Tracker):
                raise TypeError(f"trackers[{k}] is {type(own[k]).__name__}: must be a Tracker")
            if not -MAX_TIME <= t[k] <= MAX_TIME:
                raise ValueError(f"t_ns[{k}] = {t[k]}: must be within {MAX_TIME} ns of the epoch. Leave the frame out")
            if not 0 <= sources[k] < SOURCES:
                raise ValueError(f"sources[{k}] = {sources[k]}: must be within 0..{SOURCES - 1}. Leave the frame out")
            if not 0 <= offsets[k + 1] - offsets[k] <= MAX_SCAN:
                raise ValueError(f"offsets[{k + 1}] = {offsets[k + 1]}, after {offsets[k]}: must not decrease, nor grow by more than {MAX_SCAN}. "
                                 "Give where each frame begins, in order")
        first = <const detection *>buffer.buf
        with nogil:
            for k in range(n):
                row = fusion_check_filled(first + offsets[k], <int32_t>(offsets[k + 1] - offsets[k]), &field)
                if row >= 0:
                    break
        if row >= 0:
            return k, row, field.decode()
        fold_all(own, t, sources, first, offsets)
    finally:
        PyBuffer_Release(&buffer)


cdef int fold_all(list trackers, const int64_t[::1] t, const int32_t[::1] sources, const detection *first, const int64_t[::1] offsets) except -1:
    """Fold checked frames in; every tracker is held meanwhile, taken in one order by all threads."""
    cdef Py_ssize_t n = len(trackers), k
    cdef size_t most = 0, need
    cdef Tracker tracker
    cdef Aligned scratch
    where_to = np.empty(n, np.uintp)
    cdef size_t[::1] where = where_to
    for k in range(n):
        tracker = trackers[k]
        where[k] = <size_t>tracker.f
        need = fusion_scratch(tracker.capacity, <int32_t>(offsets[k + 1] - offsets[k]))
        most = need if need > most else most
    scratch = borrow(most)
    held = sorted(set(trackers), key=id)
    for one in held:
        (<Tracker>one).hold()
    with nogil:
        for k in range(n):
            fusion_fold(<fusion_t *>where[k], t[k], sources[k], first + offsets[k], <int32_t>(offsets[k + 1] - offsets[k]), scratch.start)
    for one in held:
        (<Tracker>one).let_go()
    SCRATCH.append(scratch)
    return 0


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
        if shift.shape[0] != n or shift.shape[1] != 2:
            raise ValueError(f"shifts is of shape ({shift.shape[0]}, {shift.shape[1]}): must be ({n}, 2), metres east and north for each message")
    for one in payloads:
        if type(one) is not bytes:
            raise TypeError(f"a payload is {type(one).__name__}: must be bytes")
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
