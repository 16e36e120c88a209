"""Signals of the simulation that take priority requests: they lengthen and shorten greens within their own limits, and
find back.
"""

from collections.abc import Iterator
from pathlib import Path

import libsumo
import pytest
from cloudctl.sim.loop.bounds import GREEN
from cloudctl.sim.loop.controllers import EXTENSION, MIN_GREEN, Controller
from cloudctl.sim.loop.traffic import Traffic
from cloudctl.sim.scenario.scenario import corridor

from cloudctl.clock import SECOND
from cloudctl.schema import VERSION, Priority

T = 1_767_225_600 * SECOND


@pytest.fixture
def traffic(tmp_path: Path) -> Iterator[Traffic]:
    running = Traffic(corridor(tmp_path, flow=0.2), 1, 0.5)
    yield running
    running.close()


def greens(traffic: Traffic, controller: Controller, column: int, until: float) -> list[tuple[float, float]]:
    """Step until `until` s and return (begin, end) of the greens of a column."""
    out, begin = [], None
    while float(libsumo.simulation.getTime()) < until:
        traffic.step()
        controller.step()
        now = float(libsumo.simulation.getTime())
        green = libsumo.trafficlight.getRedYellowGreenState(controller.signal)[column] in GREEN
        if green and begin is None:
            begin = now
        elif not green and begin is not None:
            out.append((begin, now))
            begin = None
    return out


def cycle(controller: Controller) -> float:
    return sum(phase[1] for phase in controller.program.phases)


def asked(controller: Controller, group: int, action: str, seconds: float) -> Priority:
    return Priority(VERSION, "i", T, "q", "bus", group, action, T + int(seconds * SECOND))


def test_a_green_is_lengthened_as_asked_and_the_programme_found_again(traffic: Traffic) -> None:
    junction = traffic.scenario.junctions[0]
    controller = Controller(junction, traffic.programs[junction.id])
    group, column = next(iter(controller.columns.items()))
    long = cycle(controller)
    first, second = greens(traffic, controller, column, 2 * long + 1)[:2]
    while libsumo.trafficlight.getRedYellowGreenState(controller.signal)[column] not in GREEN:
        traffic.step()
    begun = float(libsumo.simulation.getTime())
    end = begun + (second[1] - second[0])
    controller.ask(asked(controller, group, "extend", end - begun + 6.0), T)
    (lengthened,) = greens(traffic, controller, column, end + 10.0)[:1]
    assert lengthened[1] == pytest.approx(end + 6.0, abs=1.1)
    controller.ask(asked(controller, group, "release", 0.0), T)
    again = greens(traffic, controller, column, float(libsumo.simulation.getTime()) + 5 * long)
    assert abs(controller.lateness) < 0.5
    phase_then, phase_now = (second[0] - first[0]) % long, (again[-1][0] - first[0]) % long
    assert min(phase_now - phase_then, long - abs(phase_now - phase_then)) == pytest.approx(0.0, abs=1.1)


def test_no_request_lengthens_a_green_for_ever_or_cuts_its_least(traffic: Traffic) -> None:
    junction = traffic.scenario.junctions[0]
    controller = Controller(junction, traffic.programs[junction.id])
    columns = list(controller.columns.items())
    group, column = columns[0]
    longest = max(phase[1] for phase in controller.program.phases)
    controller.ask(asked(controller, group, "extend", 500.0), T)
    found = greens(traffic, controller, column, 3 * cycle(controller))
    assert found
    assert max(end - begin for begin, end in found) <= longest + EXTENSION + 2.0
    controller.ask(asked(controller, group, "early", 0.0), T)
    others = {
        k: greens(traffic, controller, k, float(libsumo.simulation.getTime()) + cycle(controller))
        for _, k in columns[1:3]
    }
    for spans in others.values():
        assert all(end - begin >= MIN_GREEN - 1.0 for begin, end in spans[1:])


def test_a_green_begins_earlier_as_asked(traffic: Traffic) -> None:
    junction = traffic.scenario.junctions[0]
    controller = Controller(junction, traffic.programs[junction.id])
    group, column = next(iter(controller.columns.items()))
    while libsumo.trafficlight.getRedYellowGreenState(controller.signal)[column] in GREEN:
        traffic.step()
    before = float(libsumo.simulation.getTime())
    plain = cycle(controller) - sum(p[1] for p in controller.program.phases if p[0][column] in GREEN)
    controller.ask(asked(controller, group, "early", 1.0), T)
    begin, _ = greens(traffic, controller, column, before + 2 * cycle(controller))[0]
    assert begin - before < plain - 3.0
