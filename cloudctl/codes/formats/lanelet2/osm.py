"""OSM XML as Lanelet2 uses it: nodes in metres, ways and relations with their tags, all of it accounted for."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cloudctl.geo import Origin

from ...findings import Loss, LossKind, refuse
from ...model import Point
from ...polylines import F8
from ..importing.accounting import Accounts, Record, XmlRecord
from ..sumo.reader import E_TOWN

# degrees about 0, 0 within which a map is taken not to be placed on the globe
MAX_UNPLACED_DEG = 0.5
# Part of a distance by which degrees and local metres of one map may differ
MAX_RELATIVE_DIFFERENCE = 0.01
MAX_ABSOLUTE_DIFFERENCE = 2.0  # m by which they may differ besides
NODE_TAGS = {  # that are read, or carry nothing about traffic
    "local_x": "read",
    "local_y": "read",
    "ele": "heights: a code is flat",
    "mgrs_code": "the grid square of local_x, local_y: degrees, or --at, say where the map lies",
    "name": "points have no name in a code",
    "color": "the lamps of a light: lanelets say for whom it is",
    "arrow": "the lamps of a light: lanelets say for whom it is",
}


class Tags(Record):
    """The tags of one way or relation, by their keys; what is not read is reported, as an attribute would be."""

    noun = "tag"
    __slots__ = ("members",)

    def __init__(self, accounts: Accounts, kind: str, element: XmlRecord, members: list[tuple[str, str, str]]) -> None:
        values = {tag.get("k"): tag.get("v") for tag in element.children("tag")}
        super().__init__(accounts, kind, {"id": element.get("id"), **values}, None)
        self.members = members  # role, type, reference
        self._used.add("id")

    @property
    def id(self) -> str:
        """The id of the way or relation."""
        return str(self.values["id"])

    def get(self, name: str, default: str = "") -> str:
        """Return a tag; `default` where there is none."""
        self._used.add(name)
        return str(self.values.get(name, default))

    def with_prefix(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield the rest of the key, and the value, of each tag that begins with a prefix."""
        for name in self.values:
            if name.startswith(prefix):
                yield name.removeprefix(prefix), self.get(name)

    def refs(self, role: str) -> list[str]:
        """Return the members of a role."""
        return [ref for member_role, _, ref in self.members if member_role == role]

    def unsettled(self) -> list[Record]:
        """Enter the tags that nothing read."""
        for name, value in self.values.items():
            if name not in self._used:
                self.accounts.unused(self, "tag", name, value)
        return []


@dataclass
class OsmMap:
    """The points, lines and relations of a file; `place` is the origin that metres count from, on the globe."""

    place: Origin
    lines: dict[str, F8]  # of each way, in metres
    ways: dict[str, Tags]
    relations: list[Tags]

    def settle(self, accounts: Accounts) -> None:
        """Enter what nothing read of all ways and relations."""
        for record in (*self.ways.values(), *self.relations):
            accounts.settle(record)


def read_osm(root: XmlRecord, origin: Point | None) -> OsmMap:
    """Return what a file holds; `origin` is where its 0, 0 lies, for a map that is not placed. Raises CodeError."""
    accounts = root.accounts
    position_of_node, place = _points(root, origin)
    osm_map = OsmMap(place=place, lines={}, ways={}, relations=[])

    for element in _present(root, "way"):
        points = []
        for node_ref in element.children("nd"):
            if node_ref.get("ref") in position_of_node:
                points.append(position_of_node[node_ref.get("ref")])
            else:
                node_ref.unknown("ref", node_ref.get("ref"), "no point of the file: left out of its line")

        tags = Tags(accounts=accounts, kind="way", element=element, members=[])
        if len(points) > 1:
            osm_map.ways[tags.id], osm_map.lines[tags.id] = tags, np.array(points)
        else:
            element.leave_out("lines of fewer than two points")

    relations = list(_present(root, "relation"))
    known_ids = {
        "node": position_of_node,
        "way": osm_map.lines,
        "relation": {element.get("id") for element in relations},
    }

    for element in relations:
        members = []
        for member in element.children("member"):
            kind = member.choice("type", {name: name for name in known_ids}, "way")
            if member.get("ref") not in known_ids[kind]:
                member.unknown("ref", member.get("ref"), f"no {kind} of the file, or one that was left out")
            members.append((member.get("role"), kind, member.get("ref")))

        osm_map.relations.append(Tags(accounts=accounts, kind="relation", element=element, members=members))

    return osm_map


def _present(root: XmlRecord, tag: str) -> Iterator[XmlRecord]:
    """Yield the elements of a tag, without those that an editor (JOSM) or a history marks as deleted."""
    for element in root.children(tag):
        if element.get("action").strip().lower() == "delete" or not element.flag("visible", True):
            element.leave_out("marked as deleted")
        else:
            yield element


