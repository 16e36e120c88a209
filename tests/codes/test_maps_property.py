"""OpenDRIVE and Lanelet2 with records nobody chose: limits, permissions, lights and rights of way against a plain
reading of the same numbers."""

from itertools import combinations

import pytest
from drawn_roads import LENGTH, crossing, light, signals
from hypothesis import given, settings
from hypothesis import strategies as st
from lanelet_roads import ELEMENT, KINDS, PIECES, Roads, lane_of
from opendrive_codes import allowed, groups, one
from opendrive_codes import lane_of as road_lane

from cloudctl import codes
from cloudctl.codes.formats.lanelet2.importer import import_lanelet2
from cloudctl.codes.formats.opendrive.importer import import_opendrive
from cloudctl.codes.rules import Vehicle, effective

FEW = settings(max_examples=25)
UNITS = {"km/h": 3.6, "mph": 2.236936, "m/s": 1.0}
SPANS = st.lists(
    st.tuples(st.integers(0, 44), st.sampled_from((20, 30, 40, 50, 60, 80)), st.sampled_from(sorted(UNITS))),
    min_size=1,
    max_size=4,
    unique_by=lambda row: row[0],
)
USERS = {
    "car": "passengerCar",
    "taxi": "taxi",
    "bus": "bus",
    "truck": "truck",
    "motorcycle": "motorcycle",
    "emergency": "emergency",
}


def written(kmh: float, unit: str) -> str:
    return f"{kmh / 3.6 * UNITS[unit]:.6g}"


@FEW
@given(rows=SPANS)
def test_limits_of_a_lane_hold_each_from_its_place_to_the_next(rows: list[tuple[int, int, str]]) -> None:
    rows = sorted([(0, 50, "km/h"), *(row for row in rows if row[0])])
    text = "".join(f'<speed sOffset="{s}" max="{written(kmh, unit)}" unit="{unit}"/>' for s, kmh, unit in rows)
    code = one(import_opendrive(crossing(ingress={1: text})))
    found = road_lane(code, "1/-1")
    assert found.speed == pytest.approx(min(kmh for _, kmh, _ in rows) / 3.6, abs=0.01)
    for middle in range(45):
        s = middle + 0.5
        want = next(kmh for begin, kmh, _ in reversed(rows) if begin <= s)
        assert effective(code, found.id, Vehicle(), 0, s=s).speed_max == pytest.approx(want / 3.6, abs=0.01)


@FEW
@given(rows=SPANS)
def test_limits_of_a_road_are_measured_in_driving_direction_on_both_sides(rows: list[tuple[int, int, str]]) -> None:
    rows = sorted([(0, 50, "km/h"), *(row for row in rows if row[0])])
    text = "".join(
        f'<type s="{s}" type="town"><speed max="{written(kmh, unit)}" unit="{unit}"/></type>' for s, kmh, unit in rows
    )
    code = one(import_opendrive(crossing(types={1: text})))
    for name, place in (("1/-1", lambda s: s), ("1/1", lambda s: LENGTH - s)):
        for middle in range(45):
            s = middle + 0.5
            want = next(kmh for begin, kmh, _ in reversed(rows) if begin <= s)
            assert effective(code, road_lane(code, name).id, Vehicle(), 0, s=place(s)).speed_max == pytest.approx(
                want / 3.6, abs=0.01
            )


@FEW
@given(
    named=st.sets(st.sampled_from(sorted(USERS)), min_size=1),
    rule=st.sampled_from(("allow", "deny")),
    apart=st.booleans(),
)
def test_access_lets_in_whom_it_names_or_keeps_them_out(named: set[str], rule: str, apart: bool) -> None:
    if apart:
        text = "".join(f'<access sOffset="0" rule="{rule}" restriction="{USERS[name]}"/>' for name in sorted(named))
    else:
        text = (
            f'<access sOffset="0" rule="{rule}">'
            + "".join(f'<restriction type="{USERS[name]}"/>' for name in sorted(named))
            + "</access>"
        )
    code = one(import_opendrive(crossing(ingress={1: text})))
    want = {name: (name in named) == (rule == "allow") for name in USERS}
    if rule == "allow" and named == {"bus"}:
        want["emergency"] = True  # on a bus lane that names nobody else
    assert allowed(code, "1/-1", *USERS) == want


