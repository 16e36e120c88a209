"""The ten regulations where vehicles drive: tidal lanes in matching and advice, bans named ahead, in an engine, over a
recording, in a running node."""

import asyncio
import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pytest
from deadlines import PATIENCE, Guard
from msgspec.structs import replace
from paths import DATA
from regulations import CODE, DAYS, FREE, RULES, TABLE, ns
from stage import Stage, words

from cloudctl import codes, matching, planner, snapshots, world
from cloudctl.client import Vehicle as Client
from cloudctl.clock import MS, SECOND, WallClock
from cloudctl.codes.compiled.rules import RuleTable
from cloudctl.codes.days import dump_days, parse_days
from cloudctl.codes.rule import Calendar, Rule, Target
from cloudctl.codes.rules import effective
from cloudctl.engine import Engine
from cloudctl.io.broker import Broker
from cloudctl.io.recording.reader import Recorder
from cloudctl.node.config import load
from cloudctl.node.live import Node
from cloudctl.payloads import encode
from cloudctl.replay import replay
from cloudctl.schema import AdvisoryKind, RawMessage, VehicleState
from cloudctl.settings import EngineConfig
from cloudctl.topics import OPERATOR

# --- tidal lanes: matching, wrong-way drivers and lane advice go by the time ---


class TimedStage(Stage):
    """Road users on an intersection at a time, under rules with the days of a calendar."""

    def __init__(self, code: codes.CompiledCode, rules: RuleTable, t: int) -> None:
        super().__init__(code)
        self.rules, self.t = rules, t

    def world(self, t: int | None = None) -> world.World:
        made = super().world(self.t)
        return snapshots.build(
            self.t, self.code, made.tracks, made.signals, (), self.reports, self.t, self.t, rules=self.rules
        )

    def said_all(self) -> list[planner.Candidate]:
        return planner.plan(self.world())


def stage_at(when: str) -> TimedStage:
    return TimedStage(codes.compile_code(CODE), TABLE, ns(when))


IN, OUT = (codes.compile_code(CODE).lane_ids.index(name) for name in ("L32", "L37"))


@pytest.mark.parametrize(
    ("when", "lane"),
    [("2026-06-15T17:30", OUT), ("2026-06-15T12:00", IN), ("2026-10-01T17:30", IN), ("2026-10-10T17:30", OUT)],
)
def test_a_vehicle_that_stands_on_a_tidal_strip_is_on_the_lane_that_is_open_now(when: str, lane: int) -> None:
    stage = stage_at(when)
    stage.on(IN, 200.0, 0.0, "car")
    stage.on(OUT, 100.0, 0.0, None)
    assert stage.world().path.tolist() == [lane, lane]


@pytest.mark.parametrize(
    ("path", "when", "wrong"),
    [
        (IN, "2026-06-15T17:30", True),
        (OUT, "2026-06-15T12:00", True),
        (IN, "2026-06-15T12:00", False),
        (OUT, "2026-06-15T17:30", False),
        (IN, "2026-06-15T16:45", False),
    ],
)
def test_who_drives_against_a_tidal_lane_that_has_turned_is_a_wrong_way_driver(
    path: int, when: str, wrong: bool
) -> None:
    stage = stage_at(when)
    stage.on(path, 200.0, 12.0, "car")
    found = stage.said(AdvisoryKind.WRONG_WAY)
    assert bool(found) is wrong
    if wrong:
        assert ("L37" if path == IN else "L32") in words(found["vehicle:v1"])


def test_no_advice_leads_onto_a_tidal_lane_that_is_closed() -> None:
    works = Rule("R91", "construction", (Target("L19", 200.0),), 8.3)
    ruled = codes.compile_code(replace(CODE, rules=(*CODE.rules, works)))
    for when, behaviour in (("2026-06-15T12:00", "change_right"), ("2026-06-15T17:30", "change_left")):
        stage = TimedStage(ruled, RuleTable(ruled.code, DAYS), ns(when))
        stage.on(ruled.lane_ids.index("L19"), 60.0, 12.0, "car")
        assert stage.said(AdvisoryKind.HAZARD)["vehicle:v1"].behaviour == behaviour, when


