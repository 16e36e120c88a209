"""Trials in the form of Mcity's perception evaluation: a vehicle with RTK drives through what roadside units report
late and with noise.
"""

import json
from pathlib import Path

import numpy as np
from cloudctl.sim.tracking import mcity

from cloudctl.geo import Origin

BEGIN = 1_700_000_000.0  # s
FIX_RATE, SCAN_RATE = 50.0, 10.0  # Hz
SPEED = 9.0  # m/s
TURN_RADIUS = 28.0  # m
NOISE = 0.25  # m, 1 sigma of a detection by axis


def position(t: np.ndarray) -> np.ndarray:
    """Return float64[n, 2], m, on a circle about the middle of the intersection: turning all the time, it shows a delay
    in each direction.
    """
    angle = SPEED * t / TURN_RADIUS
    return TURN_RADIUS * np.column_stack([np.cos(angle), np.sin(angle)])


def make_trials(folder: Path, *, latency: float, seconds: float = 60.0, seed: int = 1) -> None:
    """Write trials 2 (of the probe) and 3 into `folder`; a scan's stamp is `latency` s after the moment at which the
    units saw the vehicle.
    """
    rng = np.random.default_rng(seed)
    origin = Origin(*mcity.CENTRE)
    for part in ("dets", "gts"):
        (folder / part).mkdir(parents=True)
    for name in ("2", "3"):
        fixes = np.arange(0.0, seconds, 1 / FIX_RATE)
        truth = [
            {"timestamp": BEGIN + t, "objs": [{"id": 0, "classType": "2", **placed(origin, xy)}]}
            for t, xy in zip(fixes, position(fixes), strict=True)
        ]
        seen = np.arange(1.0, seconds, 1 / SCAN_RATE)
        noisy = position(seen) + rng.normal(0.0, NOISE, (len(seen), 2))
        size = {"id": "7", "width": "1.8", "length": "4.5", "rotation": "0", "classType": "2", "speed": str(SPEED)}
        scans = [
            {"timestamp": BEGIN + t + latency, "objs": [{**size, **placed(origin, xy)}]}
            for t, xy in zip(seen, noisy, strict=True)
        ]
        (folder / "dets" / f"detection_{name}.json").write_text(json.dumps(scans))
        (folder / "gts" / f"gps_data_{name}.json").write_text(json.dumps(truth))


def placed(origin: Origin, xy: np.ndarray) -> dict[str, float]:
    """Return a place in degrees."""
    lat, lon = origin.to_geodetic(*xy)
    return {"lat": float(lat), "lon": float(lon)}
