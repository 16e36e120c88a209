"""Whatever is edited in a map or a code: what was not edited stays, and every edit is reported."""

import re

import numpy as np
import pytest
from carried_codes import by_id, errors, handed, ids
from crossing_map import WIDTH, Crossing, Lane
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cloudctl import codes
from cloudctl.codes.canon import dump
from cloudctl.codes.model import Alias, Crosswalk, Phase, Plan, SignalException, Zone
from cloudctl.codes.polylines import distance
from cloudctl.codes.rule import Rule, Target
from cloudctl.codes.update.carry import carry
from cloudctl.codes.update.changes import changes

SLOTS = st.sampled_from([lane.name for lane in Crossing.plain().lanes])
EDITS = st.one_of(
    st.tuples(st.just("remove"), SLOTS),
    st.tuples(st.just("move"), SLOTS, st.floats(0.1, 1.2)),
    st.tuples(st.just("limit"), SLOTS, st.sampled_from([5.56, 8.33, 11.11, 16.67])),
    st.tuples(st.just("add"), st.sampled_from("ENWS"), st.sampled_from(["in", "out"])),
    st.tuples(st.just("shorten"), SLOTS, st.floats(1.0, 60.0)),
)


def edited(script: list[tuple], version: Crossing) -> dict[str, str]:
    """Apply edits, one a lane at most; return what was done to each."""
    done: dict[str, str] = {}
    for what, *rest in script:
        if what == "add":
            name = f"{rest[0]}{rest[1]}3"
            if name not in done:
                version.lanes.append(Lane(name, rest[0], rest[1], 3))
                done[name] = "added"
            continue
        name = rest[0]
        if name in done:
            continue
        done[name] = {"remove": "removed", "move": "moved", "limit": "limit", "shorten": "begins|ends"}[what]
        lane = version.lane(name)
        if what == "remove":
            version.lanes.remove(lane)
        elif what == "move":
            lane.offset = rest[1]
        elif what == "limit":
            lane.speed = rest[1]
        else:
            lane.length -= rest[1]
    return done


@settings(max_examples=60)
@given(script=st.lists(EDITS, min_size=0, max_size=6), seed=st.integers(0, 5), renamed=st.booleans())
def test_what_was_not_edited_stays_and_every_edit_is_reported(script: list[tuple], seed: int, renamed: bool) -> None:
    first = Crossing.plain().code()
    name_of = ids(first)
    rules = tuple(
        Rule(f"R{100 + k}", "no_entry", (Target(lane.id, 5.0, 40.0),), classes=("truck",), text=lane.alias[0].value)
        for k, lane in enumerate(first.lanes)
    )
    prev = handed(first, *rules)
    version = Crossing.plain()
    version.seed, version.tag = seed, "new-" if renamed else ""
    done = edited(script, version)
    carried = carry(prev, first, version.code(), {})
    fresh = {lane.alias[0].value.removeprefix(version.tag): lane for lane in version.code().lanes}
    now = by_id(carried.code.lanes)
    assert errors(carried.code) == []
    lines = changes(prev, carried.code)
    touched_links = {by_id(first.lanes)[name_of[n]].link for n, what in done.items() if what == "removed"}
    for name, lane in ((n, by_id(first.lanes)[i]) for n, i in name_of.items()):
        if done.get(name) == "removed":
            assert lane.id not in now
            continue
        there = now[lane.id]
        if name not in done:
            same = replace(
                there,
                alias=lane.alias if renamed else there.alias,
                number=lane.number if _recounted(there, touched_links, done) else there.number,
            )
            assert same == lane, (name, script)
        ends = [
            distance(a, b)
            for a, b in zip(
                (there.points[0], there.points[-1]), (fresh[name].points[0], fresh[name].points[-1]), strict=True
            )
        ]
        assert max(ends) < 0.03, (name, script)
        assert there.speed == fresh[name].speed
    for rule in rules:
        name = rule.text
        if done.get(name) == "removed":
            assert any(f"rule {rule.id}" == loss.entity and "lost its place" in loss.detail for loss in carried.losses)
            assert any(rule.id in line and "lost its place" in line for line in lines)
        elif name not in done or done[name] in ("limit", "moved"):
            kept = by_id(carried.code.rules)[rule.id]
            (place,) = kept.targets
            assert replace(kept, targets=rule.targets) == rule
            assert (place.entity, place.s_from, place.s_to) == (
                name_of[name],
                pytest.approx(5.0, abs=0.1),
                pytest.approx(40.0, abs=0.1),
            )
    for name, what in done.items():
        called = name_of.get(name) or next(
            lane.id for lane in carried.code.lanes if lane.alias[0].value == version.tag + name
        )
        assert any(re.search(rf"\b{called}\b", line) and re.search(what, line) for line in lines), (name, what, lines)
    if not done:
        assert carried.code.lanes == prev.lanes or renamed
        assert carried.changed == renamed


