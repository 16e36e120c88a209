# Many scans of many intersections in one call, and the decoding of perception messages.


def update_batch(trackers, const int64_t[::1] t, const int32_t[::1] sources, rows, const int64_t[::1] offsets):
    """Feed frame k (rows offsets[k] to offsets[k+1]) to trackers[k], in order, in one call without the GIL.

    Returns None, or the frame, the row in it and the field that cannot be used; nothing is folded in then."""
    cdef list own = list(trackers)
    cdef Py_ssize_t frames = len(own), k
    cdef Py_buffer buffer
    cdef const detection_t *first
    cdef const char *field = NULL
    cdef int32_t row = -1
    get_rows(rows, &buffer)
    try:
        check_batch(own, t, sources, offsets, buffer.len)
        first = <const detection_t *>buffer.buf
        with nogil:
            for k in range(frames):
                row = fusion_check_strict(first + offsets[k], <int32_t>(offsets[k + 1] - offsets[k]), &field)
                if row >= 0:
                    break
        if row >= 0:
            return k, row, field.decode()
        fold_all(own, t, sources, first, offsets)
    finally:
        PyBuffer_Release(&buffer)


cdef int check_batch(list trackers, const int64_t[::1] t, const int32_t[::1] sources, const int64_t[::1] offsets, Py_ssize_t size) except -1:
    """Check that the arrays of a batch go together and that every index and time is in its range."""
    cdef Py_ssize_t frames = len(trackers), k, total = size // <Py_ssize_t>sizeof(detection_t)
    if t.shape[0] != frames or sources.shape[0] != frames or offsets.shape[0] != frames + 1:
        raise ValueError(f"t_ns, sources, offsets have {t.shape[0]}, {sources.shape[0]}, {offsets.shape[0]}: {frames} fusions need {frames}, {frames} "
                         f"and {frames + 1}. Give one of each frame, and where the last ends")
    if size % <Py_ssize_t>sizeof(detection_t):
        raise ValueError(f"rows of {size} bytes: must be detections of {sizeof(detection_t)} bytes")
    for k in range(frames + 1):
        if not 0 <= offsets[k] <= total:
            raise ValueError(f"offsets[{k}] = {offsets[k]}: must be within 0..{total}, the rows that there are. Give where each frame begins")
    for k in range(frames):
        if not isinstance(trackers[k], Tracker):
            raise TypeError(f"trackers[{k}] is {type(trackers[k]).__name__}: must be a Tracker")
        if not -MAX_TIME <= t[k] <= MAX_TIME:
            raise ValueError(f"t_ns[{k}] = {t[k]}: must be within {MAX_TIME} ns of the epoch. Leave the frame out")
        if not 0 <= sources[k] < SOURCES:
            raise ValueError(f"sources[{k}] = {sources[k]}: must be within 0..{SOURCES - 1}. Leave the frame out")
        if not 0 <= offsets[k + 1] - offsets[k] <= MAX_SCAN:
            raise ValueError(f"offsets[{k + 1}] = {offsets[k + 1]}, after {offsets[k]}: must not decrease, nor grow by more than {MAX_SCAN}. "
                             "Give where each frame begins, in order")
    return 0


cdef int fold_all(list trackers, const int64_t[::1] t, const int32_t[::1] sources, const detection_t *first, const int64_t[::1] offsets) except -1:
    """Fold checked frames in; every tracker is held meanwhile, taken in one order by all threads.

    The frames of one tracker follow one another, in their order: its tracks are then still in the cache."""
    cdef Py_ssize_t frames = len(trackers), k, n
    cdef size_t largest = 0, need
    cdef Tracker tracker
    cdef Aligned scratch
    addresses = np.empty(frames, np.uintp)
    cdef size_t[::1] address = addresses
    for k in range(frames):
        tracker = trackers[k]
        address[k] = <size_t>tracker.fusion
        need = fusion_scratch(tracker.capacity, <int32_t>(offsets[k + 1] - offsets[k]))
        largest = need if need > largest else largest
    scratch = borrow(largest)
    cdef const int64_t[::1] order = np.argsort(addresses, kind="stable")

    held = sorted(set(trackers), key=id)
    for one in held:
        (<Tracker>one).hold()
    with nogil:
        for n in range(frames):
            k = order[n]
            fusion_update_checked(<fusion_t *>address[k], t[k], sources[k], first + offsets[k], <int32_t>(offsets[k + 1] - offsets[k]), scratch.start)
    for one in held:
        (<Tracker>one).let_go()
    SCRATCH.append(scratch)
    return 0


