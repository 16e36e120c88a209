"""MAP of SAE J2735 / ISO 19091 (MAPEM) -> digital codes: UPER frames, JSON of the USDOT data exchange and others, XML
of XER.

Lane types, sharing and limits become uses and rules (`lane_types.py`, `speed_limits.py`); classes of users that a
connection is restricted to become a turn ban for all others. What is met and not used is reported."""

from math import inf
from typing import Any

import numpy as np

from cloudctl.geo import Origin

from ...checks.geometry import MAX_GAP
from ...findings import CodeError, Loss, LossKind, refuse
from ...grid import grid_encode
from ...model import Alias, IntersectionCode
from ...report import Imported
from ...rule import Rule, Target
from ...terms import LaneUse, LinkRole
from ..importing.accounting import Accounts, JsonRecord, shown
from ..importing.build import DEFAULT_ADM, build
from ..importing.raw import RawCode, RawLane, RawMove
from ..messages.bit_strings import UNREAD_KEY
from ..messages.lane_types import USE_OF_LANE_TYPE, LaneAccess, read_lane_type, read_turns, read_use
from ..messages.names import DIRECTION_FLAGS
from ..messages.speed_limits import CAR_LIMIT, read_limits
from ..messages.tree import MALFORMED, plain_map, unwrapped
from .approaches import approach_of, leave_out_blind_approaches
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
from .message import read_message
from .restrictions import restriction_classes
from .vocabulary import IGNORED

DEFAULT_WIDTH = 330  # cm
MIN_USUAL_LIMIT = 4.0  # m/s; a limit below is worth a look


