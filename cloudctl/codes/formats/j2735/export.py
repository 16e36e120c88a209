"""Digital codes -> MAP of SAE J2735 / ISO 19091 (MAPEM), in UPER. What does not fit is an error naming field and limit,
never a cut.

The profile that goes there and back: lanes, their use, sharing, width, stop line and limits (of parts, too),
connections with turn, signal group and whom they are restricted to, crosswalks. Not carried: conflicts, plans, other
rules, and the roads before an approach. A MAPEM has the paths of up to four connections a lane, with their limits, too
(ConnectionTrajectory-addGrpC); a MAP of J2735 has no place for them. The limit of the intersection is the lowest of all
lanes, for readers that know no other; each lane whose limit differs has it at its nodes."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from cloudctl.geo import Origin

from ...compiled.code import local_lines
from ...findings import CodeError, refuse
from ...model import Connection, IntersectionCode, Lane
from ...polylines import F8, arc_lengths, points_along
from ...rule import Rule
from ...versions import wire_revision
from ..importing.build import to_points
from ..messages.kept_out import refused_classes
from ..messages.lane_types import always, standing_rules, write_use
from ..messages.limit_profile import Part, limit_parts, lowest, whole_lane_only
from ..messages.speed_limits import CAR_LIMIT, DEFAULT_SPEED, MAX_STEPS, speed_steps
from ..messages.thinning import thinned
from ..messages.tree import LANE_TYPES, SHARING_FLAGS, is_plain_name
from ..messages.uper import encode, framed, write_pdu
from .lanes import TRAJECTORY_EXTENSION

# cm
DELTA_FORMS = (
    (512, "node-XY1"),
    (1024, "node-XY2"),
    (2048, "node-XY3"),
    (4096, "node-XY4"),
    (8192, "node-XY5"),
    (32768, "node-XY6"),
)
TURN_BITS = {"straight": 0x800, "left": 0x400, "right": 0x200, "u": 0x100}
USER_TYPES = {
    "bus": "equippedTransit",
    "taxi": "equippedTaxis",
    "bicycle": "equippedBicycle",
    "pedestrian": "pedestrians",
}
MAX_NODE_DISTANCE = 327.0  # m between two nodes, by axis
MAX_LANES, MAX_NODES, MAX_CONNECTIONS_PER_LANE, MAX_APPROACHES = 255, 63, 16, 15
# Paths a lane, numbers of connections, and the region whose extension holds them
MAX_TRAJECTORIES_PER_LANE, MAX_CONNECTION_ID, ADD_GRP_C_REGION = (
    4,
    255,
    3,
)
WIDTH_DIFFERENCES = (-512, 511)  # cm by which a lane may differ from the common width
MIN_NODE_GAP = 0.02  # m; a stop line, or the end of a limit, nearer than this to another point stands at that point
MAX_STOP_TO_END = 0.02  # m; a stop line nearer than this to the end of its lane is at its end


class _Nodes(NamedTuple):
    """A lane as it is written: m of the reference point from the intersection outwards, m along the lane, and which is
    the stop line."""

    xy: F8
    s: F8
    stop: int | None


def write_map(
    code: IntersectionCode,
    intersection: int,
    *,
    region: int | None = None,
    frame: bool = False,
    station: int | None = None,
) -> bytes:
    """Return a MAP in UPER: bare, in a J2735 frame, or as the MAPEM of a `station`. Raises CodeError naming field and
    limit.

    `intersection` and `region` are the registry's 16-bit numbers. What of the code it does not carry,
    `exporting.export_code` says."""
    return encode_map(
        map_tree(code, intersection, region, trajectories=station is not None), frame=frame, station=station
    )


def encode_map(tree: dict[str, Any], *, frame: bool = False, station: int | None = None) -> bytes:
    """Return the UPER bytes of a MapData value tree: bare, in a J2735 frame, or as the MAPEM of a `station`. Raises
    CodeError."""
    if station is not None:
        return write_pdu("MAPEM", tree, station)
    body = encode("MapData", tree)
    return framed("MapData", body) if frame else body


def map_tree(
    code: IntersectionCode, intersection: int, region: int | None = None, *, trajectories: bool = False
) -> dict[str, Any]:
    """Return the MapData value tree, with the paths of connections where `trajectories`. Raises CodeError."""
    return MapWriter(code, trajectories=trajectories).tree(intersection, region)


class MapWriter:
    """Writes one code; `numbers` are the lane numbers it gives, `exits` those of lanes that stand a second time, as
    they lead out and in again."""

    def __init__(self, code: IntersectionCode, *, trajectories: bool = False) -> None:
        self.code = code
        # Of connections that have a path
        self.ids = iter(range(1, MAX_CONNECTION_ID + 1)) if trajectories else iter(())
        self.roles = {link.id: link.role for link in code.links}
        self.entered_lanes = {c.to_lane for c in code.connections if c.inner}
        self.lanes = [
            lane for lane in code.lanes if self.roles[lane.link] != "upstream" or lane.id in self.entered_lanes
        ]
        self.doubled_lanes = [
            lane for lane in self.lanes if self.roles[lane.link] == "ingress" and lane.id in self.entered_lanes
        ]
        self.numbers = {lane.id: k for k, lane in enumerate(self.lanes, 1)}
        self.exits = {lane.id: len(self.lanes) + k for k, lane in enumerate(self.doubled_lanes, 1)}
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
            raise _limit("lanes", row_count, f"a MAP holds {MAX_LANES} lanes and crosswalks")

        self.common_width = _common_width(
            [lane.width_cm for lane in self.lanes] + [walk.width_cm for walk in code.crosswalks]
        )
        self.common_speed = min(
            (part.limits[CAR_LIMIT] for lane in self.lanes if lane.use != "pedestrian" for part in self.parts[lane.id]),
            default=DEFAULT_SPEED,
        )
        intersection_id = {"id": intersection} if region is None else {"region": region, "id": intersection}

        geometry = {
            "id": intersection_id,
            "revision": wire_revision(code),
            "refPoint": {"lat": code.ref_lat_e7, "long": code.ref_lon_e7},
            "laneWidth": self.common_width,
            "speedLimits": _limit_list({CAR_LIMIT: self.common_speed}),
            "laneSet": self._lane_rows(),
        }
        if is_plain_name(code.name):
            geometry["name"] = code.name

        tree = {"msgIssueRevision": 0, "layerType": "intersectionData", "layerID": 0, "intersections": [geometry]}
        allowed_sets = dict.fromkeys(allowed for _, allowed in self.bans.values())
        if allowed_sets:
            tree["restrictionList"] = [
                {"id": k, "users": [("basicType", USER_TYPES[name]) for name in allowed] or [("basicType", "none")]}
                for k, allowed in enumerate(allowed_sets, 1)
            ]

        return tree

    def _lane_rows(self) -> list[dict[str, Any]]:
        line_of_lane = dict(
            zip(self.numbers, local_lines(self.origin, [lane.points for lane in self.lanes]), strict=True)
        )
        approaches = self._approaches()
        lane_rows = [
            self._lane(
                lane, self.numbers[lane.id], self.roles[lane.link] == "ingress", approaches, line_of_lane[lane.id]
            )
            for lane in self.lanes
        ]
        lane_rows += [
            self._lane(lane, self.exits[lane.id], False, approaches, line_of_lane[lane.id])
            for lane in self.doubled_lanes
        ]
        axes = local_lines(self.origin, [crosswalk.axis for crosswalk in self.code.crosswalks])

        for k, (crosswalk, axis) in enumerate(zip(self.code.crosswalks, axes, strict=True), len(lane_rows) + 1):
            nodes = _Nodes(_with_further_points(axis[thinned(axis, MAX_NODES)]), np.empty(0), None)
            lane_rows.append(
                _crosswalk(
                    k, crosswalk.group, self._node_list(crosswalk.id, nodes, crosswalk.width_cm - self.common_width, {})
                )
            )

        return lane_rows

    def _approaches(self) -> dict[tuple[bool, str], int]:
        """Return the number of each approach, by whether it leads in, and its link."""
        used = dict.fromkeys(
            [(self.roles[lane.link] == "ingress", lane.link) for lane in self.lanes]
            + [(False, lane.link) for lane in self.doubled_lanes]
        )
        numbers: dict[tuple[bool, str], int] = {}
        for ingress in (True, False):
            keys = [key for key in used if key[0] == ingress]
            if len(keys) > MAX_APPROACHES:
                raise _limit(
                    "links",
                    len(keys),
                    f"a MAP has {MAX_APPROACHES} approaches at most ({'ingress' if ingress else 'egress'})",
                )

            numbers |= {key: k for k, key in enumerate(keys, 1)}

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
                "sharedWith": (_bits(written.sharing, SHARING_FLAGS, 10), 10),
                "laneType": (written.kind, (_bits(written.flags, flags, size), size)),
            },
            "nodeList": self._node_list(
                lane.id, nodes, lane.width_cm - self.common_width, self._limits_at(lane, nodes, ingress)
            ),
        }
        connections = [c for c in self.code.connections if c.inner and c.from_lane == lane.id] if ingress else []
        if len(connections) > MAX_CONNECTIONS_PER_LANE:
            raise _limit(
                f"{lane.id}.connections", len(connections), f"a MAP holds {MAX_CONNECTIONS_PER_LANE} connections a lane"
            )

        if connections:
            ids = self._trajectories(row, lane, connections)
            classes = list(dict.fromkeys(allowed for _, allowed in self.bans.values()))
            row["maneuvers"] = (sum({TURN_BITS[c.turn] for c in connections}), 12)

            row["connectsTo"] = [
                {
                    "connectingLane": {
                        "lane": self.exits.get(c.to_lane, self.numbers[c.to_lane]),
                        "maneuver": (TURN_BITS[c.turn], 12),
                    }
                }
                | ({"signalGroup": c.group} if c.group else {})
                | ({"userClass": 1 + classes.index(self.bans[c.id][1])} if c.id in self.bans else {})
                | ({"connectionID": ids[c.id]} if c.id in ids else {})
                for c in connections
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
            nodes = _Nodes(_with_further_points(line[thinned(line, MAX_NODES)]), np.empty(0), None)
            limits = (
                {0: {CAR_LIMIT: self._limit(connection)}}
                if speed_steps(self._limit(connection)) != speed_steps(self._limit(lane))
                else {}
            )
            _, node_rows = self._node_list(connection.id, nodes, 0, limits)
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

    def _lane_nodes(self, lane: Lane, line: F8, ingress: bool) -> _Nodes:
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
            _with_further_points(line[chosen]),
            _with_further_points(np.stack([lengths[chosen], lengths[chosen]], axis=1), line[chosen])[:, 0],
        )

        if ingress:
            xy, s = xy[::-1], s[::-1]

        at_stop = int(np.abs(s - stop).argmin()) if stop is not None and stop < end - MAX_STOP_TO_END else None
        return _Nodes(xy, s, at_stop)

    def _limits_at(self, lane: Lane, nodes: _Nodes, ingress: bool) -> dict[int, dict[str, float]]:
        """Return the limits that change at a node, going outwards from the intersection; none of them can be ended but
        by the limit of all."""
        limits_of_node: dict[int, dict[str, float]] = {}
        running = {CAR_LIMIT: self.common_speed}
        for k, (start, end) in enumerate(pairwise(nodes.s.tolist())):
            part = _part_at(self.parts[lane.id], (start + end) / 2)
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
                limits_of_node[k] = changed
                running |= changed

        return limits_of_node

    def _node_list(
        self, name: str, nodes: _Nodes, width_difference: int, limits: dict[int, dict[str, float]]
    ) -> tuple[str, list[dict[str, Any]]]:
        """Return the node list: whole cm, each from the one before, so that rounding does not add up; a first node far
        off in degrees."""
        if not 2 <= len(nodes.xy) <= MAX_NODES:
            raise _limit(
                f"{name}.points",
                len(nodes.xy),
                f"a MAP holds 2 .. {MAX_NODES} nodes a lane, also without those within 2 cm of the line "
                "through the others",
            )

        if not WIDTH_DIFFERENCES[0] <= width_difference <= WIDTH_DIFFERENCES[1]:
            raise _limit(f"{name}.width_cm", width_difference, "a MAP holds widths within 5.11 m of the common one")

        first, counted_from = self._first_node(nodes.xy[0])
        deltas = [
            first,
            *(
                _delta(*step)
                for step in np.diff(np.rint((nodes.xy - counted_from) * 100).astype(np.int64), axis=0).tolist()
            ),
        ]
        rows = []

        for k, delta in enumerate(deltas):
            attributes: dict[str, Any] = {}
            if k == nodes.stop:
                attributes["localNode"] = ["stopLine"]

            if k in limits:
                attributes["data"] = [("speedLimits", _limit_list(limits[k]))]

            if k == 0 and width_difference:
                attributes["dWidth"] = width_difference

            rows.append({"delta": delta} | ({"attributes": attributes} if attributes else {}))

        return "nodes", rows

    def _first_node(self, xy: F8) -> tuple[tuple[str, dict[str, int]], F8]:
        """Return the first node, and the place from which the steps to the others are counted, m of the reference
        point."""
        if float(np.abs(xy).max()) < MAX_NODE_DISTANCE:
            x, y = np.rint(xy * 100).astype(np.int64).tolist()
            return _delta(x, y), np.zeros(2)

        ((lat, lon),) = to_points(self.origin, xy[None])
        return ("node-LatLon", {"lon": lon, "lat": lat}), np.array(
            [float(v) for v in self.origin.to_local(lat / 1e7, lon / 1e7)]
        )

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

        through_intersection = {c.id for c in self.code.connections if c.inner}
        return {name: ban for name, ban in bans.items() if name in through_intersection}


def _limit(field: str, value: object, rule: str) -> CodeError:
    return refuse(
        where="MAP",
        entity="code",
        field=field,
        value=value,
        rule=rule,
        remedy="split the intersection, or publish the digital code itself",
    )


def _common_width(widths: list[int]) -> int:
    """Return the width that most lanes have, or the nearest to it from which every lane differs by what a MAP can
    say."""
    most_common = max(set(widths), key=lambda width: (widths.count(width), -width))
    low, high = max(widths) - WIDTH_DIFFERENCES[1], min(widths) - WIDTH_DIFFERENCES[0]
    return min(max(most_common, low), high) if low <= high else most_common


def _part_at(parts: list[Part], s: float) -> Part:
    return next((part for part in parts if part.s_from <= s < part.s_to), parts[-1])


def _bits(names: tuple[str, ...], all_names: tuple[str, ...], size: int) -> int:
    return sum(1 << (size - 1 - all_names.index(name)) for name in names)


def _limit_list(limits: dict[str, float]) -> list[dict[str, Any]]:
    rows = [{"type": name, "speed": speed_steps(speed)} for name, speed in limits.items()]
    for row in rows:
        if not 0 < int(str(row["speed"])) <= MAX_STEPS:
            raise _limit(
                "speed", limits[str(row["type"])], f"a MAP counts limits in steps of 0.02 m/s, 1 .. {MAX_STEPS}"
            )
    return rows


def _with_further_points(values: F8, line: F8 | None = None) -> F8:
    """Return points with further ones where two are farther apart than a node may be; with `line`, values beside its
    points likewise."""
    line = values if line is None else line
    pieces = [values[:1]]
    for k, (start, end) in enumerate(pairwise(line)):
        count = int(np.abs(end - start).max() // MAX_NODE_DISTANCE) + 1
        pieces.append(values[k] + (values[k + 1] - values[k]) * np.arange(1, count + 1)[:, None] / count)
    return np.concatenate(pieces)


def _delta(x: int, y: int) -> tuple[str, dict[str, int]]:
    """Return a step, cm, in the smallest form that holds it."""
    return next(kind for bound, kind in DELTA_FORMS if -bound <= min(x, y) and max(x, y) < bound), {"x": x, "y": y}


def _crosswalk(number: int, group: int, nodes: tuple[str, list[dict[str, Any]]]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "laneID": number,
        "laneAttributes": {"directionalUse": (3, 2), "sharedWith": (0, 10), "laneType": ("crosswalk", (0, 16))},
        "nodeList": nodes,
    }
    if group:
        row["connectsTo"] = [{"connectingLane": {"lane": number}, "signalGroup": group}]
    return row
