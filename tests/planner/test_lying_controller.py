"""The lying controller in closed loop through wire bytes: nobody who does as advised passes a red that could have been
stopped for.
"""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.lying import STYLES, Case, Faults, Lamp
from cloudctl.codes import CompiledCode
from cloudctl.planner.kinds import signal_stop
from cloudctl.schema import SignalState

QUIET = settings(derandomize=True)


@settings(QUIET, max_examples=12)
@given(seed=st.integers(0, 2**32))
def test_no_driver_passes_a_red_that_it_could_have_been_stopped_for(code: CompiledCode, seed: int) -> None:
    assert Case(code, Random(seed)).run() == []


PHASES = st.tuples(
    st.sampled_from(
        [SignalState.RED, SignalState.RED, SignalState.GREEN_PROTECTED, SignalState.YELLOW_PROTECTED, SignalState.DARK]
    ),
    st.floats(0.3, 40.0),  # s it lasts
    st.floats(-20.0, 60.0),  # s by which its end is promised too early
    st.sampled_from(STYLES),
)


@settings(QUIET, max_examples=25)
@given(
    phases=st.lists(PHASES, min_size=1, max_size=6), delay=st.sampled_from([0, 150_000_000]), seed=st.integers(0, 99)
)
def test_nor_any_single_lie_of_all_groups_at_once(code: CompiledCode, phases: list, delay: int, seed: int) -> None:
    case, lamps, t = Case(code, Random(seed)), [], 0.0
    for state, lasts, lie, style in phases:
        lamps.append(Lamp(state, t, t + lasts, max(t + lasts - lie, t + 0.2), style))
        t += lasts
    case.lamps = dict.fromkeys(case.lamps, lamps)
    case.faults = Faults([], [], {}, 0.0, delay)
    assert case.run() == []


def test_the_property_can_fail(code: CompiledCode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal_stop, "plan", lambda *_: [])
    assert any(Case(code, Random(seed)).run() for seed in range(6))