def test_two_directions_of_one_strip_that_are_open_at_once_are_a_fault_with_the_time() -> None:
    def with_out(calendar: Calendar | None, *, drop: bool = False) -> list[str]:
        rules = tuple(
            replace(rule, calendar=calendar) if rule.id == "R15" else rule
            for rule in CODE.rules
            if not (drop and rule.id == "R15")
        )
        return [finding.rule for finding in codes.validate(replace(CODE, rules=rules)) if finding.severity == "error"]

    assert with_out(RULES["R15"].calendar) == []
    assert "L32 and L37 are one strip of road" in with_out(replace(RULES["R15"].calendar, minutes=((1020, 1171),)))[0]
    assert "at 19:30" in with_out(replace(RULES["R15"].calendar, minutes=((1020, 1171),)))[0]
    assert with_out(replace(RULES["R15"].calendar, minutes=((1020, 1170),))) == []
    assert with_out(None)
    assert with_out(None, drop=True), "a lane without a tidal rule is always open"
    assert with_out(replace(RULES["R15"].calendar, weekdays=(5, 6)))


def test_matching_without_tidal_rules_is_as_before() -> None:
    plain = codes.compile_code(codes.load(DATA.parent.parent / "maps" / "intersection.json"))
    stage = Stage(plain)
    for path in range(0, plain.n_lanes, 3):
        stage.on(path, 30.0, 8.0)
    tracks = stage.world().tracks
    none = np.full((len(tracks), 3), -1, np.int64)
    assert RuleTable(plain.code).closed(ns("2026-06-15T12:00")) is None
    assert all(
        (a == b).all()
        for a, b in zip(
            matching.match(plain, tracks, none),
            matching.match(plain, tracks, none, np.zeros(plain.n_lanes + plain.n_conns, bool)),
            strict=True,
        )
        if a.dtype.kind == "i"
    )


# --- what keeps a vehicle out is named before it comes there ---


def test_a_ban_ahead_is_named_before_the_vehicle_comes_to_it_and_so_is_what_it_does_not_declare() -> None:
    # Onto the bridge
    left = next(k for k, c in enumerate(CODE.connections) if c.from_lane == "L34" and c.to_lane == "L16")
    night = "2026-06-14T02:00"
    for attributes, behaviour_words in (
        ({"mass": 25.0, "axle_load": 9.0}, "rule R21 (mass max 20 t) keeps a truck out of L16"),
        ({"mass": 12.0, "axle_load": 9.0}, ""),
        ({"axle_load": 9.0}, "does not declare mass"),
    ):
        stage = stage_at(night)
        handle = stage.put(stage.code.lane_ids.index("L34"), 100.0, 12.0, "truck", left)
        report = stage.reports[handle]
        stage.reports[handle] = replace_state(report, fuel="electric", dangerous_goods=False, **attributes)
        found = [c for c in stage.said_all() if c.kind is AdvisoryKind.RULE]
        assert len(found) == bool(behaviour_words)
        if found:
            assert behaviour_words in words(found[0])
            assert 100.0 < found[0].distance < 140.0


def test_a_rule_that_may_bind_a_vehicle_is_never_said_to_be_certain() -> None:
    road = replace(CODE, rules=(
        Rule("R90", "closure", (Target("L33", 380.0),), plates=(1,)),
        Rule("R91", "speed_max", (Target("L33"),), 8.33, classes=("dangerous_goods",)),
        Rule("R92", "speed_max", (Target("L33"),), 16.67),
    ))  # fmt: skip
    code = codes.compile_code(road)
    stage = TimedStage(code, RuleTable(road, DAYS), ns("2026-06-15T12:00"))
    stage.put(code.lane_ids.index("L33"), 150.0, 12.0, "truck")
    found = {c.kind: c for c in stage.said_all() if c.kind in (AdvisoryKind.RULE, AdvisoryKind.HAZARD) and not c.about}
    ahead = [c for c in stage.said_all() if c.about == "R90"]
    assert (
        "rule R91 (speed max) may limit a truck to 8.3 m/s here: your state does not declare dangerous_goods"
        in words(found[AdvisoryKind.RULE])
    )
    assert AdvisoryKind.HAZARD not in found
    assert "may keep a truck out of L33" in words(ahead[0])
    assert "does not declare plate_digit" in words(ahead[0])


def replace_state(report: world.Report, **fields: object) -> world.Report:
    return dataclasses.replace(report, state=replace(report.state, **fields))


# --- in an engine, over a recording, and in a running node ---


