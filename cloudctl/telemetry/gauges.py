"""What of a node goes up and down: connections, tracks, queues, recording, the age of what each peer sent last.

Read when they are asked for, and not before. `By.TOTAL` has one value each; the other groupings have one per
intersection, gateway and sensor.
"""

from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass

from .. import __version__
from ..clock import SECOND, Clock
from ..engine import Engine
from ..intersection import IntersectionState
from ..io.egress import Egress
from ..io.recording.reader import Recorder
from ..metrics import Histogram, Metrics
from ..vehicles import MAX_SILENCE
from .exposition import Gauge, Labels, Latency, Sample
from .families import By
from .process import process_gauges
from .pulse import Pulse
from .timing import HOPS, PREFIX

# Of a gateway that counts as connected: its clock is compared more often than that
GATEWAY_SILENCE = 10 * SECOND
QUIET = 3 * SECOND  # of an intersection; its tracks are not counted then
SLICE = 50  # intersections whose sensors are looked at in one go
STAGES = ("decoded", "fused", "planned", "published", "shown")


@dataclass(frozen=True, kw_only=True)
class Watched:
    """The parts of a node that are looked at."""

    engine: Engine
    clock: Clock
    egress: Egress
    recorder: Recorder | None
    inbox: Sized
    contacts: Mapping[str, int]  # by gateway: when its last message came, ns
    viewers: Sized  # open live pages
    refused_connections: Callable[[], int]
    pulse: Pulse


def gauges_of(node: Watched, by: By) -> Iterator[Gauge | None]:
    """Yield every gauge of a node, and None where others may have their turn. Samples are made as they are read."""
    time_ns = node.clock.now()
    yield Gauge(
        name="cloudctl_build_info",
        help="The version that runs.",
        samples=[Sample((("version", __version__),), value=1)],
    )

    yield _one("cloudctl_loop_age_seconds", "Time since the event loop last did its rounds.", node.pulse.age)
    yield from _connections(time_ns, node, by)
    yield from _intersections(time_ns, node, by)
    yield from _queues(node)
    yield from _recording(node.recorder)

    if by is not By.TOTAL:
        yield from _sensors(time_ns, node.engine)

    uncovered = node.engine.metrics.counted("calendar.uncovered")
    yield _one("cloudctl_calendar_uncovered", "1 where the calendar says nothing of today.", uncovered)
    yield from process_gauges()


def latencies_of(metrics: Metrics) -> list[Latency]:
    """Return the histograms of a node; none of a hop or stage that was never passed."""
    histograms = metrics.histograms

    def of(label: str, names: tuple[str, ...], prefix: str = "") -> list[tuple[Labels, Histogram]]:
        return [(((label, name),), histograms[prefix + name]) for name in names if prefix + name in histograms]

    return [
        Latency("cloudctl_stage_duration_seconds", "How long each stage of a step took.", of("stage", STAGES)),
        Latency(
            "cloudctl_hop_duration_seconds",
            "How old the newest datum of an advisory was on its way, by the clocks of both ends.",
            of("hop", HOPS, PREFIX),
        ),
        Latency(
            "cloudctl_step_duration_seconds",
            "How long the event loop was busy with one step.",
            [((), histograms["step"])] if "step" in histograms else [],
        ),
        Latency(
            "cloudctl_loop_delay_seconds",
            "How much later than asked for the event loop came round.",
            [((), histograms["loop_delay"])] if "loop_delay" in histograms else [],
        ),
    ]


def _one(name: str, text: str, value: float, counts: bool = False) -> Gauge:
    return Gauge(name=name, help=text, samples=[Sample((), value)], counts=counts)


def _connections(time_ns: int, node: Watched, by: By) -> Iterator[Gauge]:
    ages = {name: (time_ns - last) / SECOND for name, last in node.contacts.items()}
    connected = sum(age <= GATEWAY_SILENCE / SECOND for age in ages.values())
    yield _one("cloudctl_gateways_connected", "Gateways that sent something in the last 10 s.", connected)
    yield _one("cloudctl_gateways_configured", "Gateways that may connect.", len(node.engine.config.gateways))

    if by is not By.TOTAL:
        rows = (Sample((("gateway", name),), age) for name, age in sorted(ages.items()))
        yield Gauge(name="cloudctl_gateway_silence_seconds", help="Time since a gateway's last message.", samples=rows)

    text = f"Vehicles that reported in the last {MAX_SILENCE // SECOND} s."
    yield _one("cloudctl_vehicles_connected", text, node.engine.vehicle_registry.count(time_ns))
    yield _one("cloudctl_broker_connected", "1 while there is a connection to the broker.", node.egress.is_connected)
    yield _one("cloudctl_viewers", "Open live pages.", len(node.viewers))
    refused = node.refused_connections()
    yield _one("cloudctl_http_refused_connections", "HTTP connections beyond the limits.", refused, counts=True)


