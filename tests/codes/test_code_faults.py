"""A wrong code is refused with the right reason: one fault of each kind, made from a code that ships."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from cloudctl import codes, maps
from cloudctl.codes.draw.page import show_page
from cloudctl.codes.formats.export import Number, export_code
from cloudctl.codes.formats.geojson import read_geojson, write_geojson
from cloudctl.codes.model import Alias, Device, IntersectionCode, Plan, SignalException, Zone
from cloudctl.codes.rule import Calendar, Rule, Target
from cloudctl.codes.versions import diff, json_schema

GOOD = codes.load(maps.path("intersection.json"))
INGRESS = next(link for link in GOOD.links if link.role == "ingress")
LANE = next(line.lane for line in GOOD.stop_lines)
DRIVEN = {lane.id for lane in GOOD.lanes if lane.use == "vehicle"}
VEHICLE = next(c for c in GOOD.connections if c.from_lane in DRIVEN and c.turn == "straight")
STRAIGHT = {c.id for c in GOOD.connections if c.turn == "straight"}
GROUP_OF = {c.id: c.group for c in GOOD.connections}
CROSSING = min(
    (GROUP_OF[c.a], GROUP_OF[c.b])
    for c in GOOD.conflicts
    if c.kind != "diverge" and 0 != GROUP_OF[c.a] != GROUP_OF[c.b] != 0
)
FAR = next(k for k, c in enumerate(GOOD.conflicts) if {c.a, c.b} <= STRAIGHT)


def alter(field: str, at: int = 0, **changes: Any) -> Callable[[IntersectionCode], IntersectionCode]:
    """Return a change of one entity of a table."""

    def change(code: IntersectionCode) -> IntersectionCode:
        items = list(getattr(code, field))
        items[at] = replace(items[at], **changes)
        return replace(code, **{field: tuple(items)})

    return change


def head(**changes: Any) -> Callable[[IntersectionCode], IntersectionCode]:
    return lambda code: replace(code, **changes)


def rule(kind: str, value: float | None, **more: Any) -> Rule:
    return Rule("R99", kind, more.pop("targets", (Target(LANE),)), value, **more)


def rules(*added: Rule) -> Callable[[IntersectionCode], IntersectionCode]:
    return lambda code: replace(code, rules=(*code.rules, *added))


def without(field: str, keep: Callable[[Any], bool]) -> Callable[[IntersectionCode], IntersectionCode]:
    return lambda code: replace(code, **{field: tuple(item for item in getattr(code, field) if keep(item))})


def greens(code: IntersectionCode) -> IntersectionCode:
    phase = replace(code.plans[0].phases[0], shows="G" * len(code.signal_groups))
    return replace(code, plans=(replace(code.plans[0], phases=(phase, *code.plans[0].phases[1:])),))


def short(code: IntersectionCode) -> IntersectionCode:
    phase = replace(code.plans[0].phases[0], shows="R")
    return replace(code, plans=(replace(code.plans[0], phases=(phase,)),))


def nowhere(code: IntersectionCode) -> IntersectionCode:
    lanes = {lane.id for lane in code.lanes if lane.link == INGRESS.id}
    left = tuple(c for c in code.connections if c.from_lane not in lanes)
    known = {c.id for c in left}
    return replace(code, connections=left, conflicts=tuple(c for c in code.conflicts if {c.a, c.b} <= known), plans=())


FAULTS = {
    "id mistyped": (head(id=GOOD.id[:-1] + ("A" if GOOD.id[-1] != "A" else "B")), "code", "id", "check character"),
    "id of no place": (head(id="UST1.110115403.IX.X50J.0001A"), "code", "id", "BeiDou"),
    "latitude and longitude swapped": (
        head(ref_lat_e7=GOOD.ref_lon_e7, ref_lon_e7=GOOD.ref_lat_e7),
        "code",
        "ref_lat_e7",
        "latitude",
    ),
    "revision 0": (head(revision=0), "code", "revision", "1 .."),
    "ends before it begins": (head(valid_from=5, valid_to=4), "code", "valid_to", "after"),
    "accuracy 0": (head(accuracy_cm=0), "code", "accuracy_cm", "cm"),
    "unknown control": (head(control="magic"), "code", "control", "one of"),
    "unknown role": (alter("links", role="sideways"), "K1", "role", "ingress"),
    "unknown use": (alter("lanes", use="tank"), "L1", "use", "vehicle"),
    "unknown turn": (alter("connections", turn="upwards"), "C1", "turn", "straight"),
    "unknown conflict": (alter("conflicts", kind="touch"), "C1", "kind", "cross"),
    "unknown group kind": (alter("signal_groups", kind="horse"), "group 1", "kind", "vehicle"),
    "unknown alias kind": (head(alias=(Alias("nickname", "x"),)), GOOD.id, "alias.kind", "sumo"),
    "width in metres": (alter("lanes", width_cm=3), "L1", "width_cm", "50 .. 1000"),
    "speed in km/h": (alter("lanes", speed=60.0), "L1", "speed", "m/s"),
    "speed not a number": (alter("connections", speed=float("nan")), "C1", "speed", "m/s"),
    "crosswalk width in metres": (alter("crosswalks", width_cm=4), "X1", "width_cm", "100 .."),
    "group 0": (alter("signal_groups", id=300), "group 300", "id", "255"),
    "device off the globe": (head(devices=(Device("D1", "camera", 10**10, 0),)), "D1", "lat_e7", "88"),
    "plan of another intersection": (short, "plan 0", "shows", "letter"),
    "phase of no length": (
        lambda c: replace(c, plans=(replace(c.plans[0], phases=(replace(c.plans[0].phases[0], ms=0),)),)),
        "plan 0",
        "ms",
        "0 ms",
    ),
    "lane twice": (lambda c: replace(c, lanes=(*c.lanes, c.lanes[0])), "L1", "id", "twice"),
    "link that is not": (alter("lanes", link="K99"), "L1", "link", "no such link"),
    "lane that is not": (alter("connections", from_lane="L99"), "C1", "from_lane", "no such lane"),
    "group that is not": (alter("connections", group=77), "C1", "group", "no such group"),
    "node that is not": (alter("links", upstream="N99"), "K1", "upstream", "no such node"),
    "conflict of a stranger": (alter("conflicts", b="C99"), "C1/C99", "b", "no such connection"),
    "conflict twice": (lambda c: replace(c, conflicts=(*c.conflicts, c.conflicts[0])), "C1", "b", "twice"),
    "exception of a group that is not": (
        head(signal_exceptions=(SignalException(1, 77, "why"),)),
        "exception 1/77",
        "b",
        "no such group",
    ),
    "exception of no group": (
        head(signal_exceptions=(SignalException(0, 1, "why"),)),
        "exception 0/1",
        "a",
        "no such group",
    ),
    "exception of a group with itself": (
        head(signal_exceptions=(SignalException(1, 1, "why"),)),
        "exception 1/1",
        "b",
        "itself",
    ),
    "exception twice": (
        head(signal_exceptions=(SignalException(*CROSSING, "why"), SignalException(*CROSSING[::-1], "why"))),
        "exception",
        "b",
        "twice",
    ),
    "exception without a reason": (
        head(signal_exceptions=(SignalException(*CROSSING, " "),)),
        "exception",
        "reason",
        "why",
    ),
    "rule on nothing": (rules(rule("closure", None, targets=(Target("L99"),))), "R99", "targets", "no such entity"),
    "line of one point": (alter("lanes", points=GOOD.lanes[0].points[:1]), "L1", "points", "two points"),
    "lane at the equator": (alter("lanes", points=((0, 0), (100, 0))), "L1", "points", "reference point"),
    "line of no length": (alter("connections", points=(GOOD.connections[0].points[0],) * 2), "C1", "points", "length"),
    "lane backwards": (alter("lanes", points=GOOD.lanes[0].points[::-1]), "C", "_lane", "off the lane"),
    "stop line beyond its lane": (alter("stop_lines", s=9999.0), "stop line", "s", "lie on its lane"),
    "conflict point off its path": (alter("conflicts", s_a=500.0), "C1", "s_a", "lie on the path"),
    "conflict point elsewhere": (alter("conflicts", at=FAR, s_a=0.0, s_b=24.0), "C", "s_a, s_b", "apart"),
    "crosswalk without length": (alter("crosswalks", axis=(GOOD.crosswalks[0].axis[0],) * 2), "X1", "axis", "m long"),
    "zone of two corners": (
        head(zones=(Zone("Z1", "school", GOOD.crosswalks[0].axis),)),
        "Z1",
        "polygon",
        "three corners",
    ),
    "ingress that leads nowhere": (nowhere, INGRESS.id, "connections", "leads through"),
    "no ingress": (
        lambda c: replace(c, links=tuple(replace(x, role="egress") for x in c.links)),
        "code",
        "links",
        "leads to it",
    ),
    "movement from an egress": (
        lambda c: replace(c, links=tuple(replace(x, role="egress") if x.id == INGRESS.id else x for x in c.links)),
        "C",
        "from_lane",
        "egress",
    ),
    "lanes numbered twice": (alter("lanes", number=2), "K1", "lanes.number", "each once"),
    "signal without stop line": (without("stop_lines", lambda x: x.lane != LANE), LANE, "stop line", "has a stop line"),
    "back into its own lane": (alter("connections", to_lane=GOOD.connections[0].from_lane), "C1", "to_lane", ""),
    "one channel, two groups": (
        alter("signal_groups", channels=GOOD.signal_groups[1].channels),
        "group 2",
        "channels",
        "channel of group",
    ),
    "crosswalk on a vehicle signal": (alter("crosswalks", group=VEHICLE.group), "X1", "group", "vehicles"),
    "signals without groups": (
        lambda c: replace(
            c,
            signal_groups=(),
            plans=(),
            connections=tuple(replace(x, group=0) for x in c.connections),
            crosswalks=tuple(replace(x, group=0) for x in c.crosswalks),
        ),
        "code",
        "signal_groups",
        "has signal groups",
    ),
    "conflicting greens": (greens, "plan 0 phase 0", "shows", "conflict"),
    "plan without phases": (head(plans=(Plan("0", ()),)), "plan 0", "phases", "has phases"),
    "unknown rule kind": (rules(rule("no_fun", None)), "R99", "kind", "speed_max"),
    "limit in km/h": (rules(rule("speed_max", 60.0)), "R99", "value", "m/s"),
    "height in cm": (rules(rule("height_max", 420.0)), "R99", "value", "7 m"),
    "rule nowhere": (rules(rule("closure", None, targets=())), "R99", "targets", "somewhere"),
    "span beyond the lane": (
        rules(rule("closure", None, targets=(Target(LANE, 5.0, 9999.0),))),
        "R99",
        "targets.s",
        "within",
    ),
    "span of a link": (
        rules(rule("closure", None, targets=(Target(INGRESS.id, 5.0, 10.0),))),
        "R99",
        "targets.s",
        "lanes and connections",
    ),
    "weekday 8": (rules(rule("closure", None, calendar=Calendar(weekdays=(8,)))), "R99", "calendar.weekdays", "Monday"),
    "minute 2000": (
        rules(rule("closure", None, calendar=Calendar(minutes=((0, 2000),)))),
        "R99",
        "calendar.minutes",
        "1440",
    ),
    "no such time zone": (
        rules(rule("closure", None, calendar=Calendar(tz="Beijing"))),
        "R99",
        "calendar.tz",
        "time zone",
    ),
    "no such day": (
        rules(rule("closure", None, calendar=Calendar(dates=("2026-02-30", "2026-03-01")))),
        "R99",
        "calendar.dates",
        "YYYY",
    ),
    "rule ends before it begins": (rules(rule("closure", None, valid_from=5, valid_to=4)), "R99", "valid_to", "after"),
    "lowest above highest speed": (rules(rule("speed_min", 20.0)), "R99", "value", "contradicts"),
    "unknown class": (rules(rule("closure", None, classes=("hovercraft",))), "R99", "classes", "car"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_its_remedy(name: str) -> None:
    change, entity, field, says = FAULTS[name]
    found = [f for f in codes.validate(change(GOOD)) if f.severity == "error"]
    hits = [f for f in found if entity in f.entity and field in f.field and says in f.rule]
    assert hits, f"found only: {[str(f) for f in found]}"
    assert all(f.remedy and f.value != "" for f in hits)
    with pytest.raises(codes.CodeError) as error:
        codes.loads(codes.dump(change(GOOD)))
    assert str(hits[0]) in str(error.value) or name == "speed not a number"


def test_a_good_code_has_no_fault_and_there_are_forty_kinds() -> None:
    assert codes.validate(GOOD) == []
    assert len(FAULTS) >= 40


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(revision="two"), "revision"),
        (lambda d: d.pop("links"), "links"),
        (lambda d: d.update(format=9), "format 1"),
        (lambda d: d["lanes"][3].update(points=[[1.5, 2]]), "lanes"),
        (lambda d: d.update(lanes={}), "lanes"),
    ],
)
def test_json_of_the_wrong_shape_is_refused(change: Any, says: str) -> None:
    tree = json.loads(codes.dump(GOOD))
    change(tree)
    with pytest.raises(codes.CodeError, match=says):
        codes.loads(json.dumps(tree).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(codes.CodeError):
        codes.loads(data)


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 100, -1])
def test_a_damaged_compact_code_is_refused(cut: int) -> None:
    with pytest.raises(codes.CodeError, match="fetch it anew"):
        codes.from_compact(codes.compact(GOOD)[:cut])


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(codes.CodeError, match=r"nothing\.json"):
        codes.load(tmp_path / "nothing.json")


def test_a_code_with_exceptions_goes_there_and_back_and_others_keep_their_hash() -> None:
    listed = replace(GOOD, signal_exceptions=(SignalException(*CROSSING, "the left shares its through's group"),))
    assert b"signal_exceptions" not in codes.dump(GOOD), "the hash of a code issued before is what it was"
    assert codes.content_hash(listed) != codes.content_hash(GOOD)
    for back in (
        codes.loads(codes.dump(listed)),
        codes.from_compact(codes.compact(listed)),
        read_geojson(write_geojson(listed)),
    ):
        assert back == listed
    (change,) = diff(GOOD, listed)
    assert str(change).startswith(f"added: signal exception {CROSSING[0]}/{CROSSING[1]}")
    assert "signal_exceptions" in json_schema()["$defs"]["IntersectionCode"]["properties"]
    assert "the left shares its through" in show_page(listed)
    for to in ("mapem", "ydt3709"):
        assert [
            d.what for d in export_code(listed, to, number=Number(300)).differences if d.field == "signal_exceptions"
        ] == ["lost"]
        assert not [d for d in export_code(GOOD, to, number=Number(300)).differences if d.field == "signal_exceptions"]


def test_an_exception_excuses_a_phase_of_the_plan_and_only_its_pair() -> None:
    greens_of = [f for f in codes.validate(greens(GOOD)) if "protected green" in f.rule]
    listed = head(signal_exceptions=(SignalException(*CROSSING, "why"),))(greens(GOOD))
    assert len([f for f in codes.validate(listed) if "protected green" in f.rule]) == len(greens_of) - 1
    apart = next(
        (a.id, b.id)
        for a in GOOD.signal_groups
        for b in GOOD.signal_groups
        if a.kind == b.kind == "pedestrian" and a.id < b.id
    )
    (warning,) = [
        f
        for f in codes.validate(head(signal_exceptions=(SignalException(*apart, "why"),))(GOOD))
        if f.entity.startswith("exception")
    ]
    assert (warning.severity, warning.field) == ("warning", "a")