def import_map(data: bytes | dict[str, Any], *, adm: str = DEFAULT_ADM) -> Imported:
    """Return the codes of a MAP: a frame or MapData in UPER (bytes or hex text), JSON, or XML. Raises CodeError."""
    with Accounts("MAP", IGNORED) as accounts:
        unwrapped_map = unwrapped(data if isinstance(data, dict) else read_message(data))
        for beside in unwrapped_map.beside if unwrapped_map else ():
            accounts.json(beside, "envelope")

        record = accounts.json(plain_map(unwrapped_map.tree if unwrapped_map else {}), "MapData")
        intersections = record.rows("intersections")
        if not intersections:
            raise refuse(
                where="MAP",
                entity="MAP",
                field="intersections",
                value="none",
                rule="holds no intersection",
                remedy="give a MAP with intersection geometry",
            )

        classes = restriction_classes(record)
        codes, errors, serials = list[IntersectionCode](), list[CodeError](), dict[str, int]()

        for number, row in enumerate(intersections):
            try:
                raw = _Intersection(
                    row, RawCode(f"intersection {number}", (0, 0), losses=accounts.losses), classes
                ).read()
                cell = grid_encode(*raw.ref)
                codes.append(build(raw, adm, serials.get(cell, 0) + 1))
                serials[cell] = serials.get(cell, 0) + 1
            except CodeError as error:
                errors.append(error)
            except MALFORMED as error:
                errors.append(
                    refuse(
                        where="MAP",
                        entity=f"intersection {number}",
                        field="fields",
                        value=f"{error!r}",
                        rule="an intersection has id, refPoint and laneSet, each as the standard says",
                        remedy="correct the sender",
                    )
                )

        if not codes:
            raise errors[0]

        accounts.losses |= {
            Loss(
                what=LossKind.DROPPED,
                entity=error.findings[0].entity,
                detail=f"the intersection is left out: {error.findings[0]}",
            )
            for error in errors
        }

        return accounts.imported(codes)


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
        reference, number = row.child("refPoint"), row.child("id")
        raw.ref = (round(reference.number("lat")), round(reference.number("long")))
        own_number = round(number.number("id"))
        self.region = round(number.number("region")) if "region" in number else None
        raw.name = str(row.get("name") or own_number)
        raw.alias = (Alias("j2735", f"{round(number.number('region', 0))}/{own_number}"),)
        raw.revision = round(row.number("revision", 0)) + 1
        self.limits = read_limits(row.rows("speedLimits"))
        self.width = round(row.number("laneWidth", 0)) or DEFAULT_WIDTH

        if self.limits.get(CAR_LIMIT, MIN_USUAL_LIMIT) < MIN_USUAL_LIMIT:
            raw.losses.add(
                Loss(
                    what=LossKind.DIFFERS,
                    entity=raw.name,
                    detail=f"the speed limit is {self.limits[CAR_LIMIT]:.1f} m/s: too slow to be true? It is kept",
                )
            )

        self._read_lines()
        for index, lane in enumerate(self.lanes):
            if index in self.lines:
                self._lane(lane, self.lines[index])

        for lane, key in self.entrances:
            self._connections(lane, key, own_number)

        leave_out_blind_approaches(raw)
        return raw

    def _read_lines(self) -> None:
        """Read the nodes of each lane; what cannot be read is left out, with the reason."""
        origin = self.origin = Origin(self.raw.ref[0] / 1e7, self.raw.ref[1] / 1e7)
        line_of_number: dict[int, NodeLine] = {}

        for index, lane in enumerate(self.lanes):
            try:
                line = read_nodes(lane, origin)
                if line is not None:
                    self.lines[index] = line
                    line_of_number.setdefault(round(lane.number("laneID")), line)
            except CodeError as error:
                lane.leave_out(f"left out: {error.findings[0]}")

        for index, lane in enumerate(self.lanes):
            if index not in self.lines and not lane.left_out:
                line = computed_line(lane, line_of_number)
                if line is None:
                    lane.leave_out("left out: is computed with turning or scaling, or from a lane that is not there")
                else:
                    self.lines[index] = line

    def _lane(self, lane: JsonRecord, line: NodeLine) -> None:
        number = round(lane.number("laneID"))
        attributes = lane.child("laneAttributes")
        try:
            lane_type, flags = read_lane_type(attributes)
        except CodeError as error:
            lane.leave_out(f"left out: {error.findings[0]}")
            return

        direction = attributes.child("directionalUse")
        if unread := direction.values.get(UNREAD_KEY):
            lane.leave_out(
                f"left out: directionalUse {shown(unread)} is not understood; its flags are "
                f"{', '.join(DIRECTION_FLAGS)}"
            )
            return

        ingress, egress = direction.flag("ingressPath"), direction.flag("egressPath")
        width = self.width + line.wider_cm

        if lane_type == "crosswalk":
            for name in ("ingressApproach", "egressApproach"):
                lane.ignore(name, "a crosswalk belongs to no road")
            self.raw.walks.append((line.xy, width, self._crosswalk_group(lane), (Alias("j2735", str(number)),)))
            return

        if lane_type not in USE_OF_LANE_TYPE:
            lane.leave_out(f"left out: {lane_type} is no lane to travel on")
            return

        if not (ingress or egress):
            lane.leave_out("left out: it leads neither in nor out (ingressPath, egressPath): closed")
            return

        use = read_use(lane_type, flags, attributes.child("sharedWith"))
        if ingress and egress:
            self.raw.losses.add(
                Loss(
                    what=LossKind.DIFFERS,
                    entity=self.raw.name,
                    detail=f"lane {number} runs both ways: it stands as two lanes, one a direction",
                )
            )

        for leads_in in [direction for direction, leads in ((True, ingress), (False, egress)) if leads]:
            self._add_lane(lane, number, line=line, use=use, width=width, ingress=leads_in)

    def _add_lane(
        self, lane: JsonRecord, number: int, line: NodeLine, use: LaneAccess, width: int, ingress: bool
    ) -> None:
        """Add one lane in one direction, with its rules."""
        raw, key = self.raw, self._key(number)
        spans = spans_of(line, ingress, self.limits)
        approach = approach_of(lane, "ingressApproach" if ingress else "egressApproach", number)

        raw.lanes.append(
            RawLane(
                key=key,
                xy=line.xy[::-1].copy() if ingress else line.xy,
                role=LinkRole.INGRESS if ingress else LinkRole.EGRESS,
                approach=approach,
                use=use.use,
                width_cm=width,
                speed=car_speed(raw, key, spans),
                revocable=use.revocable,
                stop_s=stop_of(lane, line) if ingress else inf,
                shared=use.shared,
                alias=(Alias("j2735", key),),
            )
        )
        if use.kind:
            raw.rules.append(Rule(id="", kind=use.kind, targets=(Target(key),), classes=use.classes, text=use.text))

        if use.use != LaneUse.PEDESTRIAN:
            raw.rules += limit_rules(raw, key, spans)

        if ingress:
            self.entrances.append((lane, key))
        else:
            self.exits.setdefault(number, []).append(key)

    def _key(self, number: int) -> str:
        """Return a name of its own for a lane: its number, and which of that number it is."""
        count = 1
        while (key := str(number) if count == 1 else f"{number}/{count}") in self.names:
            count += 1
        self.names.add(key)
        return key

    def _crosswalk_group(self, lane: JsonRecord) -> int:
        group = 0
        for connection in lane.rows("connectsTo"):
            own_group = round(connection.number("signalGroup", 0))
            connection.child("connectingLane").get("lane")
            if group and own_group not in (0, group):
                connection.unknown("signalGroup", own_group, f"the crosswalk keeps group {group}")
            group = group or own_group

        return group

    def _connections(self, lane: JsonRecord, start: str, own_number: int) -> None:
        lane_turns = read_turns(lane.child("maneuvers"))
        trajectories = read_trajectories(lane, self.origin)

        for connection in lane.rows("connectsTo"):
            try:
                movement = self._connection(connection, start, own_number, lane_turns, trajectories)
            except CodeError as error:
                connection.leave_out(f"left out: {error.findings[0]}")
                continue

            if movement is not None:
                self.raw.moves.append(movement)
                if "userClass" in connection:
                    self._restrict(connection, round(connection.number("userClass")), f"C{len(self.raw.moves)}")

    def _connection(
        self,
        connection: JsonRecord,
        start: str,
        own_number: int,
        lane_turns: list[str],
        trajectories: dict[int, Trajectory],
    ) -> RawMove | None:
        """Return a movement; None for one that leads to no lane of this intersection."""
        connecting_lane, remote = connection.child("connectingLane"), connection.get("remoteIntersection")
        number, turns = (
            round(connecting_lane.number("lane")),
            read_turns(connecting_lane.child("maneuver")) or lane_turns,
        )
        exit_keys = self.exits.get(number, [])

        if remote is not None and self._is_elsewhere(connection.child("remoteIntersection"), own_number):
            connection.leave_out(
                f"left out: it leads to lane {number} of intersection {shown(_number_text(remote), '')}, and a "
                "code holds the movements of its own intersection only"
            )
            return None

        if not exit_keys:
            connection.leave_out(f"left out: it leads to lane {number}, which is no outgoing lane of this intersection")
            return None

        if len(exit_keys) > 1:
            connecting_lane.unknown(
                "lane", number, f"{len(exit_keys)} outgoing lanes have this number: the first is taken"
            )

        path = trajectories.get(round(connection.number("connectionID", -1)))
        if path is not None and not self._joins_lanes(path, start, exit_keys[0]):
            connection.unknown(
                "connectionID",
                connection.get("connectionID"),
                f"its path is more than {MAX_GAP:.0f} m off its lanes: one is drawn",
            )
            path = None

        return RawMove(
            start=start,
            end=exit_keys[0],
            group=round(connection.number("signalGroup", 0)),
            turn=turns[0] if len(turns) == 1 else "",
            xy=None if path is None else path.xy,
            alias=(Alias("j2735", f"{start}>{exit_keys[0]}"),),
            speed=None if path is None else path.speed,
        )

    def _is_elsewhere(self, remote: JsonRecord, own_number: int) -> bool:
        """Return whether a connection's remote intersection is another one: of another number, or of another region
        where both have one."""
        region = round(remote.number("region")) if "region" in remote else None
        return round(remote.number("id")) != own_number or (
            region is not None and region != (self.region or 0) and not (self.region is None and region == 0)
        )

    def _joins_lanes(self, path: Trajectory, start: str, end: str) -> bool:
        """Return whether a path leads from the end of one lane to the beginning of another."""
        lanes = {lane.key: lane.xy for lane in self.raw.lanes}
        return all(
            float(np.hypot(*(lane_end - node))) <= MAX_GAP
            for lane_end, node in ((lanes[start][-1], path.xy[0]), (lanes[end][0], path.xy[-1]))
        )

    def _restrict(self, connection: JsonRecord, number: int, movement: str) -> None:
        """Ban a connection to everyone but the users of a restriction class."""
        if number not in self.classes:
            connection.unknown(
                "userClass", number, "there is no such restriction class: the connection is closed to all"
            )

        allowed = self.classes.get(number, ())
        self.raw.rules.append(Rule(id="", kind="turn_ban", targets=(Target(movement),), except_classes=allowed))
