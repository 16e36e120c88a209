"""What goes out comes back: every difference of an export is declared, and limits, connections, stop lines and uses are
what they were.

The claims are checked here without the comparer of `round_trip.py`, by lanes that are found by where they lie.
"""

from pathlib import Path

import numpy as np
import pytest
from exported import CODES, GOOD, NAMES, TARGETS, exported, lasting, let_in, line, pairs
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from paths import CASES

from cloudctl import codes
from cloudctl.__main__ import main
from cloudctl.codes.formats.differences import Pairing, declared_losses
from cloudctl.codes.formats.export import Exported, export_code
from cloudctl.codes.formats.round_trip import differences
from cloudctl.codes.model import USES, IntersectionCode, Lane, StopLine
from cloudctl.codes.polylines import arc_lengths
from cloudctl.codes.rule import Calendar, Rule, Target
from cloudctl.codes.rules import Vehicle, effective, rule_placements

pytest.importorskip("pycrate_asn1dir")


def lowest_limit(code: IntersectionCode, lane: Lane, kind: str = "car") -> float:
    """Return the lowest limit of a lane for a class, at any time and place on it."""
    rules = [
        r
        for r in code.rules
        if r.kind in ("speed_max", "school_zone", "construction")
        and r.value is not None
        and (not r.classes or kind in r.classes)
        and kind not in r.except_classes
    ]
    return min([lane.speed, *(r.value for r in rules for t in r.targets if t.entity in (lane.id, lane.link, "code"))])


def assert_safe(code: IntersectionCode, found: Exported, back: IntersectionCode) -> None:
    """Assert that what a vehicle steers by is what it was, whatever is declared."""
    lanes = pairs(code, back)
    uses = [d.what for d in found.differences if d.field in ("lanes.use", "lanes.shared")]
    assert {*uses} <= {"closed"}
    closed = {d.entity for d in found.differences if d.what == "closed"}
    kept, kept_back = lasting(code), lasting(back)
    points_along = rule_placements(kept), rule_placements(kept_back)
    for lane in code.lanes:
        if lane.id in lanes:
            other = lanes[lane.id]
            assert (other.width_cm, other.revocable) == (lane.width_cm, lane.revocable)
            assert (other.use, {*other.shared} - {other.use}) == (
                lane.use,
                {*lane.shared} - {lane.use},
            ) or lane.id in closed
            before_in, after_in = let_in(kept, lane, points_along[0]), let_in(kept_back, other, points_along[1])
            assert after_in <= before_in, f"{lane.id} is opened to {after_in - before_in}"
            assert after_in == before_in or lane.id in closed
            for kind in ("car", "truck", "bus") if lane.use != "pedestrian" else ():
                before, after = lowest_limit(code, lane, kind), lowest_limit(back, other, kind)
                assert before - 0.02 - 1e-9 <= after <= before + 1e-9, (lane.id, kind)
    inner = [c for c in code.connections if c.inner]
    assert len(back.connections) == len(inner)
    keys = sorted((lanes[c.from_lane].id, lanes[c.to_lane].id, c.turn, c.group) for c in inner)
    assert keys == sorted((c.from_lane, c.to_lane, c.turn, c.group) for c in back.connections)
    named = {loss.field for loss in found.losses}
    assert {d.field for d in found.differences} <= named, "each difference is printed"
    if back.name != code.name:
        assert "name" in named


speeds = st.integers(50, 3000).map(lambda v: v / 100)
mutations = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "code": st.sampled_from(NAMES),
        "name": st.sampled_from(["plain", "亦庄", "Straße 7", "Ж", "a" * 63, "a" * 64]),
        "rule": st.sampled_from(["none", "span", "truck", "night", "school", "taxi", "bus_hours", "ban", "lowest"]),
        "speed": speeds,
        "plain_rules": st.booleans(),
    }
)


