"""One track, whole: covariance, predicted path, what was advised to it and what was not, and how long each hop of its
messages took.
"""

from collections import OrderedDict, deque
from statistics import median
from typing import Any

import msgspec
import numpy as np

from ..clock import MS
from ..forecast.prediction import STEP, predict
from ..fusion import VEHICLE_SOURCE
from ..intersection import IntersectionState
from ..schema import Ack, Advisory, ObjectClass, RawMessage, VehicleState
from ..world import World
from .reasons import why_no_advice
from .status import Withholding

MAX_SAMPLES = 50  # of each hop
MAX_UNACKED = 50  # advisories whose acknowledgement is waited for
DIGITS = 3


class Hops:
    """How long the messages of one vehicle take, in ms, by the clocks of both ends."""

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}
        self._sent: OrderedDict[str, int] = OrderedDict()  # advisory -> ns
        self._state = msgspec.json.Decoder(VehicleState).decode
        self._ack = msgspec.json.Decoder(Ack).decode

    def received(self, time_ns: int, message: RawMessage) -> None:
        """Take in a message of the vehicle that was received at `time_ns`; one that cannot be read is refused
        elsewhere.
        """
        try:
            if message.kind == "state":
                self._note("vehicle_to_node", time_ns - self._state(message.body).t)
            elif message.kind == "acks":
                ack = self._ack(message.body)
                sent = self._sent.pop(ack.advisory, None)
                if sent is not None:
                    self._note("advisory_to_vehicle", ack.t - sent)
                    self._note("vehicle_to_ack", time_ns - ack.t)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return

    def advised(self, time_ns: int, advisory: Advisory) -> None:
        """Take in an advisory for the vehicle, given at `time_ns`."""
        self._sent[advisory.id] = time_ns
        if len(self._sent) > MAX_UNACKED:
            self._sent.popitem(last=False)

        if advisory.inputs.t_sensor:
            self._note("sensor_to_node", advisory.inputs.t_rx - advisory.inputs.t_sensor)
            self._note("node_to_advisory", time_ns - advisory.inputs.t_rx)

    def _note(self, hop: str, ns: int) -> None:
        self._times.setdefault(hop, deque(maxlen=MAX_SAMPLES)).append(ns / MS)

    def summary(self) -> dict[str, dict[str, float]]:
        """Return, by hop: how many were measured, the median and the longest of the newest MAX_SAMPLES."""
        return {
            hop: {"count": len(times), "median": round(median(times), 1), "max": round(max(times), 1)}
            for hop, times in self._times.items()
        }


def detail_of(
    time_ns: int,
    index: int,
    intersection: IntersectionState,
    world: World,
    track_id: int,
    withholding: Withholding,
    hops: dict[str, Hops],
) -> dict[str, Any]:
    """Return what is known of one track as plain values; without it in this world, only that it is gone."""
    rows = np.flatnonzero(world.tracks["id"] == track_id)
    if not len(rows):
        return {"index": index, "track": track_id, "t": time_ns / MS, "gone": True}

    row = int(rows[0])
    track, report = world.tracks[row], int(world.report[row])
    vehicle = world.vehicles[report] if report >= 0 else None
    # Computed once more for the page: only what is selected is shown, and rarely
    prediction = predict(world)
    code = world.code
    path, connection = int(world.path[row]), int(world.connection[row])

    detail: dict[str, Any] = {
        "index": index,
        "track": track_id,
        "t": time_ns / MS,
        "gone": False,
        "class": ObjectClass(int(track["class"])).name.lower(),
        "class_p": _rounded(track["class_p"]),
        "existence": _rounded(track["existence"]),
        "x": _rounded(track["x"]),
        "y": _rounded(track["y"]),
        "speed": _rounded(float(np.hypot(track["vx"], track["vy"]))),
        "accel": _rounded(world.accel[row]),
        "size": [_rounded(track[name]) for name in ("length", "width", "height")],
        "covariance": [_rounded(track[name]) for name in ("var_x", "var_y", "cov_xy")],
        "lane": _path_name(code.lane_ids, code.conn_ids, path),
        "movement": code.conn_ids[connection] if connection >= 0 else None,
        "to_stop": _known(world.to_stop[row]),
        "sensors": [name for name, number in _sources(intersection) if int(track["sources"]) >> number & 1],
        "last_seen": (time_ns - int(track["last"])) / MS,
        "step_s": STEP,
        "prediction": np.round(prediction.xy[row], 2).ravel().tolist(),
        "prediction_sigma": np.round(np.sqrt(prediction.var[row]), 2).ravel().tolist(),
        "movements": [
            {"movement": code.conn_ids[k], "chance": round(float(chance), 2)}
            for k, chance in zip(prediction.movement[row].tolist(), prediction.chance[row].tolist(), strict=True)
            if k >= 0
        ],
        "vehicle": vehicle.id if vehicle else None,
        "why_not": why_no_advice(world, row),
    }
    if vehicle is not None:
        detail["kind"], detail["automated"] = vehicle.state.kind, vehicle.state.automated
        detail["reported_ms"] = (time_ns - vehicle.t) / MS
        detail["withheld"] = withholding.rows(time_ns, f"vehicle:{vehicle.id}")
        detail["hops"] = hops[vehicle.id].summary() if vehicle.id in hops else {}

    return detail


def _path_name(lanes: tuple[str, ...], connections: tuple[str, ...], path: int) -> str | None:
    if path < 0:
        return None
    return lanes[path] if path < len(lanes) else connections[path - len(lanes)]


def _sources(intersection: IntersectionState) -> list[tuple[str, int]]:
    """Return the names of what an intersection's tracks may rest on, and the number of each in the tracker."""
    return [*intersection.sensing.numbers(), ("its own reports", VEHICLE_SOURCE)]


def _rounded(value: float) -> float | None:
    return _known(value)


def _known(value: float) -> float | None:
    number = float(value)
    return None if np.isnan(number) else round(number, DIGITS)
