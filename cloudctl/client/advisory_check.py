"""Whether a vehicle may act on an advisory that came: its target, how long it is valid, when and by which run of
the node it was made.
"""

from typing import TYPE_CHECKING, NamedTuple

from ..clock import SECOND
from ..schema import Advisory
from ..topics import MqttTopics
from .reconnecting import ClockWatch

if TYPE_CHECKING:
    from ..io.signatures import Verifier

# No kind is valid for more than 10 s; what claims more is none of the node's
MAX_VALIDITY = 60 * SECOND
# That an advisory may seem to be made later than its arrival, beside the clocks' usual difference
MAX_AHEAD = SECOND
# A run of the node that was silent for so long may be followed by one of an earlier time
SESSION_TIMEOUT = 60 * SECOND
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
            if advisory.target == self._target:
                return None
            return f"its target is {advisory.target!r}, not this vehicle"

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
        earlier one advised, or another node advises, is not mixed with it.
        """
        intersection, _, run = advisory.id.rpartition("-")[0].rpartition("-")
        if intersection != advisory.intersection:
            return None  # an id of another form names no run

        session = self._sessions.pop(advisory.intersection, None)
        if session is not None and now - session.came < SESSION_TIMEOUT:
            fault = _not_the_present_one(advisory, run, session)
            if fault is not None:
                self._sessions[advisory.intersection] = session
                return fault

        newest = advisory.t if session is None or session.run != run else max(advisory.t, session.newest)
        self._sessions[advisory.intersection] = Session(run=run, newest=newest, came=now, epoch=advisory.epoch)
        if len(self._sessions) > MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return None


def _not_the_present_one(advisory: Advisory, run: str, session: Session) -> str | None:
    """Return why an advisory is not of the present owner of its intersection, or not of the owner's present run."""
    if advisory.epoch and session.epoch and advisory.epoch != session.epoch:
        if advisory.epoch > session.epoch:
            # Another node owns the intersection now: its clock may be behind that of the one before
            return None

        return (
            f"it is of a node that owned the intersection before (epoch {advisory.epoch}), and another owns it now "
            f"(epoch {session.epoch})"
        )

    if run != session.run and advisory.t <= session.newest:
        return f"it is of run {run!r} of the node, and {session.run!r} is the present one"

    return None


def _wrong_validity(advisory: Advisory) -> str | None:
    length = advisory.valid_until - advisory.t
    if 0 < length <= MAX_VALIDITY:
        return None
    longest = MAX_VALIDITY / SECOND
    return f"it is valid for {length / SECOND:.1f} s, and must be for more than 0 and at most {longest:.0f} s"


def verifier_of(public_key: str | None) -> "Verifier | None":
    """Return what verifies signatures by a public key (base64), None for None. Raises SignatureError."""
    if public_key is None:
        return None

    # A vehicle that verifies nothing needs no cryptography
    from ..io.signatures import Verifier

    return Verifier(public_key)
