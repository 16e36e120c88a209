"""MAP of SAE J2735 / ISO 19091 (MAPEM) -> digital codes: UPER frames, JSON of the USDOT data exchange and others, XML of XER.

Lane types, sharing and limits become uses and rules (`lane_types.py`, `speed_limits.py`); classes of users that a connection is restricted
to become a turn ban for all others. What is met and not used is reported.
"""

from contextlib import suppress
from math import inf
from typing import Any

import numpy as np

from cloudctl.geo import Origin

from ...checks.geometry import MAX_GAP
from ...findings import CodeError, Loss, refuse
from ...grid import grid_encode
from ...model import Alias, IntersectionCode
from ...report import Imported
from ...rule import Rule, Target
from ..importing.accounting import Accounts, JsonRecord, shown
from ..importing.build import NO_ADM, RawCode, RawLane, RawMove, build
from ..messages.bit_strings import UNREAD
from ..messages.lane_types import TRAVELLED, LaneUse, read_lane_type, read_turns, read_use
from ..messages.speed_limits import CAR, read_limits
from ..messages.tree import DIRECTIONS, MALFORMED, NO_TRAFFIC, load_tree, opened, plain_map
from ..messages.uper import decode, is_pdu, read_pdu, unframe
from .lanes import (
    NodeLine,
    Trajectory,
    car_speed,
    computed_line,
    limit_rules,
    read_nodes,
    read_trajectories,
    spans_of,
    stop_of,
)

DEFAULT_WIDTH = 330  # cm
SLOW = 4.0  # m/s; a limit below is worth a look
PEOPLE = (
    "pedestrians",
    "slowMovingPersons",
    "wheelchairUsers",
    "visualDisabilities",
    "audioDisabilities",
    "otherUnknownDisabilities",
)
USERS: dict[str, tuple[str, ...]] = {  # of restriction classes, and the classes of rules that they are
    "none": (),
    "equippedTransit": ("bus",),
    "equippedTaxis": ("taxi",),
    "equippedBicycle": ("bicycle",),
    **dict.fromkeys(PEOPLE, ("pedestrian",)),
}
IGNORED = NO_TRAFFIC | {
    "@msgIssueRevision": "counts the sender's messages",
    "@layerType": "the kind of message",
    "@layerID": "the kind of message",
    "dataParameters": "how the map was surveyed and processed",
    "@regionId": "names an extension, as its content does",
    "laneSet@name": "a name for people; the lane's number is kept as its alias",
}


def import_map(data: bytes | dict[str, Any], *, adm: str = NO_ADM) -> Imported:
    """Return the codes of a MAP: a frame or MapData in UPER (bytes or hex text), JSON, or XML. Raises CodeError."""
    with Accounts("MAP", IGNORED) as accounts:
        found = opened(data if isinstance(data, dict) else _read(data))
        for beside in found.beside if found else ():
            accounts.json(beside, "envelope")
        record = accounts.json(plain_map(found.tree if found else {}), "MapData")
        rows = record.rows("intersections")
        if not rows:
            raise refuse(
                "MAP", "MAP", "intersections", "none", "holds no intersection", "give a MAP with intersection geometry"
            )
        classes = _restrictions(record)
        codes, errors, serials = list[IntersectionCode](), list[CodeError](), dict[str, int]()
        for k, row in enumerate(rows):
            try:
                raw = _Intersection(row, RawCode(f"intersection {k}", (0, 0), losses=accounts.losses), classes).read()
                cell = grid_encode(*raw.ref)
                codes.append(build(raw, adm, serials.get(cell, 0) + 1))
                serials[cell] = serials.get(cell, 0) + 1
            except CodeError as error:
                errors.append(error)
            except MALFORMED as error:
                errors.append(
                    refuse(
                        "MAP",
                        f"intersection {k}",
                        "fields",
                        f"{error!r}",
                        "an intersection has id, refPoint and laneSet, each as the standard says",
                        "correct the sender",
                    )
                )
        if not codes:
            raise errors[0]
        accounts.losses |= {
            Loss("dropped", error.findings[0].entity, f"the intersection is left out: {error.findings[0]}")
            for error in errors
        }
        return accounts.imported(codes)