def _points(root: XmlRecord, origin: Point | None) -> tuple[dict[str, F8], Origin]:
    """Return all nodes in metres, and the origin these count from."""
    degrees: dict[str, tuple[float, float]] = {}
    local: dict[str, tuple[float, float]] = {}
    texts: dict[str, str] = {}  # lat and lon as they stand

    for node in _present(root, "node"):
        name, tags = node.get("id"), {tag.get("k"): tag.get("v") for tag in node.children("tag")}
        texts[name] = f"{node.get('lat')}, {node.get('lon')}"
        pair = _pair(node.get("lat"), node.get("lon"))

        if pair is not None:
            degrees[name] = pair

        metres = _pair(tags.get("local_x", ""), tags.get("local_y", ""))
        if metres is not None:
            local[name] = metres

        for key, value in tags.items():
            if key not in NODE_TAGS:
                root.accounts.enter(
                    LossKind.DROPPED, "node", f"tag {key} is not read", f"{key}={value[:60]} of node {name}"
                )

    if not texts:
        raise refuse(
            where="Lanelet2",
            entity="file",
            field="nodes",
            value=0,
            rule="holds no node",
            remedy="export the map with its points",
        )

    # Editors of Lanelet2 write local metres beside degrees, and often leave the degrees at 0 or at a wrong zone
    if len(local) == len(texts) and (len(degrees) < len(local) or not _same_places(degrees, local)):
        return _by_metres(root.accounts, local, origin)

    for name, text in texts.items():
        lat, lon = degrees.get(name, (float("nan"), float("nan")))
        if not (abs(lat) < 88 and abs(lon) <= 180):  # also what is no number
            raise refuse(
                where="Lanelet2",
                entity=f"node {name}",
                field="lat, lon",
                value=text,
                rule="must be degrees, within 88 of latitude and 180 of longitude",
                remedy="correct the map, or give every node local_x and local_y",
            )

    return _by_degrees(root.accounts, degrees, origin)


def _pair(first: str, second: str) -> tuple[float, float] | None:
    try:
        pair = float(first), float(second)
    except ValueError:
        return None
    return pair if np.isfinite(pair).all() else None


def _same_places(degrees: dict[str, tuple[float, float]], local: dict[str, tuple[float, float]]) -> bool:
    """Return whether degrees and metres of one map are the same places: the nodes farthest from the first are as far in
    both."""
    degree_table, metres = (np.array([rows[name] for name in local]) for rows in (degrees, local))
    if np.abs(degree_table[:, 0]).max() >= 88 or np.abs(degree_table[:, 1]).max() > 180:
        return False

    positions = np.stack(Origin(*degree_table[0].tolist()).to_local(degree_table[:, 0], degree_table[:, 1]), axis=1)
    distances_m, distances_deg = np.hypot(*(metres - metres[0]).T), np.hypot(*(positions - positions[0]).T)
    return bool(
        (np.abs(distances_m - distances_deg) <= MAX_RELATIVE_DIFFERENCE * distances_m + MAX_ABSOLUTE_DIFFERENCE).all()
    )


def _by_metres(
    accounts: Accounts, local: dict[str, tuple[float, float]], origin: Point | None
) -> tuple[dict[str, F8], Origin]:
    """Return nodes by their local_x and local_y, of a map whose degrees are missing, or of another place."""
    positions = np.array(list(local.values()))
    if origin is None:
        accounts.losses.add(
            Loss(
                what=LossKind.GUESSED,
                entity="map",
                detail=f"its degrees are not those of its local_x, local_y: laid at {E_TOWN.lat}, "
                f"{E_TOWN.lon}; say where "
                "local 0, 0 lies with --at",
            )
        )
        return dict(zip(local, positions - np.round(positions.mean(axis=0)), strict=True)), E_TOWN

    accounts.losses.add(
        Loss(
            what=LossKind.DROPPED,
            entity="map",
            detail="its degrees are not used: local_x, local_y, and --at, say where it lies",
        )
    )

    return dict(zip(local, positions, strict=True)), Origin(origin[0] / 1e7, origin[1] / 1e7)


def _by_degrees(
    accounts: Accounts, degrees: dict[str, tuple[float, float]], origin: Point | None
) -> tuple[dict[str, F8], Origin]:
    degree_table = np.array(list(degrees.values()))
    degree_origin = place = Origin(*(round(float(value), 7) for value in degree_table.mean(axis=0)))

    if np.abs(degree_table).max() > MAX_UNPLACED_DEG:
        if origin is not None:
            accounts.losses.add(
                Loss(
                    what=LossKind.DIFFERS,
                    entity="map",
                    detail="--at is not used: the map's own degrees say where it lies",
                )
            )
    else:
        degree_origin, place = (
            Origin(lat=0.0, lon=0.0),
            E_TOWN if origin is None else Origin(origin[0] / 1e7, origin[1] / 1e7),
        )
        if origin is None:
            accounts.losses.add(
                Loss(
                    what=LossKind.GUESSED,
                    entity="map",
                    detail=f"lies about latitude and longitude 0: laid at {E_TOWN.lat}, {E_TOWN.lon}; say where it "
                    "is with --at",
                )
            )

    return dict(
        zip(degrees, np.stack(degree_origin.to_local(degree_table[:, 0], degree_table[:, 1]), axis=1), strict=True)
    ), place
