"""A node's share of the intersections: what its engine serves follows what the node owns, and messages of anything else
are answered with the node that owns it.

An intersection is given to the engine, or taken from it, as an input of a step, before the messages of that step:
what a node does not own, its engine never gets."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from ..city.ownership import Owner, Ownership
from ..codes import CompiledCode, IntersectionCode
from ..codes.versions import Versions
from ..intersection import IntersectionState
from ..metrics import Metrics
from ..output import Answer
from ..ownership_messages import Moved
from ..schema import VERSION, Advisory, RawMessage
from ..tiles import tiles_of
from ..validation import UNDECODABLE
from .operator_inputs import add_input, drop_input

# intersections given to the engine in one step: compiling a code takes some 6 ms, in which frames of others wait
MAX_ADDITIONS = 4
Gateways = Mapping[str, Mapping[str, str]]  # gateway -> roadside unit -> intersection


class _PerceptionHead(Struct, frozen=True, rename={"rsu": "r", "sensor": "s", "seq": "q"}):
    rsu: str
    sensor: str
    seq: int


class _SignalHead(Struct, frozen=True, rename={"rsu": "r", "seq": "q"}):
    rsu: str
    seq: int
    sensor: str = ""


class _OtherHead(Struct, frozen=True, rename={"rsu": "r"}):
    rsu: str
    seq: int | None = None
    sensor: str = ""


_Head = _PerceptionHead | _SignalHead | _OtherHead
_HEADS: Mapping[str, Callable[[bytes], _Head]] = {
    "perception": msgspec.msgpack.Decoder(_PerceptionHead).decode,
    "signal": msgspec.msgpack.Decoder(_SignalHead).decode,
    "hazard": msgspec.msgpack.Decoder(_OtherHead).decode,
    "health": msgspec.msgpack.Decoder(_OtherHead).decode,
}


class Share:
    """Between a node's sockets and its engine. `valid_advisories(intersection)` returns what the owner before this node
    has sent and is still valid."""

    def __init__(
        self,
        ownership: Ownership,
        codes: Iterable[IntersectionCode],
        metrics: Metrics,
        valid_advisories: Callable[[str], Sequence[Advisory]] = lambda _: (),
    ) -> None:
        self.ownership = ownership
        self._metrics = metrics
        self._valid_advisories = valid_advisories
        self._revisions: dict[str, list[IntersectionCode]] = {}
        self._serving: dict[str, int | None] = {}  # epoch of what the engine serves; None: as a guest
        self._unusable: set[str] = set()  # intersections that the engine refused
        self._gateways: Gateways = {}
        self._whole: frozenset[str] = frozenset()  # gateways all of whose intersections are served here
        self._tiles: dict[str, tuple[CompiledCode, tuple[str, ...]]] = {}  # by intersection
        self._announced: dict[str, str] = {}  # by intersection: the node that its gateways were told of

        for code in codes:
            self.know(code)

    def know(self, code: IntersectionCode) -> None:
        """Take in a digital code, of an intersection that may be served here or elsewhere."""
        revisions = self._revisions.setdefault(code.id, [])
        self.ownership.know(code.id)
        revisions[:] = [other for other in revisions if other.revision != code.revision] + [code]
        self._unusable.discard(code.id)

    def forget(self, intersection: str) -> None:
        """Forget an intersection that is gone."""
        self.ownership.forget(intersection)
        self._revisions.pop(intersection, None)

    @property
    def intersections(self) -> list[str]:
        """Return every intersection of which the node has a digital code, sorted."""
        return sorted(self._revisions)

    def in_force(self, intersection: str, t: int) -> IntersectionCode | None:
        """Return the revision of an intersection's code that is in force at `t` ns, whichever node serves it; None
        where none is known."""
        versions = Versions()
        for code in self._revisions.get(intersection, ()):
            versions.add(code)
        return versions.current(intersection, t)

    def begin(self, gateways: Gateways) -> list[IntersectionCode]:
        """Return the codes that the engine begins with: of what is owned from the start, where nobody else could own
        it before."""
        self._gateways = gateways
        owned = {name: epoch for name, epoch in self.ownership.owned().items() if name in self._revisions}
        self._serving = dict(owned)
        self._look_through()
        return [code for name in owned for code in self._revisions[name]]

    def rebind(self, gateways: Gateways) -> None:
        """Take in which intersections the roadside units of gateways are at."""
        self._gateways = gateways
        self._look_through()

    # --- what the engine serves ---

    def inputs(self) -> list[RawMessage]:
        """Return the engine's inputs by which it serves what the node owns: all that it must let go of, and of what it
        is to take up as much as a step may take."""
        if not self.ownership.is_shared:
            return []

        owned = self.ownership.owned()
        guests = self.ownership.guests()
        inputs = [drop_input(name) for name in self._serving if name not in owned and name not in guests]

        for name, epoch in owned.items():
            if self._serving.get(name) != epoch or name not in self._serving:
                if name in self._serving and self._serving[name] is not None:
                    inputs.append(drop_input(name))  # lost, and owned again: another epoch
                inputs += self._addition(name, epoch, len(inputs))

        for name in sorted(guests):
            if name not in owned and name not in self._serving:
                inputs += self._addition(name, None, len(inputs))

        return inputs

    @property
    def is_behind(self) -> bool:
        """Return whether the engine does not serve all that the node owns yet."""
        if not self.ownership.is_shared:
            return False
        owned = self.ownership.owned()
        return any(name in self._revisions and self._serving.get(name) != epoch for name, epoch in owned.items())

    def note(self, answers: Iterable[Answer]) -> bool:
        """Take in what the engine did with its inputs; return whether it serves something else now."""
        changed = False
        for answer in answers:
            if answer.datum.kind == "drop" and answer.refusal is None:
                self._serving.pop(answer.name, None)
                changed = True
            elif answer.datum.kind == "add":
                changed |= self._note_addition(answer)

        if changed:
            self._look_through()
            self.ownership.note(self._serving)

        return changed

    def tiles(self, served: Iterable[IntersectionState]) -> frozenset[str] | None:
        """Return the tiles whose vehicles this node needs, None where it needs all: it is alone."""
        if not self.ownership.is_shared:
            return None
        return frozenset(tile for intersection in served for tile in self._tiles_of(intersection.code))

    def _tiles_of(self, code: CompiledCode) -> tuple[str, ...]:
        known = self._tiles.get(code.code.id)
        if known is None or known[0] is not code:
            known = self._tiles[code.code.id] = (code, tuple(tiles_of(code)))
        return known[1]

    def _note_addition(self, answer: Answer) -> bool:
        head = msgspec.json.decode(answer.datum.body, type=_AdditionHead)
        if answer.refusal is not None:
            self._unusable.add(head.intersection)
            self._metrics.count("city.unusable", head.intersection)
            return False
        self._serving[answer.name] = None if head.guest else head.epoch
        return True

    def _addition(self, name: str, epoch: int | None, count: int) -> list[RawMessage]:
        revisions = self._revisions.get(name)
        if revisions is None or name in self._unusable or count >= MAX_ADDITIONS:
            return []
        if epoch is None:
            return [add_input(name, revisions, guest=True)]
        return [add_input(name, revisions, epoch=epoch, advisories=tuple(self._valid_advisories(name)))]

    # --- messages of what is served elsewhere ---

    def here(self, batch: list[RawMessage]) -> tuple[list[RawMessage], list[tuple[str, Moved]]]:
        """Return the messages that the engine is to get, and the answer to each other one."""
        if not self.ownership.is_shared:
            return batch, []

        kept: list[RawMessage] = []
        moved: list[tuple[str, Moved]] = []
        for raw in batch:
            bound = self._gateways.get(raw.sender)
            if bound is None or raw.sender in self._whole:
                kept.append(raw)
            elif raw.kind == "hello":
                kept += self._hello_here(raw, bound, moved)
            elif (decode := _HEADS.get(raw.kind)) is not None:
                answer = self._elsewhere(raw, bound, decode)
                if answer is None:
                    kept.append(raw)
                else:
                    moved.append((raw.sender, answer))
            else:
                kept.append(raw)

        return kept, moved

    def announcements(self) -> list[tuple[str, Moved]]:
        """Return what gateways are to know of intersections that are about to be moved: where to send besides."""
        if not self.ownership.is_shared:
            return []

        notices = []
        for name in self._serving:
            successor = self.ownership.successor(name)
            if successor is None:
                self._announced.pop(name, None)
            elif self._announced.get(name) != successor.node:
                self._announced[name] = successor.node
                notices += [
                    (gateway, _moved(name, rsu, successor, also=True))
                    for gateway, bound in self._gateways.items()
                    for rsu, intersection in bound.items()
                    if intersection == name
                ]

        return notices

    def _elsewhere(self, raw: RawMessage, bound: Mapping[str, str], decode: Callable[[bytes], _Head]) -> Moved | None:
        """Return the answer to a message of an intersection that is served elsewhere; None for any other message, also
        one that cannot be read: the engine refuses it with the reason."""
        try:
            head = decode(raw.body)
        except UNDECODABLE:
            return None

        name = bound.get(head.rsu)
        if name is None or name in self._serving:
            return None

        self._metrics.count("moved", raw.sender)
        owner = self.ownership.owner(name)
        return _moved(name, head.rsu, owner, kind=raw.kind, sensor=head.sensor, seq=head.seq)

    def _hello_here(
        self, raw: RawMessage, bound: Mapping[str, str], moved: list[tuple[str, Moved]]
    ) -> list[RawMessage]:
        """Return a hello without the units of what is served elsewhere, which are answered; nothing where no unit is
        left."""
        try:
            body = msgspec.msgpack.decode(raw.body)
            rsus = [rsu for rsu in body["r"] if isinstance(rsu, str)]
        except (*UNDECODABLE, KeyError, TypeError):
            return [raw]

        elsewhere = [rsu for rsu in rsus if rsu in bound and bound[rsu] not in self._serving]
        if not elsewhere:
            return [raw]

        for rsu in elsewhere:
            owner = self.ownership.owner(bound[rsu])
            moved.append((raw.sender, _moved(bound[rsu], rsu, owner, kind="hello")))

        left = [rsu for rsu in body["r"] if rsu not in elsewhere]
        return [raw._replace(body=msgspec.msgpack.encode(body | {"r": left}))] if left else []

    def _look_through(self) -> None:
        self._whole = frozenset(
            gateway
            for gateway, bound in self._gateways.items()
            if all(intersection in self._serving for intersection in bound.values())
        )


class _AdditionHead(Struct, frozen=True):
    intersection: str
    epoch: int = 0
    guest: bool = False


def _moved(
    intersection: str,
    rsu: str,
    owner: Owner | None,
    *,
    also: bool = False,
    kind: str = "",
    sensor: str = "",
    seq: int | None = None,
) -> Moved:
    return Moved(
        version=VERSION,
        intersection=intersection,
        rsu=rsu,
        address=owner.address if owner else None,
        node_key=owner.key if owner else None,
        epoch=owner.epoch if owner else 0,
        also=also,
        kind=kind,
        sensor=sensor,
        seq=seq,
    )
