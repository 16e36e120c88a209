"""Existence: what it is worth, who is shown, who goes at once and who stays."""

import numpy as np
import pytest
from cloudctl.sim.tracking import reliability
from cloudctl.sim.tracking.evaluate import figures, follow
from cloudctl.sim.tracking.scenes import BEGIN, CASES
from sightings import STEP, seen

from cloudctl.clock import MS
from cloudctl.fusion import SEEN_LATELY, Fusion, FusionConfig, SourceConfig


def passes(fusion: Fusion, count: int, edge: float, step: int = 0) -> int:
    """Drive `count` vehicles along x, 30 m apart in time, out over an edge at which the sensor ends; returns the next
    step.
    """
    for _ in range(count):
        for k in range(60):
            x = -edge + 1.0 * k + 0.37 * (step % 3)
            fusion.update(BEGIN + step * STEP, 0, seen((x, 0.0)) if x < edge else seen())
            step += 1
    return step


def test_who_drives_out_of_what_a_sensor_covers_is_gone_at_the_first_miss() -> None:
    fusion = Fusion()
    step = passes(fusion, 12, 25.0)
    given = []
    for k in range(60):
        x = -25.0 + 1.0 * k
        fusion.update(BEGIN + step * STEP, 0, seen((x, 0.0)) if x < 25.0 else seen())
        given.append((x, len(fusion.tracks(BEGIN + step * STEP))))
        step += 1
    assert all(n == 1 for x, n in given if -23.0 < x < 25.0)
    assert sum(n for x, n in given if x >= 25.0) == 0


def test_who_is_missed_once_amid_what_a_sensor_covers_is_still_there() -> None:
    fusion = Fusion()
    step = passes(fusion, 12, 25.0)
    for k in range(30):
        missed = k == 20
        fusion.update(BEGIN + step * STEP, 0, seen() if missed else seen((-20.0 + k, 0.0)))
        if missed:
            assert len(fusion.tracks(BEGIN + step * STEP)) == 1
        step += 1


@pytest.mark.parametrize("scene", ["passing", "passing_three", "one", "crowd", "driving"])
def test_of_tracks_given_out_as_nearly_certain_nine_in_ten_exist(scene: str) -> None:
    case = CASES[scene](11)
    found = reliability.diagram(follow(case)[0], case.match_m)
    assert found[-1, 0] > 1000
    assert found[-1, 2] >= 0.9, found[-1]


def test_what_a_false_road_user_costs_decides_who_is_shown() -> None:
    case = CASES["passing"](11)
    runs = {
        cost: figures(follow(case, FusionConfig(max_tracks=2048, false_cost=cost))[0], 2.0) for cost in (0.2, 1.0, 10.0)
    }
    assert runs[0.2]["false_positives"] > runs[1.0]["false_positives"] > runs[10.0]["false_positives"]
    assert runs[0.2]["misses"] < runs[1.0]["misses"] < runs[10.0]["misses"]


def test_who_is_hidden_behind_a_bus_stays_and_is_marked() -> None:
    """A pedestrian walks behind a standing bus, as seen from the pole, for two seconds; another vanishes in the
    open.
    """
    rng = np.random.default_rng(3)
    fusion, bus = Fusion(), {"length": 12.0, "width": 2.5, "class": 3, "heading": 0.0}
    fusion.add_source(0, SourceConfig(x=0.0, y=0.0, range_m=100.0))
    for k in range(70):
        t, x = BEGIN + k * STEP, -6.0 + 0.15 * k
        rows = [seen((0.0 + 0.05 * rng.normal(), 15.0 + 0.05 * rng.normal()), **bus)]
        walker = (x + 0.05 * rng.normal(), 22.0 + 0.05 * rng.normal())
        if k < 45:
            rows.append(seen(walker, **{"class": 6, "length": 0.5, "width": 0.5}))
            rows.append(seen((x, -20.0), **{"class": 6, "length": 0.5, "width": 0.5}))
        fusion.update(t, 0, np.concatenate(rows))
        if k < 60:
            continue
        tracks = fusion.tracks(t)
        walkers = tracks[tracks["class"] == 6]
        assert (walkers["y"] > 0).all()
        assert len(walkers) == 1
        assert walkers["status"][0] != SEEN_LATELY
        assert t - walkers["last"][0] > 1000 * MS
        assert walkers["var_x"][0] > 0.05


def test_births_at_the_edge_are_given_out_sooner_than_false_ones_amid() -> None:
    case = CASES["passing"](12)
    moments, _ = follow(case)
    shown, first = set[int](), {}
    for k, (ids, *_) in enumerate(case.truth and [(m[0],) for m in moments]):
        for number in ids.tolist():
            first.setdefault(number, k)
    late = []
    for k, moment in enumerate(moments):
        if k < 150 or not len(moment[2]):
            continue
        for number, place in zip(moment[0].tolist(), moment[1], strict=True):
            if number not in shown and np.hypot(*(moment[3] - place).T).min() < 2.0:
                shown.add(number)
                if first[number] >= 150:
                    late.append(k - first[number])
    assert np.mean(late) < 1.25
