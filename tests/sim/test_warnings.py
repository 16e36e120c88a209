"""The warning bench: TTC and PET worked by hand, SSM logs, what makes a warning right, and a tiny run of it."""

import gzip
import json
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

pytest.importorskip("libsumo")

from cloudctl.sim.scenario import city
from cloudctl.sim.scenario.demand import write_corridor
from cloudctl.sim.scenario.scenario import load
from cloudctl.sim.warnings import bench, dangers, encounters, score, ssm
from cloudctl.sim.warnings.score import Run
from cloudctl.sim.warnings.seed_run import ReceivedWarning, with_waiting
from cloudctl.sim.warnings.ssm import Conflict

from cloudctl import maps
from cloudctl.__main__ import main
from cloudctl.schema import AdvisoryKind

CAR, WALKER = (4.0, 2.0), 0.4  # m: length and width; radius


def straight(x, y, heading, speed, n, step=0.1):
    t = step * np.arange(n)
    columns = (x + speed * t * np.cos(heading), y + speed * t * np.sin(heading), np.full(n, heading), np.full(n, speed))
    return np.column_stack(columns)


def test_ttc_of_a_car_towards_one_who_stands():
    car = straight(0.0, 0.0, 0.0, 10.0, 30)
    stander = straight(20.0, 1.0, math.pi / 2, 0.0, 30)
    ttc = encounters.of_pair(car, stander, (0, 0), (*CAR, WALKER), 0.1)[:, 0]
    # front and radius reach x = 20 - 2.4 = 17.6 m; rows are 1 m apart, so contact is at row 18: 1.5 s from row 3
    assert not np.isfinite(ttc[:3]).any()
    assert ttc[4] == pytest.approx(1.4)
    assert ttc[10] == pytest.approx(0.8)


def test_no_ttc_beside_the_path_or_while_standing():
    car = straight(0.0, 0.0, 0.0, 10.0, 30)
    beside = straight(10.0, 1.5, math.pi / 2, 0.0, 30)  # 1.5 m > half of the width and the radius
    assert not np.isfinite(encounters.of_pair(car, beside, (0, 0), (*CAR, WALKER), 0.1)).any()
    parked = straight(0.0, 0.0, 0.0, 0.0, 30)
    passing = straight(4.0, -3.0, math.pi / 2, 1.5, 30)
    assert not np.isfinite(encounters.of_pair(parked, passing, (0, 0), (*CAR, WALKER), 0.1)).any()


def test_ttc_follows_the_path_not_the_tangent():
    turning = straight(0.0, 0.0, 0.0, 10.0, 30)
    turning[5:, 0], turning[5:, 1], turning[5:, 2] = 4.0, np.arange(25), math.pi / 2  # turns left at x = 4
    corner = straight(12.0, 0.0, math.pi, 0.0, 30)  # stands straight ahead
    assert not np.isfinite(encounters.of_pair(turning, corner, (0, 0), (*CAR, WALKER), 0.1)[:, 0]).any()


def test_pet_by_hand():
    # walker crosses x = 0 upwards at 1 m/s: |y| < 1.4 from 3.6 s to 6.4 s, so the last row in the way is 6.3 s;
    # the car is at x = 10 (t - 8): |x| < 2.4 from 7.76 s on, so its first row there is 7.8 s
    walker = straight(0.0, -5.0, math.pi / 2, 1.0, 110)
    car = straight(-80.0, 0.0, 0.0, 10.0, 110)
    measures = encounters.of_pair(car, walker, (0, 0), (*CAR, WALKER), 0.1)
    assert measures[:, 1].min() == pytest.approx(1.5)
    (conflict,) = encounters.conflicts(("car", "walker"), measures, 0.1 * np.arange(110))
    assert (conflict.pet, conflict.ttc, conflict.serious) == (pytest.approx(1.5), math.inf, False)
    assert conflict.crossed == pytest.approx(7.8)
    later = encounters.of_pair(car[20:], walker, (20, 0), (*CAR, WALKER), 0.1)
    assert later[:, 1].min() == pytest.approx(1.5)


