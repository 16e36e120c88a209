"""Signal quality while running: each fault is one event of the right check, and advice is withheld with the reason."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from paths import DATA, OUTSIDE, outside
from signal_sequences import CASES, DRIVEN, GOOD, MS, RED, SECOND, S, T, at, foes, of, states

from bench.scene import Scene
from cloudctl import codes
from cloudctl.engine import Engine, Output
from cloudctl.schema import VERSION, Group, RawMessage, Signal
from cloudctl.settings import EngineConfig
from cloudctl.signals.faults import CHECKS, Scope
from cloudctl.signals.quality import SignalQuality

OWN = DATA / "messages" / "recordings"
THEIRS = OUTSIDE / "data" / "messages" / "conflictmonitor"
encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Signal).decode


def node(code: codes.IntersectionCode) -> Engine:
    return Engine([code], EngineConfig({"g": {"r": code.id}}))


def send(engine: Engine, t_rx: int, t: int, groups: tuple[Group, ...], *, seq: int, revision: int) -> Output:
    (name,) = engine.intersections
    return engine.step(t_rx, [RawMessage("signal", "g", encode(Signal(VERSION, "r", name, revision, seq, t, groups)))])


def run(code: codes.IntersectionCode, messages: Iterator[tuple[int, int, tuple[Group, ...], int]]) -> list[str]:
    """Return the checks that begin, message by message, each (t_rx, t, groups, revision)."""
    engine, found = node(code), []
    for seq, (t_rx, t, groups, revision) in enumerate(messages):
        found += [fault.check for fault in send(engine, t_rx, t, groups, seq=seq, revision=revision).faults]
    counted = engine.metrics.by_source("signal.")
    assert sum(n for by in counted.values() for n in by.values()) == len(found)
    return found


# --- recorded sequences, each made to trip one check or none ---

NAMES = {
    "ApproachAndStopAtLine.csv": set(),
    "SPAT_MinData.csv": set(),
    "SPAT_MinData-valid.csv": set(),
    "SignalGroupAlignment-aligned.csv": set(),
    "SPAT_TimeChangeDetails.csv": {"end_order"},
    "Script-SignalStateConflict-Protected.csv": {"conflict"},
    "ProcessedSpat_Revisions.csv": {"revision"},
    "TimestampDelta-ProcessedSpats.csv": {"age"},
}
STATE = {
    "PROTECTED_MOVEMENT_ALLOWED": S.GREEN_PROTECTED,
    "STOP_AND_REMAIN": S.RED,
    "PROTECTED_CLEARANCE": S.YELLOW_PROTECTED,
}
REVISIONS = ("ProcessedSpat_Revisions.csv", "revision.csv")  # whose own revisions are taken
MAP_WITH = "Script-SignalStateConflict-Protected.csv"


def rows(path: Path) -> list[tuple[str, int, dict]]:
    """Return the messages of a recording: kind, ms from its beginning, body."""
    out = []
    for line in path.read_text().splitlines():
        if "{" in line:
            head, body = line[: line.index("{")], re.sub(r'(?<!")@([\w.\-]+)@(?!")', r'"@\1@"', line[line.index("{") :])
            out.append((head.split(",")[0], int(head.split(",")[1]), json.loads(body)))
    return out


def messages(path: Path, code: codes.IntersectionCode) -> Iterator[tuple[int, int, tuple[Group, ...], int]]:
    """Yield a recording as a gateway sends it: placeholders filled in, end times of the hour of T, the revision of the
    code.
    """
    for kind, ms, body in rows(path):
        t = T + ms * MS
        if kind == "SPAT":
            for found in body["payload"]["data"]["intersectionStateList"]["intersectionStatelist"]:
                yield t, t, tuple(_group(move) for move in found["states"]["movementList"]), code.revision
        elif kind.startswith("Processed"):
            stamp = re.search(r"MILLIS_(-?\d+)", body["utcTimeStamp"])
            at = t + int(stamp[1]) * MS if stamp else t
            fixed = path.name not in REVISIONS
            yield (
                t,
                at,
                tuple(_processed(move) for move in body["states"]),
                code.revision if fixed else body["revision"],
            )


def _group(move: dict) -> Group:
    event = move["state_time_speed"]["movementEventList"][0]
    low, high = (
        None if (mark := event["timing"][key]) is None else T + mark * 100 * MS for key in ("minEndTime", "maxEndTime")
    )
    return Group(move["signalGroup"], STATE[event["eventState"]], low, high)


def _processed(move: dict) -> Group:
    event = move["stateTimeSpeed"][0]
    ends = [event["timing"].get(key) for key in ("minEndTime", "maxEndTime")]
    low, high = (T + round(float(re.search(r"-?[\d.]+", end)[0]) * 10) * 100 * MS if end else None for end in ends)
    return Group(move["signalGroup"], STATE[event["eventState"]], low, high)


@pytest.mark.parametrize("check", ["none", "conflict", "end_order", "revision", "age"])
def test_a_made_recording_trips_the_check_it_is_made_for_and_no_other(check: str) -> None:
    path = OWN / f"{check}.csv"
    assert set(run(GOOD, messages(path, GOOD))) == {check} - {"none"}


@pytest.mark.skipif(
    not THEIRS.exists(), reason=f"{THEIRS} is not there: it may not be passed on; made ones are tested above"
)
@pytest.mark.parametrize("name", list(NAMES) if THEIRS.exists() else ["any"])
def test_a_recorded_sequence_trips_the_check_its_name_says_and_no_other(name: str) -> None:
    pytest.importorskip("pycrate_asn1dir")
    from cloudctl.codes.formats.j2735.importer import import_map

    path = THEIRS / name
    trees = [
        json.loads(json.dumps(body).replace("@MINUTE_OF_YEAR@", "1"))
        for kind, _, body in rows(THEIRS / MAP_WITH)
        if kind == "MAP"
    ]
    (code,) = import_map(trees[0])
    if (
        "SPAT_MinData" in name
    ):  # one message of the conflict's recording, without its MAP: what conflicts is not known then
        assert set(run(code, messages(path, code))) == {"conflict"}
    if not any(kind == "MAP" for kind, _, _ in rows(path)):
        code = with_groups(replace(code, conflicts=()), next(messages(path, code))[2])
    if name in REVISIONS:
        code = replace(code, revision=115)
    assert set(run(code, messages(path, code))) == NAMES[name]


def with_groups(code: codes.IntersectionCode, groups: tuple[Group, ...]) -> codes.IntersectionCode:
    """Return the code with the groups of a recording that came without its MAP."""
    return replace(code, signal_groups=tuple(codes.model.SignalGroup(group.group, "vehicle") for group in groups))


ALIGNED = [OWN / "none.csv", *outside("data/messages/conflictmonitor/SignalGroupAlignment-aligned.csv")]


@pytest.mark.parametrize("path", ALIGNED, ids=lambda path: path.name)
def test_a_recording_that_is_aligned_is_not_where_the_code_has_one_group_more_or_less(path: Path) -> None:
    aligned = with_groups(replace(GOOD, conflicts=(), plans=()), next(messages(path, GOOD))[2])
    more = replace(aligned, signal_groups=(*aligned.signal_groups, codes.model.SignalGroup(99, "vehicle")))
    fewer = replace(aligned, signal_groups=aligned.signal_groups[1:])
    assert [run(code, messages(path, code)) for code in (aligned, more, fewer)] == [[], ["alignment"], ["alignment"]]


LIGHTS = [
    DATA / "lights.csv",
    *outside("data/sind/tianjin/TrafficLight_8_2_1.csv", "data/sind/chongqing/TrafficLight.csv"),
]


@pytest.mark.parametrize("path", LIGHTS, ids=lambda path: path.parent.name)
def test_lights_as_recorded_are_no_fault(path: Path) -> None:
    """Each pair of heads that are never both on stands for two straight movements that cross; those for pedestrians (5
    to 8 of Chongqing) have no yellow.
    """
    shown = {"0": S.RED, "1": S.GREEN_PROTECTED, "3": S.YELLOW_PROTECTED}
    lights = [[shown[str(int(value))] for value in line.split(",")[2:]] for line in path.read_text().splitlines()[1:]]
    kinds = ["pedestrian" if k > 3 and path.parent.name == "chongqing" else "vehicle" for k in range(8)]
    a, b = foes()
    checked = 0
    for i, j in combinations(range(8), 2):
        if any(row[i] != S.RED != row[j] for row in lights):
            continue
        groups = tuple(replace(g, kind=kinds[{a: i, b: j}[g.id]]) if g.id in (a, b) else g for g in GOOD.signal_groups)
        code = replace(GOOD, signal_groups=groups, plans=())
        assert (
            run(
                code,
                (
                    (T + k * 450 * MS, T + k * 450 * MS, states({a: row[i], b: row[j]}), 1)
                    for k, row in enumerate(lights)
                ),
            )
            == []
        )
        checked += 1
    assert checked >= 16


# --- generated sequences ---


@pytest.mark.parametrize("case", CASES)
def test_a_made_sequence_trips_its_check_and_no_other(case: str) -> None:
    groups, hz, revision, late, want = CASES[case]
    found = run(GOOD, at(hz, groups, revision, late))
    assert set(found) == want
    assert len(found) == len(want), "a fault is one event until it is over"


def test_every_check_is_tripped_by_some_sequence() -> None:
    assert set().union(*(case[4] for case in CASES.values())) == set(CHECKS)


def test_the_plan_of_the_code_is_in_order() -> None:
    plan, t, found = GOOD.plans[0], T, []
    for phase in [*plan.phases, *plan.phases[:2]]:
        shown = {
            "R": S.RED,
            "G": S.GREEN_PROTECTED,
            "g": S.GREEN_PERMISSIVE,
            "Y": S.YELLOW_PROTECTED,
            "y": S.GREEN_FLASH,
        }
        groups = tuple(Group(g.id, shown[letter]) for g, letter in zip(GOOD.signal_groups, phase.shows, strict=True))
        for _ in range(0, phase.ms, 500):
            found.append((t, t, groups, 1))
            t += 500 * MS
    assert run(GOOD, iter(found)) == []


def test_a_plan_that_goes_from_yellow_to_green_is_in_order_for_that_code_only() -> None:
    shown = [
        states({GOOD.signal_groups[2].id: s}) for s in (S.GREEN_PROTECTED, S.YELLOW_PERMISSIVE, S.GREEN_PERMISSIVE)
    ]
    sequence = [(T + k * 100 * MS, T + k * 100 * MS, groups, 1) for k, groups in enumerate(shown)]
    phases = tuple(
        replace(
            GOOD.plans[0].phases[0],
            shows=GOOD.plans[0].phases[0].shows[:2] + letter + GOOD.plans[0].phases[0].shows[3:],
        )
        for letter in "GYG"
    )
    odd = replace(GOOD, plans=(replace(GOOD.plans[0], phases=phases),))
    assert run(GOOD, iter(sequence)) == ["phase_order"]
    assert run(odd, iter(sequence)) == []


def test_advice_is_withheld_with_the_reason_and_comes_back() -> None:
    engine = node(GOOD)
    quality = engine.intersections[GOOD.id].quality
    for seq, (t_rx, t, groups, revision) in enumerate(at(10, CASES["no yellow"][0])):
        send(engine, t_rx, t, groups, seq=seq, revision=revision)
    assert "GREEN_PROTECTED then RED" in (quality.doubt_reason(T + SECOND) or "")
    assert quality.doubted(T + SECOND) == {DRIVEN[0]: Scope.STATE}
    assert quality.trouble(T + SECOND) is None, "the other groups are trusted"
    assert quality.doubted(T + 4 * SECOND) == {}
    assert quality.doubt_reason(T + 4 * SECOND) is None


def test_states_are_trusted_again_with_the_first_in_time() -> None:
    quality = SignalQuality(GOOD)
    assert [fault.check for fault in quality.observe(T + 600 * MS, T, 1, of(RED))] == ["age"]
    assert "600 ms old" in (quality.trouble(T + 600 * MS) or "")
    assert quality.observe(T + 705 * MS, T + 700 * MS, 1, of(RED)) == []
    assert quality.trouble(T + 705 * MS) is None
    assert quality.observe(T + 900 * MS, T + 200 * MS, 1, of(RED)) == [], "the same fault: not an event again"


def test_the_planner_says_what_is_withheld_and_why(scene: Scene) -> None:
    """The group of the connected vehicle and one that it conflicts with both show protected green, over the whole run:
    no speed advice, and the reason in words.
    """
    code = scene.code.code
    engine = Engine([code], EngineConfig({"g": {f"r{k}": code.id for k in range(3)}}))
    movements = {c.id: c for c in code.connections}
    own = movements[scene.movement]
    pairs = [
        (c.a, c.b) if c.a == own.id else (c.b, c.a)
        for c in code.conflicts
        if c.kind == "cross" and own.id in (c.a, c.b)
    ]
    a, b = next((own.group, movements[other].group) for _, other in pairs if movements[other].turn == "straight")
    said = []
    for t, batch in scene.run(4.0):
        ends = t // (100 * MS) * 100 * MS + 9 * SECOND
        groups = tuple(
            Group(g.id, S.GREEN_PROTECTED if g.id in (a, b) else S.RED, ends, ends, ends, 1.0)
            for g in code.signal_groups
        )
        wrong = [
            d._replace(body=encode(msgspec.structs.replace(decode(d.body), groups=groups))) if d.kind == "signal" else d
            for d in batch
        ]
        said += engine.step(t, wrong).advisories
    assert {a.kind for a in said} >= {"degraded"}
    assert not any(a.kind == "glosa" for a in said)
    assert any("conflict" in a.reason and "not to be trusted" in a.reason for a in said)
    assert engine.metrics.total("signal.conflict") == 1


def test_a_fault_says_field_value_rule_and_remedy() -> None:
    engine = node(GOOD)
    (fault,) = send(engine, T, T, of(RED), seq=1, revision=9).faults
    assert (
        str(fault) == f"{GOOD.id}: signal revision: revision = 9: the code in force is revision 1. "
        "fetch the code in force, and send the revision that the states refer to"
    )
