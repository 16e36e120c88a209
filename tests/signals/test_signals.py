"""What may be believed of signal states: through wire bytes, one vehicle that comes to one signal."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage import T

from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.forecast.prediction import point
from cloudctl.schema import VERSION, Advisory, AdvisoryKind, Group, RawMessage, Signal, SignalState, VehicleState
from cloudctl.settings import EngineConfig
from cloudctl.signals.states import NEVER, Doubt, Signals, believed, signals_from

RED, GREEN = SignalState.RED, SignalState.GREEN_PROTECTED
Shown = Callable[[float, int], tuple[Group, ...]]  # (s since T, ns) -> the groups of a message


@dataclass
class Approach:
    """One vehicle at a steady speed, `left` m before its line at T + `at` s; what it was advised, and the faults that
    began.
    """

    code: CompiledCode
    speed: float = 13.9
    left: float = 20.0
    at: float = 20.0

    def __post_init__(self) -> None:
        code = self.code
        self.lane = next(k for k in range(code.n_lanes) if code.lane_role[k] == 0 and code.lane_use[k] == 0)
        self.connection = next(k for k in range(code.n_conns) if code.conn_inner[k] and code.conn_from[k] == self.lane)
        self.group = int(code.group_ids[code.conn_group[self.connection]])
        self.others = tuple(int(g) for g in code.group_ids if int(g) != self.group)
        self.faults: list[str] = []

    def drive(self, shown: Shown, until: float = 21.0) -> list[tuple[float, Advisory]]:
        """Return (s since T, advisory) of all that the vehicle was advised."""
        code, advised = self.code, []
        engine = Engine([code.code], EngineConfig({"g": {"r": code.code.id}}))
        self.engine = engine
        for step in range(int(until * 10)):
            now, t = step / 10.0, T + step * 100 * MS
            groups = shown(now, t)
            signal = Signal(VERSION, "r", code.code.id, code.code.revision, step + 1, t, groups)
            batch = [self._report(now, t), RawMessage("signal", "g", msgspec.msgpack.encode(signal))]
            out = engine.step(t, batch)
            self.faults += [fault.check for fault in out.faults]
            advised += [(now, advisory) for advisory in out.advisories if advisory.target == "vehicle:v"]
        return advised

    def all(self, state: SignalState, **ends: int | None) -> tuple[Group, ...]:
        """Return a message in which its own group shows `state` with these ends, and the others are red."""
        return (Group(self.group, state, **ends), *(Group(g, RED) for g in self.others))

    def _report(self, now: float, t: int) -> RawMessage:
        code, spot = self.code, np.empty(4)
        line = float(code.lane_stop_s[self.lane])
        front = line - self.left - (self.at - now) * self.speed
        point(self.lane, front - 2.4, code.path_start, code.path_xy, code.path_s, spot)
        lat, lon = (float(v) for v in code.origin.to_geodetic(spot[0], spot[1]))
        state = VehicleState(
            t,
            lat,
            lon,
            self.speed,
            float(np.arctan2(spot[3], spot[2])),
            accuracy=0.3,
            movements=(code.conn_ids[self.connection],),
        )
        return RawMessage("state", "v", msgspec.json.encode(state))


def kinds(advised: list[tuple[float, Advisory]], since: float) -> set[AdvisoryKind]:
    return {advisory.kind for now, advisory in advised if now >= since}


def test_a_red_that_outlasts_its_promised_end_gives_no_speed_advice_but_a_fault_and_a_warning(
    code: CompiledCode,
) -> None:
    approach = Approach(code, left=14.0)
    end = T + 6 * SECOND
    advised = approach.drive(lambda _, __: approach.all(RED, min_end=end, max_end=end, likely_end=end))
    assert AdvisoryKind.GLOSA not in kinds(advised, 8.5)
    assert {AdvisoryKind.SIGNAL_STOP, AdvisoryKind.RED_LIGHT} <= kinds(advised, 8.5)
    assert "overdue" in approach.faults
    assert approach.faults.count("overdue") == 1, "a fault begins once"


@pytest.mark.parametrize("pushed", [0.2, 1.0, 2.9])
def test_an_end_that_is_promised_anew_each_time_it_fails_is_not_believed(code: CompiledCode, pushed: float) -> None:
    approach = Approach(code, left=14.0)

    def shown(now: float, t: int) -> tuple[Group, ...]:
        end = T + 6 * SECOND if now < 6.5 else t + round(pushed * SECOND)
        return approach.all(RED, min_end=end, max_end=end, likely_end=end)

    advised = approach.drive(shown)
    assert AdvisoryKind.GLOSA not in kinds(advised, 9.0)
    assert AdvisoryKind.RED_LIGHT in kinds(advised, 9.0)


@pytest.mark.parametrize("ends", [("min_end",), ("min_end", "max_end"), ()])
def test_a_red_that_may_end_at_any_moment_is_warned_of_as_any_red(code: CompiledCode, ends: tuple[str, ...]) -> None:
    """An actuated controller: the least end is now in every message, the greatest far away or not known."""
    approach = Approach(code, left=14.0)
    at = {"min_end": 0, "max_end": 60 * SECOND}
    advised = approach.drive(lambda _, t: approach.all(RED, **{name: t + at[name] for name in ends}))
    assert {AdvisoryKind.RED_LIGHT, AdvisoryKind.SIGNAL_STOP} <= kinds(advised, 0.0)
    assert not [
        advisory
        for _, advisory in advised
        if advisory.speed is not None and advisory.speed > 0.0 and advisory.kind != AdvisoryKind.RULE
    ]


def test_a_green_that_is_promised_for_now_in_every_message_is_not_believed(code: CompiledCode) -> None:
    approach = Approach(code, left=14.0)
    advised = approach.drive(lambda _, t: approach.all(RED, next_green=t))
    assert AdvisoryKind.GLOSA not in kinds(advised, 3.0)
    assert AdvisoryKind.RED_LIGHT in kinds(advised, 3.0)


@pytest.mark.parametrize("ends", [{}, {"max_end": T + 3000 * SECOND}, {"likely_end": T + 30 * SECOND}])
def test_no_advice_rests_on_a_green_whose_end_is_not_known(code: CompiledCode, ends: dict[str, int]) -> None:
    approach = Approach(code)
    advised = approach.drive(lambda _, __: approach.all(GREEN, **ends))
    assert AdvisoryKind.GLOSA not in kinds(advised, 0.0)
    assert "1000000000" not in "".join(advisory.reason for _, advisory in advised)


def test_a_group_that_its_messages_no_longer_name_becomes_unknown(code: CompiledCode) -> None:
    approach = Approach(code)
    end = T + 60 * SECOND

    def shown(now: float, _: int) -> tuple[Group, ...]:
        groups = approach.all(GREEN, min_end=end, max_end=end, likely_end=end)
        return groups if now < 8.0 else groups[1:]

    advised = approach.drive(shown)
    assert AdvisoryKind.GLOSA in kinds(advised[: len(advised)], 0.0)
    assert not [now for now, advisory in advised if advisory.kind == AdvisoryKind.GLOSA and now > 8.6]
    assert [
        now
        for now, advisory in advised
        if advisory.kind == AdvisoryKind.SIGNAL_STOP and "is not known" in advisory.reason
    ]
    place = approach.engine.intersections[code.code.id]
    assert place.latest.signals.state[place.groups[approach.group]] == SignalState.UNKNOWN
    assert all(place.latest.signals.state[place.groups[g]] == RED for g in approach.others)


def test_a_promise_that_is_kept_is_believed(code: CompiledCode) -> None:
    approach = Approach(code, left=10.0)

    def shown(now: float, _: int) -> tuple[Group, ...]:
        state, end = (RED, 10) if now < 10.0 else (GREEN, 40)
        end = T + end * SECOND
        return approach.all(state, min_end=end, max_end=end, likely_end=end)

    advised = approach.drive(shown)
    assert kinds(advised, 0.0) <= {AdvisoryKind.GLOSA, AdvisoryKind.RULE, AdvisoryKind.DEGRADED}
    assert [advisory for now, advisory in advised if now > 10.5 and advisory.behaviour in ("keep", "speed_up")]
    assert "overdue" not in approach.faults


# --- the rules themselves ---

TIMES = st.one_of(st.none(), st.integers(-30_000, 60_000).map(lambda ms: T + ms * MS))
GROUPS = st.builds(Group, st.just(1), st.sampled_from(SignalState), TIMES, TIMES, TIMES, st.none(), TIMES, st.none())


@given(
    messages=st.lists(st.tuples(st.integers(1, 5_000), GROUPS), min_size=1, max_size=12),
    later=st.integers(0, 2_000),
    doubt=st.sampled_from(Doubt),
)
def test_nothing_that_is_believed_has_failed(messages: list[tuple[int, Group]], later: int, doubt: Doubt) -> None:
    """Of any messages: no believed end lies in the past of the newest state, none follows one that the same state has
    outlasted, none is of an old message.
    """
    signals, t, failed, shown, promised, due = Signals.dark(1), T, False, None, None, None
    for after, group in messages:
        t += after * MS

        # A state that was unseen for a cycle may have changed and come back: no promise is known to have failed.
        broken = min((end for end in (promised, due) if end is not None), default=None)
        has_cycled = after > 1500 and broken is not None and t > broken + 8000 * MS
        continues = group.state == shown and not has_cycled
        failed = continues and (failed or (promised is not None and t > promised + 150 * MS))
        due = due if continues else None
        signals = signals_from(signals, t, 1, 1, {1: 0}, (group,))
        shown, promised = group.state, group.max_end
        if (
            group.state in (SignalState.RED, SignalState.RED_FLASH, SignalState.PRE_MOVEMENT)
            and group.next_green is not None
        ):
            promised = group.next_green if promised is None else promised
        if promised is not None and promised < t + 300 * MS:
            due = promised if due is None else min(due, promised)
    now = t + later * MS
    found = believed(signals, now, {0: doubt})
    ends = [int(column[0]) for column in (found.min_end, found.max_end, found.likely_end, found.next_green)]
    if now - t > 500 * MS or doubt == Doubt.STATE:
        assert found.state[0] == SignalState.UNKNOWN
    else:
        assert found.state[0] == shown
    if failed or doubt != Doubt.NONE or found.state[0] != shown:
        assert ends == [NEVER] * 4
    assert found.max_end[0] >= now - 650 * MS
    assert found.likely_end[0] >= t - 150 * MS


@given(messages=st.lists(st.tuples(st.integers(1, 2_000), GROUPS), min_size=1, max_size=6), later=st.integers(0, 1_000))
def test_the_short_way_believes_the_same(messages: list[tuple[int, Group]], later: int) -> None:
    """Where nothing has failed the very signals are given back; with a doubt of nothing they go the long way, to the
    same end.
    """
    signals, t = Signals.dark(1), T
    for after, group in messages:
        t += after * MS
        signals = signals_from(signals, t, 1, 1, {1: 0}, (group,))
    short, whole = believed(signals, t + later * MS), believed(signals, t + later * MS, {0: Doubt.NONE})
    for name in ("state", "min_end", "max_end", "likely_end", "next_green", "confidence"):
        assert np.array_equal(getattr(short, name), getattr(whole, name)), name


@pytest.mark.parametrize(("gap", "believed_again"), [(6.0, False), (30.0, True)])
def test_a_state_that_was_long_out_of_sight_is_no_broken_promise(
    code: CompiledCode, gap: float, believed_again: bool
) -> None:
    """Red promised to end in 4 s, then nothing is received: 6 s later it is overdue, 30 s later it may be the next
    red.
    """
    approach = Approach(code)
    index = {approach.group: 0}
    first = signals_from(Signals.dark(1), T, 0, 1, index, (Group(approach.group, RED, T + 4 * SECOND, T + 4 * SECOND),))
    t = T + int(gap * SECOND)
    again = signals_from(first, t, 1, 1, index, (Group(approach.group, RED, t + 9 * SECOND, t + 9 * SECOND),))
    assert bool(again.overdue[0]) is not believed_again
