"""The rules of an intersection as arrays, and a kernel that answers what holds: `rules.effective`, compiled."""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from math import inf
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .model import IntersectionCode
from .rule import CLASSES, RULE_KINDS, Calendar, known_class
from .rules import RESERVING, Effective, Vehicle, effective, places

DAY, HOUR = 86_400, 3_600  # s
EPOCH = date(1970, 1, 1).toordinal()
YEARS = (2015, 2045)  # within which changes of local time are known
ALWAYS = (-(2**62), 2**62)
KIND = {kind: k for k, kind in enumerate(RULE_KINDS)}
SPEED_MAX, SCHOOL, WORKS, SPEED_MIN = KIND["speed_max"], KIND["school_zone"], KIND["construction"], KIND["speed_min"]
CLOSURE, NO_ENTRY, TURN_BAN, BUS_LANE, LANE_USE = (
    KIND[k] for k in ("closure", "no_entry", "turn_ban", "bus_lane", "lane_use")
)
SIZES = tuple(KIND[k] for k in ("height_max", "width_max", "mass_max", "axle_max"))
EMISSION, TIDAL, AV_AREA = KIND["emission_zone"], KIND["tidal_lane"], KIND["av_operating_area"]
BIT = {name: 1 << k for k, name in enumerate(CLASSES)}
AUTOMATED = BIT["automated"]
MODES = {"as_weekday": 0, "never": 1, "only": 2}


class Answer(NamedTuple):
    """One row a query: speed bounds (m/s), the capping rule, whether it may be there, the refusing rule (indices; -1 none)."""

    speed_max: NDArray[np.float64]
    speed_min: NDArray[np.float64]
    cap: NDArray[np.int32]
    allowed: NDArray[np.bool_]
    refused_by: NDArray[np.int32]
    decided: NDArray[np.int32]  # int32[n, kinds]: the rule that decided each kind of `RULE_KINDS`


class RuleTable:
    """The rules of one code, compiled. `holidays`: local days, YYYY-MM-DD."""

    def __init__(self, code: IntersectionCode, holidays: Collection[str] = ()) -> None:
        self.code = code
        self.holidays = tuple(sorted(holidays))
        self.at = places(code)
        self.paths = {name: k for k, name in enumerate(self.at)}
        found = [self.at[name] for name in self.paths]
        self._start = np.cumsum([0, *map(len, found)]).astype(np.int64)
        flat = [place for rows in found for place in rows]
        self._rule = np.array([p.rule for p in flat], np.int64)
        self._span = np.array([(p.s_from, p.s_to) for p in flat], float).reshape(-1, 2)
        rules = code.rules
        self._kind = np.array([KIND[r.kind] for r in rules], np.int64)
        self._value = np.array([np.nan if r.value is None else r.value for r in rules], float)
        self._mask = np.array(
            [
                (
                    _mask(r.classes or RESERVING.get(r.kind, ())),
                    _mask(r.except_classes),
                    r.kind in RESERVING,
                    r.mandatory,
                )
                for r in rules
            ],
            np.int64,
        ).reshape(-1, 4)
        self._valid = np.array(
            [
                (ALWAYS[0] if r.valid_from is None else r.valid_from, ALWAYS[1] if r.valid_to is None else r.valid_to)
                for r in rules
            ],
            np.int64,
        ).reshape(-1, 2)
        self._days, self._spans_start, self._spans = _calendars([r.calendar for r in rules])
        zones = sorted({r.calendar.tz for r in rules if r.calendar is not None})
        self._zone = np.array([-1 if r.calendar is None else zones.index(r.calendar.tz) for r in rules], np.int64)
        self._shift_start, self._shifts = _shifts(zones)
        self._holidays = np.array([date.fromisoformat(day).toordinal() - EPOCH for day in self.holidays], np.int64)
        self._area = next((k for k, r in enumerate(rules) if r.kind == "av_operating_area"), -1)

    def effective(
        self,
        path: NDArray[np.int64],
        vehicle: NDArray[np.int64],
        t: NDArray[np.int64],
        s: NDArray[np.float64] | None = None,
        *,
        fleet: Sequence[Vehicle],
    ) -> Answer:
        """Answer many queries at once: path (index), vehicle (index into `fleet`), t (ns), s (m; nan or None anywhere)."""
        n = len(path)
        bits, sizes = _fleet(tuple(fleet))
        out = Answer(
            np.empty(n),
            np.empty(n),
            np.empty(n, np.int32),
            np.empty(n, np.bool_),
            np.empty(n, np.int32),
            np.empty((n, len(RULE_KINDS)), np.int32),
        )
        _answer(
            path,
            vehicle,
            t,
            np.full(n, np.nan) if s is None else s,
            bits,
            sizes,
            self._start,
            self._rule,
            self._span,
            self._kind,
            self._value,
            self._mask,
            self._valid,
            self._zone,
            self._days,
            self._spans_start,
            self._spans,
            self._shift_start,
            self._shifts,
            self._holidays,
            self._area,
            *out,
        )
        return out

    def explain(self, path: str, vehicle: Vehicle, t: int, s: float | None = None) -> Effective:
        """Answer one query in full, with the losing rules: the plain twin."""
        return effective(self.code, path, vehicle, t, s=s, holidays=self.holidays, at=self.at)


