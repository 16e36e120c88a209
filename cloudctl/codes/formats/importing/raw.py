"""What an importer reads of one intersection, before ids, links, paths and conflicts are made of it."""

from dataclasses import dataclass, field

from ...findings import Loss
from ...model import (
    Alias,
    Point,
)
from ...polylines import F8
from ...rule import Rule
from ...terms import DEFAULT_SPEED


@dataclass
class RawLane:
    """A lane in metres about the reference point, in driving direction; lanes of one approach and role are one link."""

    key: str
    xy: F8
    role: str
    approach: str
    use: str = "vehicle"
    width_cm: int = 330
    speed: float = DEFAULT_SPEED
    revocable: bool = False
    stop_s: float | None = None  # m; inf: at its end; None: not known
    shared: tuple[str, ...] = ()
    # (from m, to m, m/s) where the limit changes along it; (): `speed` all along
    limits: tuple[tuple[float, float, float], ...] = ()
    alias: tuple[Alias, ...] = ()


@dataclass
class RawMove:
    """A movement; without a path one is drawn, without a turn one is read from the path."""

    start: str
    end: str
    group: int = 0
    turn: str = ""
    xy: F8 | None = None
    waits: bool = False
    alias: tuple[Alias, ...] = ()
    speed: float | None = None  # m/s; None: that of the lane it leaves


@dataclass
class RawCode:
    """What an importer found."""

    name: str
    ref: Point
    lanes: list[RawLane] = field(default_factory=list)
    moves: list[RawMove] = field(default_factory=list)
    # Axis, width cm, group, alias
    walks: list[tuple[F8, int, int, tuple[Alias, ...]]] = field(default_factory=list)
    # (movement, movement) -> the first yields; None: guessed from the turns
    yields: dict[tuple[int, int], bool] | None = None
    # Pairs whose right of way the source gives; that of the others is guessed
    stated: dict[tuple[int, int], bool] = field(default_factory=dict)
    left_hand: bool = False
    control: str = ""  # of a place without signals
    # Of lanes, by their keys; numbered, and put together, when the code is made
    rules: list[Rule] = field(default_factory=list)
    revision: int = 1
    alias: tuple[Alias, ...] = ()
    losses: set[Loss] = field(default_factory=set)