def test_those_who_follow_are_no_conflict():
    car, cyclist = straight(0.0, 0.0, 0.0, 10.0, 30), straight(8.0, 0.0, 0.0, 4.0, 30)
    assert not np.isfinite(encounters.of_pair(car, cyclist, (0, 0), (*CAR, 0.8), 0.1)).any()


def test_a_group_on_a_crossing_is_met_once():
    group = [Conflict("vru", "car", name, 10.0 + k, 11.0 + k, ttc=1.4 - 0.2 * k) for k, name in enumerate("abc")]
    (one,) = encounters.merged([*group])
    assert (one.crossed, one.worst, one.ttc) == (10.0, 13.0, pytest.approx(1.0))
    assert len(encounters.merged([*group, Conflict("vru", "car", "d", 30.0, 30.0, pet=1.0)])) == 2


LOG = """<SSMLog>
<conflict begin="1" end="2" ego="a" foe="b"><timeSpan values="1.0 1.1 1.2 1.3"/><typeSpan values="2 10 10 10"/>
<TTCSpan values="0.5 3.4 2.9 2.5"/><DRACSpan values="9 NA 0.4 0.6"/><PET time="NA" value="NA" type="NA"/></conflict>
<conflict begin="1" end="2" ego="b" foe="a"><timeSpan values="1.2 1.3"/><typeSpan values="11 11"/>
<TTCSpan values="2.9 1.2"/><DRACSpan values="NA NA"/><PET time="4.00" value="1.7" type="17"/></conflict>
<conflict begin="1" end="2" ego="c" foe="d"><timeSpan values="1.0"/><typeSpan values="2"/>
<TTCSpan values="0.5"/><DRACSpan values="8"/><PET time="NA" value="NA" type="NA"/></conflict>
<conflict begin="1" end="2" ego="e" foe="f"><timeSpan values="7.0"/><typeSpan values="17"/>
<TTCSpan values="NA"/><DRACSpan values="NA"/><PET time="7.00" value="0.9" type="17"/></conflict>
</SSMLog>"""


def test_an_ssm_log_without_following_each_pair_once(tmp_path):
    (tmp_path / "ssm.xml").write_text(LOG)
    first, second = ssm.read(tmp_path / "ssm.xml")
    assert (first.crossed, first.worst, first.ttc, first.pet, first.serious) == (1.2, 1.3, 1.2, 1.7, True)
    assert (second.a, second.crossed, second.pet, second.ttc, second.serious) == ("e", 7.0, 0.9, math.inf, True)


def heard(vehicle, arrived, until, kind="collision", confidence=0.9, severity=1, slowed=False):
    return ReceivedWarning(kind, vehicle, arrived, until, severity, confidence, slowed)


def test_messages_become_episodes():
    found = score.episodes([heard("v", 3.0, 4.0), heard("v", 1.0, 2.0), heard("v", 5.1, 6.0), heard("w", 3.0, 4.0)])
    assert [(e.vehicle, e.start, e.end) for e in found] == [("v", 1.0, 4.0), ("w", 3.0, 4.0), ("v", 5.1, 6.0)]


RUN = Run(
    warnings=(
        heard("a", 10.0, 11.0),  # right: 2 s before the conflict of a and b
        heard("a", 60.0, 61.0, slowed=True),  # false: nothing follows within 5 s
        heard("d", 43.0, 44.0, confidence=0.4),  # false: after the worst moment
        heard("c", 39.0, 41.0, kind="red_light"),  # tells of the conflict of c and d under another name
        heard("e", 70.0, 71.0, confidence=0.4),  # right, of a cyclist: not a false collision warning
    ),
    truth=(
        (Conflict("vehicles", "b", "a", 12.0, 13.0, ttc=1.0), True),
        (Conflict("vehicles", "c", "d", 41.0, 42.0, ttc=2.0), True),
        (Conflict("vehicles", "x", "y", 50.0, 50.0, ttc=1.0), True),  # neither is connected
        (Conflict("vru", "e", "bike", 72.0, 72.0, pet=1.5), False),
    ),
    connected=frozenset("abcde"),
    hours=0.5,
)


