# Perception frames that go on from the one before: most of what a node receives.


def frame_identity(body):
    """Return the bytes of a frame that name its version, unit and sensor; None where it is not written the usual way."""
    cdef header_t header
    if type(body) is not bytes:
        return None
    if not header_read(<const uint8_t *>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), &header):
        return None
    return body[:header.identity]


def next_frames(messages, Py_ssize_t begin, dict routes, make, list accepted, int64_t t_rx, int64_t max_age, int64_t max_future, Py_ssize_t max_size):
    """Accept the frames messages[begin:] = [(kind, sender, body), ...] as long as each goes on from its source's last, and count its source on; return the
    index of the first message that does not, which is left as it is.

    `accepted` gets `make(event time, number, route, shift, objects, message)` of each. `routes`: by sender and `frame_identity`, with `gateway.offset`,
    `source.seq`, `source.origin` and `source.shift`. A frame is another where it is written in another way, its number is not the next, its origin is new,
    its age (ns) or size (bytes) is out of bounds, or a fault occurs."""
    cdef header_t header
    cdef const char *data
    cdef previous_t previous
    cdef int64_t event
    cdef Py_ssize_t k
    for k in range(begin, len(messages)):
        try:
            message = messages[k]
            kind, sender, body = message
            if kind != "perception" or type(body) is not bytes or PyBytes_GET_SIZE(body) > max_size:
                return k
            data = PyBytes_AS_STRING(body)
            if not header_read(<const uint8_t *>data, PyBytes_GET_SIZE(body), &header):
                return k
            route = routes.get((sender, PyBytes_FromStringAndSize(data, header.identity)))
            if route is None:
                return k

            source = route.source
            if source.origin is None:
                return k
            previous.lat, previous.lon = source.origin
            previous.offset, previous.seq = route.gateway.offset, source.seq
            if not header_goes_on(&header, &previous, t_rx, max_age, max_future, &event):
                return k

            objects = PyBytes_FromStringAndSize(data + header.objects, header.behind - header.objects)
            accepted.append(make(event, header.seq, route, source.shift, objects, message))
            source.seq = header.seq
        except Exception:  # it is met again where one message is read in full, and stands alone
            return k
    return len(messages)