def tracks_batch(list trackers, const int64_t[::1] t, dtype):
    """Return the confirmed tracks of trackers[k] at t[k], all in one array of `dtype` (items are track_row_t), and where those of each begin."""
    cdef Py_ssize_t count = len(trackers), k
    cdef int64_t room = 0, first = 0
    cdef int32_t written
    cdef Tracker tracker
    cdef Py_buffer buffer
    if t.shape[0] != count:
        raise ValueError(f"t has {t.shape[0]} times: {count} trackers need one each")
    if dtype.itemsize != sizeof(track_row_t):
        raise ValueError(f"dtype: must be of {sizeof(track_row_t)} bytes")
    for k in range(count):
        check_time(t[k])
        tracker = trackers[k]
        room += tracker.fusion.count

    bounds = np.zeros(count + 1, np.int64)
    cdef int64_t[::1] bound = bounds
    out = np.empty(room, dtype)
    PyObject_GetBuffer(out, &buffer, PyBUF_WRITABLE)
    for k in range(count):
        tracker = trackers[k]
        tracker.hold()
        written = -1
        if first + tracker.fusion.count <= room:
            with nogil:
                written = fusion_tracks(tracker.fusion, t[k], <track_row_t *>buffer.buf + first)
        tracker.let_go()
        if written < 0:
            break
        first += written
        bound[k + 1] = first
    PyBuffer_Release(&buffer)
    if written < 0 and count:  # another thread has added tracks meanwhile
        return tracks_batch(trackers, t, dtype)
    return out[:first], bounds


cdef tuple words(const fault_t *fault):
    return fault.row, fault.field.decode(), f"{fault.value:g}", fault.rule.decode(), fault.remedy.decode()


def decode_batch(list payloads, shifts=None):
    """Decode the objects of many messages: (rows as bytes, offsets, faults).

    faults[k] is None where every row of message k can be used; else (refused, unmeasured, [(row, field, value, rule, remedy)]): -1 refused
    where the whole message is, with its one fault; else how many rows are, with the first of their faults."""
    cdef Py_ssize_t messages = len(payloads), k
    cdef faults_t fault
    cdef int32_t decoded, i
    cdef const uint8_t *data
    cdef const double[:, ::1] shift = None
    if shifts is not None:
        shift = np.ascontiguousarray(shifts, np.float64)
        if shift.shape[0] != messages or shift.shape[1] != 2:
            raise ValueError(f"shifts is of shape ({shift.shape[0]}, {shift.shape[1]}): must be ({messages}, 2), metres east and north for each message")
    for payload in payloads:
        if type(payload) is not bytes:
            raise TypeError(f"a payload is {type(payload).__name__}: must be bytes")

    cdef double dx = 0.0, dy = 0.0
    offsets = np.empty(messages + 1, np.int64)
    cdef int64_t[::1] offset = offsets
    faults = [None] * messages
    cdef int64_t total = 0
    for k in range(messages):
        decoded = objects_count(<const uint8_t *>PyBytes_AS_STRING(payloads[k]), PyBytes_GET_SIZE(payloads[k]), &fault)
        total += decoded if decoded > 0 else 0

    rows = np.empty(total * sizeof(detection_t), np.uint8)
    cdef uint8_t[::1] view = rows
    offset[0] = 0
    for k in range(messages):
        if shift is not None:
            dx, dy = shift[k, 0], shift[k, 1]
        data = <const uint8_t *>PyBytes_AS_STRING(payloads[k])
        decoded = objects_decode(data, PyBytes_GET_SIZE(payloads[k]), dx, dy, <detection_t *>&view[0] + offset[k] if total else NULL, &fault)
        if decoded < 0:
            faults[k] = (-1, 0, [words(&fault.first[0])])
            decoded = 0
        elif fault.refused or fault.unmeasured:
            faults[k] = (fault.refused, fault.unmeasured, [words(&fault.first[i]) for i in range(min(fault.refused, 8))])
        offset[k + 1] = offset[k] + decoded
    return rows if offset[messages] == total else rows[:offset[messages] * sizeof(detection_t)], offsets, faults