def _intersections(time_ns: int, node: Watched, by: By) -> Iterator[Gauge]:
    places = list(node.engine.intersections.values())
    in_force = sum(intersection.in_force for intersection in places)
    yield _one("cloudctl_intersections", "Intersections of the node.", len(places))
    yield _one("cloudctl_intersections_in_force", "Intersections with a revision of their code in force.", in_force)
    planned = sum(_is_alive(time_ns, intersection) for intersection in places)
    yield _one("cloudctl_intersections_alive", "Intersections that got data in the last 3 s.", planned)

    text = "Road users that are tracked."

    # Ages have no total: the oldest of a city is that of the intersection that is down
    if by is By.TOTAL:
        yield _one("cloudctl_tracks", text, sum(_tracks(time_ns, intersection) for intersection in places))
        return

    yield Gauge(
        name="cloudctl_tracks",
        help=text,
        samples=(Sample(_at(intersection), _tracks(time_ns, intersection)) for intersection in places),
    )

    yield Gauge(
        name="cloudctl_perception_age_seconds",
        help="Age of the newest perception that was planned with.",
        samples=(
            Sample(_at(intersection), (time_ns - intersection.latest.t_sensor) / SECOND)
            for intersection in places
            if intersection.latest is not None and intersection.latest.t_sensor
        ),
    )

    yield Gauge(
        name="cloudctl_signal_age_seconds",
        help="Age of the newest signal states that were planned with.",
        samples=(
            Sample(_at(intersection), (time_ns - intersection.latest.signals.t) / SECOND)
            for intersection in places
            if intersection.latest is not None and intersection.latest.signals.t
        ),
    )


def _queues(node: Watched) -> Iterator[Gauge]:
    lengths = (
        ("inbox", len(node.inbox)),
        ("held_advisories", node.egress.held),
        ("plans", node.engine.scheduler.waiting),
    )

    rows = [Sample((("queue", name),), length) for name, length in lengths]

    yield Gauge(
        name="cloudctl_queue_length",
        help="What waits: vehicles' messages, advisories kept, plans to come.",
        samples=rows,
    )

    yield _one("cloudctl_egress_waiting_bytes", "Bytes that wait in the broker's socket.", node.egress.waiting())


def _recording(recorder: Recorder | None) -> Iterator[Gauge]:
    waiting = recorder.waiting_bytes if recorder else 0
    failing = bool(recorder and recorder.failure)
    yield _one("cloudctl_recording_enabled", "1 where the node records.", recorder is not None)
    yield _one("cloudctl_recording_failing", "1 while nothing can be written.", failing)
    yield _one("cloudctl_recording_waiting_bytes", "Bytes that wait for room on the disk.", waiting)


def _sensors(time_ns: int, engine: Engine) -> Iterator[Gauge | None]:
    """Yield rate, age and state of every sensor."""
    rows: list[tuple[Labels, dict[str, object]]] = []
    for number, intersection in enumerate(list(engine.intersections.values())):
        if number % SLICE == SLICE - 1:
            yield None
        for name, row in intersection.sensing.table().items():
            rsu, _, sensor = name.partition("/")
            rows.append(((*_at(intersection), ("rsu", rsu), ("sensor", sensor)), row))

    def known(field: str) -> Iterator[Sample]:
        for labels, row in rows:
            value = row[field]
            if isinstance(value, int | float):
                yield Sample(labels, float(value))

    silences = (
        Sample(labels, (time_ns - newest) / SECOND)
        for labels, row in rows
        if isinstance(newest := row["newest_frame"], int)
    )

    yield Gauge(name="cloudctl_sensor_rate_hertz", help="Frames that a sensor delivers.", samples=known("hz"))
    yield Gauge(
        name="cloudctl_sensor_age_seconds", help="How old a sensor's frames are when they come.", samples=known("age_s")
    )
    yield Gauge(
        name="cloudctl_sensor_silence_seconds", help="Time since a sensor's last frame was true.", samples=silences
    )
    troubled = (Sample(labels, float(row["trouble"] is not None)) for labels, row in rows)
    yield Gauge(name="cloudctl_sensor_troubled", help="1 while something is wrong with a sensor.", samples=troubled)


def _at(intersection: IntersectionState) -> Labels:
    return (("intersection", intersection.code.code.id),)


def _is_alive(time_ns: int, intersection: IntersectionState) -> bool:
    return bool(intersection.last_input) and time_ns - intersection.last_input <= QUIET


def _tracks(time_ns: int, intersection: IntersectionState) -> int:
    if intersection.latest is not None and _is_alive(time_ns, intersection):
        return len(intersection.latest.tracks)
    return 0
