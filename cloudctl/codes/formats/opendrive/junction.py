"""One junction of an OpenDRIVE map: its movements, which are the lane links of its connections, and the lanes beside
it.

A connection leads from an incoming road over a connecting road onto the road that the connecting road is linked to.
Only links that begin on a lane leading into the junction are movements: exporters of roads for both directions list the
way back, too."""

from collections.abc import Iterator

import numpy as np

from ...findings import LossKind
from ...polylines import F8
from ..importing.accounting import Accounts, XmlRecord
from ..importing.clusters import unit_vector
from .access import is_driven
from .geometry import number
from .lane_ends import MIN_WIDTH, LaneEnds
from .movement import LaneEnd, LaneSide, Movement
from .road import Chain, Road

# m between the ends of a path and of its lane: below nothing is done, above it is no movement
MIN_GAP, MAX_GAP = 2.5, 30.0
ROAD_ATTRIBUTES = ("incomingRoad", "connectingRoad")
# Degrees: a path that bends less is straight, one that bends more turns back
MAX_STRAIGHT_DEG, MIN_U_TURN_DEG = 35.0, 150.0


class Junction:
    """The movements of a junction and the lanes they lead from and to."""

    def __init__(self, element: XmlRecord, roads: dict[str, Road]) -> None:
        self.element, self.roads = element, roads
        self.accounts: Accounts = element.accounts
        self.id = element.get("id")
        self.name = element.get("name") or self.id or "junction"
        self.lane_ends = LaneEnds(roads, self.accounts)
        self.moves: list[Movement] = []
        # Ways back that are listed with a connection, and where
        self.back: list[tuple[Movement, str]] = []
        self.priorities = [self._priority(child) for child in element.children("priority")]

        kind = element.get("type", "default")
        if kind != "default":
            element.unknown(
                "type", kind, "read as any other junction, as far as it has connections by connecting roads"
            )

        for connection in element.children("connection"):
            connection.choice("type", {"default": True}, True)
            for start, connecting_lane in dict.fromkeys(self._lane_links(connection)):
                self._read_movement(connection, start, connecting_lane)

        self._drop_repeated()
        connecting_lanes = {(move.road.id, move.lane) for move in self.moves}

        for move, location in self.back:
            if (move.road.id, move.lane) in connecting_lanes:
                self._drop(
                    "lane links that begin on a lane leading away from the junction: the way back, which is a "
                    "connection of its own, too",
                    location,
                )
            else:
                self.accounts.enter(
                    LossKind.REPAIRED,
                    "junction/connection",
                    "lane links that begin on a lane leading away from the junction are read the other way, as "
                    "their connecting lane is driven",
                    f"{location}, junction {self.name}",
                )

                self.moves.append(move)

    @property
    def ends(self) -> dict[str, LaneEnd]:
        """The lanes that movements lead from and to, by key."""
        return self.lane_ends.by_key

    def _drop_repeated(self) -> None:
        """Keep one of movements that are listed several times."""
        first_of_key = {(move.start, move.end, move.road.id, move.lane): move for move in self.moves}
        if len(first_of_key) < len(self.moves):
            self._drop("movements that are listed again", f"{len(self.moves) - len(first_of_key)} of them")
        self.moves = list(first_of_key.values())

    def join(self) -> None:
        """Lead each path to its lanes."""
        self.moves = [joined for move in self.moves if (joined := self._led_to_lanes(move)) is not None]

    def _led_to_lanes(self, move: Movement) -> Movement | None:
        """Return a movement whose path meets its lanes: one that begins or ends off them is led there, and dropped
        where that is far."""
        end_before, start_after = self.ends[move.start].line[-1], self.ends[move.end].line[0]
        gaps = float(np.hypot(*(move.line[0] - end_before))), float(np.hypot(*(move.line[-1] - start_after)))
        if max(gaps) <= MIN_GAP:
            return move

        location = f"road {move.road.id}, lane {move.lane}, junction {self.name}"
        if max(gaps) > MAX_GAP:
            self._drop(
                "connecting roads that lie far from the lanes they are linked to", f"{max(gaps):.0f} m: {location}"
            )
            return None

        self.accounts.enter(
            LossKind.REPAIRED,
            "junction/connection",
            "connecting roads that begin or end off the lanes they are linked to are led there",
            f"{max(gaps):.1f} m: {location}",
        )

        pieces = [end_before[None]] * (gaps[0] > MIN_GAP) + [move.line] + [start_after[None]] * (gaps[1] > MIN_GAP)
        return move._replace(line=np.concatenate(pieces))

    def _priority(self, element: XmlRecord) -> tuple[str, str]:
        """Return the roads of a priority, the one that goes first first."""
        for name in ("high", "low"):
            road = self.roads.get(element.get(name))
            if road is None or road.junction != self.id:
                element.unknown(name, element.get(name), "no connecting road of this junction: left out")
        return element.get("high"), element.get("low")

    def _drop(self, reason: str, example: str) -> None:
        self.accounts.enter(LossKind.DROPPED, "junction/connection", reason, f"{example}, junction {self.name}")

    def _lane_links(self, connection: XmlRecord) -> Iterator[tuple[int, int]]:
        """Yield the lane links of a connection: (incoming lane, lane of the connecting road)."""
        links = [
            (int(number(link, "from", default=None)), int(number(link, "to", default=None)))
            for link in connection.children("laneLink")
        ]
        connecting_road = self.roads.get(connection.get("connectingRoad"))
        if links or connecting_road is None:
            yield from links
            return

        at_start = connection.get("contactPoint", "start") == "start"
        section = connecting_road.sections[0 if at_start else -1]

        links_of_lanes = [
            (lane.before if at_start else lane.after, lane.id)
            for lane in section.lanes.values()
            if connecting_road.forward(lane.id) == at_start
        ]

        self.accounts.enter(
            LossKind.GUESSED,
            "junction/connection",
            "has no lane links: the links of the connecting road's lanes are taken",
            str(connection),
        )

        yield from ((start, connecting_lane) for start, connecting_lane in links_of_lanes if start is not None)

    def _read_movement(self, connection: XmlRecord, start: int, connecting_lane: int) -> None:
        """Read the movement of one lane link, from lane `start` of the incoming road over a connecting lane."""
        location = f"connection {connection.get('id')}"
        roads = self._roads_of(connection, location)
        if roads is None:
            return

        incoming, connecting_road = roads
        at_start = connection.choice("contactPoint", {"start": True, "end": False}, True)
        chain = connecting_road.chain(connecting_lane, not at_start)

        kind, next_road, contact = connecting_road.link("successor" if at_start else "predecessor")
        if not chain or kind != "road" or next_road not in self.roads:
            self._drop(
                f"its connecting road leads to no road ({kind or 'nothing'} {next_road}), or lacks the lane", location
            )
            return

        line = self._connecting_line(connecting_road, chain, location)
        if line is None:
            return

        incoming_at_end, target_at_end = self._junction_sides(connecting_road, at_start, incoming, contact)
        target_lane = self._target_lane(chain, at_start, connecting_lane, location)
        origin = LaneSide(incoming, start, incoming_at_end)
        target = LaneSide(self.roads[next_road], target_lane, target_at_end)

        # A link that begins on a lane leading away is the way back of a connection in the other direction.
        if incoming.forward(start) != incoming_at_end:
            self._keep_way_back(
                origin,
                target,
                connecting_road=connecting_road,
                chain=chain,
                at_start=at_start,
                line=line,
                location=location,
            )
            return

        if target.road.forward(target_lane) == target_at_end:
            self._drop(
                "its connecting road leads onto a lane that comes towards the junction",
                f"{location}, lane {target_lane} of road {next_road}",
            )
            return

        keys = self._end_keys(origin, target, location)
        if keys is None:
            return

        if connecting_road.forward(connecting_lane) != at_start:
            line = self._turned(line, f"{location}, lane {connecting_lane}")

        self.moves.append(
            Movement(
                start=keys[0],
                end=keys[1],
                line=line,
                turn=self._turn(*keys),
                road=connecting_road,
                lane=connecting_lane,
                chain=chain,
            )
        )

    def _turned(self, line: F8, example: str) -> F8:
        """Return the line of a connecting lane that is driven against its number's direction."""
        self.accounts.enter(
            LossKind.REPAIRED,
            "junction/connection",
            "connecting lanes whose number says the other direction are turned",
            example,
        )
        return line[::-1].copy()

    def _roads_of(self, connection: XmlRecord, location: str) -> tuple[Road, Road] | None:
        """Return the incoming and the connecting road of a connection; None where one is missing, which is reported."""
        incoming, connecting_road = (self.roads.get(connection.get(key)) for key in ROAD_ATTRIBUTES)
        if incoming is None or connecting_road is None:
            for key in ROAD_ATTRIBUTES:
                if connection.get(key) not in self.roads:
                    connection.unknown(
                        key, connection.get(key), "a road that is not there, or was left out: so is the connection"
                    )
            return None

        if connecting_road.junction != self.id:
            self.accounts.enter(
                LossKind.DIFFERS,
                "road",
                f"connecting roads that say they belong to junction {connecting_road.junction}: the "
                "connection is believed",
                f"road {connecting_road.id}, {location}",
            )

        return incoming, connecting_road

    def _target_lane(self, chain: Chain, at_start: bool, connecting_lane: int, location: str) -> int:
        """Return the lane that a connecting lane is linked to, by default the one of the same number."""
        last_lane = (chain[-1] if at_start else chain[0])[1]
        target_lane = last_lane.after if at_start else last_lane.before
        if target_lane is not None:
            return target_lane

        self.accounts.enter(
            LossKind.GUESSED,
            "junction/connection",
            "the connecting lane has no link to the next: the lane of the same number is taken",
            f"{location}, lane {connecting_lane}",
        )

        return connecting_lane

    def _end_keys(self, origin: LaneSide, target: LaneSide, location: str) -> tuple[str, str] | None:
        """Return the keys of the lanes before and after a movement; None where one cannot be driven on."""
        start_key = self.lane_ends.take_in(origin, ingress=True)
        end_key = self.lane_ends.take_in(target, ingress=False)
        if start_key is not None and end_key is not None:
            return start_key, end_key

        if start_key is None:
            missing = f"lane {origin.lane} of road {origin.road.id}, before it"
        else:
            missing = f"lane {target.lane} of road {target.road.id}, after it"

        self._drop(
            "the lane before or after it is not there, has no width, or is no lane to drive on",
            f"{location}: {missing}",
        )
        return None

    def _connecting_line(self, connecting_road: Road, chain: Chain, location: str) -> F8 | None:
        """Return the line of a connecting lane; None where it is no lane to drive on, or has no length, which is
        reported."""
        if any(not is_driven(lane) for _, lane in chain):
            self._drop(
                f"lanes of type {next(lane.kind for _, lane in chain if not is_driven(lane))} are no lanes to drive on",
                location,
            )
            return None

        line = connecting_road.line(chain)
        if len(line) < 2:
            self._drop("its connecting road has no length", location)
            return None

        if all(
            abs(connecting_road.width(section, lane, (section.start + section.end) / 2)) < MIN_WIDTH
            for section, lane in chain
        ):
            self.accounts.enter(
                LossKind.GUESSED,
                "junction/connection",
                "the lanes of its connecting road have no width",
                f"road {connecting_road.id}, {location}",
            )

        return line

    def _keep_way_back(
        self,
        incoming: LaneSide,
        target: LaneSide,
        connecting_road: Road,
        chain: Chain,
        at_start: bool,
        line: F8,
        location: str,
    ) -> None:
        """Skip a lane link that begins on a lane leading away; its connecting lane is driven the other way, and is that
        movement."""
        connecting_lane = chain[0][1].id if at_start else chain[-1][1].id
        begins = (
            target.road.forward(target.lane) == target.at_end and connecting_road.forward(connecting_lane) != at_start
        )
        start = self.lane_ends.take_in(target, ingress=True) if begins else None

        end = self.lane_ends.take_in(incoming, ingress=False) if begins else None
        if start is None or end is None:
            self._drop(
                "lane links that begin on a lane leading away from the junction", f"{location}, lane {incoming.lane}"
            )
            return

        self.back.append(
            (
                Movement(
                    start=start,
                    end=end,
                    line=line,
                    turn=self._turn(start, end),
                    road=connecting_road,
                    lane=connecting_lane,
                    chain=chain,
                ),
                f"{location}, lane {incoming.lane}",
            )
        )

    def _turn(self, start: str, end: str) -> str:
        """Return which way a movement turns, from the end of one lane to the beginning of the other."""
        before, after = self.ends[start].line, self.ends[end].line
        leaving, entering = unit_vector(before[-1] - before[-2]), unit_vector(after[1] - after[0])
        angle = float(np.degrees(np.arctan2(leaving[0] * entering[1] - leaving[1] * entering[0], leaving @ entering)))

        if abs(angle) < MAX_STRAIGHT_DEG:
            return "straight"
        if abs(angle) > MIN_U_TURN_DEG:
            return "u"

        return "left" if angle > 0 else "right"

    def _junction_sides(self, connecting_road: Road, at_start: bool, incoming: Road, contact: str) -> tuple[bool, bool]:
        """Return whether the junction lies at the end of the incoming road, and at the end of the road that is led
        onto."""
        _, before, stated = connecting_road.link("predecessor" if at_start else "successor")
        xy = connecting_road.place(np.array([0.0, connecting_road.length]), np.zeros(2))
        start_point, end_point = (xy[0], xy[1]) if at_start else (xy[1], xy[0])
        _, next_road, _ = connecting_road.link("successor" if at_start else "predecessor")

        incoming_at_end = incoming.meets_at_end(stated if before == incoming.id else "", start_point)
        for road, description, link in (
            (connecting_road, "the road before it", before),
            (incoming, "what comes after it", incoming.link("successor" if incoming_at_end else "predecessor")[1]),
        ):
            if link not in (incoming.id, self.id):
                self.accounts.enter(
                    LossKind.DIFFERS,
                    "road/link",
                    f"{description} is {link or 'not given'}, by its own link, and not by the connection, "
                    "which is believed",
                    f"road {road.id}, junction {self.name}",
                )

        return incoming_at_end, self.roads[next_road].meets_at_end(contact, end_point)
