"""Signals that traffic drives, in the simulation: what their controllers send must hold, over real runs of SUMO and
over programmes nobody wrote.
"""

import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from cloudctl.sim.loop import bounds
from cloudctl.sim.loop.bounds import Phase
from cloudctl.sim.loop.signal_program import SIGNAL_STATES
from cloudctl.sim.loop.traffic import Traffic
from cloudctl.sim.scenario import programs
from cloudctl.sim.scenario.demand import write_corridor
from cloudctl.sim.scenario.scenario import Scenario, ScenarioError, braunschweig, load
from hypothesis import given
from hypothesis import strategies as st

from cloudctl import maps
from cloudctl.clock import SECOND
from cloudctl.schema import SignalState

libsumo = pytest.importorskip("libsumo")
STEP = 0.5  # s
COLOUR = {SignalState.GREEN_PERMISSIVE: "green", SignalState.GREEN_PROTECTED: "green"}  # one state to those who wait


def crossroads(folder: Path) -> Scenario:
    return load(write_corridor(folder / "in", maps.path("intersection.net.xml.gz"), flow=1.5))


def run(scenario: Scenario, seconds: float) -> list[tuple[int, dict[int, object]]]:
    """Return (t, groups by number) of every step of a run of one intersection."""
    listed = ",".join(str(file) for file in scenario.additional)
    traffic = Traffic(scenario, 3, STEP, arguments=("--additional-files", listed) if listed else ())
    out = []
    try:
        while traffic.seconds < seconds:
            traffic.step()
            out.append((traffic.t, {group.group: group for group in traffic.groups(scenario.junctions[0])}))
    finally:
        traffic.close()
    return out


def broken(moments: list[tuple[int, dict[int, object]]]) -> tuple[list[str], int, list[float]]:
    """Return promises that did not hold, the number that were held against an end, and for how long each green stood
    (s).
    """
    faults, checked, greens = [], 0, []
    for number in moments[0][1]:
        states = [COLOUR.get(groups[number].state, groups[number].state) for _, groups in moments]
        changes = [0, *(k for k in range(1, len(states)) if states[k] != states[k - 1])]
        for first, last in pairwise(changes):
            end = moments[last][0]
            greens += [(end - moments[first][0]) / SECOND] if states[first] == "green" and first else []
            for t, groups in moments[first:last]:
                group = groups[number]
                checked += 1
                # a change is seen at the first step after it
                early = group.min_end is not None and end < group.min_end - STEP * SECOND
                late = group.max_end is not None and end > group.max_end + STEP * SECOND
                if early or late:
                    faults.append(f"group {number} at {t / SECOND}: {group.min_end} .. {group.max_end}, ended {end}")
                coming = next((k for k in changes if k >= last and states[k] == "green"), None)
                if (
                    group.next_green is not None
                    and coming is not None
                    and abs(moments[coming][0] - group.next_green) > STEP * SECOND
                ):
                    faults.append(
                        f"group {number} at {t / SECOND}: next green {group.next_green}, came {moments[coming][0]}"
                    )
    return faults, checked, greens


@pytest.mark.parametrize("kind", ["fixed", "actuated", "delay_based"])
def test_every_end_and_next_green_a_controller_sends_comes_true(kind: str, tmp_path: Path) -> None:
    scenario = programs.with_signals(crossroads(tmp_path), kind, tmp_path)
    faults, checked, greens = broken(run(scenario, 400.0))
    assert not faults, faults[:5]
    assert checked > 5_000
    if kind != "fixed":
        assert len({round(green) for green in greens}) > 8, "traffic decides how long a green lasts"


@pytest.mark.parametrize("kind", ["actuated", "delay_based"])
def test_the_recorded_programme_of_braunschweig_under_traffic_control_keeps_its_promises(
    kind: str, tmp_path: Path
) -> None:
    faults, checked, _ = broken(run(programs.with_signals(braunschweig(), kind, tmp_path), 300.0))
    assert not faults, faults[:5]
    assert checked > 5_000


@pytest.mark.parametrize("kind", ["fixed", "actuated", "delay_based"])
def test_every_head_shows_what_the_message_of_its_group_tells_of_it(kind: str, tmp_path: Path) -> None:
    scenario = programs.with_signals(braunschweig(), kind, tmp_path)
    listed = ",".join(str(file) for file in scenario.additional)
    junction = scenario.junctions[0]
    traffic = Traffic(scenario, 3, STEP, arguments=("--additional-files", listed))
    checked = 0
    try:
        while traffic.seconds < 100.0:  # longer than a cycle of the fixed programme
            traffic.step()
            shown = libsumo.trafficlight.getRedYellowGreenState(junction.signal)
            states = {group.group: group.state for group in traffic.groups(junction)}
            for group in junction.code.code.signal_groups:
                for channel in group.channels:
                    colour = SIGNAL_STATES[shown[channel]]
                    assert COLOUR.get(states[group.id], states[group.id]) == COLOUR.get(colour, colour), (
                        traffic.seconds,
                        group.id,
                        channel,
                    )
                    checked += 1
    finally:
        traffic.close()
    assert checked > 5_000