def _read(data: bytes) -> dict[str, Any]:
    if data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"<"):
        return load_tree(data, "MAP")
    with suppress(ValueError):  # what is not hex text is the bytes themselves
        data = bytes.fromhex(data.strip().decode())
    if data[:2] == b"\x00\x12":
        return decode(*unframe(data))
    return read_pdu("MAPEM", data) if is_pdu("MAPEM", data) else decode("MapData", data)


def _restrictions(record: JsonRecord) -> dict[int, tuple[str, ...]]:
    """Return who each restriction class lets pass, as classes of rules; users that a code cannot name are reported, and kept out."""
    out: dict[int, tuple[str, ...]] = {}
    for row in record.rows("restrictionList"):
        if "id" not in row:
            row.leave_out("left out: it has no id")
            continue
        users: dict[str, None] = {}
        for user in row.rows("users"):
            word = user.get("basicType")
            for one in word if isinstance(word, list) else [word]:
                if str(one) in USERS:
                    users |= dict.fromkeys(USERS[str(one)])
                elif one is not None:
                    user.unknown("basicType", one, "a code cannot tell who that is: they are kept out")
        if not users:
            record.accounts.enter(
                "differs",
                "restrictionList@users",
                "the class names nobody whom a code knows: its connections are closed to all",
                str(row),
            )
        out[int(row.number("id"))] = tuple(users)
    return out


def _number_text(remote: JsonRecord) -> str:
    return "/".join(str(remote.values[name]) for name in ("region", "id") if name in remote)