def mutated(choice: dict) -> IntersectionCode:
    """Return a code of ours with other limits, widths, uses, shared uses, stop lines, groups, fewer connections, and a
    rule."""
    code, rng = CODES[choice["code"]], np.random.default_rng(choice["seed"])
    roles = {link.id: link.role for link in code.links}
    groups = [0, *(g.id for g in code.signal_groups if g.kind == "vehicle")]
    lanes = []
    for lane in code.lanes:
        use = lane.use if lane.use == "pedestrian" else str(rng.choice([use for use in USES if use != "pedestrian"]))
        shared = tuple(other for other in USES if other != use and rng.random() < 0.2)
        lanes.append(
            replace(
                lane,
                use=use,
                shared=shared,
                width_cm=int(rng.integers(150, 450)),
                speed=round(float(rng.uniform(1, 30)), 2),
                revocable=bool(rng.integers(2)),
            )
        )
    whole = {lane.id: float(arc_lengths(line(code, lane))[-1]) for lane in lanes}
    stops = tuple(
        StopLine(stop.lane, round(float(rng.uniform(max(1, whole[stop.lane] - 20), whole[stop.lane])), 2))
        for stop in code.stop_lines
    )
    kept = [c for c in code.connections if not c.inner or rng.random() < 0.9]
    led = {lanes_link(code, c.from_lane) for c in kept if c.inner}
    kept += [c for c in code.connections if c.inner and c not in kept and lanes_link(code, c.from_lane) not in led]
    conns = tuple(replace(c, group=int(rng.choice(groups)) if c.inner else 0) for c in kept)
    ids = {c.id for c in conns}
    return replace(
        code,
        name=choice["name"],
        lanes=tuple(lanes),
        stop_lines=stops,
        connections=conns,
        conflicts=tuple(c for c in code.conflicts if {c.a, c.b} <= ids),
        plans=(),
        rules=(
            *(
                rule
                for rule in code.rules
                if choice["plain_rules"] and not any(t.entity.startswith("C") for t in rule.targets)
            ),
            *rules_of(choice, lanes, roles, conns),
        ),
    )


def lanes_link(code: IntersectionCode, lane: str) -> str:
    return next(x.link for x in code.lanes if x.id == lane)


def rules_of(choice: dict, lanes: list[Lane], roles: dict[str, str], conns: tuple) -> list[Rule]:
    lane = next(x for x in lanes if roles[x.link] == "ingress" and x.use not in ("pedestrian", "tram"))
    place, speed = (Target(lane.id),), choice["speed"]
    inner = next(c.id for c in conns if c.inner)
    return {
        "none": [],
        "span": [Rule("R90", "speed_max", (Target(lane.id, 5.0, 30.0),), speed)],
        "truck": [Rule("R90", "speed_max", place, speed, ("truck",))],
        "night": [Rule("R90", "speed_max", place, speed, calendar=Calendar(minutes=((1300, 400),)))],
        "school": [Rule("R90", "school_zone", place, speed, calendar=Calendar((1, 2), ((420, 540),)))],
        "taxi": [Rule("R90", "lane_use", place, classes=("taxi",))],
        "bus_hours": [Rule("R90", "bus_lane", place, calendar=Calendar(minutes=((420, 540),)))],
        "ban": [Rule("R90", "turn_ban", (Target(inner),), except_classes=("bus", "taxi"))],
        "lowest": [Rule("R90", "speed_min", place, speed)],
    }[choice["rule"]]


@pytest.mark.parametrize("to", TARGETS)
@settings(max_examples=30)
@given(mutations)
def test_any_code_comes_back_with_every_difference_declared_and_nothing_raised_cut_moved_or_opened(
    to: str, choice: dict
) -> None:
    code = mutated(choice)
    found, back = exported(code, to)
    assert_safe(code, found, back)


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("name", NAMES)
def test_a_code_that_ships_comes_back(name: str, to: str) -> None:
    assert_safe(CODES[name], *exported(CODES[name], to))


@pytest.mark.parametrize("to", ["geojson", "compact"])
def test_geojson_and_the_compact_form_lose_nothing(to: str) -> None:
    assert export_code(replace(GOOD, name="亦庄"), to).losses == []


# --- limits ---


def two_limits() -> IntersectionCode:
    """Return a code whose roads have limits of their own, 30 and 50 km/h."""
    links = {link.id: k for k, link in enumerate(GOOD.links)}
    return replace(
        GOOD, lanes=tuple(replace(lane, speed=(8.34, 13.9)[links[lane.link] % 2]) for lane in GOOD.lanes), rules=()
    )


@pytest.mark.parametrize("to", TARGETS)
def test_every_lane_keeps_its_own_limit(to: str) -> None:
    code = two_limits()
    _, back = exported(code, to)
    assert {name: lane.speed for name, lane in pairs(code, back).items()} == {
        lane.id: lane.speed for lane in code.lanes if lane.id in pairs(code, back)
    }


