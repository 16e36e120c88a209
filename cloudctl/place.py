"""One intersection as the engine holds it: its code, tracker, signals, vehicles, and memory of what it said."""

from dataclasses import dataclass, field

from . import planner, world
from .codes import CompiledCode
from .codes.quality import SignalQuality
from .fusion import Fusion
from .schema import Hazard
from .traffic import TrafficState

NEVER = 2**62  # ns


@dataclass
class Place:
    """The whole state of one intersection."""

    code: CompiledCode
    fusion: Fusion
    discipline: planner.Discipline
    signals: world.Signals
    gateways: tuple[str, ...]
    groups: dict[int, int]
    quality: SignalQuality
    said: tuple[object, int] = (None, 0)  # the groups of the newest signal message, and the offset that was taken off
    reports: dict[int, world.Report] = field(default_factory=dict)
    hazards: dict[str, Hazard] = field(default_factory=dict)
    t_sensor: int = 0
    t_rx: int = 0
    heard: int = 0
    planned: int = 0
    fresh: bool = False
    waiting: bool = False  # in the heap of plans to come
    in_force: bool = True  # whether a revision of the code is; else nothing is said
    until: int = NEVER  # when that changes: nothing said before is valid beyond
    latest: world.World | None = None
    traffic: TrafficState = field(default_factory=TrafficState)
    priority: planner.Desk = field(default_factory=planner.Desk)

    def renew(self, fresh: "Place") -> None:
        """Take over another revision of the code: everything that names lanes or groups begins anew; reports must be made again."""
        self.code, self.signals, self.groups, self.quality, self.said = fresh.code, fresh.signals, fresh.groups, fresh.quality, (None, 0)
        self.latest, self.traffic, self.priority = None, fresh.traffic, fresh.priority
        self.discipline.forget()

    def restart(self, fresh: "Place") -> None:
        """Begin anew on the same code, because time went back: keep nothing that carries a time."""
        self.renew(fresh)
        self.fusion = fresh.fusion
        self.reports.clear()
        self.hazards.clear()
        self.t_sensor = self.t_rx = self.heard = self.planned = 0
        self.fresh = self.waiting = False
