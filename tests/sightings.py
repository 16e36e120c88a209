"""Road users as a sensor sees them, for tests of the tracker: rows of detections, and two who drive side by side."""

import numpy as np
from cloudctl.sim.tracking.scenes import positions

from cloudctl.clock import MS, SECOND
from cloudctl.fusion import Fusion, Rows, detections

T = 1_767_225_600 * SECOND
STEP = 100 * MS


def seen(*places: tuple[float, float], **fields: object) -> Rows:
    """Return detections at places (m), with other columns as given."""
    rows = positions(np.array(places, float).reshape(-1, 2))
    for name, value in fields.items():
        rows[name] = value
    return rows


def drive_two(fusion: Fusion, steps: range) -> None:
    """Two road users along x, seen each 100 ms."""
    for k in steps:
        fusion.update(T + k * STEP, 0, detections([[0.8 * k, 0.0], [0.5 * k, 12.0]]))
