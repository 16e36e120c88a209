"""One face for every tracker: `step(t_ns, xy)` takes the positions of a scan, `where(t_ns)` gives the tracks and their
places.

Each peer has the settings that did best for it on seed 0 of the single-sensor scene; what it cannot be given (scan
times, noise by
source) it does not get. A peer that is not installed raises ModuleNotFoundError when made.
"""

import ctypes
import importlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from cloudctl.sim.tracking.scenes import positions

from cloudctl.clock import SECOND
from cloudctl.fusion import Fusion, FusionConfig

Where = tuple[np.ndarray, np.ndarray]  # ids int64[n], xy float64[n, 2]


class Peer(Protocol):
    """A tracker under test."""

    def step(self, t: int, xy: np.ndarray) -> None:
        """Take in the positions of a scan, float64[n, 2] in m, of `t` ns."""
        ...

    def where(self, t: int) -> Where:
        """Return the tracks that it would report at `t` ns: ids int64[n], positions float64[n, 2]."""
        ...


class Ours:
    """This project's tracker with its defaults."""

    def __init__(self) -> None:
        self.fusion = Fusion(FusionConfig(max_tracks=16384))

    def step(self, t: int, xy: np.ndarray) -> None:
        self.fusion.update(t, 0, positions(xy))

    def where(self, t: int) -> Where:
        tracks = self.fusion.tracks(t)
        return tracks["id"].astype(np.int64), np.column_stack([tracks["x"], tracks["y"]])


