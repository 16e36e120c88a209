"""The drawing of an intersection as the page needs it: lines in m of the intersection's own frame, rounded to the
centimetre.
"""

from typing import Any

import numpy as np

from ..codes import CompiledCode
from ..codes.model import GROUP_KINDS, ROLES, TURNS, USES
from ..codes.polylines import F8, arc_lengths, points_along

CENTIMETRE = 2  # digits of a metre
BAR_REACH = 1.0  # m before the stop line over which its direction is taken
MAX_SCENES = 64  # drawings kept ready; each is some 30 kB


def scene_of(code: CompiledCode, index: int) -> dict[str, Any]:
    """Return the drawing of a code. Signal groups are named by their index in `groups`, -1 where there is none."""
    return {
        "index": index,
        "id": code.code.id,
        "name": code.code.name,
        "revision": code.code.revision,
        "lanes": [_lane(code, k) for k in range(code.n_lanes)],
        "connections": [_connection(code, k) for k in range(code.n_conns)],
        "crosswalks": [_crosswalk(code, k) for k in range(len(code.cross_ids))],
        "zones": [{"id": zone.id, "kind": zone.kind, "xy": _local(code, zone.polygon)} for zone in code.code.zones],
        "groups": [
            {"id": int(group), "kind": GROUP_KINDS[kind]}
            for group, kind in zip(code.group_ids, code.group_kind, strict=True)
        ],
        "devices": [
            {"id": device.id, "kind": device.kind, "xy": _local(code, ((device.lat_e7, device.lon_e7),))}
            for device in code.code.devices
        ],
    }


def _lane(code: CompiledCode, index: int) -> dict[str, Any]:
    return {
        "id": code.lane_ids[index],
        "use": USES[code.lane_use[index]],
        "role": ROLES[code.lane_role[index]],
        "width": round(float(code.lane_width[index]), CENTIMETRE),
        "speed": round(float(code.lane_speed[index]), CENTIMETRE),
        "stop": _stop_bar(code, index),
        "xy": _flat(_path(code, index)),
    }


def _connection(code: CompiledCode, index: int) -> dict[str, Any]:
    return {
        "id": code.conn_ids[index],
        "from": int(code.conn_from[index]),
        "to": int(code.conn_to[index]),
        "turn": TURNS[code.conn_turn[index]],
        "group": int(code.conn_group[index]),
        "inner": bool(code.conn_inner[index]),
        "permissive": code.code.connections[index].waits,
        "xy": _flat(_path(code, code.n_lanes + index)),
    }


def _crosswalk(code: CompiledCode, index: int) -> dict[str, Any]:
    return {
        "id": code.cross_ids[index],
        "group": int(code.cross_group[index]),
        "width": round(float(code.cross_width[index]), CENTIMETRE),
        "axis": _flat(code.cross_axis[index].reshape(2, 2)),
        "xy": _flat(code.cross_xy[code.cross_start[index] : code.cross_start[index + 1]]),
    }


def _stop_bar(code: CompiledCode, lane: int) -> list[float] | None:
    """Return the stop line across a lane, left end first in driving direction; None where it has none."""
    if np.isnan(code.lane_stop_s[lane]):
        return None

    line = _path(code, lane)
    along = arc_lengths(line)
    s = min(float(code.lane_stop_s[lane]), float(along[-1]))
    point = points_along(line, along, s)
    ahead = point - points_along(line, along, max(s - BAR_REACH, 0.0))
    length = float(np.hypot(*ahead))
    if length == 0.0:
        return None

    side = np.array([-ahead[1], ahead[0]]) / length * code.lane_width[lane] / 2.0
    return _flat(np.array([point + side, point - side]))


def _path(code: CompiledCode, path: int) -> F8:
    return code.path_xy[code.path_start[path] : code.path_start[path + 1]]


def _local(code: CompiledCode, points: tuple[tuple[int, int], ...]) -> list[float]:
    table = np.array(points, float).reshape(-1, 2) / 1e7
    return _flat(np.stack(code.origin.to_local(table[:, 0], table[:, 1]), axis=1))


def _flat(points: F8) -> list[float]:
    flat: list[float] = np.round(points, CENTIMETRE).ravel().tolist()
    return flat
