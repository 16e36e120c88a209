# One tracker as a Python object: its lock, its configuration, scans in, tracks and state out.


cdef class Tracker:
    """One intersection's tracker: a flat block of memory. One thread at a time is in it; another waits."""
    cdef fusion_t *fusion
    cdef Aligned memory
    cdef PyThread_type_lock lock
    cdef readonly int capacity
    cdef object __weakref__

    def __cinit__(self, int capacity):
        if not 1 <= capacity <= MAX_CAPACITY:
            raise ValueError(f"capacity = {capacity}: must be 1..{MAX_CAPACITY} tracks")
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError
        self.capacity = capacity
        self.memory = Aligned(fusion_size(capacity))
        self.fusion = <fusion_t *>self.memory.start
        fusion_init(self.fusion, capacity)
        LIVE_TRACKERS.add(self)

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
        """Copy the tracker's own part: no Python object is made while a tracker is held, for that could run any code."""
        cdef fusion_t head
        self.hold()
        memcpy(&head, self.fusion, sizeof(fusion_t))
        self.let_go()
        return head

    def configure(self, double gate, double miss_cost, double confirm, double show_threshold, double drop, double survive,
                  int64_t coast, int64_t window, int64_t max_jump, unsigned int features):
        cdef fusion_t *fusion = self.fusion
        self.hold()
        fusion.gate, fusion.miss_cost, fusion.confirm, fusion.show_threshold, fusion.drop = gate, miss_cost, confirm, show_threshold, drop
        fusion.departures, fusion.followed_s, fusion.survive = PRIOR_DEPARTURES, PRIOR_DEPARTURES * survive, survive
        fusion.inside_departures = PRIOR_DEPARTURES
        fusion.coast, fusion.window, fusion.max_jump, fusion.features = coast, window, max_jump, features
        self.let_go()

    def motion(self):
        """Return the motion model's figures, float64[CLASSES, MOTION_FIGURES] by class: straight, turning, turn rate, enter, leave. A copy."""
        cdef fusion_t head = self.head()
        return np.array(<double[:CLASSES, :MOTION_FIGURES]>&head.motion[0].straight)

    def set_motion(self, figures):
        cdef const double[:, ::1] given = np.ascontiguousarray(figures, np.float64)
        cdef double *motion = &self.fusion.motion[0].straight
        if given.shape[0] != CLASSES or given.shape[1] != MOTION_FIGURES:
            raise ValueError(f"figures must be of shape ({CLASSES}, {MOTION_FIGURES})")
        self.hold()
        for k in range(CLASSES * MOTION_FIGURES):
            motion[k] = (&given[0, 0])[k]
        self.let_go()

    def source(self, int index, bint has_position, double x, double y, double heading, double fov, double reach, double sigma,
               double sigma_v, double p_detect, double clutter, int kind, double bias_x, double bias_y, double lag):
        check_source(index)
        cdef source_t *source = &self.fusion.sources[index]
        self.hold()
        source.has_position, source.x, source.y, source.heading, source.fov, source.range = has_position, x, y, heading, fov, reach
        source.sigma, source.sigma_v, source.p_detect, source.clutter, source.kind = sigma, sigma_v, p_detect, clutter, kind
        source.configured, source.configured_bias_x, source.configured_bias_y, source.configured_lag = 1, bias_x, bias_y, lag
        source_start(source)
        self.let_go()

    def blind(self, int index, bint blind):
        check_source(index)
        self.hold()
        self.fusion.sources[index].blind = blind
        self.let_go()

    def update(self, int64_t t, int32_t source, rows):
        """Fold in one scan (contiguous detections); returns None, or the row and field that cannot be used (nothing is folded in then).

        Raises ValueError where the stamps of the source show that they are not in ns."""
        cdef Py_buffer buffer
        cdef const char *field = NULL
        cdef int32_t count, row, code = 0
        cdef Aligned scratch
        check_time(t)
        check_source(source)
        get_rows(rows, &buffer)
        try:
            count = count_rows(buffer.len)
            scratch = borrow(fusion_scratch(self.capacity, count))
            self.hold()
            with nogil:
                row = fusion_check_strict(<const detection_t *>buffer.buf, count, &field)
                if row < 0:
                    code = fusion_update_checked(self.fusion, t, source, <const detection_t *>buffer.buf, count, scratch.start)
                else:
                    self.fusion.sources[source].refused += 1
            self.let_go()
            SCRATCH.append(scratch)
        finally:
            PyBuffer_Release(&buffer)
        if code == WRONG_UNIT:
            raise ValueError(f"t_ns = {t}: the scans of source {source} are less than a millisecond apart, so this is no time in nanoseconds. "
                             "Give round(seconds * 1e9), milliseconds * 10**6 or microseconds * 1000, and begin with a new Fusion")
        return None if row < 0 else (row, field.decode())

    def tracks(self, int64_t t, dtype):
        """Return the confirmed tracks at t as a fresh array of `dtype`, whose items are track_row_t."""
        cdef Py_buffer buffer
        cdef int32_t count = -1, room
        check_time(t)
        if dtype.itemsize != sizeof(track_row_t):
            raise ValueError(f"dtype: must be of {sizeof(track_row_t)} bytes")
        while count < 0:  # another thread may have added tracks between the allocation and the lock
            room = self.fusion.count
            out = np.empty(room, dtype)
            PyObject_GetBuffer(out, &buffer, PyBUF_WRITABLE)
            self.hold()
            if self.fusion.count <= room:
                with nogil:
                    count = fusion_tracks(self.fusion, t, <track_row_t *>buffer.buf)
            self.let_go()
            PyBuffer_Release(&buffer)
        return out if count == room else out[:count]

    def stats(self):
        cdef fusion_t head = self.head()
        return figures_of(&head)

    def save(self):
        """Return the whole state as bytes, for `load`."""
        cdef uint8_t *copy
        cdef size_t size
        self.hold()
        size = fusion_state_size(self.fusion.count)
        copy = <uint8_t *>PyMem_Malloc(size)
        if copy != NULL:
            fusion_save(self.fusion, copy)
        self.let_go()
        if copy == NULL:
            raise MemoryError
        try:
            return PyBytes_FromStringAndSize(<const char *>copy, size)
        finally:
            PyMem_Free(copy)

    @staticmethod
    def load(bytes state):
        """Return a tracker from what `save` returned, wherever it was; ValueError names the part that is invalid."""
        cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(state)
        cdef fusion_t head
        cdef Tracker out
        cdef const char *flaw
        if <size_t>PyBytes_GET_SIZE(state) < sizeof(fusion_t):
            raise ValueError("length")
        memcpy(&head, data, sizeof(fusion_t))
        out = Tracker(head.capacity)
        flaw = fusion_load(out.fusion, data, PyBytes_GET_SIZE(state))
        if flaw != NULL:
            raise ValueError(flaw.decode())
        return out