def build_minimal() -> ctypes.CDLL:
    """Compile minimal.c with the C compiler into a temporary folder; RuntimeError without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise RuntimeError("no C compiler (cc, gcc or clang): the minimal tracker is built when it is measured")

    source = Path(__file__).with_name("minimal.c")
    folder = Path(tempfile.mkdtemp(prefix="minimal-")) / "minimal.so"
    flags = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, str(source), "-o", str(folder), "-lm"], check=True)
    library = ctypes.CDLL(str(folder))
    library.minimal_size.restype = ctypes.c_size_t
    pointer, i64, i32, f64 = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.c_double
    library.minimal_update.argtypes = [pointer, i64, pointer, i32, f64, f64, f64, i32]
    library.minimal_tracks.argtypes = [pointer, i64, pointer, pointer]

    return library


class Minimal:
    """The floor: grid, gated nearest neighbour, four-state Kalman filter, in C; late scans are dropped."""

    library: ctypes.CDLL | None = None

    def __init__(self, sigma: float = 0.3, patience: int = 8) -> None:
        Minimal.library = Minimal.library or build_minimal()
        self.memory = ctypes.create_string_buffer(Minimal.library.minimal_size())
        self.address, self.sigma, self.patience, self.newest = ctypes.addressof(self.memory), sigma, patience, 0
        self.update, self.read = Minimal.library.minimal_update, Minimal.library.minimal_tracks
        self.ids, self.xy = np.empty(16384, np.int32), np.empty((16384, 2))
        self.at_ids, self.at_xy = self.ids.ctypes.data, self.xy.ctypes.data

    def step(self, t: int, xy: np.ndarray) -> None:
        if t < self.newest:
            return
        self.newest = t
        self.update(self.address, t, xy.ctypes.data, len(xy), self.sigma, 3.0, 14.0, self.patience)

    def where(self, t: int) -> Where:
        count = self.read(self.address, t, self.at_ids, self.at_xy)
        return self.ids[:count].astype(np.int64), self.xy[:count].copy()


class Boxes:
    """A tracker of boxes: each position becomes a square of `side` units, `scale` units a metre."""

    def __init__(self, make: Callable[[], Any], scale: float, side: float) -> None:
        self.tracker, self.scale, self.half = make(), scale, side / 2
        self.out = np.empty((0, 5))

    def step(self, t: int, xy: np.ndarray) -> None:
        boxes = np.empty((len(xy), 5))
        boxes[:, :2] = xy * self.scale - self.half + 1e5
        boxes[:, 2:4] = boxes[:, :2] + 2 * self.half
        boxes[:, 4] = 1.0
        self.out = np.asarray(self.tracker.update(boxes))

    def where(self, t: int) -> Where:
        columns = self.out.reshape(-1, self.out.shape[-1]) if self.out.size else np.empty((0, 5))
        return columns[:, 4].astype(np.int64), ((columns[:, :2] + columns[:, 2:4]) / 2 - 1e5) / self.scale


def pyxtrackers() -> Peer:
    sort = importlib.import_module("pyxtrackers").Sort
    return Boxes(lambda: sort(max_age=8, min_hits=1, iou_threshold=0.1), scale=10.0, side=40.0)


def ioutrack() -> Peer:
    sort = importlib.import_module("ioutrack").Sort
    return Boxes(lambda: sort(max_age=8, min_hits=1, iou_threshold=0.1), scale=10.0, side=40.0)


class FilterpySort:
    """SORT's recipe on positions: filterpy's Kalman filter, scipy's Hungarian assignment, patience in frames."""

    def __init__(
        self, sigma: float = 0.3, q: float = 3.0, gate: float = 2.2, patience: int = 5, dt: float = 0.1
    ) -> None:
        self.filter = importlib.import_module("filterpy.kalman").KalmanFilter
        self.solve = importlib.import_module("scipy.optimize").linear_sum_assignment
        self.sigma, self.q, self.gate, self.patience, self.dt = sigma, q, gate, patience, dt
        self.tracks: list[Any] = []
        self.next = 1

    def _born(self, xy: np.ndarray) -> Any:
        track, dt = self.filter(4, 2), self.dt
        track.F = np.eye(4)
        track.F[0, 2] = track.F[1, 3] = dt
        track.H = np.eye(2, 4)
        track.R *= self.sigma**2
        axis_noise = np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]]) * self.q
        track.Q = np.kron(axis_noise, np.eye(2))
        track.P = np.diag([self.sigma**2] * 2 + [60.0] * 2)
        track.x[:2, 0] = xy
        track.id, track.hits, track.missed = self.next, 1, 0
        self.next += 1

        return track

    def step(self, t: int, xy: np.ndarray) -> None:
        for track in self.tracks:
            track.predict()
            track.missed += 1

        predicted = np.array([track.x[:2, 0] for track in self.tracks]).reshape(-1, 2)
        far = (
            np.hypot(*(predicted[:, None] - xy[None]).transpose(2, 0, 1)) if len(predicted) else np.empty((0, len(xy)))
        )
        unmatched = set(range(len(xy)))

        for row, column in zip(*self.solve(np.minimum(far, self.gate)), strict=True):
            if far[row, column] < self.gate:
                self.tracks[row].update(xy[column])
                self.tracks[row].hits += 1
                self.tracks[row].missed = 0
                unmatched.discard(int(column))

        self.tracks = [track_ for track_ in self.tracks if track_.missed <= (self.patience if track_.hits >= 3 else 1)]
        self.tracks += [self._born(xy[index]) for index in sorted(unmatched)]

    def where(self, t: int) -> Where:
        confirmed = [track for track in self.tracks if track.hits >= 3]
        return np.array([track.id for track in confirmed], np.int64), np.array(
            [track.x[:2, 0] for track in confirmed]
        ).reshape(-1, 2)


class Norfair:
    """norfair with Euclidean distance."""

    def __init__(self) -> None:
        self.module = importlib.import_module("norfair")
        self.tracker = self.module.Tracker(
            "euclidean", 2.2, hit_counter_max=6, initialization_delay=2,
            filter_factory=self.module.OptimizedKalmanFilterFactory(R=0.09, Q=0.03),
        )  # fmt: skip
        self.now: list[Any] = []

    def step(self, t: int, xy: np.ndarray) -> None:
        self.now = self.tracker.update([self.module.Detection(point.reshape(1, 2)) for point in xy])

    def where(self, t: int) -> Where:
        return np.array([track.id for track in self.now], np.int64), np.array(
            [track.estimate[0] for track in self.now]
        ).reshape(-1, 2)


