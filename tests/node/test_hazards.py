"""Hazards: what is accepted is warned of, in its time and place; what nobody could be warned of is refused."""

import math

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages_to_an_engine import feed, perception
from stage import Stage, T

from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.hazards import MAX_HAZARDS, MAX_OF_GATEWAY, Hazards
from cloudctl.lane_stretches import covered, inside
from cloudctl.schema import AdvisoryKind, Hazard

MIN = 60 * SECOND


def body(code: CompiledCode, **changes: object) -> bytes:
    hazard = {
        "v": 1,
        "r": "r0",
        "id": "h1",
        "kind": "works",
        "t": T,
        "start": T,
        "end": T + MIN,
        "lane": code.lane_ids[0],
    }
    return msgpack.packb({**hazard, **changes})


def around(code: CompiledCode, x: float, y: float, radius: float) -> tuple[tuple[float, float], ...]:
    """Return a square (lat, lon) around a place of the code's frame."""
    lat, lon = code.origin.to_geodetic(
        np.array([x - radius, x + radius, x + radius, x - radius]),
        np.array([y - radius, y - radius, y + radius, y + radius]),
    )
    return tuple(zip(lat.tolist(), lon.tolist(), strict=True))


BAD = {
    "end before start": ({"start": T + MIN, "end": T + SECOND}, "end", "start"),
    "no kind": ({"kind": ""}, "id, kind", "empty"),
    "an end beyond a year": ({"end": 2**62}, "end", "days ahead"),
    "end in the past": ({"start": T - MIN, "end": T - SECOND}, "end", "ago"),
    "unknown lane": ({"lane": "L99"}, "lane", "no lane"),
    "no place": ({"lane": None}, "lane, polygon", "lane or in a polygon"),
    "stretch backwards": ({"s": [20.0, 10.0]}, "s", "forwards"),
    "stretch beyond the lane": ({"s": [5000.0, 5001.0]}, "s", "forwards"),
    "stretch of NaN": ({"s": [math.nan, 1.0]}, "s", "forwards"),
    "stretch of no lane": ({"lane": None, "s": [1.0, 2.0], "polygon": [[39.0, 116.0]] * 3}, "s", "lane"),
    "two points": ({"lane": None, "polygon": [[39.7955, 116.508], [39.7956, 116.508]]}, "polygon", "3 different"),
    "three times one point": ({"lane": None, "polygon": [[39.7955, 116.508]] * 3}, "polygon", "3 different"),
    "NaN": (
        {"lane": None, "polygon": [[math.nan, 116.508], [39.7956, 116.508], [39.7956, 116.509]]},
        "polygon[0]",
        "within",
    ),
    "far away": (
        {"lane": None, "polygon": [[39.9, 116.508], [39.91, 116.508], [39.91, 116.509]]},
        "polygon[0]",
        "within",
    ),
    "latitude and longitude swapped": (
        {"lane": None, "polygon": [[116.508, 39.79], [116.508, 39.8], [116.509, 39.8]]},
        "polygon[0]",
        "within",
    ),
    "on no lane": (
        {"lane": None, "polygon": [[39.8055, 116.508], [39.8056, 116.508], [39.8056, 116.5081]]},
        "polygon",
        "no lane",
    ),
    "a text without end": ({"text": "x" * 5000}, "text", "decode"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_hazard_nobody_could_be_warned_of_is_refused_with_the_reason(
    engine: Engine, code: CompiledCode, name: str
) -> None:
    changes, field, rule = BAD[name]
    (reject,) = feed(engine, "hazard", body(code, **changes))
    assert reject.field == field
    assert rule in reject.rule
    assert reject.remedy
    assert len(engine.intersections[code.code.id].hazards) == 0
    assert feed(engine, "hazard", body(code)) == []
    assert len(engine.intersections[code.code.id].hazards) == 1


def test_a_stretch_beyond_its_lane_is_used_up_to_its_end_and_the_sender_hears_of_the_rest(
    engine: Engine, code: CompiledCode
) -> None:
    length = float(code.path_length[0])
    hazards = engine.intersections[code.code.id].hazards
    for number, (low, high, beyond) in enumerate(
        ((5.0, length, False), (5.0, length + 0.9, False), (5.0, 5000.0, True), (length + 0.5, 1e300, True))
    ):
        rejects = feed(engine, "hazard", body(code, id=f"h{number}", s=[low, high]))
        assert [reject.field for reject in rejects] == [f"h{number}.s[1]"] * beyond
        if beyond:
            assert f"lane's end at {length:.1f} m" in rejects[0].rule
            assert "polygon" in rejects[0].remedy
        assert len(hazards) == number + 1
    assert all(hazard.s and 0 <= hazard.s[0] <= hazard.s[1] <= length for hazard in hazards.now(T))
    assert engine.metrics.total("reject.hazard_part") == 2
    assert feed(engine, "hazard", body(code, id="h2", s=[5.0, 5000.0], end=T - SECOND)) == [], "it is withdrawn"
    assert len(hazards) == 3


def lane_and_place(stage: Stage) -> tuple[int, float]:
    lane = stage.ingress[0]
    return lane, float(
        stage.code.lane_stop_s[lane] if not np.isnan(stage.code.lane_stop_s[lane]) else stage.code.path_length[lane]
    )


def test_a_polygon_is_warned_of_where_a_vehicles_way_runs_through_it(stage: Stage) -> None:
    lane, line = lane_and_place(stage)
    stage.put(lane, 80.0, 12.0)
    other = next(x for x in stage.ingress if stage.code.lane_link[x] != stage.code.lane_link[lane])
    stage.put(other, 80.0, 12.0)
    points = slice(stage.code.path_start[lane], stage.code.path_start[lane + 1])
    x = float(np.interp(line - 30.0, stage.code.path_s[points], stage.code.path_xy[points, 0]))
    y = float(np.interp(line - 30.0, stage.code.path_s[points], stage.code.path_xy[points, 1]))
    stage.hazards = (
        Hazard(1, "r", "h1", "oil", T, T, T + MIN, polygon=around(stage.code, x, y, 1.5), text="slippery"),
    )
    found = stage.said(AdvisoryKind.HAZARD)
    assert set(found) == {"vehicle:v1"}
    assert 40.0 < (found["vehicle:v1"].distance or 0.0) < 50.0


def test_a_hazard_is_warned_of_from_its_start_to_its_end(stage: Stage) -> None:
    lane, line = lane_and_place(stage)
    stage.put(lane, 80.0, 12.0)
    for start, end, warned in (
        (T + 1, T + MIN, False),
        (T, T + MIN, True),
        (T - MIN, T + 1, True),
        (T - MIN, T, False),
    ):
        stage.hazards = (Hazard(1, "r", "h1", "oil", T, start, end, stage.code.lane_ids[lane], (line - 20.0, line)),)
        assert bool(stage.said(AdvisoryKind.HAZARD)) is warned, (start - T, end - T)


def test_who_is_within_a_hazard_is_warned_until_it_has_left_it(stage: Stage) -> None:
    lane, line = lane_and_place(stage)
    stage.put(lane, 40.0, 12.0)
    stage.hazards = (Hazard(1, "r", "h1", "ice", T, T, T + MIN, stage.code.lane_ids[lane]),)
    (found,) = stage.said(AdvisoryKind.HAZARD).values()
    assert found.distance == 0.0
    stage.hazards = (Hazard(1, "r", "h1", "ice", T, T, T + MIN, stage.code.lane_ids[lane], (0.0, line - 70.0)),)
    assert not stage.said(AdvisoryKind.HAZARD)


def test_of_several_the_highest_priority_then_the_nearest_is_warned_of(stage: Stage) -> None:
    lane, line = lane_and_place(stage)
    stage.put(lane, 80.0, 12.0)
    name = stage.code.lane_ids[lane]
    near, far = ((line - 50.0, line - 49.0), (line - 10.0, line - 9.0))
    for first, second, kind in ((0, 0, "near"), (0, 3, "far"), (3, 0, "near")):
        stage.hazards = (
            Hazard(1, "r", "b", "far", T, T, T + MIN, name, far, None, second),
            Hazard(1, "r", "a", "near", T, T, T + MIN, name, near, None, first),
        )
        (found,) = stage.said(AdvisoryKind.HAZARD).values()
        assert found.facts["kind"] == kind


def test_its_times_are_put_on_the_nodes_clock(engine: Engine, code: CompiledCode) -> None:
    offset = 5 * SECOND
    engine.ingest.gateways["g"].offset = offset
    assert feed(engine, "hazard", body(code, t=T + offset, start=T + offset, end=T + offset + SECOND)) == []
    (held,) = engine.intersections[code.code.id].hazards.now(T)
    assert (held.t, held.start, held.end) == (T, T, T + SECOND)
    assert engine.intersections[code.code.id].hazards.now(T + SECOND) == ()
    assert "ago" in feed(engine, "hazard", body(code, t=T + offset, start=T, end=T + offset - 1))[0].rule


def test_a_known_hazard_is_withdrawn_by_an_end_that_is_past(engine: Engine, code: CompiledCode) -> None:
    assert feed(engine, "hazard", body(code)) == []
    assert feed(engine, "hazard", body(code, t=T + SECOND, start=T, end=T + SECOND), t=T + SECOND) == []
    assert len(engine.intersections[code.code.id].hazards) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"lane": None},
        {"lane": "a lane of an earlier revision"},
        {"kind": ""},
        {"start": T + 30 * SECOND},  # it was not to begin before
        {"start": T, "s": [20.0, 10.0]},
        {"lane": None, "polygon": [[0.0, 0.0]]},
    ],
)
def test_a_withdrawal_needs_no_more_than_the_id(engine: Engine, code: CompiledCode, changes: dict) -> None:
    hazards = engine.intersections[code.code.id].hazards
    assert not feed(engine, "hazard", body(code, start=T + 20 * SECOND, end=T + MIN))
    assert feed(engine, "hazard", body(code, **{**changes, "id": "another", "end": T - SECOND})), "it was never known"
    assert not feed(engine, "hazard", body(code, **{**changes, "end": T - SECOND}))
    assert len(hazards) == 0


