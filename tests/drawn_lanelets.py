"""Lanelet2 files drawn for tests: one-way roads that cross, with all that real maps do to a reader."""

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
    """Return the map: W to E at y = -2, S to N at x = 2, each 4 m wide; 40 km/h from the west; a light for each, named
    in two ways.
    """
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
