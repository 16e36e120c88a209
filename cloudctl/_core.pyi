from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
DETECTION_SIZE: int
TRACK_SIZE: int
TRACK_STATE_BYTES: int
SEEN_LATELY: int
KINDS: dict[str, int]
FEATURES: dict[str, int]
LIMITS: dict[str, int]
BOUNDS: dict[str, int]
STATE_SIZES: tuple[int, int]
DETECTION_LAYOUT: list[tuple[str, str, int, int]]  # name, kind (f, i, u), bytes, offset
TRACK_LAYOUT: list[tuple[str, str, int, int]]

class Tracker:
    capacity: int
    def __init__(self, capacity: int) -> None: ...
    def configure(
        self,
        gate: float,
        miss_cost: float,
        confirm: float,
        show: float,
        drop: float,
        survive: float,
        coast: int,
        window: int,
        jump: int,
        features: int,
    ) -> None: ...
    def motion(self) -> NDArray[np.float64]: ...
    def set_motion(self, figures: NDArray[np.float64]) -> None: ...
    def source(
        self,
        index: int,
        placed: bool,
        x: float,
        y: float,
        heading: float,
        fov: float,
        reach: float,
        sigma: float,
        sigma_v: float,
        p_detect: float,
        clutter: float,
        kind: int,
        bias_x: float,
        bias_y: float,
        lag: float,
    ) -> None: ...
    def blind(self, index: int, blind: bool) -> None: ...
    def update(self, t: int, source: int, rows: NDArray[Any]) -> tuple[int, str] | None: ...
    def tracks(self, t: int, dtype: np.dtype[Any]) -> NDArray[Any]: ...
    def stats(self) -> dict[str, Any]: ...
    def save(self) -> bytes: ...
    @staticmethod
    def load(state: bytes) -> Tracker: ...

def tracks_batch(
    trackers: list[Tracker], t: NDArray[np.int64], dtype: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[np.int64]]: ...
def update_batch(
    trackers: list[Tracker],
    t: NDArray[np.int64],
    sources: NDArray[np.int32],
    rows: NDArray[Any],
    offsets: NDArray[np.int64],
) -> tuple[int, int, str] | None: ...
def decode_batch(
    payloads: list[bytes], shifts: NDArray[np.float64] | None = None
) -> tuple[Bytes, NDArray[np.int64], list[tuple[int, int, list[tuple[int, str, str, str, str]]] | None]]: ...
def frame_identity(body: bytes) -> bytes | None: ...
def next_frames(
    messages: Sequence[Any],
    begin: int,
    routes: dict[Any, Any],
    make: Callable[..., Any],
    accepted: list[Any],
    t_rx: int,
    max_age: int,
    max_future: int,
    max_size: int,
) -> int: ...
