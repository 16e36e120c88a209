"""One intersection as the engine holds it: its code, tracker, signals, vehicles, and memory of what it advised."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import planner, world
from .clock import SECOND
from .codes import CompiledCode
from .codes.compiled.rules import RuleTable
from .codes.days import NO_DAYS, DayCalendar
from .fusion import Fusion
from .hazards import Hazards
from .schema import Group, Signal
from .sensor_health import Sensing
from .signals.faults import Scope
from .signals.quality import SignalQuality
from .signals.states import Doubt, Signals, groups_on_node_clock, named_at, signals_again, signals_from
from .traffic import TrafficState

NEVER = 2**62  # ns
MAX_VEHICLE_SILENCE = 5 * SECOND  # of a connected vehicle's newest state; after it the vehicle is no longer advised
DOUBTS = {Scope.TIMES: Doubt.TIMES, Scope.STATE: Doubt.STATE}


class NewestSignal(NamedTuple):
    """The newest signal message, to notice one that repeats it."""

    groups: object  # as it came: a repetition is the same object
    offset: int  # ns taken off its times
    named: NDArray[np.bool_] | None  # by index: the groups it has; None: all


@dataclass(eq=False, kw_only=True)
class IntersectionState:
    """The whole state of one intersection."""

    code: CompiledCode
    fusion: Fusion
    advisory_filter: planner.AdvisoryFilter
    gateways: tuple[str, ...]

    # Signals.
    signals: Signals
    groups: dict[int, int]  # index of each signal group, by its number
    quality: SignalQuality
    newest_signal: NewestSignal | None = None
    published_groups: tuple[Group, ...] = ()  # of that message, by the node's clock

    # Road users.
    reports: dict[int, world.Report] = field(default_factory=dict)  # by handle
    first_silence: int = 0  # ns; until then none of those vehicles has been silent for too long
    hazards: Hazards = field(default_factory=Hazards)
    sensing: Sensing = field(default_factory=Sensing)
    traffic: TrafficState = field(default_factory=TrafficState)
    priority: planner.PriorityRequestServer = field(default_factory=planner.PriorityRequestServer)
    t_sensor: int = 0  # ns; newest perception, at its source
    t_rx: int = 0  # ns; when that was received

    # Planning.
    latest: world.World | None = None
    # what the newest plans proposed and did not send; None: not asked for
    withheld: list[planner.Withheld] | None = None
    last_input: int = 0  # ns
    planned: int = 0  # ns
    plan_scheduled: bool = False  # in the heap of plans to come

    # The revision of the code.
    in_force: bool = True  # whether a revision is; else nothing is advised
    in_force_until: int = NEVER  # ns; when that changes: no advisory is valid beyond
    rules: RuleTable | None = None  # made when first asked for
    days: DayCalendar = NO_DAYS  # that they were made with

    def rule_table(self, days: DayCalendar) -> RuleTable:
        """Return the compiled rules of the code in force, with the days of a calendar."""
        if self.rules is None or self.days is not days:
            self.rules, self.days = RuleTable(self.code.code, days), days
        return self.rules

    def on_node_clock(self, body: Signal, offset: int) -> tuple[Group, ...]:
        """Return the groups of a signal message with `offset` ns taken off their times: the very tuple of the newest
        message, where this one repeats it."""
        newest = self.newest_signal
        if newest is not None and newest.groups is body.groups and newest.offset == offset:
            return self.published_groups
        return groups_on_node_clock(body.groups, offset)

    def take(self, t: int, body: Signal, offset: int, groups: tuple[Group, ...]) -> bool:
        """Take in a signal message of event time `t` ns; return whether a group shows another state. `groups`: as
        `on_node_clock` returns them, for `offset` ns."""
        before, newest = self.signals, self.newest_signal
        if newest is not None and groups is self.published_groups and t > before.t:
            self.signals = signals_again(before, t, body.seq, body.revision, newest.named, body.lanes)
            return False

        self.published_groups = groups
        self.signals = signals_from(before, t, body.seq, body.revision, self.groups, groups, body.lanes)
        # Of a message that is older than another unit's, some groups may have been left out: no later one repeats it.
        is_newest = t > before.t
        self.newest_signal = NewestSignal(body.groups, offset, named_at(self.signals, t)) if is_newest else None

        return bool((self.signals.state != before.state).any())

    def keep_report(self, report: world.Report) -> None:
        """Keep a vehicle's report as its newest."""
        self.reports[report.handle] = report
        self.first_silence = min(self.first_silence, report.t + MAX_VEHICLE_SILENCE)

    def forget_silent_vehicles(self, t: int) -> None:
        """Forget the reports that are too old at `t` ns to advise by."""
        if t <= self.first_silence:
            return
        for handle in [handle for handle, report in self.reports.items() if t - report.t > MAX_VEHICLE_SILENCE]:
            del self.reports[handle]
        oldest = min((report.t for report in self.reports.values()), default=NEVER)
        self.first_silence = oldest + MAX_VEHICLE_SILENCE

    def doubts(self, t: int) -> dict[int, Doubt]:
        """Return what signal faults put in doubt at `t` ns, by index of the group."""
        doubted = self.quality.doubted(t)
        if not doubted:
            return {}
        return {self.groups[group]: DOUBTS[scope] for group, scope in doubted.items() if group in self.groups}

    def renew(self, fresh: "IntersectionState") -> None:
        """Take over another revision of the code: all that names lanes or groups begins anew; reports must be made
        again."""
        self.code, self.rules = fresh.code, None
        self.signals, self.groups, self.quality, self.newest_signal = fresh.signals, fresh.groups, fresh.quality, None
        self.traffic, self.priority, self.latest = fresh.traffic, fresh.priority, None
        self.sensing.renew()
        self.advisory_filter.forget()

    def restart(self, fresh: "IntersectionState") -> None:
        """Begin anew on the same code, because time went back: nothing that carries a time is kept."""
        self.renew(fresh)
        self.fusion = fresh.fusion
        self.reports.clear()
        self.first_silence = 0
        self.hazards = Hazards()
        self.t_sensor = self.t_rx = self.last_input = self.planned = 0
        self.plan_scheduled = False
