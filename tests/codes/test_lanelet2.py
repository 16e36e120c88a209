"""Lanelet2: a map drawn here, two one-way roads that cross and a right turn, with all that real maps do to a reader."""

import pytest

from cloudctl import codes
from cloudctl.codes.formats.lanelet2.importer import import_lanelet2
from cloudctl.geo import Origin

HERE = Origin(39.8, 116.5)
RELATIONS = ("regulatory_element", "yield", "right_of_way")  # roles of members that are relations


class Drawing:
    """An OSM file from lines in metres; a point is one node however often it is drawn."""

    def __init__(self, origin: Origin = HERE) -> None:
        self.origin, self.nodes, self.ways, self.relations = origin, dict[tuple, int](), list[str](), list[str]()

    def way(self, *points: tuple[float, float], **tags: str) -> int:
        refs = "".join(f"<nd ref='{self.nodes.setdefault(p, len(self.nodes) + 1)}'/>" for p in points)
        self.ways.append(f"<way id='{1000 + len(self.ways)}'>{refs}{said(tags)}</way>")
        return 999 + len(self.ways)

    def relation(self, *members: tuple[str, int], **tags: str) -> int:
        rows = "".join(
            f"<member type='{'relation' if role in RELATIONS else 'way'}' ref='{ref}' role='{role}'/>"
            for role, ref in members
        )
        self.relations.append(f"<relation id='{2000 + len(self.relations)}'>{rows}{said(tags)}</relation>")
        return 1999 + len(self.relations)

    def xml(self) -> bytes:
        rows = []
        for (x, y), k in self.nodes.items():
            lat, lon = self.origin.to_geodetic(x, y)
            rows.append(f"<node id='{k}' lat='{float(lat):.10f}' lon='{float(lon):.10f}'/>")
        return f"<?xml version='1.0'?><osm version='0.6'>{''.join(rows + self.ways + self.relations)}</osm>".encode()


def said(tags: dict[str, str]) -> str:
    return "".join(f"<tag k='{key}' v='{value}'/>" for key, value in tags.items())


def crossing(swap: bool = False, origin: Origin = HERE) -> Drawing:
    """Return the map: W to E at y = -2, S to N at x = 2, each 4 m wide; 40 km/h from the west; a light for each, named in two ways."""
    d = Drawing(origin)
    lights = [d.way((12, y), (12, y + 1), type="traffic_light", name=f"Light {k}") for k, y in ((3, -6), (7, 6))]
    stops = [d.way((-12, 1), (-12, -5), type="stop_line"), d.way((-0.5, -12), (4.5, -12), type="stop_line")]
    rules = [
        d.relation(("refers", lights[0]), ("ref_line", stops[0]), type="regulatory_element", subtype="traffic_light"),
        d.relation(("refers", lights[1]), ("ref_line", stops[1]), type="regulatory_element", subtype="traffic_light"),
        d.relation(type="regulatory_element", subtype="speed_limit", sign_type="cn-40"),
    ]

    def lanelet(name: str, left: list, right: list, *refs: int, **tags: str) -> None:
        bounds = [("left", d.way(*left)), ("right", d.way(*right))]
        d.relation(*bounds, *(("regulatory_element", ref) for ref in refs), type="lanelet", name=name, **tags)

    lanelet(
        "W in", [(-10, 0), (-30, 0), (-60, 0)], [(-60, -4), (-10, -4)], rules[0], rules[2], subtype="road"
    )  # its left bound is drawn backwards
    lanelet("W to E", [(-10, 0), (10, 0)], [(-10, -4), (10, -4)])
    lanelet("E out", [(10, 0), (60, 0)], [(10, -4), (60, -4)], subtype="road", speed_limit="60 km/h")
    south = [[(0, -60), (0, -10)], [(4, -60), (4, -10)]]
    lanelet("S in", *(south[::-1] if swap else south), subtype="road")
    lanelet("S to N", [(0, -10), (0, 10)], [(4, -10), (4, 10)])
    lanelet("N out", [(0, 10), (0, 60)], [(4, 10), (4, 60)], subtype="road")
    lanelet("S to E", [(0, -10), (3, -3), (10, 0)], [(4, -10), (6, -6), (10, -4)])
    lanelet("over the west", [(-9, -6), (-9, 2)], [(-6, -6), (-6, 2)], subtype="crosswalk")
    lanelet("path", [(30, 30), (40, 30)], [(30, 28), (40, 28)], subtype="walkway")
    d.way((-2, 12), (8, 12), type="zebra")
    d.way((-2, 15), (8, 15), type="zebra")
    d.way((-200, 12), (-190, 12), type="zebra")
    return d