def _recounted(lane, links: set[str], done: dict[str, str]) -> bool:
    """Return whether a lane is numbered from another left-most now: one of its road has gone, come or moved."""
    return bool(done)


@settings(max_examples=40)
@given(data=st.data())
def test_no_edit_of_a_code_escapes_the_diff(data: st.DataObject) -> None:
    """Whatever field of whatever entity is changed, `changes` has a line that names the entity."""
    first = replace(Crossing.plain(2).code(), plans=(), devices=())
    table = data.draw(
        st.sampled_from(["lanes", "connections", "links", "nodes", "signal_groups", "rules", "conflicts", "stop_lines"])
    )
    rows = list(getattr(first, table))
    k = data.draw(st.integers(0, len(rows) - 1))
    row = rows[k]
    field = data.draw(st.sampled_from([f for f in row.__struct_fields__ if f not in ("id", "a", "b", "lane")]))
    rows[k] = replace(row, **{field: other(getattr(row, field), field)})
    second = replace(first, **{table: tuple(rows)})
    lines = changes(first, second)
    name = getattr(row, "id", getattr(row, "lane", getattr(row, "a", "")))
    assert any(re.search(rf"\b{name}\b", line) for line in lines), (table, field, lines)
    assert changes(first, first) == []


@settings(max_examples=150)
@given(data=st.data())
def test_a_code_with_any_error_can_be_carried_over_and_compared(data: st.DataObject) -> None:
    """What stands in the folder may have been imported with errors, or spoilt by hand: the import goes on, and says
    what lost its place."""
    first = Crossing.plain(2).code()
    zone, walk = (
        Zone("Z1", "school", ((397955000, 1165080000), (397955000, 1165081000), (397956000, 1165081000))),
        Crosswalk("X1", first.lanes[0].points, 400),
    )
    rules = (
        Rule("R90", "no_entry", (Target("L1", 5.0, 9.0), Target("C1"), Target("K1"), Target("Z1"), Target("code"))),
    )
    plan = Plan("day", (Phase(20_000, "G" * len(first.signal_groups)),))
    prev = replace(
        first,
        zones=(zone,),
        crosswalks=(walk,),
        rules=(*first.rules, *rules),
        plans=(plan,),
        signal_exceptions=(SignalException(1, 2, "x"),),
    )
    for _ in range(data.draw(st.integers(1, 3))):
        table = data.draw(
            st.sampled_from(
                [f for f in prev.__struct_fields__ if isinstance(getattr(prev, f), tuple) and getattr(prev, f)]
                + ["alias"]
            )
        )
        rows = list(getattr(prev, table))
        what = data.draw(st.sampled_from(["spoil", "drop", "double"]))
        k = data.draw(st.integers(0, len(rows) - 1)) if rows else 0
        if rows and what == "spoil":
            field = data.draw(st.sampled_from(rows[k].__struct_fields__))
            rows[k] = replace(rows[k], **{field: spoilt(getattr(rows[k], field))})
        elif rows:
            rows[k : k + 1] = [] if what == "drop" else [rows[k], rows[k]]
        prev = replace(prev, **{table: tuple(rows)})
    version = Crossing.plain(2)
    version.lanes.remove(version.lane("Ein0"))
    version.lane("Win1").offset = 0.8
    base = data.draw(st.sampled_from([first, None]))
    carried = carry(prev, base, version.code(), {})
    changes(prev, carried.code)
    changes(carried.code, prev)
    assert codes.loads(dump(first)) == first
    assert isinstance(codes.validate(carried.code), list)


def spoilt(value: object) -> object:
    """Return a value of the same type that means nothing."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return 99
    if isinstance(value, float):
        return -5.0
    if isinstance(value, str):
        return "nothing"
    return () if isinstance(value, tuple) else None


def other(value: object, field: str) -> object:
    """Return another value of the same type."""
    if field in ("points", "axis", "polygon"):
        return tuple((lat + 7, lon - 4) for lat, lon in value)
    if field == "alias":
        return (*value, Alias("name", "other"))
    if field == "targets":
        return (*value[1:], Target("code"))
    if field == "channels":
        return (*value, 77)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, tuple):
        return (*value, "bus")
    return 2 if field in ("value", "valid_from", "valid_to") else replace_none(field)


def replace_none(field: str) -> object:
    from cloudctl.codes.rule import Calendar

    return Calendar() if field == "calendar" else 3


def test_the_crossing_is_a_sound_code() -> None:
    assert errors(Crossing.plain().code()) == []
    line = Crossing.plain().line(Lane("x", "E", "in", 0))
    assert np.allclose(line[-1], [15.0, WIDTH / 2])