def test_a_reader_that_knows_one_limit_only_sees_the_lowest() -> None:
    from cloudctl.codes.formats.j2735.encode import map_tree

    (row,) = map_tree(two_limits(), 300)["intersections"]
    assert row["speedLimits"] == [{"type": "vehicleMaxSpeed", "speed": 417}]


def test_a_mapem_keeps_the_limits_and_paths_of_connections() -> None:
    code = replace(
        GOOD, connections=tuple(replace(c, speed=round(3 + k / 10, 2)) for k, c in enumerate(GOOD.connections))
    )
    found, back = exported(code, "mapem")
    assert not [d for d in found.differences if d.field == "connections.speed" and d.what != "rounded"]
    assert not [d for d in found.differences if (d.field, d.what) == ("connections.points", "redrawn")]
    assert sorted(c.speed for c in back.connections) == pytest.approx(
        sorted(c.speed for c in code.connections if c.inner), abs=0.0201
    )


def test_a_limit_of_a_part_of_a_lane_comes_back_as_one_in_a_map_and_as_the_lowest_of_the_lane_in_yd_t_3709() -> None:
    lane = next(lane for lane in GOOD.lanes if lane.id == GOOD.stop_lines[0].lane)
    code = replace(GOOD, rules=(Rule("R90", "speed_max", (Target(lane.id, 10.0, 40.0),), 5.0),))
    _, back = exported(code, "mapem")
    (rule,) = [rule for rule in back.rules if rule.value == 5.0]
    (target,) = rule.targets
    assert (target.s_from, target.s_to) == (pytest.approx(10, abs=0.05), pytest.approx(40, abs=0.05))
    assert pairs(code, back)[lane.id].speed == pytest.approx(lane.speed, abs=0.02)
    found, back = exported(code, "ydt3709")
    assert pairs(code, back)[lane.id].speed == 5.0
    assert ("lanes.speed", "lowered") in {(d.field, d.what) for d in found.differences}


@pytest.mark.parametrize("to", TARGETS)
def test_limits_for_trucks_lowest_speeds_and_nights_come_back_as_rules(to: str) -> None:
    place = (Target(GOOD.stop_lines[0].lane),)
    night = Calendar(minutes=((1080, 420),))
    rules = (
        Rule("R1", "speed_max", place, 8.0, ("truck",)),
        Rule("R2", "speed_min", place, 2.0),
        Rule("R3", "speed_max", place, 9.0, calendar=night),
        Rule("R4", "construction", place, 7.0),
    )
    found, back = exported(replace(GOOD, rules=rules), to)
    assert {(r.kind, r.value, r.classes, r.calendar) for r in rules} <= {
        (r.kind, r.value, r.classes, r.calendar) for r in back.rules
    }
    assert not [d for d in found.differences if d.field.startswith("rules.")]


# --- stop lines, connections, names, points ---


def test_a_stop_line_before_the_end_of_its_lane_stays_where_it_is() -> None:
    lane = next(lane for lane in GOOD.lanes if lane.id == GOOD.stop_lines[0].lane)
    whole = float(arc_lengths(line(GOOD, lane))[-1])
    code = replace(GOOD, stop_lines=(StopLine(lane.id, round(whole - 7.3, 2)), *GOOD.stop_lines[1:]))
    for to in TARGETS:
        found, back = exported(code, to)
        other = pairs(code, back)[lane.id]
        assert next(stop.s for stop in back.stop_lines if stop.lane == other.id) == pytest.approx(whole - 7.3, abs=0.05)
        long = float(arc_lengths(line(back, other))[-1])
        assert long == pytest.approx(whole if to != "ydt3709" else whole - 7.3, abs=0.05)
        assert (("lanes.points", "shortened") in {(d.field, d.what) for d in found.differences}) == (to == "ydt3709")


@pytest.mark.parametrize("to", TARGETS)
def test_a_road_out_that_leads_back_keeps_its_connections(to: str) -> None:
    """It is called upstream where it leads to an approach of the same intersection, and ingress where it is one."""
    for role in ("upstream", "ingress"):
        link = next(link for link in GOOD.links if link.role == "egress")
        lane = next(
            lane for lane in GOOD.lanes if lane.link == link.id and any(c.to_lane == lane.id for c in GOOD.connections)
        )
        further = ()
        if role == "ingress":
            other = next(c for c in GOOD.connections if c.inner and lanes_link(GOOD, c.to_lane) != link.id)
            further = (
                replace(
                    other,
                    id="C99",
                    from_lane=lane.id,
                    points=(lane.points[-1], next(x.points[0] for x in GOOD.lanes if x.id == other.to_lane)),
                ),
            )
        code = replace(
            GOOD,
            links=tuple(replace(x, role=role) if x.id == link.id else x for x in GOOD.links),
            connections=(*GOOD.connections, *further),
        )
        found, back = exported(code, to)
        assert len(back.connections) == sum(c.inner for c in code.connections)
        assert ("lanes", "doubled") in {(d.field, d.what) for d in found.differences} or role == "upstream"
        assert not [d for d in found.differences if d.what == "cut"]


