"""A Lanelet2 road for tests, of lanelets with the tags and regulatory elements that a test gives them."""

from drawn_lanelets import HERE, Drawing

from cloudctl import codes
from cloudctl.codes import Imported, IntersectionCode
from cloudctl.geo import Origin

ELEMENT = "regulatory_element"
KINDS = ("car", "taxi", "bus", "truck", "motorcycle", "emergency", "bicycle")
PIECES = {  # name -> left and right bound
    "W in": ([(-60, 0), (-10, 0)], [(-60, -4), (-10, -4)]),
    "W to E": ([(-10, 0), (10, 0)], [(-10, -4), (10, -4)]),
    "E out": ([(10, 0), (60, 0)], [(10, -4), (60, -4)]),
    "S in": ([(0, -60), (0, -10)], [(4, -60), (4, -10)]),
    "S to N": ([(0, -10), (0, 10)], [(4, -10), (4, 10)]),
    "N out": ([(0, 10), (0, 60)], [(4, 10), (4, 60)]),
    "S to E": ([(0, -10), (3, -3), (10, 0)], [(4, -10), (6, -6), (10, -4)]),
}


class Roads(Drawing):
    """Two one-way roads that cross, and a right turn; a test gives tags to lanelets and elements that they name."""

    def __init__(self, origin: Origin = HERE) -> None:
        super().__init__(origin)
        self.ids: dict[str, int] = {}

    def draw(
        self,
        tags: dict[str, dict[str, str]] | None = None,
        rules: dict[str, list[int]] | None = None,
        every: dict[str, str] | None = None,
    ) -> "Roads":
        for name, (left, right) in PIECES.items():
            own = {"subtype": "road", **(every or {}), **(tags or {}).get(name, {})}
            refs = [(ELEMENT, ref) for ref in (rules or {}).get(name, [])]
            self.ids[name] = self.relation(
                ("left", self.way(*left)), ("right", self.way(*right)), *refs, type="lanelet", name=name, **own
            )
        return self

    def sign(self, kind: str, subtype: str = "speed_limit") -> int:
        way = self.way((-40, -6), (-40, -6.5), type="traffic_sign", subtype=kind)
        return self.relation(("refers", way), type=ELEMENT, subtype=subtype)

    def light(self, number: int, subtype: str = "red_yellow_green") -> int:
        way = self.way((12, number), (12, number + 0.5), type="traffic_light", subtype=subtype, name=f"Light {number}")
        return self.relation(("refers", way), type=ELEMENT, subtype="traffic_light")


def one(found: Imported) -> IntersectionCode:
    (code,) = found
    assert [finding for finding in codes.validate(code) if finding.severity == "error"] == []
    return code


def lane_of(code: IntersectionCode, name: str) -> codes.model.Lane:
    return next(lane for lane in code.lanes if any(a.value == name for a in lane.alias))


def told(found: Imported, *words: str) -> bool:
    return any(all(word in str(loss) for word in words) for loss in found.losses)
