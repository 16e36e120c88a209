"""One intersection as the engine holds it: its code, tracker, signals, vehicles, and memory of what it said."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from . import planner, world
from .codes import CompiledCode
from .codes.compiled.rules import RuleTable
from .codes.days import NO_DAYS, DayCalendar
from .fusion import Fusion
from .hazards import Hazards
from .schema import Signal
from .sensor_health import Sensing
from .signals.quality import STATE, TIMES, SignalQuality
from .signals.states import Doubt, Signals, named_at, signals_again, signals_from
from .traffic import TrafficState

NEVER = 2**62  # ns
DOUBTS = {TIMES: Doubt.TIMES, STATE: Doubt.STATE}


@dataclass(eq=False)
class IntersectionState:
    """The whole state of one intersection."""

    code: CompiledCode
    fusion: Fusion
    advisory_filter: planner.AdvisoryFilter
    signals: Signals
    gateways: tuple[str, ...]
    groups: dict[int, int]
    quality: SignalQuality
    said: tuple[object, int] = (None, 0)  # the groups of the newest signal message, and the offset that was taken off
    named: NDArray[np.bool_] | None = None  # by index, the groups of that message
    reports: dict[int, world.Report] = field(default_factory=dict)
    hazards: Hazards = field(default_factory=Hazards)
    sensing: Sensing = field(default_factory=Sensing)
    t_sensor: int = 0
    t_rx: int = 0
    last_input: int = 0
    planned: int = 0
    plan_scheduled: bool = False  # in the heap of plans to come
    in_force: bool = True  # whether a revision of the code is; else nothing is said
    until: int = NEVER  # when that changes: nothing said before is valid beyond
    latest: world.World | None = None
    withheld: list[planner.Withheld] | None = None  # what the newest plans proposed and did not send; None: nobody asks
    traffic: TrafficState = field(default_factory=TrafficState)
    priority: planner.PriorityRequestServer = field(default_factory=planner.PriorityRequestServer)
    rules: RuleTable | None = None  # made when first asked for
    days: DayCalendar = NO_DAYS  # that they were made with

    def rule_table(self, days: DayCalendar) -> RuleTable:
        """Return the compiled rules of the code in force, with the days of a calendar."""
        if self.rules is None or self.days is not days:
            self.rules, self.days = RuleTable(self.code.code, days), days
        return self.rules

    def take(self, t: int, body: Signal, offset: int) -> bool:
        """Take in a signal message of event time `t` ns; return whether a group shows another state."""
        before = self.signals
        if self.said[0] is body.groups and self.said[1] == offset and self.named is not None:
            self.signals = signals_again(before, t, body.seq, body.revision, self.named, body.lanes)
            return False
        self.signals = signals_from(before, t, body.seq, body.revision, self.groups, body.groups, offset, body.lanes)
        self.said, self.named = (body.groups, offset), named_at(self.signals, t)
        return bool((self.signals.state != before.state).any())

    def doubts(self, t: int) -> dict[int, Doubt]:
        """Return what signal faults put in doubt at `t` ns, by index of the group."""
        return {
            self.groups[group]: DOUBTS[doubt]
            for group, doubt in self.quality.doubted(t).items()
            if group in self.groups
        }

    def renew(self, fresh: "IntersectionState") -> None:
        """Take over another revision of the code: everything that names lanes or groups begins anew; reports must be made again."""
        self.code, self.signals, self.groups, self.quality = fresh.code, fresh.signals, fresh.groups, fresh.quality
        self.said, self.named, self.rules = (None, 0), None, None
        self.latest, self.traffic, self.priority = None, fresh.traffic, fresh.priority
        self.sensing.renew()
        self.advisory_filter.forget()

    def restart(self, fresh: "IntersectionState") -> None:
        """Begin anew on the same code, because time went back: keep nothing that carries a time."""
        self.renew(fresh)
        self.fusion = fresh.fusion
        self.reports.clear()
        self.hazards = Hazards()
        self.t_sensor = self.t_rx = self.last_input = self.planned = 0
        self.plan_scheduled = False
