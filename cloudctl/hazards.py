"""The hazards of one intersection: accepted in bounded number, and in force at a time. Times are ns of the node's
clock."""

from math import inf, isfinite

import msgspec

from .clock import SECOND
from .codes import CompiledCode
from .ingest.rejections import NOT_PRINTABLE, RejectedMessage
from .lane_stretches import covered, path_of
from .schema import Hazard

MAX_HAZARDS = 256  # of an intersection
MAX_OF_GATEWAY = 64  # of those, from one gateway
DAY = 86_400 * SECOND
MAX_AHEAD = 366 * DAY  # of the end of a hazard
MAX_DISTANCE = 2000.0  # m of a polygon's vertex from the intersection
# m that a stretch may run beyond its lane's end without a word: a sender's map may differ by so much
LENGTH_ALLOWANCE = 1.0
MIN_POINTS = 3  # different ones, of a polygon

Key = tuple[str, str, str]  # gateway, RSU, id


class Hazards:
    """The hazards that gateways reported. Where there are too many, one of the gateway with the most is dropped: the
    one that ends first."""

    def __init__(self) -> None:
        self._hazards: dict[Key, Hazard] = {}

    def __len__(self) -> int:
        return len(self._hazards)

    def check(self, code: CompiledCode, t: int, gateway: str, hazard: Hazard, offset: int) -> None:
        """Raise RejectedMessage for a hazard, received at `t` ns, that no vehicle could be warned of; its times are by
        a clock `offset` ns ahead."""
        if self._is_withdrawal(t, gateway, hazard, offset):
            return  # it is withdrawn: where it was, and when it was to begin, is of no concern any more

        if hazard.end <= hazard.start:
            raise RejectedMessage(
                field="end",
                value=hazard.end,
                rule=f"is not after start ({hazard.start})",
                remedy="send ns of UTC since 1970; end is when it is over",
            )

        if not hazard.kind or not hazard.id:
            raise RejectedMessage(
                field="id, kind",
                value=(hazard.id, hazard.kind),
                rule="must not be empty",
                remedy="name the hazard, and say what it is: works, accident, ice, ...",
            )

        if not (hazard.id + hazard.kind).isprintable():
            raise RejectedMessage("id, kind", repr((hazard.id, hazard.kind)), NOT_PRINTABLE, "send plain words")

        _check_times(t, hazard, offset)

        if hazard.lane is None and hazard.polygon is None:
            raise RejectedMessage(
                field="lane, polygon",
                value=None,
                rule="a hazard is on a lane or in a polygon",
                remedy="send one of them, or both",
            )

        if hazard.lane is not None:
            _check_lane(code, hazard, hazard.lane)
        elif hazard.s is not None:
            raise RejectedMessage("s", hazard.s, "is m along a lane, and no lane is named", "send lane, or leave s out")

        if hazard.polygon is not None:
            _check_polygon(code, hazard, hazard.polygon)

    def usable(
        self, code: CompiledCode, t: int, gateway: str, hazard: Hazard, offset: int
    ) -> tuple[Hazard, list[RejectedMessage]]:
        """Return a hazard without what of it cannot be used, and why that is refused; see `check` for the rest."""
        self.check(code, t, gateway, hazard, offset)
        if self._is_withdrawal(t, gateway, hazard, offset):
            return hazard, []

        refused: list[RejectedMessage] = []
        if not hazard.text.isprintable():
            refused.append(
                RejectedMessage(f"{hazard.id}.text", repr(hazard.text), NOT_PRINTABLE, "send one line of plain words")
            )
            hazard = msgspec.structs.replace(hazard, text="")

        return _within_lane(code, hazard, refused), refused

    def put(self, t: int, gateway: str, hazard: Hazard, offset: int) -> list[Hazard]:
        """Accept a hazard that was checked, received at `t` ns; return those that were dropped for it. One that is over
        by `t` is withdrawn."""
        key = (gateway, hazard.rsu, hazard.id)
        self._hazards.pop(key, None)
        if hazard.end - offset <= t:
            return []

        self._hazards[key] = msgspec.structs.replace(
            hazard, t=hazard.t - offset, start=hazard.start - offset, end=hazard.end - offset
        )

        dropped = []
        if sum(name == gateway for name, *_ in self._hazards) > MAX_OF_GATEWAY:
            dropped.append(self._drop(gateway))

        if len(self._hazards) > MAX_HAZARDS:
            gateways = [name for name, *_ in self._hazards]
            most_hazards = max(sorted(set(gateways)), key=gateways.count)
            dropped.append(self._drop(most_hazards))

        return dropped

    def now(self, t: int) -> tuple[Hazard, ...]:
        """Return the hazards in force at `t` ns, and forget those that are over."""
        if not self._hazards:
            return ()
        for key in [key for key, hazard in self._hazards.items() if hazard.end <= t]:
            del self._hazards[key]
        return tuple(hazard for hazard in self._hazards.values() if hazard.start <= t)

    def renew(self, code: CompiledCode) -> int:
        """Forget the hazards that are on no lane of another revision of the code; return how many."""
        lost = [key for key, hazard in self._hazards.items() if not len(covered(code, hazard).stretches)]
        for key in lost:
            del self._hazards[key]
        return len(lost)

    def _is_withdrawal(self, t: int, gateway: str, hazard: Hazard, offset: int) -> bool:
        return (gateway, hazard.rsu, hazard.id) in self._hazards and hazard.end - offset <= t

    def _drop(self, gateway: str) -> Hazard:
        keys = [key for key in self._hazards if key[0] == gateway]
        return self._hazards.pop(min(keys, key=lambda key: self._hazards[key].end))