def place_on(path: str, s: float) -> tuple[float, float, float]:
    """Return latitude, longitude and heading `s` m along a lane."""
    code = codes.compile_code(CODE)
    k = code.lane_ids.index(path)
    a, b = code.path_start[k], code.path_start[k + 1]
    arc, xy = code.path_s[a:b], code.path_xy[a:b]
    x, y = (np.array([np.interp(s, arc, xy[:, axis])]) for axis in (0, 1))
    lat, lon = code.origin.to_geodetic(x, y)
    return float(lat[0]), float(lon[0]), float(np.arctan2(*(xy[1] - xy[0])[::-1]))


def state(t: int, path: str = "L34", s: float = 150.0, **more: object) -> VehicleState:
    lat, lon, heading = place_on(path, s)
    return VehicleState(t, lat, lon, 0.5, heading, accuracy=0.3, **{"fuel": "electric", "plate_digit": 1, **more})


class Run:
    """An engine that is driven by what one vehicle reports, and recorded."""

    def __init__(self, folder: Path, config: EngineConfig) -> None:
        self.engine, self.recorder = Engine([CODE], config), Recorder(folder / "run.mcap")
        self.recorder.meta("config", msgspec.json.encode(config))
        self.recorder.meta("code", codes.dump(CODE))

    def drive(self, begin: int, seconds: float, *orders: RawMessage, **more: object) -> dict[int, set[str]]:
        """Return the rules that advisories named, by the second they were sent in, counted from `begin`."""
        named: dict[int, set[str]] = {}
        for k in range(int(seconds * 10)):
            t = begin + k * 100 * MS
            batch = [*(orders if k == 0 else ()), RawMessage("state", "car-1", msgspec.json.encode(state(t, **more)))]
            out = self.engine.step(t, batch)
            self.recorder.step(t, batch, [encode(a) for a in out.advisories])
            assert [a.refusal for a in out.answers] == [None] * len(out.answers)
            named.setdefault(k // 10, set()).update(
                a.reason.split(" (")[0].removeprefix("rule ") for a in out.advisories if a.kind is AdvisoryKind.RULE
            )
        return named


def test_the_bus_lane_begins_and_ends_to_the_second_in_a_running_engine(tmp_path: Path) -> None:
    config = EngineConfig({"g": {"r": CODE.id}}, refresh=0.0, days=DAYS)
    for day, expected in (("2026-06-15", "R10"), ("2026-10-10", "R10"), ("2026-10-01", "")):
        run = Run(tmp_path / day, config)
        named = run.drive(ns(f"{day}T06:59:58"), 4.0)
        assert [bool(named[k]) for k in range(4)] == [False, False, bool(expected), bool(expected)], (day, named)
        named = run.drive(ns(f"{day}T08:59:58"), 4.0)
        assert [named[k] for k in range(4)] == [{expected} if expected else set()] * 2 + [set(), set()], day
        run.recorder.close()


def test_a_calendar_that_changes_while_it_runs_replays_byte_identical(tmp_path: Path) -> None:
    config = EngineConfig({"g": {"r": CODE.id}}, refresh=0.0)
    run, begin = Run(tmp_path, config), ns("2026-10-01T08:00:00")
    assert run.drive(begin, 2.0)[1] == {"R10"}, "without a calendar no day is a holiday"
    given = RawMessage("config", OPERATOR, msgspec.json.encode(replace(config, days=DAYS)))
    assert run.drive(begin + 2 * SECOND, 2.0, given) == {0: set(), 1: set()}
    faulty = replace(DAYS, first="2026-13-01")
    out = run.engine.step(
        begin + 4 * SECOND, [RawMessage("config", OPERATOR, msgspec.json.encode(replace(config, days=faulty)))]
    )
    assert "no day" in out.answers[0].refusal
    run.recorder.close()
    result = replay(tmp_path / "run.mcap")
    assert result.recorded > 5
    assert (result.difference, result.fault, dict(result.faults)) == (None, None, {})