def test_figures_of_warnings():
    figures = score.score([RUN], "collision")
    assert (figures["events"], figures["warnings"], figures["right"]) == (2, 4, 2)
    assert figures["precision"]["value"] == 0.5
    assert figures["recall"]["value"] == 0.5
    assert figures["recall_any"]["value"] == 1.0
    assert figures["recall_serious"]["value"] == 1.0
    assert figures["false_per_hour"] == 4.0
    assert (figures["false_slowed"]["k"], figures["false_slowed"]["n"]) == (1, 2)
    assert figures["leads"] == [2.0]


def test_the_threshold_with_most_recall_at_few_false():
    points = score.curve([RUN], "collision")
    assert [p["warnings"] for p in points if p["threshold"] in (0.0, 0.5, 0.95)] == [4, 2, 0]
    assert score.best(points) == 0.9  # never 0.5 false an hour; of those with fewest, the strictest
    easy = [{"threshold": x, "warnings": 3, "false_per_hour": f, "recall": {"value": r}} for x, f, r in
            ((0.1, 4.0, 1.0), (0.5, 0.4, 0.9), (0.9, 0.0, 0.2))]  # fmt: skip
    assert score.best(easy) == 0.5


def test_wilson():
    found = score.share(8, 10)
    assert (found["low"], found["high"]) == pytest.approx((0.490, 0.943), abs=1e-3)
    assert score.share(0, 0)["value"] is None


class Speeds:
    """Trails of which nothing but speeds is asked: by name, m/s at all times."""

    def __init__(self, **speeds):
        self._speeds = speeds

    def speeds(self, name, begin, end):
        assert (begin, end) == (11.0, 11.0), "when the first of the two left the place"
        return np.array([self._speeds[name]])


def test_who_stood_until_the_other_had_gone_by_waited():
    short = Conflict("vehicles", "a", "b", 12.0, 12.0, pet=1.0)
    assert with_waiting(short, Speeds(a=13.0, b=0.0)).kind == "waited"
    assert with_waiting(short, Speeds(a=13.0, b=2.0)).kind == "vehicles"
    near = Conflict("vehicles", "a", "b", 12.0, 12.0, ttc=2.0, pet=1.0)
    assert with_waiting(near, Speeds(a=13.0, b=0.0)).kind == "vehicles", "they were on course as well"


def test_who_is_hit_by_a_violator():
    truth = [
        (Conflict("red_light", "a", "", 10.0, 10.0), True),
        (Conflict("vehicles", "b", "a", 12.0, 12.5, ttc=1.0), True),
    ]
    assert [c.kind for c, _ in score.with_violators(truth)] == ["red_light", "violator"]


def test_seeds_of_both_kinds_are_refused(tmp_path, capsys):
    assert main(["sim", "warnings", "--train", "1..3", "--seeds", "3..4", "--out", str(tmp_path)]) == 2
    assert "has seeds of --seeds" in capsys.readouterr().err