@lru_cache(maxsize=1024)
def _fleet(fleet: tuple[Vehicle, ...]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the classes (bits) and the sizes of some vehicles, as arrays."""
    bits = np.array([_mask((known_class(v.kind), "automated") if v.automated else (known_class(v.kind),)) for v in fleet], np.int64)
    sizes = np.array([(v.height, v.width, v.mass, v.axle, v.stage) for v in fleet], float).reshape(-1, 5)
    return bits, sizes


def _mask(classes: Collection[str]) -> int:
    return sum(BIT[name] for name in set(classes))


def _calendars(calendars: list[Calendar | None]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return per rule (weekday bits, first day, last day, holiday mode), and spans of minutes in CSR."""
    rows, counts, spans = [], [], list[tuple[int, int]]()
    for c in calendars:
        calendar = c or Calendar()
        first, last = (
            date.fromisoformat(day).toordinal() - EPOCH for day in calendar.dates or ("0001-01-01", "9999-12-31")
        )
        rows.append((sum(1 << (day - 1) for day in set(calendar.weekdays)), first, last, MODES[calendar.holidays]))
        counts.append(len(calendar.minutes))
        spans += calendar.minutes
    return (
        np.array(rows, np.int64).reshape(-1, 4),
        np.cumsum([0, *counts]).astype(np.int64),
        np.array(spans, np.int64).reshape(-1, 2),
    )


def _shifts(zones: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, in CSR by zone, (from, offset): local time is UTC + offset s from that second on; the changes found by halving."""
    counts, rows = [0], []
    ends = [int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in YEARS]
    for name in zones:
        zone = ZoneInfo(name)
        before = _offset(zone, ends[0])
        rows.append((ALWAYS[0], before))
        for low in range(ends[0], ends[1], 7 * DAY):
            high = low + 7 * DAY
            if _offset(zone, high) != before:
                a, b = low, high
                while b - a > 1:
                    middle = (a + b) // 2
                    a, b = (middle, b) if _offset(zone, middle) == before else (a, middle)
                before = _offset(zone, high)
                rows.append((b, before))
        counts.append(len(rows))
    return np.array(counts, np.int64), np.array(rows, np.int64).reshape(-1, 2)


def _offset(zone: ZoneInfo, second: int) -> int:
    shift = datetime.fromtimestamp(second, zone).utcoffset()
    return 0 if shift is None else int(shift.total_seconds())


@njit(cache=True)
def _day_holds(day: int, weekdays: int, first: int, last: int, mode: int, holidays: Any) -> bool:
    if day < first or day > last:
        return False
    if mode != 0:
        at = np.searchsorted(holidays, day)
        if at < len(holidays) and holidays[at] == day:
            return mode == 2
    return mode != 2 and (weekdays >> ((day + 3) % 7)) & 1 == 1


@njit(cache=True)
def _holds(
    r: int,
    second: int,
    zone: Any,
    days: Any,
    spans_start: Any,
    spans: Any,
    shift_start: Any,
    shifts: Any,
    holidays: Any,
) -> bool:
    if zone[r] < 0:
        return True
    offset = 0
    for k in range(shift_start[zone[r]], shift_start[zone[r] + 1]):
        if shifts[k, 0] > second:
            break
        offset = shifts[k, 1]
    local = second + offset
    day, minute = local // 86_400, local % 86_400 // 60
    weekdays, first, last, mode = days[r, 0], days[r, 1], days[r, 2], days[r, 3]
    if spans_start[r] == spans_start[r + 1]:
        return _day_holds(day, weekdays, first, last, mode, holidays)
    for k in range(spans_start[r], spans_start[r + 1]):
        start, end = spans[k, 0], spans[k, 1]
        if start <= minute and (minute < end or end < start) and _day_holds(day, weekdays, first, last, mode, holidays):
            return True
        if end < start and minute < end and _day_holds(day - 1, weekdays, first, last, mode, holidays):
            return True
    return False


@njit(cache=True)
def _refusal(win: Any, value: Any, sizes: Any, automated: bool, waits: int, area: int) -> int:
    for kind in (CLOSURE, NO_ENTRY, TURN_BAN, BUS_LANE, LANE_USE):
        if win[kind] >= 0:
            return int(win[kind])
    for k in range(4):
        r = win[SIZES[k]]
        if r >= 0 and sizes[k] > value[r]:
            return int(r)
    r = win[EMISSION]
    if r >= 0 and 0 < sizes[4] < value[r]:
        return int(r)
    if waits >= 0 and win[TIDAL] < 0:
        return waits
    return area if automated and win[AV_AREA] < 0 else -1


@njit(cache=True)
def _answer(
    path: Any,
    vehicle: Any,
    t: Any,
    s: Any,
    bits: Any,
    sizes: Any,
    start: Any,
    rule: Any,
    span: Any,
    kind: Any,
    value: Any,
    mask: Any,
    valid: Any,
    zone: Any,
    days: Any,
    spans_start: Any,
    spans: Any,
    shift_start: Any,
    shifts: Any,
    holidays: Any,
    area: int,
    speed_max: Any,
    speed_min: Any,
    cap: Any,
    allowed: Any,
    refused_by: Any,
    decided: Any,
) -> None:
    automated_bit = AUTOMATED
    for i in range(len(path)):
        who, win, waits = bits[vehicle[i]], decided[i], -1
        win[:] = -1
        for e in range(start[path[i]], start[path[i] + 1]):
            r = rule[e]
            if win[kind[r]] >= 0 or mask[r, 3] == 0 or (s[i] == s[i] and not span[e, 0] <= s[i] <= span[e, 1]):
                continue
            named = mask[r, 0] & who != 0
            if mask[r, 1] & who != 0 or (named if mask[r, 2] else mask[r, 0] != 0 and not named):
                continue
            if t[i] < valid[r, 0] or t[i] >= valid[r, 1]:
                continue
            if _holds(r, t[i] // 1_000_000_000, zone, days, spans_start, spans, shift_start, shifts, holidays):
                win[kind[r]] = r
            elif kind[r] == TIDAL and waits < 0:
                waits = r
        top, by = inf, -1
        for k in (SPEED_MAX, SCHOOL, WORKS):
            if win[k] >= 0 and value[win[k]] < top:
                top, by = value[win[k]], win[k]
        low = value[win[SPEED_MIN]] if win[SPEED_MIN] >= 0 else 0.0
        speed_max[i], speed_min[i], cap[i] = top, min(low, top), by
        refused_by[i] = _refusal(win, value, sizes[vehicle[i]], who & automated_bit != 0, waits, area)
        allowed[i] = refused_by[i] < 0