def test_a_programme_whose_heads_of_one_group_differ_is_refused(tmp_path: Path) -> None:
    scenario = crossroads(tmp_path)
    group = next(group for group in scenario.junctions[0].code.code.signal_groups if len(group.channels) > 1)
    logic = programs.active_programs(scenario)["J0"]
    letters = list(logic.findall("phase")[0].get("state"))
    letters[group.channels[0]], letters[group.channels[1]] = "r", "G"
    logic.findall("phase")[0].set("state", "".join(letters))
    logic.set("programID", "other")
    file = tmp_path / "other.add.xml"
    ET.ElementTree(logic).write(file)
    with pytest.raises(
        ScenarioError, match=f"heads {group.channels[0]} and {group.channels[1]} of group {group.id} show r and G"
    ):
        run(replace(scenario, additional=(file,)), 5.0)


def test_a_controller_that_traffic_drives_sends_no_likely_end_and_no_next_green_while_traffic_decides(
    tmp_path: Path,
) -> None:
    moments = run(programs.with_signals(crossroads(tmp_path), "actuated", tmp_path), 200.0)
    groups = [group for _, found in moments for group in found.values()]
    undecided = [group for group in groups if group.min_end != group.max_end]
    assert len(undecided) > 1_000
    assert all(group.max_end is not None for group in groups), (
        "its phases come in a fixed order, each with a longest duration"
    )
    assert {(group.likely_end, group.confidence) for group in undecided} == {(None, None)}
    assert {group.next_green for group in undecided} == {None}
    yellow = [group for group in groups if group.state == SignalState.YELLOW_PERMISSIVE]
    assert yellow
    assert all(group.min_end == group.max_end == group.likely_end for group in yellow), (
        "a yellow lasts as long as it always does"
    )


def test_the_green_of_a_controller_that_traffic_drives_may_end_now_once_its_shortest_is_over(tmp_path: Path) -> None:
    moments = run(programs.with_signals(crossroads(tmp_path), "actuated", tmp_path), 200.0)
    greens = [(t, g) for t, found in moments for g in found.values() if COLOUR.get(g.state) and g.min_end != g.max_end]
    assert any(group.min_end == t for t, group in greens)
    assert any(group.min_end > t for t, group in greens)


def test_the_clearance_time_of_a_crossing_is_left_as_it_is(tmp_path: Path) -> None:
    scenario = crossroads(tmp_path)
    fixed = programs.active_programs(scenario)["J0"].findall("phase")
    changed = programs.active_programs(programs.with_signals(scenario, "actuated", tmp_path))["J0"].findall("phase")
    lasts = [
        (before.get("duration"), after.get("minDur"), after.get("maxDur"))
        for before, after in zip(fixed, changed, strict=True)
    ]
    assert lasts[:4] == [("29", "5", "50"), ("6", "6", "6"), ("3", "3", "3"), ("1", "1", "1")]


def test_a_programme_whose_phases_come_in_no_fixed_order_promises_no_end(tmp_path: Path) -> None:
    scenario = programs.with_signals(crossroads(tmp_path), "actuated", tmp_path)
    file = scenario.additional[-1]
    first = file.read_text().replace("<phase ", '<phase next="1 2" ', 1)  # SUMO's choice of the phase that follows
    file.write_text(first)
    _, groups = run(scenario, 20.0)[-1]
    assert {group.max_end for group in groups.values()} == {None}
    assert all(group.likely_end is group.next_green is None for group in groups.values())


def test_nema_is_refused_where_the_network_has_no_ring_barrier_programme(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="has no ring-barrier programme"):
        programs.with_signals(crossroads(tmp_path), "nema", tmp_path)
    with pytest.raises(ScenarioError, match="must be one of"):
        programs.with_signals(crossroads(tmp_path), "adaptive", tmp_path)


def test_a_scenario_under_traffic_control_has_the_signal_groups_it_had(tmp_path: Path) -> None:
    scenario = crossroads(tmp_path)
    changed = programs.with_signals(scenario, "actuated", tmp_path)
    assert changed.junctions == scenario.junctions
    assert [p.get("state") for p in programs.active_programs(changed)["J0"]] == [
        p.get("state") for p in programs.active_programs(scenario)["J0"]
    ]


PHASES = st.lists(
    st.tuples(st.sampled_from("rryGgu"), st.integers(1, 20), st.integers(0, 30)).map(
        lambda drawn: Phase(drawn[0], drawn[1] + drawn[2], drawn[1], drawn[1] + drawn[2])
    ),
    min_size=1,
    max_size=8,
)


@given(PHASES, st.data())
def test_whatever_traffic_does_a_state_ends_within_its_bounds(phases: list[Phase], data: st.DataObject) -> None:
    lasts = [data.draw(st.floats(phase.shortest, phase.longest), label="lasts") for phase in phases]
    phase = data.draw(st.integers(0, len(phases) - 1), label="phase")
    spent = data.draw(st.floats(0.0, lasts[phase]), label="spent")
    found = bounds.bounds(phases, phase, spent, 0)
    ends, k = lasts[phase] - spent, phase + 1
    while k < phase + len(phases) and bounds.same_colour(phases[k % len(phases)].state, phases[phase].state):
        ends, k = ends + lasts[k % len(phases)], k + 1
    if k == phase + len(phases):
        assert found == bounds.UNKNOWN
        return
    assert found.earliest - 1e-6 <= ends <= found.latest + 1e-6
    if found.next_green is not None:
        while phases[k % len(phases)].state not in bounds.GREEN:
            ends, k = ends + lasts[k % len(phases)], k + 1
        assert found.next_green == pytest.approx(ends, abs=1e-6)
