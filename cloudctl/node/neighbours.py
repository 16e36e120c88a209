"""What the engine asks of intersections that other nodes serve: their digital codes, from this node's own, and their
signals, from the broker, as inputs of the engine."""

from collections.abc import Callable

import msgspec

from .. import codes
from ..codes import IntersectionCode
from ..engine import Engine
from ..io.egress import Egress
from ..metrics import Metrics
from ..ownership_messages import Neighbour
from ..schema import RawMessage
from ..topics import OPERATOR
from .operator_inputs import operator_input

MAX_ADDITIONS = 4  # in one step: compiling a code takes some 6 ms, in which frames wait
MAX_WAITING = 10  # signal messages of one neighbour that wait for a step; the oldest are dropped


def neighbour_of(raw: RawMessage) -> tuple[bytes, str]:
    """Return the code that an input of this node's own gives the engine, as it is to be recorded (nothing: it takes one
    back), and the intersection."""
    body = msgspec.json.decode(raw.body, type=Neighbour)
    return (raw.body if body.codes else b""), body.intersection


class NeighbourFeed:
    """Between the broker and the engine. `code_of(intersection, t)` returns the revision of a digital code that is in
    force, None where there is none."""

    def __init__(
        self, engine: Engine, egress: Egress, code_of: Callable[[str, int], IntersectionCode | None], metrics: Metrics
    ) -> None:
        self._engine, self._egress, self._code_of, self._metrics = engine, egress, code_of, metrics
        self._given: dict[str, IntersectionCode] = {}  # what the engine has
        self._signals: dict[str, list[bytes]] = {}  # by intersection, what waits for a step
        egress.neighbours.on_signals = self.put

    def put(self, intersection: str, payload: bytes) -> None:
        """Keep a signal message of a neighbour for the next step."""
        if intersection not in self._given:
            return

        waiting = self._signals.setdefault(intersection, [])
        waiting.append(payload)
        if len(waiting) > MAX_WAITING:
            del waiting[0]
            self._metrics.count("drop.neighbour_signals", intersection)

    def look(self, t: int) -> list[RawMessage]:
        """Return the codes that the engine is to have, and no longer, at `t` ns; ask the broker for the signals."""
        self._engine.neighbours.is_asked_anew = False
        wanted = dict.fromkeys(
            name for name in self._engine.neighbours.wanted(t) if name not in self._engine.intersections
        )
        inputs = [operator_input("neighbour", Neighbour(name)) for name in self._given if name not in wanted]
        self._given = {name: code for name, code in self._given.items() if name in wanted}

        additions = 0

        for name in wanted:
            code = self._code_of(name, t)
            if code is None or self._given.get(name) is code or additions >= MAX_ADDITIONS:
                continue
            additions += 1
            self._given[name] = code
            inputs.append(operator_input("neighbour", Neighbour(name, (msgspec.Raw(codes.dump(code)),))))

        self._egress.neighbours.follow(self._given)
        return inputs

    def take(self) -> list[RawMessage]:
        """Return the signal messages that wait, of each neighbour the oldest first; none wait then."""
        if not self._signals:
            return []
        waiting, self._signals = self._signals, {}
        return [
            RawMessage("neighbour_signals", OPERATOR, payload) for payloads in waiting.values() for payload in payloads
        ]