@FEW
@given(data=st.data())
def test_lights_of_one_controller_are_one_group_unless_roads_that_cross_share_it(data: st.DataObject) -> None:
    of = {k: data.draw(st.integers(0, 3), label=f"controller of light {k}") for k in (1, 2, 3, 4)}
    names = sorted(set(of.values()))
    tail = "".join(
        f'<controller id="{900 + n}" name="c{n}">'
        + "".join(f'<control signalId="{k}" type="0"/>' for k in of if of[k] == n)
        + "</controller>"
        for n in names
    )
    code = one(import_opendrive(crossing(inside={k: signals(light(k, lanes="-1")) for k in of}, tail=tail)))
    group = {k: groups(code)[f"{k}/-1"] for k in of}
    assert all(len(numbers) == 1 and 0 not in numbers for numbers in group.values())
    axis = {1: "EW", 2: "EW", 3: "NS", 4: "NS"}
    cabinets = {n for n in names if len({axis[k] for k in of if of[k] == n}) == 2}
    for a, b in combinations(of, 2):
        assert (group[a] == group[b]) == (of[a] == of[b] and of[a] not in cabinets)


@FEW
@given(yes=st.sets(st.sampled_from(KINDS[:-1]), min_size=1))
def test_participants_that_are_named_may_use_a_lanelet_and_nobody_else(yes: set[str]) -> None:
    tags = {f"participant:vehicle:{name}": "yes" for name in yes}
    code = one(import_lanelet2(Roads().draw({"W in": tags}).xml()))
    may = {kind for kind in KINDS[:-1] if effective(code, lane_of(code, "W in").id, Vehicle(kind), 0, s=20.0).allowed}
    assert may == yes | ({"emergency"} if yes == {"bus"} else set())  # on a bus lane that names nobody else


@FEW
@given(
    order=st.permutations(sorted(PIECES)),
    both=st.sets(st.sampled_from(sorted(PIECES))),
    limits=st.dictionaries(st.sampled_from(sorted(PIECES)), st.integers(10, 120)),
)
def test_a_lanelet_map_is_sound_whatever_is_two_way_and_however_fast(
    order: list[str], both: set[str], limits: dict[str, int]
) -> None:
    tags = {
        name: ({"one_way": "no"} if name in both else {})
        | ({"speed_limit": f"{limits[name]} km/h"} if name in limits else {})
        for name in order
    }
    found = import_lanelet2(Roads().draw(tags).xml())
    for code in found:
        assert [finding for finding in codes.validate(code) if finding.severity == "error"] == []
        for lane in code.lanes:
            own = [limits.get(a.value, 50) for a in lane.alias if a.kind == "name"]
            assert lane.speed == pytest.approx(min(own) / 3.6, abs=0.01)
    roles = [(link.role) for link in found[0].links for lane in found[0].lanes if lane.link == link.id]
    assert roles.count("ingress") >= 2


@FEW
@given(low=st.sampled_from(("W in", "S in")), tagged=st.booleans())
def test_right_of_way_goes_before_the_turns(low: str, tagged: bool) -> None:
    roads = Roads().draw()
    high = "S in" if low == "W in" else "W in"
    inner = {"W in": "W to E", "S in": "S to N"}
    roads.relation(
        ("yield", roads.ids[inner[low] if tagged else low]),
        ("right_of_way", roads.ids[inner[high] if tagged else high]),
        type=ELEMENT,
        subtype="right_of_way",
    )
    code = one(import_lanelet2(roads.xml()))
    start = {c.id: (c.from_lane, c.turn) for c in code.connections}
    crossed = [c for c in code.conflicts if {start[c.a][1], start[c.b][1]} == {"straight"}]
    assert [(c.a_yields, c.b_yields) for c in crossed] == [
        (start[c.a][0] == lane_of(code, low).id, start[c.b][0] == lane_of(code, low).id) for c in crossed
    ]
    assert crossed