def test_a_bench_end_to_end(tmp_path, capsys):
    config = write_corridor(tmp_path / "in", maps.path("intersection.net.xml.gz"), flow=2.0)
    spans = ("--warm-up", "30", "--seconds", "20", "--signals", "fixed")
    command = [
        "sim",
        "warnings",
        "--scenario",
        str(config),
        *spans,
        "--train",
        "1",
        "--seeds",
        "2",
        "--out",
        str(tmp_path),
    ]
    assert main(command) == 0
    found = json.loads((tmp_path / "warnings.json").read_text())
    assert (found["train"], found["test"]) == ([1], [2])
    assert set(found["curves"]) == set(score.MATCHES)
    assert found["all_scores"]["collision"]["hours"] > 0.01
    run = json.loads((tmp_path / "seed-2.json").read_text())
    assert {w["kind"] for w in run["warnings"]} <= {kind.value for kind in AdvisoryKind} - {"glosa"}
    assert run["warnings"]
    assert (tmp_path / "curves.png").stat().st_size > 5_000
    assert "false / veh-h" in capsys.readouterr().out


def test_a_bench_of_signals_that_traffic_drives(tmp_path, capsys):
    config = write_corridor(tmp_path / "in", maps.path("intersection.net.xml.gz"), flow=2.0)
    command = [
        "sim",
        "warnings",
        "--scenario",
        str(config),
        "--warm-up",
        "20",
        "--seconds",
        "10",
        "--train",
        "1",
        "--seeds",
        "2",
    ]
    assert main([*command, "--signals", "actuated", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "actuated" / "warnings.json").read_text())
    assert (found["signals"], found["test"]) == ("actuated", [2])
    assert found["all_scores"]["queue"]["hours"] > 0.005
    assert "actuated signals, test seeds [2]" in capsys.readouterr().out


def test_kinds_of_signals_stand_beside_one_another_in_one_table():
    result = bench.judge([RUN], [RUN])
    rows = bench.signals_table({"fixed": result, "actuated": result}).splitlines()
    names = [row.partition("  ")[0] for row in rows]
    assert names.index("red_light, actuated") == names.index("red_light, fixed") + 1
    assert len([name for name in names if name.endswith(", actuated")]) == len(score.MATCHES)


def test_signals_and_shares_that_cannot_be_are_refused_before_anything_runs(tmp_path, capsys):
    config = write_corridor(tmp_path / "in", maps.path("intersection.net.xml.gz"), flow=2.0)
    command = ["sim", "warnings", "--scenario", str(config), "--out", str(tmp_path / "out")]
    assert main([*command, "--signals", "fixed,nema"]) == 2
    assert "has no ring-barrier programme" in capsys.readouterr().err
    assert main([*command, "--signals", "adaptive"]) == 2
    assert "must be one of fixed, actuated, delay_based, nema" in capsys.readouterr().err
    assert main([*command, "--violators", "0.95"]) == 2
    assert "--violators 0.95: must be within 0 .. 0.9" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("seed-*"))


def test_the_share_of_violators_is_what_was_asked_for_and_nobody_else_changes():
    names = [f"v{k}" for k in range(4000)]
    for asked in (0.0, 0.22, 0.6):
        shares = dangers.shares_of(asked)
        ways = [dangers.way_of(name, 5, shares) for name in names]
        assert sum(way in ("late", "reckless") for way in ways) / len(ways) == pytest.approx(asked, abs=0.03)
        assert ways.count("careless") / len(ways) == pytest.approx(0.10, abs=0.02)
    usual = [dangers.way_of(name, 5) for name in names]
    assert usual == [dangers.way_of(name, 5, dangers.shares_of(dangers.VIOLATORS)) for name in names]


def test_demand_for_a_network_without_any(tmp_path):
    net = tmp_path / "cross.net.xml"
    net.write_bytes(gzip.decompress(maps.path("intersection.net.xml.gz").read_bytes()))
    config = city.write(tmp_path, net)
    found = load(config)
    assert len(found.junctions) == 1
    routes = ET.parse(tmp_path / "city.rou.xml").getroot()
    ends = {(trip.get("from"), trip.get("to")) for trip in routes.iter("trip")}
    assert len(ends) >= 4
    assert len(routes.findall("person")) == pytest.approx(city.WALKERS, rel=0.5)
    departs = [float(node.get("depart")) for node in routes if node.tag != "vType"]
    assert departs == sorted(departs)
