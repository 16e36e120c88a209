"""Digital codes -> MAP of SAE J2735 / ISO 19091 (MAPEM), in UPER. What does not fit is an error naming field and limit,
never a cut.

The profile that goes there and back: lanes, their use, sharing, width, stop line and limits (of parts, too),
connections with turn, signal group and permitted users, crosswalks. Not carried: conflicts, plans, other
rules, and the roads before an approach. A MAPEM has the paths of up to four connections a lane, with their limits, too
(ConnectionTrajectory-addGrpC); a MAP of J2735 has no place for them. The limit of the intersection is the lowest of all
lanes, for readers that know no other; each lane whose limit differs has it at its nodes."""

from itertools import pairwise
from typing import Any

import numpy as np

from cloudctl.geo import Origin

from ...compiled.code import local_lines
from ...model import Connection, IntersectionCode, Lane
from ...polylines import F8, arc_lengths, points_along
from ...rule import Rule
from ...terms import DEFAULT_SPEED, LaneUse, LinkRole
from ...versions import wire_revision
from ..messages.kept_out import refused_classes
from ..messages.lane_types import always, standing_rules, write_use
from ..messages.limit_profile import limit_parts, lowest, whole_lane_only
from ..messages.names import LANE_TYPES, SHARING_FLAGS
from ..messages.speed_limits import CAR_LIMIT, speed_steps
from ..messages.thinning import thinned
from ..messages.tree import is_plain_name
from .fields import (
    bits_of,
    crosswalk_row,
    limit_error,
    limit_rows,
    most_common_width,
    part_at,
    with_further_points,
)
from .lanes import TRAJECTORY_EXTENSION
from .nodes import MAX_NODES, Nodes, node_list

TURN_BITS = {"straight": 0x800, "left": 0x400, "right": 0x200, "u": 0x100}
USER_TYPES = {
    "bus": "equippedTransit",
    "taxi": "equippedTaxis",
    "bicycle": "equippedBicycle",
    "pedestrian": "pedestrians",
}
MAX_LANES, MAX_CONNECTIONS_PER_LANE, MAX_APPROACHES = 255, 16, 15
# Paths a lane, numbers of connections, and the region whose extension holds them
MAX_TRAJECTORIES_PER_LANE, MAX_CONNECTION_ID, ADD_GRP_C_REGION = 4, 255, 3
# m; a stop line, or the end of a limit, nearer than this to another point stands at that point
MIN_NODE_GAP = 0.02
MAX_STOP_TO_END = 0.02  # m; a stop line nearer than this to the end of its lane is at its end


