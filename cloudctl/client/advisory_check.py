"""Whether a vehicle may act on an advisory that came: whom it is for, how long it is valid, when and by which run of
the node it was made.
"""

from typing import NamedTuple

from ..clock import SECOND
from ..schema import Advisory
from ..topics import MqttTopics
from .reconnecting import ClockWatch

MAX_VALIDITY = 60 * SECOND  # no kind is valid for more than 10 s; what claims more is none of the node's
MAX_AHEAD = SECOND  # that an advisory may seem to be made later than its arrival, beside the clocks' usual difference
SESSION_TIMEOUT = 60 * SECOND  # a run of the node that was silent for so long may be followed by one of an earlier time
MAX_SESSIONS = 1024  # intersections whose run is remembered


class Session(NamedTuple):
    """The run of a node that an intersection's advisories come from."""

    run: str
    newest: int  # ns; the newest `t` of it
    came: int  # ns; when its last advisory came
    epoch: int  # of the node's ownership; 0 where it has none


class AdvisoryCheck:
    """Judges what comes for one vehicle. Times are ns by the vehicle's clock."""

    def __init__(self, vehicle: str, clock_watch: ClockWatch) -> None:
        self._target = f"vehicle:{vehicle}"
        self._own_topic = MqttTopics.vehicle(vehicle, "advisories")
        self._clock_watch = clock_watch
        self._sessions: dict[str, Session] = {}  # by intersection, the longest silent first

    def fault(self, topic: str, advisory: Advisory, now: int) -> str | None:
        """Return why an advisory must not be acted on, None where it may be."""
        return (
            self._wrong_target(topic, advisory)
            or _wrong_validity(advisory)
            or self._wrong_time(advisory, now)
            or self._wrong_session(advisory, now)
        )

    def _wrong_target(self, topic: str, advisory: Advisory) -> str | None:
        if topic == self._own_topic:
            return None if advisory.target == self._target else f"its target is {advisory.target!r}, not this vehicle"
        if topic != MqttTopics.intersection(advisory.intersection):
            return f"it is of intersection {advisory.intersection!r}, and came as another's"
        if advisory.target.startswith("vehicle:") and advisory.target != self._target:
            return f"its target is {advisory.target!r}, not this vehicle"
        return None

    def _wrong_time(self, advisory: Advisory, now: int) -> str | None:
        """Compare when it was made with how earlier ones came: a forged time stands out, a clock that is off does
        not.
        """
        usual = self._clock_watch.usual_offset()
        if usual is None:
            return None
        ahead = usual - (now - advisory.t)
        if ahead <= MAX_AHEAD:
            return None
        return f"it was made {ahead / SECOND:.1f} s later than it came, by the clocks of all before it"

    def _wrong_session(self, advisory: Advisory, now: int) -> str | None:
        """Of two owners of an intersection, the later one counts, and of two runs of a node, the later one: what an
        earlier one said, or another node says, is not mixed with it.
        """
        intersection, _, run = advisory.id.rpartition("-")[0].rpartition("-")
        if intersection != advisory.intersection:
            return None  # an id of another form names no run
        known = self._sessions.pop(advisory.intersection, None)
        if known is not None and now - known.came < SESSION_TIMEOUT:
            fault = _not_the_present_one(advisory, run, known)
            if fault is not None:
                self._sessions[advisory.intersection] = known
                return fault

        newest = advisory.t if known is None or known.run != run else max(advisory.t, known.newest)
        self._sessions[advisory.intersection] = Session(run, newest, now, advisory.epoch)
        if len(self._sessions) > MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return None


def _not_the_present_one(advisory: Advisory, run: str, known: Session) -> str | None:
    """Return why an advisory is not of the present owner of its intersection, or not of the owner's present run."""
    if advisory.epoch and known.epoch and advisory.epoch != known.epoch:
        if advisory.epoch > known.epoch:
            return None  # another node owns the intersection now: its clock may be behind that of the one before
        return (
            f"it is of a node that owned the intersection before (epoch {advisory.epoch}), and another owns it now "
            f"(epoch {known.epoch})"
        )
    if run != known.run and advisory.t <= known.newest:
        return f"it is of run {run!r} of the node, and {known.run!r} is the present one"
    return None


def _wrong_validity(advisory: Advisory) -> str | None:
    length = advisory.valid_until - advisory.t
    if 0 < length <= MAX_VALIDITY:
        return None
    longest = MAX_VALIDITY / SECOND
    return f"it is valid for {length / SECOND:.1f} s, and must be for more than 0 and at most {longest:.0f} s"