def test_a_polygon_that_covers_nothing_is_refused_beside_a_lane_too(engine: Engine, code: CompiledCode) -> None:
    lat, lon = code.origin.lat, code.origin.lon
    corner = [[lat + 0.01, lon + 0.01], [lat + 0.011, lon + 0.01], [lat + 0.011, lon + 0.011]]
    assert [reject.field for reject in feed(engine, "hazard", body(code, polygon=corner))] == ["polygon"]


@pytest.mark.parametrize("text", ["\x1b[2J", "two\nlines", "\u202egnorw", "\x00", "\x7f"])
def test_no_character_that_is_not_printed_reaches_a_vehicle_or_a_log(
    engine: Engine, code: CompiledCode, text: str
) -> None:
    (reject,) = feed(engine, "hazard", body(code, text=f"works {text}"))
    assert reject.field == "h1.text"
    (kept,) = engine.intersections[code.code.id].hazards.now(T + SECOND)
    assert kept.text == "", "the hazard is used without it"
    for changes in ({"kind": text}, {"id": text}):
        assert [reject.field for reject in feed(engine, "hazard", body(code, **changes))] == ["id, kind"]
    assert [reject.field for reject in feed(engine, "perception", perception(code, s=text))] == ["s"]
    assert not feed(engine, "hazard", body(code, id="工程", kind="travaux", text="chaussée glissante"))