@pytest.mark.parametrize("to", TARGETS)
def test_a_name_that_the_message_cannot_carry_is_left_out_and_named_never_changed(to: str) -> None:
    for name in ("经海路", "Main Street " * 9):
        found, back = exported(replace(GOOD, name=name), to)
        assert back.name in ("300", "10/300")
        assert [loss.field for loss in found.losses].count("name") == 1


@pytest.mark.parametrize("to", TARGETS)
def test_a_lane_for_users_that_the_message_cannot_name_is_not_opened_to_others(to: str) -> None:
    lane = next(lane.id for lane in GOOD.lanes if lane.id == GOOD.stop_lines[0].lane)
    for rule in (
        Rule("R90", "closure", (Target(lane),)),
        Rule("R90", "lane_use", (Target(lane),), classes=("truck", "sanitation")),
    ):
        code = replace(GOOD, rules=(*GOOD.rules, rule))
        found, back = exported(code, to)
        assert not effective(back, pairs(code, back)[lane].id, Vehicle("car"), 0).allowed
        assert f"rules.{rule.kind}" in {loss.field for loss in found.losses}
        assert "high-occupancy vehicles" not in {rule.text for rule in back.rules}, "a closed lane is not one for those"


# --- what is not declared is refused; the command ---


def test_a_difference_that_no_table_has_refuses_the_export() -> None:
    pairing = Pairing({lane.id: lane.id for lane in GOOD.lanes})
    assert differences(replace(GOOD, alias=()), replace(GOOD, alias=()), pairing) is not None
    first = GOOD.lanes[0]
    faults = {
        "lanes.speed": replace(GOOD, lanes=(replace(first, speed=first.speed + 1), *GOOD.lanes[1:])),
        "connections": replace(GOOD, connections=GOOD.connections[1:], conflicts=()),
        "stop_lines": replace(
            GOOD, stop_lines=(replace(GOOD.stop_lines[0], s=GOOD.stop_lines[0].s - 2), *GOOD.stop_lines[1:])
        ),
        "lanes.shared": replace(GOOD, lanes=(replace(first, shared=("bike",)), *GOOD.lanes[1:])),
        "lanes.use": replace(GOOD, lanes=(replace(first, use="bus"), *GOOD.lanes[1:])),
        "connections.group": replace(GOOD, connections=tuple(replace(c, group=0) for c in GOOD.connections)),
        "crosswalks": replace(GOOD, crosswalks=GOOD.crosswalks[1:]),
    }
    from cloudctl.codes.formats.export import MAY_DIFFER_IN_J2735, MAY_DIFFER_IN_YDT

    for field, back in faults.items():
        found = differences(GOOD, back, pairing)
        assert field in {d.field for d in found}
        for table in (MAY_DIFFER_IN_J2735, MAY_DIFFER_IN_YDT):
            with pytest.raises(codes.CodeError, match="would not come back"):
                declared_losses(found, table, "a MAP", "mend it")


def test_strict_export_exits_1_where_anything_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "code.json"
    file.write_bytes(codes.dump(GOOD))
    for to, strict, status in (
        ("mapem", [], 0),
        ("mapem", ["--strict"], 1),
        ("ydt3709", ["--strict"], 1),
        ("geojson", ["--strict"], 0),
    ):
        assert (
            main(["codes", "export", str(file), "--to", to, *([] if to == "geojson" else ["--id", "19"]), *strict])
            == status
        )
    assert "plans" in capsys.readouterr().out


def test_the_two_limits_of_one_road_are_kept() -> None:
    code = codes.load(CASES / "export_mapem_two_limits.json")
    for to in TARGETS:
        _, back = exported(code, to)
        lanes = pairs(code, back)
        assert [lanes[name].speed for name in ("L1", "L2", "L3", "L4")] == [13.9, 13.9, 8.34, 8.34]
