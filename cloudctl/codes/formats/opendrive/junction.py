"""One junction of an OpenDRIVE map: its movements, which are the lane links of its connections, and the lanes beside it.

A connection leads from an incoming road over a connecting road onto the road that the connecting road is linked to. Only links that begin on
a lane leading into the junction are movements: exporters of roads for both directions list the way back, too.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ...polylines import F8
from ..importing.accounting import Accounts, XmlRecord
from ..importing.clusters import unit
from ..importing.permits import Permit
from .access import driven, is_driven, lane_permit
from .lane import Stretch
from .road import Chain, Road, number
from .upstream import Piece, stretches, upstream

MIN_GAP, MAX_GAP = (
    2.5,
    30.0,
)  # m between the ends of a path and of its lane: below nothing is done, above it is no movement
MIN_WIDTH = 0.3  # m of a lane that can be driven on
ROADS = ("incomingRoad", "connectingRoad")
STRAIGHT, BACK = 35.0, 150.0  # degrees: a path that bends less is straight, one that bends more turns back


class LaneEnd(NamedTuple):
    """A lane beside the junction: as far as its road goes, and into the junction over the roads before, where that is short."""

    key: str
    road: Road
    lane: int
    chain: Chain
    line: F8  # in driving direction
    width: float
    permit: Permit  # at the junction
    ingress: bool
    pieces: tuple[Piece, ...]  # on each road that it runs on, the one at the junction last

    def stretches(self) -> list[Stretch]:
        """Return where limits and permissions hold, m along the lane."""
        return stretches(self.pieces)


class Way(NamedTuple):
    """A lane of a road, and whether the junction lies at the road's end."""

    road: Road
    lane: int
    at_end: bool


class Move(NamedTuple):
    """A movement: from lane to lane, by a lane of a connecting road."""

    start: str
    end: str
    line: F8
    turn: str
    road: Road
    lane: int
    chain: Chain