def test_hazards_are_bounded_and_no_gateway_takes_anothers_room(code: CompiledCode) -> None:
    table, gone = Hazards(), []
    one = Hazard(1, "r", "h", "works", T, T, T + 2 * MIN, code.lane_ids[0])
    table.put(T, "quiet", one, 0)
    for k in range(1000):
        for gateway in ("loud", "louder", "loudest", "a", "b", "c"):
            hazard = Hazard(1, "r", f"h{k}", "works", T, T, T + MIN + k, code.lane_ids[0])
            table.check(code, T, gateway, hazard, 0)
            gone += table.put(T, gateway, hazard, 0)
    assert len(table) <= MAX_HAZARDS
    held = table.now(T)
    assert one in held, "the one gateway's stays"
    assert len(held) + len(gone) == 6001
    assert max(h.end for h in gone) <= T + MIN + 999
    assert MAX_OF_GATEWAY < MAX_HAZARDS


@settings(max_examples=200)
@given(st.lists(st.tuples(st.floats(-120, 120), st.floats(-120, 120)), min_size=3, max_size=9), st.data())
def test_what_lies_in_a_polygon_agrees_with_points_taken_along_the_line(
    outline: list[tuple[float, float]], data: st.DataObject
) -> None:
    n = data.draw(st.integers(2, 6))
    line = (
        np.cumsum(np.array([data.draw(st.tuples(st.floats(1, 60), st.floats(-60, 60))) for _ in range(n)]), axis=0)
        - 60.0
    )
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    shape = np.array(outline)
    found = inside(line, along, shape)
    assert all(low < high for low, high in found)
    for s in np.linspace(0.01, along[-1] - 0.01, 40):
        if any(min(abs(s - low), abs(s - high)) < 1e-3 for low, high in found):
            continue
        x, y = np.interp(s, along, line[:, 0]), np.interp(s, along, line[:, 1])
        a, b = shape, np.roll(shape, -1, axis=0)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            edge = a[:, 0] + (y - a[:, 1]) * (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1])
        odd = np.count_nonzero(((a[:, 1] > y) != (b[:, 1] > y)) & (x < edge)) % 2 == 1
        if np.min(np.abs(np.where((a[:, 1] > y) != (b[:, 1] > y), edge - x, 1.0))) > 1e-3:
            assert odd == any(low < s < high for low, high in found)


def test_a_stretch_is_found_however_small_the_polygon_on_the_line(code: CompiledCode) -> None:
    lane = 0
    x, y = code.path_xy[code.path_start[lane] : code.path_start[lane] + 2].mean(axis=0)
    hazard = Hazard(1, "r", "h", "pothole", T, T, T + MIN, polygon=around(code, float(x), float(y), 0.1))
    assert any(
        path == lane and 0.0 < s_to - s_from < 0.3 for path, s_from, s_to in covered(code, hazard).stretches.tolist()
    )