def test_what_a_vehicle_declares_wrongly_is_answered_and_taken_as_not_declared() -> None:
    engine = Engine([CODE], EngineConfig({"g": {"r": CODE.id}}, refresh=0.0, days=DAYS))
    t = ns("2026-06-15T12:00:00")
    wrong = {"plate_digit": 12, "fuel": "plasma", "mass": -3.0, "emission_stage": 9, "height": 450.0}
    out = engine.step(t, [RawMessage("state", "car-1", msgspec.json.encode(state(t, path="L2", **wrong)))])
    ((vehicle, reject),) = out.rejects
    assert (vehicle, reject.field) == ("car-1", "height")
    assert [engine.metrics.total(f"vehicle.{name}_unusable") for name in wrong] == [1] * 5
    advisories = []
    for k in range(1, 10):
        batch = [RawMessage("state", "car-1", msgspec.json.encode(state(t + k * 100 * MS, path="L2", **wrong)))]
        advisories += [a for a in engine.step(t + k * 100 * MS, batch).advisories if a.kind is AdvisoryKind.RULE]
    assert {a.reason.split(":")[0] for a in advisories} == {"rule R16 (no entry) may keep a car out here"}
    assert "your state does not declare plate_digit or fuel" in advisories[0].reason


def put(file: Path, data: bytes) -> None:
    """Write a file whole before it is seen, as an operator's tools do."""
    (file.parent / "new").write_bytes(data)
    (file.parent / "new").replace(file)


class ShiftedClock:
    """The machine's clock, so much ahead that it shows a wanted time now."""

    def __init__(self, wanted: int) -> None:
        self._clock = WallClock()
        self._ahead = wanted - self._clock.now()

    def now(self) -> int:
        return self._clock.now() + self._ahead


def test_a_running_node_knows_national_day_publishes_its_calendar_and_takes_a_change_of_it(
    mqtt: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "0.json").write_bytes(codes.dump(CODE))
    (tmp_path / "days.json").write_bytes((DATA / "days_2026.json").read_bytes())
    (tmp_path / "node.toml").write_text(
        '[node]\ncurve = false\nbind = "tcp://127.0.0.1:*"\ncodes = ["0.json"]\ncalendar = "days.json"\n[broker]\nopen'
        f' = true\nport = {mqtt.port}\n[plan]\nrefresh = 0.0\n[record]\npath = "run.mcap"\n[[gateway]]\nname ='
        f' "g"\nrsus = {{ "r" = "{CODE.id}" }}\n'
    )
    clock = ShiftedClock(ns("2026-10-01T08:00:00"))

    async def drive() -> tuple[list, list]:
        node, stop = Node(load(tmp_path / "node.toml"), clock=clock, file=tmp_path / "node.toml"), asyncio.Event()
        running = asyncio.create_task(node.run(stop))
        said: list = []
        async with Client("car-1", "127.0.0.1", mqtt.port, intersections=(CODE.id,), now=clock.now) as car:
            await asyncio.wait_for(car.connected.wait(), PATIENCE)

            async def read() -> None:
                async for advisory in car.advisories():
                    said.append(advisory)

            reading = asyncio.create_task(read())

            async def report(until) -> bool:
                guard = Guard()
                while not until():
                    assert not guard.is_over(), "it did not happen"
                    await car.report(state(clock.now()))
                    await asyncio.sleep(0.1)
                return True

            assert await report(lambda: CODE.id in car.calendars and CODE.id in car.codes)
            vehicles_days = parse_days(car.calendars[CODE.id], "calendar")
            vehicles_code = codes.from_compact(car.codes[CODE.id])
            assert effective(vehicles_code, "L34", FREE, clock.now(), s=150.0, holidays=vehicles_days).allowed, (
                "the vehicle answers the rule as the node does"
            )
            assert not effective(vehicles_code, "L34", FREE, clock.now(), s=150.0).allowed
            assert await report(lambda: node.metrics.total("accept.state") > 15)
            holiday = list(said)
            worked = replace(DAYS, holidays=tuple(day for day in DAYS.holidays if day.date != "2026-10-01"))
            put(tmp_path / "days.json", dump_days(worked))
            assert await report(lambda: any("R10" in a.reason for a in said))
            assert await report(lambda: parse_days(car.calendars[CODE.id], "calendar") == worked)
            put(tmp_path / "days.json", b'{"first": "2026-01-01", "last": "2026-12-31", "hollidays": []}')
            assert await report(lambda: node.metrics.total("calendar.refused") == 1)
            assert node.engine.config.days == worked, "what runs stays"
            reading.cancel()
        stop.set()
        await asyncio.wait_for(running, PATIENCE)
        return holiday, said

    holiday, said = asyncio.run(drive())
    assert not any("R10" in a.reason for a in holiday)
    assert any("R10" in a.reason for a in said)
    assert "did you mean 'holidays'" in caplog.text
    result = replay(tmp_path / "run.mcap")
    assert (result.difference, result.fault, dict(result.faults)) == (None, None, {})
    assert result.recorded > 0
