"""The closed-loop study: what it refuses, how it compares, a tiny run of it, and that it goes on where it was."""

import json
import os

import numpy as np
import pytest

pytest.importorskip("libsumo")

from cloudctl.sim.common import net, pool
from cloudctl.sim.loop.signal_program import gives_way
from cloudctl.sim.scenario.demand import write_corridor
from cloudctl.sim.study import bench as study
from cloudctl.sim.study import plot, ratio

from cloudctl import codes, maps
from cloudctl.__main__ import main


def trip(stops, waiting=0.0, fuel=10.0, time=50.0):
    return {"stops": stops, "halts": stops, "waiting_s": waiting, "fuel_g": fuel, "travel_time_s": time}


def test_ratios_are_of_means_over_the_same_trips():
    base = {"a": trip(1, 10.0), "b": trip(1, 30.0), "only here": trip(9, 900.0)}
    other = {"a": trip(1, 10.0), "b": trip(0, 0.0)}
    row = ratio.compare([base], [other])
    assert row["trips"] == 2
    assert row["stops"]["value"] == pytest.approx(0.5)  # 1 stop of 2
    assert row["waiting_s"]["value"] == pytest.approx(0.25)  # 10 s of 40 s
    assert row["free_share"]["value"] == pytest.approx(0.5)
    assert row["fuel_g"]["low"] == row["fuel_g"]["high"] == pytest.approx(1.0)


def test_interval_over_seeds_is_students():
    runs = [[{"a": trip(s)} for s in stops] for stops in ((10, 10, 10), (5, 6, 7))]
    figure = ratio.compare(*runs)["stops"]
    half = 4.3027 * 0.1 / np.sqrt(3)  # t(0.975, 2), s = 0.1
    assert figure["value"] == pytest.approx(0.6)
    assert (figure["low"], figure["high"]) == pytest.approx((0.6 - half, 0.6 + half), abs=1e-4)


def test_nothing_in_common_is_told():
    with pytest.raises(ValueError, match="more --seconds"):
        ratio.compare([{"a": trip(1)}], [{"b": trip(1)}])


def test_seeds():
    assert study.numbers("1..3,7") == [1, 2, 3, 7]
    with pytest.raises(ValueError, match=r"--seeds 3\.\.1: must be whole numbers"):
        study.numbers("3..1")


@pytest.mark.parametrize(
    ("argument", "value", "told"),
    [
        ("--sumocfg", "nowhere.sumocfg", "does not exist. Give the .sumocfg"),
        ("--against", "gloss", "--against gloss: must be some of none, glosa-default"),
        ("--penetration", "30", "--penetration 30: must be shares above 0 up to 1"),
        ("--seeds", "one", "--seeds one: must be whole numbers"),
        ("--jobs", "0", "--jobs 0: must be 1 or more"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(argument, value, told, tmp_path, capsys):
    arguments = {"--sumocfg": "corridor", "--out": str(tmp_path), argument: value}
    assert main(["sim", "study", *[word for pair in arguments.items() for word in pair]]) == 2
    assert told in capsys.readouterr().err


def test_a_study_end_to_end_and_again(tmp_path, capsys):
    config = write_corridor(tmp_path / "in", maps.path("intersection.net.xml.gz"), flow=1.0)
    command = [
        *("sim", "study", "--sumocfg", str(config), "--seeds", "1", "--penetration", "0.5", "--seconds", "20"),
        *("--against", "none,glosa-best", "--out", str(tmp_path / "out")),
    ]
    assert main(command) == 0
    found = json.loads((tmp_path / "out" / "study.json").read_text())
    rows = {row["arm"]: row for row in found["rows"]}
    assert set(rows) == {"none", "glosa-best", "ours"}
    assert len({row["trips"] for row in rows.values()}) == 1
    assert rows["none"]["trips"] >= 3
    assert rows["none"]["travel_time_s"]["value"] == 1.0
    run = json.loads((tmp_path / "out" / "ours-p0.5-s1.json").read_text())
    assert run["counts"]["still_running"] == 0 or found["dropped_trips"] == 0
    assert run["advisories"]["sent"] > 0
    assert run["refused"] == {}
    for name in ("ratios.png", "stops.png", "time-space.png"):
        assert (tmp_path / "out" / name).stat().st_size > 5_000
    capsys.readouterr()
    (tmp_path / "out" / "glosa-best-p0.5-s1.json").unlink()
    assert main(command) == 0
    told = capsys.readouterr().err
    assert "no advice: 1 of 1 runs are there already" in told
    assert "with advice: 1 of 2 runs are there already" in told
    assert "glosa-best-p0.5-s1" in told
    assert json.loads((tmp_path / "out" / "study.json").read_text()) == found
    assert main([*command, "--delay-ms", "2200"]) == 0
    refused, received = json.loads((tmp_path / "out" / "ours-p0.5-d2200-s1.json").read_text())["refused"]["perception"]
    assert refused == received > 100
    assert f"REFUSED {refused} of {received} perception messages" in capsys.readouterr().err


NET = net.Net(
    {"a": 100.0, "b": 50.0, "c": 80.0, ":J_0": 20.0},
    {("a", "b"): [net.Link("", "", 0)], ("b", "c"): [net.Link(":J_0_0", "J", 1), net.Link(":J_0_1", "J", 2)]},
)


def test_stops_go_to_the_approach_they_queue_for():
    approach = net.approach_of(NET, {"v": ["a", "b", "c"], "w": ["b", "c"]})
    assert approach == {"a": "b", "b": "b", "c": net.PAST_SIGNALS}
    assert net.by_approach({"a": 2, "b": 3, "c": 1, ":J_0": 4}, approach) == {
        "b": 5,
        net.PAST_SIGNALS: 1,
        net.INSIDE: 4,
    }


def test_a_route_laid_out_straight():
    path = plot.lay_out(NET, ("a", "b", "c"))
    assert path.start == {"a": 0.0, "b": 100.0, ":J_0": 150.0, "c": 170.0}
    assert path.stop_lines == ((150.0, "J", (1, 2)),)
    assert path.length == 250.0


def test_a_run_that_takes_its_process_down_is_told_and_the_others_go_on():
    assert dict(pool.each(os._exit, [3, 4], 2)) == {3: None, 4: None}
    assert dict(pool.each(abs, [-1, 2, -3], 2)) == {-1: 1, 2: 2, -3: 3}
    with pytest.raises(TypeError):
        list(pool.each(abs, ["x"], 1))


def test_greens_that_meet_are_told_as_permissive_to_who_gives_way():
    (code,) = codes.import_sumo(maps.path("intersection.net.xml.gz"))
    yields = gives_way(code)
    of = {c.id: c.group for c in code.connections}
    clashing = {(of[c.a], of[c.b]) for c in code.conflicts if c.kind != "diverge" and 0 < of[c.a] != of[c.b] > 0}
    assert clashing
    for a, b in clashing:
        assert b in yields.get(a, ()) or a in yields.get(b, ())  # never both protected