class Junction:
    """The movements of a junction and the lanes they lead from and to."""

    def __init__(self, element: XmlRecord, roads: dict[str, Road]) -> None:
        self.element, self.roads = element, roads
        self.accounts: Accounts = element.accounts
        self.id = element.get("id")
        self.name = element.get("name") or self.id or "junction"
        self.ends: dict[str, LaneEnd] = {}
        self.moves: list[Move] = []
        self.back: list[tuple[Move, str]] = []  # ways back that are listed with a connection, and where
        self.priorities = [self._priority(e) for e in element.children("priority")]
        kind = element.get("type", "default")
        if kind != "default":
            element.unknown(
                "type", kind, "read as any other junction, as far as it has connections by connecting roads"
            )
        for connection in element.children("connection"):
            connection.choice("type", {"default": True}, True)
            for start, to in dict.fromkeys(self._links(connection)):
                self._move(connection, start, to)
        self._once()
        known = {(move.road.id, move.lane) for move in self.moves}
        for move, where in self.back:
            if (move.road.id, move.lane) in known:
                self._drop(
                    "lane links that begin on a lane leading away from the junction: the way back, which is a connection of its own, too",
                    where,
                )
            else:
                self.accounts.enter(
                    "repaired",
                    "junction/connection",
                    "lane links that begin on a lane leading away from the junction are read the other way, as their connecting lane is driven",
                    f"{where}, junction {self.name}",
                )
                self.moves.append(move)

    def _once(self) -> None:
        """Keep one of movements that are listed several times."""
        once = {(move.start, move.end, move.road.id, move.lane): move for move in self.moves}
        if len(once) < len(self.moves):
            self._drop("movements that are listed again", f"{len(self.moves) - len(once)} of them")
        self.moves = list(once.values())

    def join(self) -> None:
        """Lead each path to its lanes."""
        self.moves = [found for move in self.moves if (found := self._joined(move)) is not None]

    def _joined(self, move: Move) -> Move | None:
        """Return a movement whose path meets its lanes: one that begins or ends off them is led there, and dropped where that is far."""
        before, after = self.ends[move.start].line[-1], self.ends[move.end].line[0]
        gaps = float(np.hypot(*(move.line[0] - before))), float(np.hypot(*(move.line[-1] - after)))
        if max(gaps) <= MIN_GAP:
            return move
        where = f"road {move.road.id}, lane {move.lane}, junction {self.name}"
        if max(gaps) > MAX_GAP:
            self._drop("connecting roads that lie far from the lanes they are linked to", f"{max(gaps):.0f} m: {where}")
            return None
        self.accounts.enter(
            "repaired",
            "junction/connection",
            "connecting roads that begin or end off the lanes they are linked to are led there",
            f"{max(gaps):.1f} m: {where}",
        )
        parts = [before[None]] * (gaps[0] > MIN_GAP) + [move.line] + [after[None]] * (gaps[1] > MIN_GAP)
        return move._replace(line=np.concatenate(parts))

    def _priority(self, element: XmlRecord) -> tuple[str, str]:
        """Return the roads of a priority, the one that goes first first."""
        for name in ("high", "low"):
            road = self.roads.get(element.get(name))
            if road is None or road.junction != self.id:
                element.unknown(name, element.get(name), "no connecting road of this junction: left out")
        return element.get("high"), element.get("low")

    def _drop(self, reason: str, example: str) -> None:
        self.accounts.enter("dropped", "junction/connection", reason, f"{example}, junction {self.name}")

    def _links(self, connection: XmlRecord) -> Iterator[tuple[int, int]]:
        """Yield the lane links of a connection: (incoming lane, lane of the connecting road)."""
        rows = [
            (int(number(link, "from", None)), int(number(link, "to", None))) for link in connection.children("laneLink")
        ]
        through = self.roads.get(connection.get("connectingRoad"))
        if rows or through is None:
            yield from rows
            return
        at_start = connection.get("contactPoint", "start") == "start"
        section = through.sections[0 if at_start else -1]
        found = [
            (lane.before if at_start else lane.after, lane.id)
            for lane in section.lanes.values()
            if through.forward(lane.id) == at_start
        ]
        self.accounts.enter(
            "guessed",
            "junction/connection",
            "has no lane links: the links of the connecting road's lanes are taken",
            str(connection),
        )
        yield from ((start, to) for start, to in found if start is not None)

    def _move(self, connection: XmlRecord, start: int, to: int) -> None:
        incoming, through = (self.roads.get(connection.get(key)) for key in ROADS)
        where = f"connection {connection.get('id')}"
        if incoming is None or through is None:
            for key in ROADS:
                if connection.get(key) not in self.roads:
                    connection.unknown(
                        key, connection.get(key), "a road that is not there, or was left out: so is the connection"
                    )
            return
        if through.junction != self.id:
            self.accounts.enter(
                "differs",
                "road",
                f"connecting roads that say they belong to junction {through.junction}: the connection is believed",
                f"road {through.id}, {where}",
            )
        at_start = connection.choice("contactPoint", {"start": True, "end": False}, True)
        chain = through.chain(to, not at_start)
        kind, there, contact = through.link("successor" if at_start else "predecessor")
        if not chain or kind != "road" or there not in self.roads:
            self._drop(f"its connecting road leads to no road ({kind or 'nothing'} {there}), or lacks the lane", where)
            return
        if any(not is_driven(lane) for _, lane in chain):
            self._drop(
                f"lanes of type {next(lane.kind for _, lane in chain if not is_driven(lane))} are no lanes to drive on",
                where,
            )
            return
        line = through.line(chain)
        if len(line) < 2:
            self._drop("its connecting road has no length", where)
            return
        if all(
            abs(through.width(section, lane, (section.start + section.end) / 2)) < MIN_WIDTH for section, lane in chain
        ):
            self.accounts.enter(
                "guessed",
                "junction/connection",
                "the lanes of its connecting road have no width",
                f"road {through.id}, {where}",
            )
        entry, leaving = self._sides(through, at_start, incoming, contact)
        last = (chain[-1] if at_start else chain[0])[1]
        onto = last.after if at_start else last.before
        if onto is None:
            self.accounts.enter(
                "guessed",
                "junction/connection",
                "the connecting lane has no link to the next: the lane of the same number is taken",
                f"{where}, lane {to}",
            )
        target = self.roads[there]
        onto = to if onto is None else onto
        if incoming.forward(start) != entry:
            self._way_back(
                Way(incoming, start, entry), Way(target, onto, leaving), through, chain, at_start, line, where
            )
            return
        if target.forward(onto) == leaving:
            self._drop(
                "its connecting road leads onto a lane that comes towards the junction",
                f"{where}, lane {onto} of road {there}",
            )
            return
        begin, end = self._end(incoming, start, entry, True), self._end(target, onto, leaving, False)
        if begin is None or end is None:
            side = (
                f"lane {start} of road {incoming.id}, before it"
                if begin is None
                else f"lane {onto} of road {there}, after it"
            )
            self._drop(
                "the lane before or after it is not there, has no width, or is no lane to drive on", f"{where}: {side}"
            )
            return
        if through.forward(to) != at_start:
            line = line[::-1].copy()
            self.accounts.enter(
                "repaired",
                "junction/connection",
                "connecting lanes whose number says the other direction are turned",
                f"{where}, lane {to}",
            )
        self.moves.append(Move(begin, end, line, self._turn(begin, end), through, to, chain))

    def _way_back(
        self, incoming: "Way", target: "Way", through: Road, chain: Chain, at_start: bool, line: F8, where: str
    ) -> None:
        """Skip a lane link that begins on a lane leading away; its connecting lane is driven the other way, and is that movement."""
        to = chain[0][1].id if at_start else chain[-1][1].id
        begins = target.road.forward(target.lane) == target.at_end and through.forward(to) != at_start
        start = self._end(*target, True) if begins else None
        end = self._end(*incoming, False) if begins else None
        if start is None or end is None:
            self._drop(
                "lane links that begin on a lane leading away from the junction", f"{where}, lane {incoming.lane}"
            )
            return
        self.back.append(
            (Move(start, end, line, self._turn(start, end), through, to, chain), f"{where}, lane {incoming.lane}")
        )

    def _turn(self, start: str, end: str) -> str:
        """Return which way a movement turns, from the end of one lane to the beginning of the other."""
        before, after = self.ends[start].line, self.ends[end].line
        out, into = unit(before[-1] - before[-2]), unit(after[1] - after[0])
        angle = float(np.degrees(np.arctan2(out[0] * into[1] - out[1] * into[0], out @ into)))
        if abs(angle) < STRAIGHT:
            return "straight"
        if abs(angle) > BACK:
            return "u"
        return "left" if angle > 0 else "right"

    def _sides(self, through: Road, at_start: bool, incoming: Road, contact: str) -> tuple[bool, bool]:
        """Return whether the junction lies at the end of the incoming road, and at the end of the road that is led onto."""
        _, before, stated = through.link("predecessor" if at_start else "successor")
        xy = through.place(np.array([0.0, through.length]), np.zeros(2))
        first, last = (xy[0], xy[1]) if at_start else (xy[1], xy[0])
        _, there, _ = through.link("successor" if at_start else "predecessor")
        entry = incoming.meets_at_end(stated if before == incoming.id else "", first)
        for road, which, link in (
            (through, "the road before it", before),
            (incoming, "what comes after it", incoming.link("successor" if entry else "predecessor")[1]),
        ):
            if link not in (incoming.id, self.id):
                self.accounts.enter(
                    "differs",
                    "road/link",
                    f"{which} is {link or 'not given'}, by its own link, and not by the connection, which is believed",
                    f"road {road.id}, junction {self.name}",
                )
        return entry, self.roads[there].meets_at_end(contact, last)

    def _end(self, road: Road, lane: int, at_end: bool, ingress: bool) -> str | None:
        """Return the key of a road's lane, taken in from one end of the road."""
        key = f"{'in' if ingress else 'out'} {road.id}/{lane}"
        if key not in self.ends:
            chain, side = driven(road.chain(lane, at_end), at_end), -1 if at_end else 0
            if not chain:
                return None
            section, found = chain[side]
            if found.direction == "both" or found.kind == "bidirectional":
                self.accounts.enter(
                    "differs",
                    "lane",
                    "lanes for both directions are taken in the one their number says",
                    f"lane {lane} of road {road.id}",
                )
            width = road.width(section, found, section.end - 1e-6 if at_end else section.start)
            permit = lane_permit(road.stretches(chain)[-1 if ingress else 0].state)
            line = road.line(chain)
            if width < MIN_WIDTH or len(line) < 2 or permit.use == "pedestrian":
                return None
            pieces: tuple[Piece, ...] = (Piece(road, lane, chain, 0.0, 0.0),)
            if ingress:
                pieces, line = upstream(self.roads, road, lane, chain)
            self.ends[key] = LaneEnd(key, road, lane, chain, line, width, permit, ingress, pieces)
        return key
