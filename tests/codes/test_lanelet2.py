"""Lanelet2: a map drawn here, two one-way roads that cross and a right turn, with all that real maps do to a reader."""

import pytest
from drawn_lanelets import Drawing, crossing

from cloudctl import codes
from cloudctl.codes.formats.lanelet2.importer import import_lanelet2
from cloudctl.geo import Origin


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
    guessed, placed = import_lanelet2(data), import_lanelet2(data, origin=(310_000_000, 1_210_000_000))
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
