"""The hazards of one intersection: what is accepted, in bounded number, and what holds now. Times are ns of the node's clock."""

from math import isfinite

import msgspec

from .clock import SECOND
from .codes import CompiledCode
from .ingest.rejections import RejectedMessage
from .lane_stretches import covered, path_of
from .schema import Hazard

MAX_HAZARDS = 256  # of an intersection
MAX_OF_GATEWAY = 64  # of those, from one gateway
DAY = 86_400 * SECOND
MAX_AHEAD = 366 * DAY  # of the end of a hazard
MAX_METRES = 2000.0  # of a polygon's vertex from the intersection

Key = tuple[str, str, str]  # gateway, RSU, id


class Hazards:
    """What gateways reported. Where there are too many, the one that ends first goes, of the gateway that has most."""

    def __init__(self) -> None:
        self._known: dict[Key, Hazard] = {}

    def __len__(self) -> int:
        return len(self._known)

    def check(self, code: CompiledCode, t: int, gateway: str, hazard: Hazard, offset: int) -> None:
        """Raise RejectedMessage for a hazard that nobody could be warned of; its times are by a clock `offset` ns ahead."""
        if hazard.end <= hazard.start:
            raise RejectedMessage(
                "end",
                hazard.end,
                f"is not after start ({hazard.start})",
                "send ns of UTC since 1970; end is when it is over",
            )
        if not hazard.kind or not hazard.id:
            raise RejectedMessage(
                "id, kind",
                (hazard.id, hazard.kind),
                "must not be empty",
                "name the hazard, and say what it is: works, accident, ice, ...",
            )
        if hazard.end - offset > t + MAX_AHEAD:
            raise RejectedMessage(
                "end",
                hazard.end,
                f"is more than {MAX_AHEAD // DAY} days ahead",
                "send ns of UTC since 1970; send a hazard that lasts longer again before it is over",
            )
        if hazard.end - offset <= t and (gateway, hazard.rsu, hazard.id) not in self._known:
            age = (t - hazard.end + offset) / SECOND
            raise RejectedMessage(
                "end",
                hazard.end,
                f"was over {age:.1f} s ago",
                "send when it will be over; set the clock, and answer sync",
            )
        if hazard.lane is None and hazard.polygon is None:
            raise RejectedMessage(
                "lane, polygon", None, "a hazard is on a lane or in a polygon", "send one of them, or both"
            )
        if hazard.lane is not None:
            _check_lane(code, hazard, hazard.lane)
        elif hazard.s is not None:
            raise RejectedMessage("s", hazard.s, "is m along a lane, and no lane is named", "send lane, or leave s out")
        if hazard.polygon is not None:
            _check_polygon(code, hazard, hazard.polygon)

    def put(self, t: int, gateway: str, hazard: Hazard, offset: int) -> list[Hazard]:
        """Take a hazard that was checked, as of `t`; return those that had to go for it."""
        key = (gateway, hazard.rsu, hazard.id)
        self._known.pop(key, None)
        if hazard.end - offset <= t:
            return []  # withdrawn
        times = {"t": hazard.t - offset, "start": hazard.start - offset, "end": hazard.end - offset}
        self._known[key] = msgspec.structs.replace(hazard, **times)
        gone = []
        if sum(name == gateway for name, *_ in self._known) > MAX_OF_GATEWAY:
            gone.append(self._drop(gateway))
        if len(self._known) > MAX_HAZARDS:
            names = [name for name, *_ in self._known]
            gone.append(self._drop(max(sorted(set(names)), key=names.count)))
        return gone

    def now(self, t: int) -> tuple[Hazard, ...]:
        """Return what holds at `t`, and forget what is over."""
        for key in [key for key, hazard in self._known.items() if hazard.end <= t]:
            del self._known[key]
        return tuple(hazard for hazard in self._known.values() if hazard.start <= t)

    def renew(self, code: CompiledCode) -> int:
        """Forget what another revision of the code has no place for; return how many."""
        lost = [key for key, hazard in self._known.items() if not covered(code, hazard).stretches]
        for key in lost:
            del self._known[key]
        return len(lost)

    def _drop(self, gateway: str) -> Hazard:
        key = min((key for key in self._known if key[0] == gateway), key=lambda key: self._known[key].end)
        return self._known.pop(key)


def _check_lane(code: CompiledCode, hazard: Hazard, lane: str) -> None:
    path = path_of(code, lane)
    if path < 0:
        raise RejectedMessage(
            "lane",
            lane,
            "is no lane of this intersection",
            f"take an id of its digital code, such as {code.lane_ids[0]}",
        )
    if hazard.s is None:
        return
    low, high = hazard.s
    length = float(code.path_length[path])
    if not (isfinite(low) and isfinite(high) and 0.0 <= low <= high and low <= length + 1.0):
        raise RejectedMessage(
            "s",
            hazard.s,
            f"must run forwards, from 0 m to the lane's {length:.1f} m",
            "send [from, to] in m from the lane's beginning",
        )


def _check_polygon(code: CompiledCode, hazard: Hazard, polygon: tuple[tuple[float, float], ...]) -> None:
    if len(set(polygon)) < 3:
        raise RejectedMessage(
            "polygon",
            f"{len(set(polygon))} points",
            "has at least 3 different points",
            "send its outline as (lat, lon) in degrees",
        )
    for k, (lat, lon) in enumerate(polygon):
        globe = isfinite(lat) and isfinite(lon) and abs(lat) <= 90 and abs(lon) <= 180
        east, north = code.origin.to_local(lat, lon) if globe else (float("inf"), float("inf"))
        if not max(abs(float(east)), abs(float(north))) <= MAX_METRES:
            rule = f"must be degrees within {MAX_METRES:.0f} m of the intersection"
            raise RejectedMessage(
                f"polygon[{k}]", (lat, lon), rule, "check the order (lat, lon) and the datum (WGS-84 / CGCS2000)"
            )
    if not covered(code, hazard).stretches:
        raise RejectedMessage(
            "polygon",
            f"{len(polygon)} points",
            "covers no lane of this intersection",
            "draw it over the lanes it concerns, or name a lane",
        )