# A child of fork() has the locks as they are, but not the threads that would release them: so every tracker is held while the process forks, in the
# order in which update_batch holds several, and released on both sides. No tracker is copied half updated.
LIVE_TRACKERS = WeakSet()
cdef list HELD_FOR_FORK = []


def _before_fork():
    for tracker in sorted(LIVE_TRACKERS, key=id):
        (<Tracker>tracker).hold()
        HELD_FOR_FORK.append(tracker)


def _after_fork():
    for tracker in HELD_FOR_FORK:
        (<Tracker>tracker).let_go()
    HELD_FOR_FORK.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


cdef dict figures_of(const fusion_t *fusion):
    """Return the tracker's statistics; docs/fusion.md describes each."""
    sources = {}
    for k in range(SOURCES):
        if fusion.sources[k].scans or fusion.sources[k].refused:
            sources[k] = source_figures(&fusion.sources[k])
    conflicts = [{"vehicle": fusion.conflicts[k].vehicle, "count": fusion.conflicts[k].count, "t": fusion.conflicts[k].t,
                  "x": fusion.conflicts[k].x, "y": fusion.conflicts[k].y} for k in range(MAX_CONFLICTS) if fusion.conflicts[k].vehicle]
    return {"count": fusion.count, "refused_old": fusion.refused_old, "refused_ahead": fusion.refused_ahead,
            "clock_steps": fusion.clock_steps, "crowded": fusion.crowded, "full": fusion.refused_births, "merged": fusion.merged, "resumed": fusion.resumed,
            "stay": fusion.followed_s / fusion.departures,
            "stay_inside": fusion.followed_s / fusion.inside_departures,
            "again": [fusion.repeat_misses[k] / fusion.miss_runs[k] for k in range(MISS_BINS)],
            "sources": sources, "wrong_claims": conflicts}


cdef dict source_figures(const source_t *source):
    cdef int kind = COOPERATIVE if source.kind == COOPERATIVE else FROM_TRACKS if source.filtered else FROM_DETECTIONS
    cdef const column_trust_t *columns = &source.columns
    return {"scans": source.scans, "late": source.late, "refused": source.refused, "detections": source.detections,
            "scale": source.noise_scale, "sigma": source.sigma, "bias_x": source.bias_x, "bias_y": source.bias_y, "lag": source.lag,
            "latency_observable": bool(source.lag_observable), "p_detect": source.detection_probability,
            "clutter": source.clutter_density, "residual": source.residual, "weight": source.weight, "kind": KIND_NAMES[kind],
            "correlation": source.correlation_sum / source.correlation_pairs if source.correlation_pairs > 0 else 0.0,
            "jitter": max(source.jitter, 0.0) ** 0.5, "period": source.period, "repeated": source.repeated,
            "doubled": source.doubled, "class_right": columns.class_accuracy, "ids_stay": columns.id_persistence,
            "sigma_v": columns.velocity_variance ** 0.5, "velocity": VERDICTS[columns.velocity.verdict],
            "velocity_ratio": columns.velocity.ratio, "zero_velocity": VERDICTS[columns.zero_velocity.verdict],
            "clock_offset": source.clock_offset, "clock_steps": source.clock_steps, "wrong_unit": source.wrong_unit}