class MapWriter:
    """Writes one code; `numbers` are the lane numbers it gives, `exits` those of lanes that stand a second time, as
    they lead out and in again."""

    def __init__(self, code: IntersectionCode, *, trajectories: bool = False) -> None:
        self.code = code
        # Of connections that have a path
        self.ids = iter(range(1, MAX_CONNECTION_ID + 1)) if trajectories else iter(())
        self.roles = {link.id: link.role for link in code.links}
        self.entered_lanes = {connection.to_lane for connection in code.connections if connection.inner}
        self.lanes = [
            lane for lane in code.lanes if self.roles[lane.link] != LinkRole.UPSTREAM or lane.id in self.entered_lanes
        ]
        self.doubled_lanes = [
            lane for lane in self.lanes if self.roles[lane.link] == LinkRole.INGRESS and lane.id in self.entered_lanes
        ]
        self.numbers = {lane.id: number for number, lane in enumerate(self.lanes, 1)}
        self.exits = {lane.id: len(self.lanes) + number for number, lane in enumerate(self.doubled_lanes, 1)}
        self.stops = {line.lane: line.s for line in code.stop_lines}
        self.parts = {name: whole_lane_only(parts) for name, parts in limit_parts(code).items()}
        self.reserved = standing_rules(code)
        self.refused = refused_classes(code)
        self.bans = self._bans()
        self.origin = Origin(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7)

    def tree(self, intersection: int, region: int | None) -> dict[str, Any]:
        """Return the MapData value tree. Raises CodeError."""
        code = self.code
        row_count = len(self.lanes) + len(self.doubled_lanes) + len(code.crosswalks)
        if row_count > MAX_LANES:
            raise limit_error("lanes", row_count, f"a MAP holds {MAX_LANES} lanes and crosswalks")

        self.common_width = most_common_width(
            [lane.width_cm for lane in self.lanes] + [walk.width_cm for walk in code.crosswalks]
        )
        # The lowest: a reader that knows no limits of lanes must not be led too fast
        self.common_speed = min(
            (
                part.limits[CAR_LIMIT]
                for lane in self.lanes
                if lane.use != LaneUse.PEDESTRIAN
                for part in self.parts[lane.id]
            ),
            default=DEFAULT_SPEED,
        )

        intersection_id = {"id": intersection} if region is None else {"region": region, "id": intersection}

        geometry = {
            "id": intersection_id,
            "revision": wire_revision(code),
            "refPoint": {"lat": code.ref_lat_e7, "long": code.ref_lon_e7},
            "laneWidth": self.common_width,
            "speedLimits": limit_rows({CAR_LIMIT: self.common_speed}),
            "laneSet": self._lane_rows(),
        }
        if is_plain_name(code.name):
            geometry["name"] = code.name

        tree = {"msgIssueRevision": 0, "layerType": "intersectionData", "layerID": 0, "intersections": [geometry]}
        # A MAP bans through classes of users that a connection is restricted to; each set is listed once
        allowed_sets = dict.fromkeys(allowed for _, allowed in self.bans.values())
        if allowed_sets:
            tree["restrictionList"] = [
                {
                    "id": number,
                    "users": [("basicType", USER_TYPES[name]) for name in allowed] or [("basicType", "none")],
                }
                for number, allowed in enumerate(allowed_sets, 1)
            ]

        return tree

    def _lane_rows(self) -> list[dict[str, Any]]:
        line_of_lane = dict(
            zip(self.numbers, local_lines(self.origin, [lane.points for lane in self.lanes]), strict=True)
        )
        approaches = self._approaches()

        lane_rows = [
            self._lane(
                lane,
                self.numbers[lane.id],
                self.roles[lane.link] == LinkRole.INGRESS,
                approaches,
                line_of_lane[lane.id],
            )
            for lane in self.lanes
        ]

        lane_rows += [
            self._lane(lane, self.exits[lane.id], ingress=False, approaches=approaches, line=line_of_lane[lane.id])
            for lane in self.doubled_lanes
        ]
        axes = local_lines(self.origin, [crosswalk.axis for crosswalk in self.code.crosswalks])

        for number, (crosswalk, axis) in enumerate(zip(self.code.crosswalks, axes, strict=True), len(lane_rows) + 1):
            nodes = Nodes(with_further_points(axis[thinned(axis, MAX_NODES)]), np.empty(0), stop=None)
            lane_rows.append(
                crosswalk_row(
                    number,
                    crosswalk.group,
                    node_list(self.origin, crosswalk.id, nodes, crosswalk.width_cm - self.common_width, {}),
                )
            )

        return lane_rows

    def _approaches(self) -> dict[tuple[bool, str], int]:
        """Return the number of each approach, by whether it leads in, and its link."""
        used = dict.fromkeys(
            [(self.roles[lane.link] == LinkRole.INGRESS, lane.link) for lane in self.lanes]
            + [(False, lane.link) for lane in self.doubled_lanes]
        )
        numbers: dict[tuple[bool, str], int] = {}

        for ingress in (True, False):
            keys = [key for key in used if key[0] == ingress]
            if len(keys) > MAX_APPROACHES:
                raise limit_error(
                    "links",
                    len(keys),
                    f"a MAP has {MAX_APPROACHES} approaches at most ({'ingress' if ingress else 'egress'})",
                )

            numbers |= {key: number for number, key in enumerate(keys, 1)}

        return numbers

    def _lane(
        self, lane: Lane, number: int, ingress: bool, approaches: dict[tuple[bool, str], int], line: F8
    ) -> dict[str, Any]:
        written = write_use(lane, self.reserved[lane.id], self.refused[lane.id])
        flags, size = LANE_TYPES[written.kind]
        nodes = self._lane_nodes(lane, line, ingress)

        row: dict[str, Any] = {
            "laneID": number,
            "ingressApproach" if ingress else "egressApproach": approaches[ingress, lane.link],
            "laneAttributes": {
                "directionalUse": (2 if ingress else 1, 2),
                "sharedWith": (bits_of(written.sharing, SHARING_FLAGS, size=10), 10),
                "laneType": (written.kind, (bits_of(written.flags, flags, size), size)),
            },
            "nodeList": node_list(
                self.origin, lane.id, nodes, lane.width_cm - self.common_width, self._limits_at(lane, nodes, ingress)
            ),
        }

        if ingress:
            connections = [
                connection
                for connection in self.code.connections
                if connection.inner and connection.from_lane == lane.id
            ]
        else:
            connections = []

        if len(connections) > MAX_CONNECTIONS_PER_LANE:
            raise limit_error(
                f"{lane.id}.connections", len(connections), f"a MAP holds {MAX_CONNECTIONS_PER_LANE} connections a lane"
            )

        if connections:
            ids = self._trajectories(row, lane, connections)
            classes = list(dict.fromkeys(allowed for _, allowed in self.bans.values()))
            row["maneuvers"] = (sum({TURN_BITS[connection.turn] for connection in connections}), 12)

            row["connectsTo"] = [
                {
                    "connectingLane": {
                        "lane": self.exits.get(connection.to_lane, self.numbers[connection.to_lane]),
                        "maneuver": (TURN_BITS[connection.turn], 12),
                    }
                }
                | ({"signalGroup": connection.group} if connection.group else {})
                | ({"userClass": 1 + classes.index(self.bans[connection.id][1])} if connection.id in self.bans else {})
                | ({"connectionID": ids[connection.id]} if connection.id in ids else {})
                for connection in connections
            ]

        return row

    def _trajectories(self, row: dict[str, Any], lane: Lane, connections: list[Connection]) -> dict[str, int]:
        """Add the paths of a lane's connections with their limits, as the extension of ISO 19091 has them; return their
        numbers.

        A lane holds four: those come first whose limit differs most from that of the lane, which a reader takes without
        one."""
        ids: dict[str, int] = {}
        for connection in sorted(connections, key=lambda connection: self._limit(connection) - self._limit(lane))[
            :MAX_TRAJECTORIES_PER_LANE
        ]:
            number = next(self.ids, None)
            if number is None:
                break

            (line,) = local_lines(self.origin, [connection.points])
            nodes = Nodes(with_further_points(line[thinned(line, MAX_NODES)]), np.empty(0), stop=None)

            if speed_steps(self._limit(connection)) != speed_steps(self._limit(lane)):
                limits = {0: {CAR_LIMIT: self._limit(connection)}}
            else:
                limits = {}

            _, node_rows = node_list(self.origin, connection.id, nodes, width_difference=0, limits=limits)
            row.setdefault("regional", []).append(
                {
                    "regionId": ADD_GRP_C_REGION,
                    "regExtValue": (TRAJECTORY_EXTENSION, {"nodes": node_rows, "connectionID": number}),
                }
            )

            ids[connection.id] = number

        return ids

    def _limit(self, path: Lane | Connection) -> float:
        return lowest(self.parts[path.id])[CAR_LIMIT]

    def _lane_nodes(self, lane: Lane, line: F8, ingress: bool) -> Nodes:
        """Return the nodes of a lane: its points, its stop line, and where a limit begins or ends; fewer of the points
        where they are too many."""
        lengths = arc_lengths(line)
        end, stop = float(lengths[-1]), self.stops.get(lane.id) if ingress else None

        required_s = [part.s_to for part in self.parts[lane.id][:-1]] + (
            [stop] if stop is not None and stop < end - MAX_STOP_TO_END else []
        )

        for required in required_s:
            if float(np.abs(lengths - required).min()) > MIN_NODE_GAP and 0 < required < end:
                lengths = np.sort(np.append(lengths, required))

        line = points_along(line, arc_lengths(line), lengths)
        kept_nodes = frozenset(int(np.abs(lengths - required).argmin()) for required in required_s)
        chosen = thinned(line, MAX_NODES, kept_nodes)
        xy, s = (
            with_further_points(line[chosen]),
            with_further_points(np.stack([lengths[chosen], lengths[chosen]], axis=1), line[chosen])[:, 0],
        )

        if ingress:
            xy, s = xy[::-1], s[::-1]

        at_stop = int(np.abs(s - stop).argmin()) if stop is not None and stop < end - MAX_STOP_TO_END else None
        return Nodes(xy, s, at_stop)

    def _limits_at(self, lane: Lane, nodes: Nodes, ingress: bool) -> dict[int, dict[str, float]]:
        """Return the limits that change at a node, going outwards from the intersection; none of them can be ended but
        by the limit of all."""
        limits_of_node: dict[int, dict[str, float]] = {}
        running = {CAR_LIMIT: self.common_speed}

        for index, (start, end) in enumerate(pairwise(nodes.s.tolist())):
            part = part_at(self.parts[lane.id], (start + end) / 2)
            changed = {
                name: speed
                for name, speed in part.limits.items()
                if running.get(name) is None or speed_steps(running[name]) != speed_steps(speed)
            }

            changed |= {
                name: part.limits[CAR_LIMIT]
                for name in running
                if name not in part.limits and speed_steps(running[name]) != speed_steps(part.limits[CAR_LIMIT])
            }
            if changed:
                limits_of_node[index] = changed
                running |= changed

        return limits_of_node

    def _bans(self) -> dict[str, tuple[Rule, tuple[str, ...]]]:
        """Return, by connection, a turn ban that restriction classes carry, and the classes that it lets pass, in
        order."""
        bans: dict[str, tuple[Rule, tuple[str, ...]]] = {}
        for rule in self.code.rules:
            if (
                rule.kind == "turn_ban"
                and always(rule)
                and not rule.classes
                and set(rule.except_classes) <= USER_TYPES.keys()
            ):
                for target in rule.targets:
                    if target.s_from is None and target.s_to is None:
                        bans.setdefault(target.entity, (rule, tuple(sorted(rule.except_classes))))

        through_intersection = {connection.id for connection in self.code.connections if connection.inner}
        return {name: ban for name, ban in bans.items() if name in through_intersection}