class _Intersection:
    """One intersection on its way to a raw code."""

    def __init__(self, row: JsonRecord, raw: RawCode, classes: dict[int, tuple[str, ...]]) -> None:
        self.row, self.raw, self.classes = row, raw, classes
        self.lanes = row.rows("laneSet")
        self.lines: dict[int, NodeLine] = {}  # by place in `lanes`
        self.entrances: list[tuple[JsonRecord, str]] = []
        self.exits: dict[int, list[str]] = {}  # lane number -> keys of lanes that lead out
        self.names: set[str] = set()

    def read(self) -> RawCode:
        """Return the raw code, all its tables filled."""
        raw, row = self.raw, self.row
        ref, number = row.child("refPoint"), row.child("id")
        raw.ref = (round(ref.number("lat")), round(ref.number("long")))
        own = round(number.number("id"))
        self.region = round(number.number("region")) if "region" in number else None
        raw.name = str(row.get("name") or own)
        raw.alias = (Alias("j2735", f"{round(number.number('region', 0))}/{own}"),)
        raw.revision = round(row.number("revision", 0)) + 1
        self.limits = read_limits(row.rows("speedLimits"))
        self.width = round(row.number("laneWidth", 0)) or DEFAULT_WIDTH
        if self.limits.get(CAR, SLOW) < SLOW:
            raw.losses.add(
                Loss(
                    "differs",
                    raw.name,
                    f"the speed limit is {self.limits[CAR]:.1f} m/s: too slow to be true? It is kept",
                )
            )
        self._read_lines()
        for k, lane in enumerate(self.lanes):
            if k in self.lines:
                self._lane(lane, self.lines[k])
        for lane, key in self.entrances:
            self._connections(lane, key, own)
        self._leave_out_blind_approaches()
        return raw

    def _read_lines(self) -> None:
        """Read the nodes of each lane; what cannot be read is left out, with the reason."""
        origin = self.origin = Origin(self.raw.ref[0] / 1e7, self.raw.ref[1] / 1e7)
        of_number: dict[int, NodeLine] = {}
        for k, lane in enumerate(self.lanes):
            try:
                line = read_nodes(lane, origin)
                if line is not None:
                    self.lines[k] = line
                    of_number.setdefault(round(lane.number("laneID")), line)
            except CodeError as error:
                lane.leave_out(f"left out: {error.findings[0]}")
        for k, lane in enumerate(self.lanes):
            if k not in self.lines and not lane.left_out:
                line = computed_line(lane, of_number)
                if line is None:
                    lane.leave_out("left out: is computed with turning or scaling, or from a lane that is not there")
                else:
                    self.lines[k] = line

    def _lane(self, lane: JsonRecord, line: NodeLine) -> None:
        number = round(lane.number("laneID"))
        attributes = lane.child("laneAttributes")
        try:
            kind, flags = read_lane_type(attributes)
        except CodeError as error:
            lane.leave_out(f"left out: {error.findings[0]}")
            return
        way = attributes.child("directionalUse")
        if unread := way.values.get(UNREAD):
            lane.leave_out(
                f"left out: directionalUse {shown(unread)} is not understood; its flags are {', '.join(DIRECTIONS)}"
            )
            return
        ingress, egress = way.flag("ingressPath"), way.flag("egressPath")
        width = self.width + line.wider_cm
        if kind == "crosswalk":
            for name in ("ingressApproach", "egressApproach"):
                lane.ignore(name, "a crosswalk belongs to no road")
            self.raw.walks.append((line.xy, width, self._crosswalk_group(lane), (Alias("j2735", str(number)),)))
            return
        if kind not in TRAVELLED:
            lane.leave_out(f"left out: {kind} is no lane to travel on")
            return
        if not (ingress or egress):
            lane.leave_out("left out: it leads neither in nor out (ingressPath, egressPath): closed")
            return
        use = read_use(kind, flags, attributes.child("sharedWith"))
        if ingress and egress:
            self.raw.losses.add(
                Loss("differs", self.raw.name, f"lane {number} runs both ways: it stands as two lanes, one a direction")
            )
        for leads_in in [way for way, on in ((True, ingress), (False, egress)) if on]:
            self._add(lane, number, line, use, width, leads_in)

    def _add(self, lane: JsonRecord, number: int, line: NodeLine, use: LaneUse, width: int, ingress: bool) -> None:
        """Add one lane in one direction, with its rules."""
        raw, key = self.raw, self._key(number)
        spans = spans_of(line, ingress, self.limits)
        approach = self._approach(lane, "ingressApproach" if ingress else "egressApproach", number)
        raw.lanes.append(
            RawLane(
                key,
                line.xy[::-1].copy() if ingress else line.xy,
                "ingress" if ingress else "egress",
                approach,
                use.use,
                width,
                car_speed(raw, key, spans),
                use.revocable,
                stop_of(lane, line) if ingress else inf,
                shared=use.shared,
                alias=(Alias("j2735", key),),
            )
        )
        if use.kind:
            raw.rules.append(Rule("", use.kind, (Target(key),), classes=use.classes, text=use.text))
        if use.use != "pedestrian":
            raw.rules += limit_rules(raw, key, spans)
        if ingress:
            self.entrances.append((lane, key))
        else:
            self.exits.setdefault(number, []).append(key)

    @staticmethod
    def _approach(lane: JsonRecord, name: str, number: int) -> str:
        """Return the approach of a lane; one of its own where the message gives none, or no number."""
        found = lane.get(name)
        if isinstance(found, int) or (isinstance(found, str) and found.isdecimal()):
            return str(found)
        if found is not None:
            lane.unknown(name, found, "the lane stands by itself")
        return f"lane {number}"

    def _key(self, number: int) -> str:
        """Return a name of its own for a lane: its number, and which of that number it is."""
        count = 1
        while (key := str(number) if count == 1 else f"{number}/{count}") in self.names:
            count += 1
        self.names.add(key)
        return key

    def _crosswalk_group(self, lane: JsonRecord) -> int:
        group = 0
        for join in lane.rows("connectsTo"):
            found = round(join.number("signalGroup", 0))
            join.child("connectingLane").get("lane")
            if group and found not in (0, group):
                join.unknown("signalGroup", found, f"the crosswalk keeps group {group}")
            group = group or found
        return group

    def _connections(self, lane: JsonRecord, start: str, own: int) -> None:
        lane_turns = read_turns(lane.child("maneuvers"))
        trajectories = read_trajectories(lane, self.origin)
        for join in lane.rows("connectsTo"):
            try:
                move = self._connection(join, start, own, lane_turns, trajectories)
            except CodeError as error:
                join.leave_out(f"left out: {error.findings[0]}")
                continue
            if move is not None:
                self.raw.moves.append(move)
                if "userClass" in join:
                    self._restrict(join, round(join.number("userClass")), f"C{len(self.raw.moves)}")

    def _connection(
        self, join: JsonRecord, start: str, own: int, lane_turns: list[str], trajectories: dict[int, Trajectory]
    ) -> RawMove | None:
        """Return a movement; None for one that leads to no lane of this intersection."""
        connecting, remote = join.child("connectingLane"), join.get("remoteIntersection")
        number, turns = round(connecting.number("lane")), read_turns(connecting.child("maneuver")) or lane_turns
        ends = self.exits.get(number, [])
        if remote is not None and self._is_elsewhere(join.child("remoteIntersection"), own):
            join.leave_out(
                f"left out: it leads to lane {number} of intersection {shown(_number_text(remote), '')}, and a code holds the movements of its own intersection only"
            )
            return None
        if not ends:
            join.leave_out(f"left out: it leads to lane {number}, which is no outgoing lane of this intersection")
            return None
        if len(ends) > 1:
            connecting.unknown("lane", number, f"{len(ends)} outgoing lanes have this number: the first is taken")
        path = trajectories.get(round(join.number("connectionID", -1)))
        if path is not None and not self._joins(path, start, ends[0]):
            join.unknown(
                "connectionID",
                join.get("connectionID"),
                f"its path is more than {MAX_GAP:.0f} m off its lanes: one is drawn",
            )
            path = None
        return RawMove(
            start,
            ends[0],
            round(join.number("signalGroup", 0)),
            turns[0] if len(turns) == 1 else "",
            None if path is None else path.xy,
            alias=(Alias("j2735", f"{start}>{ends[0]}"),),
            speed=None if path is None else path.speed,
        )

    def _is_elsewhere(self, remote: JsonRecord, own: int) -> bool:
        """Return whether a connection's remote intersection is another one: of another number, or of another region where both have one."""
        region = round(remote.number("region")) if "region" in remote else None
        return round(remote.number("id")) != own or (
            region is not None and region != (self.region or 0) and not (self.region is None and region == 0)
        )

    def _joins(self, path: Trajectory, start: str, end: str) -> bool:
        """Return whether a path leads from the end of one lane to the beginning of another."""
        lanes = {lane.key: lane.xy for lane in self.raw.lanes}
        return all(
            float(np.hypot(*(place - node))) <= MAX_GAP
            for place, node in ((lanes[start][-1], path.xy[0]), (lanes[end][0], path.xy[-1]))
        )

    def _restrict(self, join: JsonRecord, number: int, movement: str) -> None:
        """Ban a connection to everyone but the users of a restriction class."""
        if number not in self.classes:
            join.unknown("userClass", number, "there is no such restriction class: the connection is closed to all")
        allowed = self.classes.get(number, ())
        self.raw.rules.append(Rule("", "turn_ban", (Target(movement),), except_classes=allowed))

    def _leave_out_blind_approaches(self) -> None:
        """Leave out the driven lanes of roads in which nothing leads through the intersection: no code may hold them."""
        raw = self.raw
        led = {m.start for m in raw.moves}
        for approach in sorted({x.approach for x in raw.lanes if x.role == "ingress" and x.use != "pedestrian"}):
            lanes = [x for x in raw.lanes if x.approach == approach and x.role == "ingress"]
            if not any(x.key in led for x in lanes):
                raw.losses.add(Loss("dropped", raw.name, f"approach {approach} leads nowhere: its lanes are left out"))
                gone = {x.key for x in lanes}
                raw.lanes = [x for x in raw.lanes if x.key not in gone]
                raw.rules = [
                    rule for rule in raw.rules if rule.targets[0].entity not in gone
                ]  # each has one target yet
