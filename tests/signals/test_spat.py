"""SPAT by the standard: times, fields and flags; what is wrong loses only itself, and nothing but CodeError is ever
raised.
"""

import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from spat_messages import DAY, MS, S, T, at, changed, good_of, messages, move, refused, row, tree

from cloudctl import codes
from cloudctl.codes.formats.messages.uper import decode as read_uper
from cloudctl.codes.formats.messages.uper import encode
from cloudctl.schema import Group
from cloudctl.signals.spat import Spats, as_signal, read_spat, write_spat
from cloudctl.signals.spat_fields import MAX_REFUSALS, STATE_DOUBTS, TIME_DOUBTS
from cloudctl.signals.spat_time import HOUR, MINUTE, SECOND, TENTH, minute_of_year, year_start
from cloudctl.signals.ydt_spat import read_ydt_spat


def cut(group: Group) -> Group:
    """Return a group with its times cut to the tenths that go over the wire."""
    times = {name: getattr(group, name) for name in ("min_end", "max_end", "likely_end", "next_green")}
    return replace(group, **{name: None if time is None else time // TENTH * TENTH for name, time in times.items()})


@settings(max_examples=60)
@given(messages(), st.integers(-150 * DAY // MS, 150 * DAY // MS))
def test_what_is_written_is_read_at_any_time_of_any_year(message: tuple[int, tuple[Group, ...]], late_ms: int) -> None:
    pytest.importorskip("pycrate_asn1dir")
    t, groups = message
    found = read_spat(write_spat(300, 5, t, groups, region=10, frame=True), t + late_ms * MS)
    assert (found[0].t, found.refused) == (t, ())
    assert found[0].groups == tuple(cut(group) for group in groups)
    assert as_signal(found[0], 6)[1] == found[0].groups


def test_an_end_that_is_not_known_is_written_so_and_one_that_has_passed_is_not_put_an_hour_off() -> None:
    pytest.importorskip("pycrate_asn1dir")
    groups = (
        Group(1, S.RED),
        Group(2, S.GREEN_PROTECTED, T - 5 * SECOND, T + 10 * SECOND),
        Group(3, S.RED, T - 20 * SECOND, T - 20 * SECOND, T - 20 * SECOND),
        Group(4, S.RED, T, T + 2 * HOUR),
    )
    ends = [(g.min_end, g.max_end, g.likely_end) for g in read_spat(write_spat(300, 5, T, groups), T)[0].groups]
    assert ends == [(None, None, None), (T, T + 10 * SECOND, None), (T, None, None), (T, None, None)]


def read(value: dict, received: int = T + 50 * MS) -> Spats:
    return read_spat(msgspec.json.encode(value), received)


def read_twice(copies: list[tuple[int, str]]) -> Spats:
    """Return what is read of intersections by number, each of one group in a state."""
    state = {"red": "stop-And-Remain", "late": "stop-And-Remain", "protected-green": "protected-Movement-Allowed"}
    rows = [
        row(number, T - SECOND if light == "late" else T, states=[move(1, state.get(light, light))])
        for number, light in copies
    ]
    return read(tree(*rows))


def read_twice_ydt(copies: list[tuple[int, str]]) -> Spats:
    """Return the same of a SPAT of YD/T 3709."""
    rows = []
    for number, light in copies:
        minute, ms = minute_of_year(T - SECOND if light == "late" else T)
        phase = {"id": 1, "phaseStates": [{"light": "red" if light == "late" else light}]}
        place = {"intersectionId": {"region": 10, "id": number}, "moy": minute, "timeStamp": ms, "phases": [phase]}
        rows.append(place)
    return read_ydt_spat(msgspec.json.encode({"intersections": rows}), T + 50 * MS)


def test_what_the_standard_calls_unavailable_is_so_and_the_time_of_arrival_stands_in() -> None:
    received = T + 50 * MS
    for changes in ({"timeStamp": 65_535}, {"timeStamp": "left out"}):
        assert read(tree(row(**changes))).pop().t == received
    for changes in ({"moy": 527_040}, {"moy": "left out"}, {"moy": "left out", "timeStamp": "left out"}):
        assert read(tree(row(**changes))).pop().t == (T if "timeStamp" not in changes else received)
    outer = tree(row(moy=527_040)) | {"timeStamp": minute_of_year(T)[0]}
    assert read(outer, T + 3 * HOUR).pop().t == T, "the message's own minute stands in for that of its intersection"
    assert not read(tree(row(timeStamp=65_535))).refused


@pytest.mark.parametrize(
    "changes",
    [
        {"timeStamp": 61_000},
        {"timeStamp": 65_534},
        {"timeStamp": 70_000},
        {"timeStamp": -1},
        {"timeStamp": 3.5},
        {"timeStamp": "59"},
        {"timeStamp": True},
        {"moy": 527_041},
        {"moy": -1},
        {"moy": 1.0},
        {"moy": "7"},
        {"moy": []},
        {"revision": 128},
        {"revision": None},
        {"revision": "left out"},
        {"id": {"id": 70_000}},
        {"id": {"id": None}},
        {"id": {"id": 1, "region": -1}},
        {"id": 7},
        {"status": "of"},
        {"status": [0, 15]},
        {"status": [70_000, 16]},
        {"status": {"off": "no"}},
        {"states": []},
        {"states": "left out"},
        {"states": 7},
        {"states": [7]},
        {"states": [move(0)]},
        {"states": [move(1, "green")]},
    ],
)
def test_a_bad_intersection_among_good_ones_loses_only_itself(changes: dict) -> None:
    found = read(tree(row(300), row(301, **changes), row(302)))
    assert [spat.intersection for spat in found] == ["10/300", "10/302"]
    assert found.refused
    with pytest.raises(codes.CodeError):
        read(tree(row(301, **changes)))


@pytest.mark.parametrize(
    ("bad", "field", "left"),
    [
        (move(2, "purple"), "eventState", Group(2, S.UNKNOWN)),
        (move(2, None), "eventState", Group(2, S.UNKNOWN)),
        (move(2, 3), "eventState", Group(2, S.UNKNOWN)),
        ({"signalGroup": 2}, "state-time-speed", Group(2, S.UNKNOWN)),
        ({"signalGroup": 2, "state-time-speed": []}, "state-time-speed", Group(2, S.UNKNOWN)),
        (move(256), "signalGroup", None),
        (move(0), "signalGroup", None),
        (move(-2), "signalGroup", None),
        (move("2"), "signalGroup", None),
        (move(2.0), "signalGroup", None),
        (move(2, minEndTime=36_002), "minEndTime", Group(2, S.RED)),
        (move(2, minEndTime=-1), "minEndTime", Group(2, S.RED)),
        (move(2, minEndTime=12.5), "minEndTime", Group(2, S.RED)),
        (move(2, minEndTime="100"), "minEndTime", Group(2, S.RED)),
        (move(2, minEndTime="left out", confidence=16), "confidence", Group(2, S.RED)),
        (move(2, minEndTime="left out", confidence=-1), "confidence", Group(2, S.RED)),
        (move(2, minEndTime="left out", confidence=0.5), "confidence", Group(2, S.RED)),
        (move(2, minEndTime="left out", confidence="9"), "confidence", Group(2, S.RED)),
        (move(2, minEndTime="left out", nextTime=40_000), "nextTime", Group(2, S.RED)),
        (
            {"signalGroup": 2, "state-time-speed": [{"eventState": "stop-And-Remain", "timing": 5}]},
            "timing",
            Group(2, S.RED),
        ),
        (move(2, minEndTime="left out", startTime=36_028), "startTime", Group(2, S.RED)),
    ],
)
def test_one_bad_field_loses_only_itself(bad: dict, field: str, left: Group | None) -> None:
    good = [Group(number, S.RED, T + 9 * SECOND // TENTH * TENTH) for number in (1, 3)]
    found = read(tree(row(states=[move(1), bad, move(3)])))
    assert found[0].groups == tuple(g for g in (good[0], left, good[1]) if g is not None)
    assert [f for _, f in refused(found)] == [field]


def test_a_mark_out_of_range_in_uper_loses_only_itself() -> None:
    """36028, "the next hour, 2.8 s", as a real unit sends it: the bits hold it, the standard does not."""
    dsrc = pytest.importorskip("pycrate_asn1dir.ITS_IS").DSRC
    value = read_uper(
        "SPAT",
        write_spat(
            300,
            4,
            T,
            (Group(1, S.RED, T + 9 * SECOND), Group(2, S.GREEN_PROTECTED, T + 9 * SECOND, T + 9 * SECOND)),
            region=10,
        ),
    )
    value["intersections"][0]["states"][1]["state-time-speed"][0]["timing"]["maxEndTime"] = 36_028
    dsrc.SPAT._SAFE_BND = False
    dsrc.SPAT.set_val(value)
    body = dsrc.SPAT.to_uper()
    dsrc.SPAT._SAFE_BND = True
    found = read_spat(body, T)
    assert found[0].groups == (Group(1, S.RED, T + 9 * SECOND), Group(2, S.GREEN_PROTECTED, T + 9 * SECOND))
    assert refused(found) == [("10/300 group 2", "maxEndTime")]
    with pytest.raises(codes.CodeError, match="36028"):
        encode("SPAT", value)


@pytest.mark.parametrize("mark", ["left out", None, 36_000, 36_001])
def test_ends_that_are_far_or_not_known_are_no_fault(mark: object) -> None:
    found = read(tree(row(states=[move(1, minEndTime=mark, maxEndTime=mark, likelyTime=mark)])))
    assert found[0].groups == (Group(1, S.RED),)
    assert found.refused == ()


def test_a_group_that_stands_twice_is_unknown() -> None:
    found = read(tree(row(states=[move(1), move(2), move(1, "protected-Movement-Allowed")])))
    assert [(g.group, g.state) for g in found[0].groups] == [(1, S.UNKNOWN), (2, S.RED)]
    assert refused(found) == [("10/300 group 1", "signalGroup")]


@pytest.mark.parametrize(
    ("timing", "want"),
    [
        ({"minEndTime": at(-0.5), "maxEndTime": at(20)}, (-0.5, 20, None)),
        ({"minEndTime": at(-90), "maxEndTime": at(20), "likelyTime": at(15)}, (-90, 20, 15)),
        ({"minEndTime": at(0), "maxEndTime": at(45 * 60)}, (0, 45 * 60, None)),
        ({"minEndTime": at(3539), "maxEndTime": at(3539), "likelyTime": at(3539)}, (3539, 3539, 3539)),
        ({"minEndTime": at(-10), "maxEndTime": at(-10), "likelyTime": at(-10)}, (-10, -10, -10)),
        ({"minEndTime": at(-59), "maxEndTime": at(-59)}, (-59, -59, None)),
        ({"minEndTime": at(-30), "likelyTime": at(-10)}, (-30, None, -10)),
        ({"minEndTime": at(-0.3)}, (-0.3, None, None)),
        ({"minEndTime": at(29 * 60), "maxEndTime": 36_000}, (29 * 60, None, None)),
    ],
)
def test_ends_are_read_by_one_another(timing: dict, want: tuple) -> None:
    found = read(tree(row(states=[move(1, "protected-Movement-Allowed", **timing)])))
    group = found[0].groups[0]
    assert (group.min_end, group.max_end, group.likely_end) == tuple(
        None if s is None else T + round(s * SECOND) for s in want
    )
    assert found.refused == ()


def test_an_earliest_end_that_may_have_passed_is_not_taken_for_a_promise_of_an_hour() -> None:
    """A green that rests, its earliest end 400 s ago and not renewed, no greatest end."""
    found = read(tree(row(states=[move(1, "protected-Movement-Allowed", minEndTime=at(-400), maxEndTime=36_001)])))
    assert found[0].groups == (Group(1, S.GREEN_PROTECTED),)
    assert refused(found) == [("10/300 group 1", "minEndTime")]


def test_ends_out_of_order_are_told_and_not_sent() -> None:
    """Likely 0 and confidence 0 for "not given", as a controller sends them; a greatest end before the earliest."""
    moves = [move(1, maxEndTime=at(9), likelyTime=0, confidence=0), move(2, maxEndTime=at(4)), move(3)]
    found = read(tree(row(states=moves)))
    assert refused(found) == [("10/300 group 1", "likelyTime"), ("10/300 group 2", "maxEndTime")]
    end = T + 9 * SECOND
    assert as_signal(found[0], 5)[1] == (Group(1, S.RED, end, end), Group(2, S.RED), Group(3, S.RED, end))


@pytest.mark.parametrize(
    "name", [*STATE_DOUBTS, *TIME_DOUBTS, "trafficDependentOperation", "recentMAPmessageUpdate", "standbyOperation"]
)
def test_flags_say_what_is_not_to_be_trusted_in_every_way_of_writing(name: str) -> None:
    asn1 = pytest.importorskip("pycrate_asn1dir.ITS_IS")
    bit = asn1.DSRC.IntersectionStatusObject._cont[name]  # the standard's own numbers
    sent = Group(1, S.RED, T + 9 * SECOND)
    bits = f"{1 << (15 - bit):016b}"
    forms: list[object] = [[1 << (15 - bit), 16], {name: True, "other": False}, bits, f"{1 << (15 - bit):04X}"]
    forms += [name, [name], [name, "fixedTimeOperation"], {"value": bits, "length": 16}, [int(flag) for flag in bits]]
    for status in forms:
        (spat,) = read(tree(row(status=status, states=[move(1)])))
        assert (spat.doubts, spat.time_doubts) == (
            (name,) if name in STATE_DOUBTS else (),
            (name,) if name in TIME_DOUBTS else (),
        )
        want = Group(1, S.UNKNOWN) if name in STATE_DOUBTS else Group(1, S.RED) if name in TIME_DOUBTS else sent
        assert as_signal(spat, 5) == (5, (want,))


@pytest.mark.parametrize(
    "status", [{"faliureMode": True, "off": False}, {"standby": True}, {"fixedTimeOperation": "maybe"}]
)
def test_a_status_that_the_standard_does_not_have_is_named_and_the_rest_is_used(status: dict) -> None:
    found = read(tree(row(status=status)))
    assert [group.state for group in found[0].groups] == [S.RED] * 3
    assert refused(found) == [("10/300", f"status.{next(iter(status))}")]

    for name in (*STATE_DOUBTS, *TIME_DOUBTS):
        with pytest.raises(codes.CodeError, match=name):
            read(tree(row(status={name: "maybe"})))


@pytest.mark.parametrize("read_one", [read_twice, read_twice_ydt])
def test_an_intersection_that_stands_twice_is_used_once_where_all_copies_are_the_same(read_one: Callable) -> None:
    for copies in (2, 3):
        found = read_one([(300, "red")] * copies + [(301, "red")])
        assert [spat.intersection for spat in found] == ["10/300", "10/301"]
        assert [group.state for group in found[0].groups] == [S.RED]
        assert [(f.entity, f.field, f.value) for f in found.refused] == [("10/300", "id", f"{copies} times")]


@pytest.mark.parametrize("other", ["protected-green", "of no standard", "late"])
@pytest.mark.parametrize("read_one", [read_twice, read_twice_ydt])
def test_of_an_intersection_that_stands_twice_and_differs_no_state_is_used(read_one: Callable, other: str) -> None:
    for copies in ([(300, other), (300, "red")], [(300, "red"), (301, "red"), (300, other)]):
        found = good_of(lambda copies=copies: read_one(copies))
        assert [spat.intersection for spat in found] == ["10/301"] * (len(copies) - 2)
        assert ("10/300", "id") in refused(found)


def test_refusals_are_bounded_and_counted() -> None:
    found = read(
        tree(
            row(states=[move(1), *(move(2, minEndTime=-1 - k) for k in range(500))]), *(row(301 + k) for k in range(40))
        )
    )
    assert len(found) == 32
    assert len(found.refused) == MAX_REFUSALS + 1
    assert "more" in found.refused[-1].value
    long = read(tree(row(states=[move(1), move(2, "x" * 100_000)])))
    assert len(long.refused[0].value) <= 80


# --- mutated messages ---


def plain(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


@settings(max_examples=400)
@given(st.data())
def test_a_mutated_spat_raises_nothing_but_code_error_and_shifts_no_time(data: st.DataObject) -> None:
    timing = {
        "minEndTime": at(3),
        "maxEndTime": at(40 * 60),
        "likelyTime": at(30),
        "confidence": 7,
        "nextTime": at(50 * 60),
    }
    value = changed(
        tree(row(300, states=[move(1, **timing), move(2, "permissive-clearance", **timing)]), row(301)), data.draw
    )
    for spat in good_of(lambda: read_spat(json.dumps(value).encode(), T + 50 * MS)):
        sources = [
            r
            for r in value["intersections"]
            if isinstance(r, dict)
            and isinstance(r.get("id"), dict)
            and f"{r['id'].get('region') or 0}/{r['id'].get('id')}" == spat.intersection
        ]
        assert any(timed_as(spat.t, source) for source in sources)
        for group in spat.groups:
            items = [
                item
                for source in sources
                for item in source["states"]
                if isinstance(item, dict) and plain(item.get("signalGroup")) and item["signalGroup"] == group.group
            ]
            marks = {mark for item in items for mark in numbers(item)}
            for time in (group.min_end, group.max_end, group.likely_end, group.next_green):
                assert time is None or (time % HOUR // TENTH in marks and -HOUR < time - spat.t <= HOUR)
        msgspec.msgpack.encode(as_signal(spat, 5)[1])


def timed_as(t: int, source: dict) -> bool:
    """Return whether a time is that of an intersection of a message that came at T + 50 ms, as far as it gives one."""
    ms, minute = source.get("timeStamp"), source.get("moy")
    if ms in (None, 65_535):
        return minute not in (None, 527_040) or t == T + 50 * MS
    return ms >= 60_000 or (
        t % MINUTE == ms * MS and (minute in (None, 527_040) or (t - year_start(t)) // MINUTE == minute)
    )


def numbers(value: object) -> list[int]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value] if plain(value) else [n for item in inner for n in numbers(item)]


@settings(max_examples=60)
@given(messages(), st.data())
def test_a_spat_with_wrong_bits_raises_nothing_but_code_error(
    message: tuple[int, tuple[Group, ...]], data: st.DataObject
) -> None:
    pytest.importorskip("pycrate_asn1dir")
    body = bytearray(write_spat(300, 5, message[0], message[1], region=10, frame=data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    for spat in good_of(lambda: read_spat(bytes(body), message[0])):
        as_signal(spat, 6)
