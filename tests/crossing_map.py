"""A four-leg crossing that tests draw and edit: what an importer would give of each version of it."""

from dataclasses import dataclass, field
from random import Random

import numpy as np

from cloudctl.codes.formats.importing.build import RawCode, RawLane, RawMove, build
from cloudctl.codes.model import Alias, IntersectionCode

SIDES = {"E": (1.0, 0.0), "N": (0.0, 1.0), "W": (-1.0, 0.0), "S": (0.0, -1.0)}
OPPOSITE = {"E": "W", "W": "E", "N": "S", "S": "N"}
LEFT_OF = {"E": "S", "S": "W", "W": "N", "N": "E"}  # where who comes from there goes when turning left
WIDTH, MOUTH, LENGTH = 3.5, 15.0, 120.0
REF = (397955000, 1165080000)


@dataclass
class Lane:
    """One lane as a draughtsman has it: metres beside the middle of its road."""

    name: str
    side: str
    way: str  # in, out
    slot: int
    offset: float = 0.0  # m it was moved outwards
    speed: float = 13.9
    length: float = LENGTH
    cut: float = 0.0  # m from the crossing at which the road is split in two; 0: nowhere


@dataclass
class Crossing:
    """A version of the map; `seed` shuffles the order in which it is written, `shift` moves it as a whole (m)."""

    lanes: list[Lane] = field(default_factory=list)
    name: str = "crossing"
    seed: int = 0
    shift: float = 0.0
    tag: str = ""  # in front of every name: another export's ids

    @classmethod
    def plain(cls, lanes: int = 3) -> "Crossing":
        return cls(
            [Lane(f"{side}{way}{k}", side, way, k) for side in SIDES for way in ("in", "out") for k in range(lanes)]
        )

    def lane(self, name: str) -> Lane:
        return next(lane for lane in self.lanes if lane.name == name)

    def code(self) -> IntersectionCode:
        """Return what an importer gives."""
        raw = RawCode(self.tag + self.name, REF, alias=(Alias("sumo_tl", self.tag + self.name),))
        shuffle = Random(self.seed)
        lanes = list(self.lanes)
        if self.seed:
            shuffle.shuffle(lanes)
        for lane in lanes:
            road = f"{self.tag}{lane.side}{lane.way}"
            role = "ingress" if lane.way == "in" else "egress"
            raw.lanes.append(
                RawLane(
                    self.tag + lane.name,
                    self.line(lane),
                    role,
                    road,
                    speed=lane.speed,
                    width_cm=330,
                    stop_s=np.inf if role == "ingress" else None,
                    alias=(Alias("sumo", self.tag + lane.name),),
                )
            )
        moves = [(a, b, group) for a in self.lanes for b in self.lanes for group in self._joined(a, b)]
        if self.seed:
            shuffle.shuffle(moves)
        for a, b, group in moves:
            raw.moves.append(
                RawMove(
                    self.tag + a.name,
                    self.tag + b.name,
                    group,
                    alias=(Alias("sumo", f"{self.tag}{a.name}>{self.tag}{b.name}"),),
                )
            )
        return build(raw, "110115")

    def line(self, lane: Lane) -> np.ndarray:
        x, y = SIDES[lane.side]
        beside = (lane.slot + 0.5) * WIDTH + lane.offset
        # who drives in keeps to the right: seen from the crossing that is to the left of the road's direction outwards
        across = np.array([-y, x]) if lane.way == "in" else np.array([y, -x])
        far, near = np.array([x, y]) * lane.length, np.array([x, y]) * MOUTH
        line = np.array([far, (far + near) / 2, near]) + across * beside + [self.shift, 0.0]
        return line if lane.way == "in" else line[::-1].copy()

    def _joined(self, a: Lane, b: Lane) -> list[int]:
        if (a.way, b.way) != ("in", "out"):
            return []
        group = list(SIDES).index(a.side) + 1
        if b.side == OPPOSITE[a.side] and a.slot == b.slot:
            return [group]
        return [group + 4] if b.side == LEFT_OF[a.side] and a.slot == b.slot == 0 else []
