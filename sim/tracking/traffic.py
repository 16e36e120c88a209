"""Made-up road users that move: on two crossing roads, across an approach, and in a dense crowd."""

import numpy as np

ROAD = 0.3  # share of the square's side that the two crossing roads are wide


class Traffic:
    """`n` road users in a square: each enters at the edge, drives, turns, stops or walks, and leaves; another takes its
    place.
    """

    SPEED = ((6.0, 13.0), (3.0, 5.5), (1.0, 1.7))  # m/s: vehicles, cyclists, pedestrians
    KIND = (1, 5, 6)
    SHARE = (0.6, 0.1, 0.3)

    def __init__(self, count: int, side: float, rng: np.random.Generator) -> None:
        self.n, self.side, self.rng = count, side, rng
        self.field = side  # m: the square that a sensor looks at
        self.xy, self.heading, self.speed = np.empty((count, 2)), np.empty(count), np.empty(count)
        self.wish, self.turn, self.left = np.empty(count), np.zeros(count), np.zeros(count)
        self.ids, self.kind = np.zeros(count, np.int64), np.zeros(count, int)
        self.next, self.classes = 0, dict[int, int]()
        for index in range(count):
            self._enter(index, anywhere=True)

    def _enter(self, index: int, anywhere: bool = False) -> None:
        rng, half_side = self.rng, self.side / 2
        self.ids[index], self.next = self.next, self.next + 1
        self.kind[index] = rng.choice(3, p=self.SHARE)
        self.classes[int(self.ids[index])] = self.KIND[self.kind[index]]
        self.speed[index] = self.wish[index] = rng.uniform(*self.SPEED[self.kind[index]])
        self.turn[index] = self.left[index] = 0.0
        edge = rng.integers(4)
        along = rng.uniform(-half_side, half_side) * ROAD
        self.xy[index] = ((-half_side, along), (half_side, along), (along, -half_side), (along, half_side))[edge]
        self.heading[index] = (0.0, np.pi, np.pi / 2, -np.pi / 2)[edge] + rng.normal(0, 0.3)

        if anywhere:
            self.xy[index], self.heading[index] = (
                rng.uniform(-half_side, half_side, 2) * (1.0, ROAD)[:: rng.choice((-1, 1))],
                rng.uniform(-np.pi, np.pi),
            )

    def step(self, dt: float) -> None:
        """Move all road users by `dt` s; manoeuvres begin at random: a turn of up to 90 degrees, a stop, a new
        speed."""
        rng = self.rng
        self.left -= dt
        self._turn_back(dt)
        self.turn[self.left <= 0] = 0.0
        for index in np.flatnonzero((self.left <= 0) & (rng.random(self.n) < dt / 5.0)):
            self._manoeuvre(int(index), rng)
        accel = np.clip(self.wish - self.speed, -3.0 * dt, 2.0 * dt)
        self.speed += accel
        self.heading += self.turn * dt + rng.normal(0, 0.02, self.n) * np.sqrt(dt)
        self.xy += dt * self.speed[:, None] * np.column_stack([np.cos(self.heading), np.sin(self.heading)])
        for index in np.flatnonzero(np.abs(self.xy).max(1) > self.side / 2):
            self._enter(int(index))

    def _turn_back(self, dt: float) -> None:
        """Most steer inwards near the edge, as hard as their kind does; two in five never do, and leave."""
        radius = np.maximum(np.array([5.0, 2.0, 0.5])[self.kind], self.speed**2 / np.array([3.5, 2.0, 1.5])[self.kind])
        ahead = self.xy + 1.6 * radius[:, None] * np.column_stack([np.cos(self.heading), np.sin(self.heading)])
        leaving = (np.abs(ahead).max(1) > self.side / 2) & (self.ids % 5 < 3)
        inward = np.arctan2(-self.xy[:, 1], -self.xy[:, 0])
        off = np.angle(np.exp(1j * (inward - self.heading)))
        self.turn[leaving] = (np.sign(off) * self.speed / radius)[leaving]
        self.left[leaving] = np.maximum(self.left, 2 * dt)[leaving]

    def _manoeuvre(self, index: int, rng: np.random.Generator) -> None:
        choice, (low, high) = rng.random(), self.SPEED[self.kind[index]]
        if choice < 0.5 and self.speed[index] > 0.5:
            angle = rng.choice((-1.0, 1.0)) * rng.uniform(0.5, np.pi / 2)
            radius = rng.uniform(8.0, 25.0) if self.kind[index] == 0 else rng.uniform(1.5, 6.0)
            self.left[index] = abs(angle) * radius / self.speed[index]
            self.turn[index] = angle / self.left[index]
        elif choice < 0.65:
            self.wish[index], self.left[index] = 0.0, rng.uniform(1.0, 4.0)
        else:
            self.wish[index], self.left[index] = rng.uniform(low, high), 1.0

        if self.wish[index] == 0.0 and choice >= 0.65:
            self.wish[index] = low


