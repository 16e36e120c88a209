"""The next signal of a vehicle where another node serves it: the neighbour's digital code, and the signals that its
node publishes, are inputs of this engine, recorded like every other.

What a vehicle here declares to come next is asked for (`wanted`), and nothing else: the driver gives the code of each
intersection asked for, then its signal messages, and takes the code back when nobody asks any more. The signals are
trusted by the rules of the intersections served here: their age, what is promised and broken, the revision. How many
vehicles wait there is not known.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec
import numpy as np

from . import downstream
from .clock import SECOND
from .codes import CompiledCode, compile_code, loads
from .codes.citycode import CityCodeError, make, parse_code
from .downstream import DownstreamLink
from .faults import Faults
from .fusion import TRACK
from .ingest.rejections import MAX_FUTURE
from .ingest.signal_groups import usable_groups
from .intersection import IntersectionState
from .metrics import Metrics
from .ownership_messages import Neighbour
from .schema import RawMessage, Signal, Signals
from .signals.states import MAX_AGE
from .snapshots import build_all
from .topics import NEIGHBOUR_KINDS
from .world import Moment, NextSignal, Report

MAX_NEIGHBOURS = 1000  # asked for at once, of some 0.5 MiB each; a vehicle can name any city code
KEEP = 30 * SECOND  # after a vehicle last came towards a neighbour; then its signals are no longer asked for
MAX_NAMES = 10_000  # of movements whose intersection is remembered


class NextSignalElsewhere(NextSignal):
    """A signal that another node serves: nothing is known of the queue before it, and none is allowed for."""

    __slots__ = ()

    @property
    def is_queue_known(self) -> bool:
        """Return False."""
        return False


@dataclass(eq=False)
class _Known:
    """A neighbour, and where the exit lanes of intersections here lead to it: by intersection, for one code of it."""

    place: IntersectionState
    links: dict[str, tuple[CompiledCode, dict[int, DownstreamLink]]] = field(default_factory=dict)

    def links_from(self, intersection: IntersectionState) -> dict[int, DownstreamLink]:
        name = intersection.code.code.id
        known = self.links.get(name)
        if known is None or known[0] is not intersection.code:
            links = downstream.exit_links(intersection, [self.place])
            known = self.links[name] = (intersection.code, links)
        return known[1]


class Neighbours:
    """The intersections of other nodes that vehicles here come to next. `make(code)` makes the state of one;
    `intersections`: those served here."""

    def __init__(
        self,
        make: Callable[[CompiledCode], IntersectionState],
        intersections: Mapping[str, IntersectionState],
        metrics: Metrics,
        faults: Faults,
    ) -> None:
        self.is_asked_anew = False  # a neighbour is wanted that was not; the driver sets it back
        self._make, self._intersections = make, intersections
        self._metrics, self._faults = metrics, faults
        self._known: dict[str, _Known] = {}
        self._asked: dict[str, int] = {}  # ns: when a vehicle last came towards each
        self._decode = msgspec.json.Decoder(Signals).decode

    def wanted(self, t: int) -> list[str]:
        """Return the intersections of other nodes that vehicles here come to next at `t` ns, in the order in which they
        were first asked for; one that nobody has asked for within KEEP is forgotten."""
        self._asked = {name: asked for name, asked in self._asked.items() if 0 <= t - asked <= KEEP}
        return list(self._asked)

    # --- inputs ---

    def take(self, t: int, inputs: Sequence[RawMessage]) -> list[RawMessage]:
        """Take in, at `t` ns, what is of neighbours among an operator's inputs; return the others."""
        others = []
        for raw in inputs:
            if raw.kind not in NEIGHBOUR_KINDS:
                others.append(raw)
                continue

            try:
                self._take_code(raw) if raw.kind == "neighbour" else self._take_signals(t, raw)
            except (ValueError, msgspec.MsgspecError, RecursionError):
                self._metrics.count(f"reject.{raw.kind}")
            except Exception as error:
                self._faults.note("neighbour", raw.kind, error)

        return others

    def restart(self) -> None:
        """Forget every signal: time went back."""
        for known in self._known.values():
            known.place.restart(self._make(known.place.code))
        self._asked.clear()

    def _take_code(self, raw: RawMessage) -> None:
        body = msgspec.json.decode(raw.body, type=Neighbour)
        if not body.codes:
            self._known.pop(body.intersection, None)
            return

        if len(self._known) >= MAX_NEIGHBOURS and body.intersection not in self._known:
            self._metrics.count("drop.neighbour")
            return

        code = compile_code(loads(bytes(body.codes[0])))
        self._known[body.intersection] = _Known(self._make(code))

    def _take_signals(self, t: int, raw: RawMessage) -> None:
        signals = self._decode(raw.body)
        known = self._known.get(signals.intersection)
        if known is None:
            return  # it was asked for before, and is not any more

        place = known.place
        if not max(place.signals.t, t - MAX_AGE) < signals.t <= t + MAX_FUTURE:
            self._metrics.count("neighbour.late", signals.intersection)
            return

        body = Signal(
            version=signals.version,
            rsu="",
            intersection=signals.intersection,
            revision=signals.revision,
            seq=signals.seq,
            t=signals.t,
            groups=usable_groups(signals.groups).groups,
            lanes=signals.lanes,
        )
        place.quality.observe(t, body.t, body.revision, body.groups)
        place.take(body.t, body, 0, body.groups)

    # --- what is known ---

    def next_signal(
        self, t: int, intersection: IntersectionState, report: Report, lanes: dict[int, DownstreamLink]
    ) -> NextSignal | None:
        """Return the signal that a vehicle comes to after this one, here or at a neighbour, as
        `downstream.next_signal` does. `lanes`: the links to intersections served here."""
        name = self._comes_to(intersection, report)
        if name is None:
            return downstream.next_signal(t, intersection, report, lanes)

        self._ask(t, name)
        known = self._known.get(name)
        lane = int(intersection.code.conn_to[report.connection])
        link = None if known is None else known.links_from(intersection).get(lane)
        here = lanes.get(lane)

        if known is None or link is None or (here is not None and here.distance <= link.distance):
            return downstream.next_signal(t, intersection, report, lanes)

        _renew(t, known.place)
        coming = downstream.next_signal(t, intersection, report, {lane: link})
        return None if coming is None else NextSignalElsewhere(*coming)

    def _comes_to(self, intersection: IntersectionState, report: Report) -> str | None:
        """Return the intersection of another node that a vehicle declares to come next; None where it is one of this
        node's, or not known."""
        for movement in (report.state.movements or ())[1:]:
            name = _intersection_of(movement)
            if name is not None and name != intersection.code.code.id:
                return None if name in self._intersections else name
        return None

    def _ask(self, t: int, name: str) -> None:
        if name not in self._asked:
            if len(self._asked) >= MAX_NEIGHBOURS:
                self._metrics.count("drop.neighbour")
                return
            self.is_asked_anew = True
        self._asked[name] = t


def _renew(t: int, place: IntersectionState) -> None:
    """Make the snapshot of a neighbour at `t` ns, while its messages come: signals alone, without road users."""
    if place.latest is not None and place.latest.t == t:
        return
    if t - place.signals.t > MAX_AGE:
        return  # the snapshot there is grows old, and with it what it says

    moment = Moment(
        t=t,
        code=place.code,
        signals=place.signals,
        hazards=(),
        reports={},
        t_sensor=0,
        t_rx=0,
        rules=place.code.rule_table,
        signal_trouble=place.quality.trouble(t),
        doubts=place.doubts(t),
        doubt_reason=place.quality.doubt_reason(t),
    )
    place.latest = build_all([moment], np.zeros(0, TRACK), np.zeros(2, np.int64))[0]


@lru_cache(MAX_NAMES)
def _intersection_of(movement: str) -> str | None:
    """Return the intersection of a movement that is given as a whole city code; None for any other name."""
    try:
        return make(*parse_code(movement)._replace(sub=""))
    except CityCodeError:
        return None