def _check_times(t: int, hazard: Hazard, offset: int) -> None:
    """Raise RejectedMessage for a hazard that is over, or lasts too long."""
    end = hazard.end - offset
    if end > t + MAX_AHEAD:
        raise RejectedMessage(
            field="end",
            value=hazard.end,
            rule=f"is more than {MAX_AHEAD // DAY} days ahead",
            remedy="send ns of UTC since 1970; send a hazard that lasts longer again before it is over",
        )

    if end <= t:
        raise RejectedMessage(
            field="end",
            value=hazard.end,
            rule=f"was over {(t - end) / SECOND:.1f} s ago",
            remedy="send when it will be over; set the clock, and answer sync",
        )


def _within_lane(code: CompiledCode, hazard: Hazard, refused: list[RejectedMessage]) -> Hazard:
    """Return a hazard with its stretch up to its lane's end at most; why more of it is not used is added to
    `refused`."""
    path = -1 if hazard.lane is None else path_of(code, hazard.lane)
    if hazard.s is None or path < 0:
        return hazard

    low, high = hazard.s
    length = float(code.path_length[path])
    if high > length + LENGTH_ALLOWANCE:
        beyond = RejectedMessage(
            field=f"{hazard.id}.s[1]",
            value=high,
            rule=f"is beyond the lane's end at {length:.1f} m: vehicles are warned of it up to there only",
            remedy="name each further lane in a hazard of its own, or send a polygon; compare the map with the "
            "digital code",
        )
        refused.append(beyond)

    return msgspec.structs.replace(hazard, s=(min(low, length), min(high, length)))


def _check_lane(code: CompiledCode, hazard: Hazard, lane: str) -> None:
    path = path_of(code, lane)
    if path < 0:
        raise RejectedMessage(
            field="lane",
            value=lane,
            rule="is no lane of this intersection",
            remedy=f"take an id of its digital code, such as {code.lane_ids[0]}",
        )

    if hazard.s is None:
        return

    low, high = hazard.s
    length = float(code.path_length[path])
    if not (isfinite(low) and isfinite(high) and 0.0 <= low <= high and low <= length + LENGTH_ALLOWANCE):
        raise RejectedMessage(
            field="s",
            value=hazard.s,
            rule=f"must run forwards, from 0 m to the lane's {length:.1f} m",
            remedy="send [from, to] in m from the lane's beginning",
        )


def _check_polygon(code: CompiledCode, hazard: Hazard, polygon: tuple[tuple[float, float], ...]) -> None:
    n_points = len(set(polygon))
    if n_points < MIN_POINTS:
        raise RejectedMessage(
            field="polygon",
            value=f"{n_points} points",
            rule=f"has at least {MIN_POINTS} different points",
            remedy="send its outline as (lat, lon) in degrees",
        )

    for index, (lat, lon) in enumerate(polygon):
        is_on_globe = isfinite(lat) and isfinite(lon) and abs(lat) <= 90 and abs(lon) <= 180
        east, north = code.origin.to_local(lat, lon) if is_on_globe else (inf, inf)
        if not max(abs(float(east)), abs(float(north))) <= MAX_DISTANCE:
            raise RejectedMessage(
                field=f"polygon[{index}]",
                value=(lat, lon),
                rule=f"must be degrees within {MAX_DISTANCE:.0f} m of the intersection",
                remedy="check the order (lat, lon) and the datum (WGS-84 / CGCS2000)",
            )

    if not len(covered(code, msgspec.structs.replace(hazard, lane=None, s=None)).stretches):
        raise RejectedMessage(
            field="polygon",
            value=f"{len(polygon)} points",
            rule="covers no lane of this intersection",
            remedy="draw it over the lanes it concerns, or name a lane",
        )