class PassingTraffic(Traffic):
    """Road users that enter anywhere along the edge, at once and at full speed, and vanish as abruptly wherever they
    get to it.
    """

    SHARE = (0.8, 0.1, 0.1)

    def _enter(self, index: int, anywhere: bool = False) -> None:
        super()._enter(index, anywhere)
        if anywhere:
            self.xy[index] = self.rng.uniform(-0.5, 0.5, 2) * self.side
            return

        edge = int(self.rng.integers(4))
        along = self.rng.uniform(-0.5, 0.5) * self.side
        inwards = (0.0, np.pi, np.pi / 2, -np.pi / 2)[edge]
        half = self.side / 2
        self.xy[index] = ((-half, along), (half, along), (along, -half), (along, half))[edge]
        self.heading[index] = inwards + self.rng.uniform(-1.0, 1.0)

    def _turn_back(self, dt: float) -> None:
        """Nobody turns back."""


class Crowd(Traffic):
    """Pedestrians in files 1 m apart, half of them each way, that sway, keep their distance and now and then change
    file.
    """

    SHARE = (0.0, 0.0, 1.0)
    FILE = 1.0  # m

    def __init__(self, count: int, side: float, rng: np.random.Generator) -> None:
        self.files = max(count // 18, 2)
        self.file, self.phase = np.zeros(count, int), rng.uniform(0, 2 * np.pi, count)
        super().__init__(count, side, rng)
        self.field = 2 * side

    def _enter(self, index: int, anywhere: bool = False) -> None:
        super()._enter(index)
        self.file[index] = index % self.files if anywhere else self.file[index]
        along = self.rng.uniform(-0.5, 0.5) * self.side if anywhere else -0.5 * self.side
        self.xy[index] = along * self._way(self.file[index]), self._middle(self.file[index])

    def _way(self, file: np.ndarray | int) -> np.ndarray:
        return np.where(np.asarray(file) < self.files // 2, 1.0, -1.0)

    def _middle(self, file: np.ndarray | int) -> np.ndarray:
        return (np.asarray(file) - (self.files - 1) / 2) * self.FILE

    def _change_file(self, index: int) -> None:
        to = int(np.clip(self.file[index] + self.rng.choice((-1, 1)), 0, self.files - 1))
        near = (self.file == to) & (np.abs(self.xy[:, 0] - self.xy[index, 0]) < 1.2)
        if self._way(to) == self._way(self.file[index]) and not near.any():
            self.file[index] = to

    def step(self, dt: float) -> None:
        """Walk on; no pedestrian comes nearer than 0.8 m to the one before, in the same file."""
        rng, direction = self.rng, self._way(self.file)
        self.phase += dt * 2 * np.pi * 0.4
        along = self.xy[:, 0] * direction
        ahead = np.where(self.file[:, None] == self.file[None], along[None] - along[:, None], np.inf)
        gap = np.where(ahead > 0, ahead, np.inf).min(1)
        goal = np.where(gap < 0.8, 0.0, np.minimum(self.wish, self.wish * (gap - 0.6)))
        self.speed += np.clip(goal - self.speed, -2.0 * dt, 1.0 * dt)
        for index in np.flatnonzero(rng.random(self.n) < dt / 20.0):
            self._change_file(int(index))
        across = self._middle(self.file) + 0.1 * np.sin(self.phase) - self.xy[:, 1]
        self.xy[:, 0] += dt * self.speed * direction
        self.xy[:, 1] += np.clip(across, -0.7 * dt, 0.7 * dt)
        for index in np.flatnonzero(self.xy[:, 0] * direction > self.side / 2):
            self._enter(int(index))