class Motpy:
    """motpy: boxes of 4 m, its constant-velocity model."""

    def __init__(self) -> None:
        module = importlib.import_module("motpy")
        self.detection = module.Detection
        model = {"order_pos": 1, "dim_pos": 2, "order_size": 0, "dim_size": 2, "q_var_pos": 60.0, "r_var_pos": 0.09}
        self.tracker = module.MultiObjectTracker(
            dt=0.1, model_spec=model, matching_fn_kwargs={"min_iou": 0.1}, tracker_kwargs={"max_staleness": 6}
        )
        self.names: dict[str, int] = {}

    def step(self, t: int, xy: np.ndarray) -> None:
        self.tracker.step([self.detection(box=np.array([x - 2, y - 2, x + 2, y + 2])) for x, y in xy])

    def where(self, t: int) -> Where:
        now = self.tracker.active_tracks(max_staleness_to_positive_ratio=3.0, max_staleness=6, min_steps_alive=3)
        ids = [self.names.setdefault(track.id, len(self.names)) for track in now]
        return np.array(ids, np.int64), np.array([(track.box[:2] + track.box[2:]) / 2 for track in now]).reshape(-1, 2)


class StoneSoup:
    """Stone Soup: global nearest neighbour, constant velocity, Mahalanobis gate, as its tutorials put it together."""

    def __init__(self, sigma: float = 0.3, q: float = 3.0) -> None:
        load = importlib.import_module
        linear = load("stonesoup.models.transition.linear")
        model = linear.CombinedLinearGaussianTransitionModel([linear.ConstantVelocity(q)] * 2)
        seen = load("stonesoup.models.measurement.linear").LinearGaussian(4, (0, 2), np.eye(2) * sigma**2)
        predictor = load("stonesoup.predictor.kalman").KalmanPredictor(model)
        self.updater = load("stonesoup.updater.kalman").KalmanUpdater(seen)
        measure = load("stonesoup.measures").Mahalanobis()
        near = load("stonesoup.hypothesiser.distance").DistanceHypothesiser(predictor, self.updater, measure, 3.7)
        self.associate = load("stonesoup.dataassociator.neighbour").GNNWith2DAssignment(near).associate
        self.detection, self.track = load("stonesoup.types.detection").Detection, load("stonesoup.types.track").Track
        self.state = load("stonesoup.types.state").GaussianState
        self.model, self.sigma, self.start, self.next = seen, sigma, datetime(2026, 1, 1), 1
        self.tracks: list[Any] = []

    def step(self, t: int, xy: np.ndarray) -> None:
        now = self.start + timedelta(microseconds=(t % (10_000 * SECOND)) // 1000)
        detections = [self.detection(point.reshape(2, 1), timestamp=now, measurement_model=self.model) for point in xy]
        used = set()

        for track, hypothesis in self.associate(set(self.tracks), set(detections), now).items():
            track.misses += 1
            if hypothesis:
                track.append(self.updater.update(hypothesis))
                track.misses, track.hits = 0, track.hits + 1
                used.add(hypothesis.measurement)
            else:
                track.append(hypothesis.prediction)

        self.tracks = [track_ for track_ in self.tracks if track_.misses <= (5 if track_.hits >= 3 else 1)]
        for detection in detections:
            if detection not in used:
                self._born(detection, now)

    def _born(self, detection: Any, now: datetime) -> None:
        mean = np.array([detection.state_vector[0, 0], 0, detection.state_vector[1, 0], 0]).reshape(4, 1)
        spread = np.diag([self.sigma**2, 60.0, self.sigma**2, 60.0])
        track = self.track([self.state(mean, spread, timestamp=now)])
        track.name, track.hits, track.misses = self.next, 1, 0
        self.next += 1
        self.tracks.append(track)

    def where(self, t: int) -> Where:
        confirmed = [track for track in self.tracks if track.hits >= 3]
        at = [(float(track.state_vector[0]), float(track.state_vector[2])) for track in confirmed]
        return np.array([track.name for track in confirmed], np.int64), np.array(at).reshape(-1, 2)


PEERS: dict[str, Callable[[], Peer]] = {
    "cloudctl": Ours,
    "minimal C": Minimal,
    "pyxtrackers SORT": pyxtrackers,
    "ioutrack SORT": ioutrack,
    "filterpy SORT": FilterpySort,
    "norfair": Norfair,
    "motpy": Motpy,
    "stonesoup GNN": StoneSoup,
}
SLOW = ("stonesoup GNN",)
