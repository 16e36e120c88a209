# Perception frames that go on from the one before: most of what a node receives.


def frame_identity(body):
    """Return the bytes of a frame that name its version, unit and sensor; None where it is not written the usual way."""
    cdef header_t header
    if type(body) is not bytes:
        return None
    if not header_read(<const uint8_t *>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), &header):
        return None
    return body[:header.identity]


def next_frame(body, sender, dict routes, int64_t t_rx, int64_t max_age, int64_t max_future):
    """Accept a frame that goes on from its source's last: (event time, number, route, shift, objects), and count its source on.

    `routes`: by sender and `frame_identity`, with `gateway.offset`, `source.seq`, `source.origin` and `source.shift`. None, and nothing is changed, where the
    frame is another: it is written in another way, its number is not the next, its origin is new, or its age (ns) is out of bounds."""
    cdef header_t header
    cdef const char *data
    cdef previous_t previous
    cdef int64_t event
    if type(body) is not bytes:
        return None
    data = PyBytes_AS_STRING(body)
    if not header_read(<const uint8_t *>data, PyBytes_GET_SIZE(body), &header):
        return None
    route = routes.get((sender, PyBytes_FromStringAndSize(data, header.identity)))
    if route is None:
        return None

    source = route.source
    if source.origin is None:
        return None
    previous.lat, previous.lon = source.origin
    try:
        previous.offset, previous.seq = route.gateway.offset, source.seq
    except OverflowError:
        return None
    if not header_goes_on(&header, &previous, t_rx, max_age, max_future, &event):
        return None

    source.seq = header.seq
    return event, header.seq, route, source.shift, PyBytes_FromStringAndSize(data + header.objects, header.behind - header.objects)