def test_a_map_becomes_lanes_movements_stop_lines_lights_and_crosswalks() -> None:
    (code,) = found = import_lanelet2(crossing().xml(), adm="110115")
    assert codes.validate(code) == []
    roles = {link.id: link.role for link in code.links}
    lanes = {next(a.value for a in lane.alias if a.kind == "name"): lane for lane in code.lanes}
    assert {name: (roles[lane.link], lane.width_cm, lane.speed) for name, lane in lanes.items()} == {
        "W in": ("ingress", 400, 11.11),
        "E out": ("egress", 400, 16.67),
        "S in": ("ingress", 400, 13.89),
        "N out": ("egress", 400, 13.89),
    }
    names = {lane.id: name for name, lane in lanes.items()}
    assert {(names[c.from_lane], names[c.to_lane], c.turn, c.group) for c in code.connections} == {
        ("W in", "E out", "straight", 3),
        ("S in", "N out", "straight", 7),
        ("S in", "E out", "right", 7),
    }
    assert {names[line.lane]: line.s for line in code.stop_lines} == {
        "W in": pytest.approx(48, abs=0.05),
        "S in": pytest.approx(48, abs=0.05),
    }
    kinds = {
        (c.kind, *sorted(names[x.from_lane] for x in code.connections if x.id in (c.a, c.b))) for c in code.conflicts
    }
    assert kinds == {("cross", "S in", "W in"), ("merge", "S in", "W in")}
    assert sorted(walk.width_cm for walk in code.crosswalks) == [300, 300]
    assert abs(code.ref_lat_e7 - 398_000_000) < 2000
    told = {(loss.what, loss.entity) for loss in found.losses}
    assert any((loss.what, loss.example) == ("dropped", "lanelet path") for loss in found.losses)
    assert any(what == "guessed" and entity.startswith("zebra") for what, entity in told)
    assert sum(what == "dropped" and entity.startswith("zebra") for what, entity in told) == 1


def test_exchanged_bounds_are_turned_back_and_told() -> None:
    straight, turned = (import_lanelet2(crossing(swap).xml()) for swap in (False, True))
    assert [loss.entity for loss in turned.losses if loss.what == "repaired"] == ["lanelet S in"]
    assert straight[0].lanes == turned[0].lanes
    assert straight[0].connections == turned[0].connections


def test_a_map_about_zero_is_laid_where_one_says() -> None:
    data = crossing(origin=Origin(0.0, 0.0)).xml()
    guessed, placed = import_lanelet2(data), import_lanelet2(data, zero=(310_000_000, 1_210_000_000))
    assert any("--at" in loss.detail for loss in guessed.losses)
    assert not any("--at" in loss.detail for loss in placed.losses)
    assert abs(placed[0].ref_lat_e7 - 310_000_000) < 2000


def test_roads_that_do_not_cross_are_no_intersection() -> None:
    d = Drawing()
    for y in (0, 10):
        for a, b in ((0, 20), (20, 40)):
            d.relation(
                ("left", d.way((a, y), (b, y))),
                ("right", d.way((a, y - 4), (b, y - 4))),
                type="lanelet",
                subtype="road",
            )
    with pytest.raises(codes.CodeError, match="no two lanelets"):
        import_lanelet2(d.xml())
