"""The rules of an intersection as arrays, and a kernel that answers what holds: `rules.effective`, compiled."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from math import inf
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..days import DayCalendar, Days, days_of
from ..model import IntersectionCode
from ..rule import CLASSES, FUELS, RULE_KINDS, Rule, known_class
from ..rules import CARRIERS, RESERVING, SECOND, SIZES, Effective, Vehicle, effective, in_force, places
from .calendars import ALWAYS, holds_at, number_of, shifts_of, tabulate
from .code import CompiledCode

KIND = {kind: k for k, kind in enumerate(RULE_KINDS)}
SPEED_MAX, SCHOOL, WORKS, SPEED_MIN = KIND["speed_max"], KIND["school_zone"], KIND["construction"], KIND["speed_min"]
CLOSURE, NO_ENTRY, TURN_BAN, BUS_LANE, LANE_USE = (
    KIND[k] for k in ("closure", "no_entry", "turn_ban", "bus_lane", "lane_use")
)
SIZE_KINDS = tuple(KIND[k] for k in SIZES)
EMISSION, TIDAL, AV_AREA = KIND["emission_zone"], KIND["tidal_lane"], KIND["av_operating_area"]
BIT = {name: 1 << k for k, name in enumerate(CLASSES)}
PLATE_BIT = 32  # of the last digit 0; then those of 1 .. 9
FUEL_BIT = {name: 1 << (48 + k) for k, name in enumerate(FUELS)}
ALL_PLATES, ALL_FUELS = 1023 << PLATE_BIT, sum(FUEL_BIT.values())
AUTOMATED = BIT["automated"]
N_KINDS = len(RULE_KINDS)
NO, YES, OPEN = 0, 1, 2  # whether a rule binds a vehicle; OPEN: that rests on what it does not declare


class Answer(NamedTuple):
    """One row a query: speed bounds (m/s), the capping rule, whether it may be there, the refusing rule (indices; -1 none)."""

    speed_max: NDArray[np.float64]
    speed_min: NDArray[np.float64]
    cap: NDArray[np.int32]
    allowed: NDArray[np.bool_]
    refused_by: NDArray[np.int32]
    decided: NDArray[np.int32]  # int32[n, kinds]: the rule that decided each kind of `RULE_KINDS`
    undecided: NDArray[np.int32]  # the rule that could not be decided by what the vehicle does not declare; -1 none


class InForce(NamedTuple):
    """What holds for each of some vehicles at one moment: `limit` m/s (inf where none), the rule that caps it, the one that refuses the vehicle, and the
    one that may, by what it does not declare (-1 none)."""

    limit: NDArray[np.float64]
    cap: NDArray[np.int32]
    refused_by: NDArray[np.int32]
    undecided: NDArray[np.int32]


class RuleTable:
    """The rules of one code, compiled, with the days that their calendars ask for: a calendar, or holidays as YYYY-MM-DD."""

    def __init__(self, code: IntersectionCode, holidays: DayCalendar | Days | Collection[str] = ()) -> None:
        self.code = code
        self.days = days_of(holidays)
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
        self._mask = np.array([(*_whom(r), r.kind in RESERVING, r.mandatory) for r in rules], np.int64).reshape(-1, 6)
        self._valid = np.array(
            [
                (ALWAYS[0] if r.valid_from is None else r.valid_from, ALWAYS[1] if r.valid_to is None else r.valid_to)
                for r in rules
            ],
            np.int64,
        ).reshape(-1, 2)
        self._calendar = tabulate([r.calendar for r in rules])
        zones = tuple(sorted({r.calendar.tz for r in rules if r.calendar is not None}))
        self._zone = np.array([-1 if r.calendar is None else zones.index(r.calendar.tz) for r in rules], np.int64)
        self._shifts = shifts_of(zones)
        self._holidays = np.array(sorted(map(number_of, self.days.holidays)), np.int64)
        self._worked = np.array(
            sorted((number_of(day), weekday) for day, weekday in self.days.worked.items()), np.int64
        ).reshape(-1, 2)
        self._area = next((k for k, r in enumerate(rules) if r.kind == "av_operating_area"), -1)
        tidal = [
            (
                k,
                [
                    rules[p.rule]
                    for p in self.at[lane.id]
                    if rules[p.rule].kind == "tidal_lane" and rules[p.rule].mandatory
                ],
            )
            for k, lane in enumerate(code.lanes)
        ]
        self._tidal = [(lane, opening) for lane, opening in tidal if opening]  # lanes, and the rules that open each
        self._closed: tuple[int, NDArray[np.bool_]] | None = None
        self._holding: tuple[int, NDArray[np.bool_]] | None = None

    def closed(self, t: int) -> NDArray[np.bool_] | None:
        """Return which lanes are closed at `t` ns because they are tidal and run the other way now: bool[n_paths]; None where none is tidal."""
        if not self._tidal:
            return None  # movements stay open: who began one in time ends it
        second = t // SECOND
        if self._closed is None or self._closed[0] != second:
            closed = np.zeros(len(self.paths), np.bool_)
            for lane, opening in self._tidal:
                closed[lane] = not any(in_force(rule, t, self.days) for rule in opening)
            self._closed = (second, closed)
        return self._closed[1]

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
            np.empty(n, np.int32),
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
            self._calendar,
            self._shifts,
            self._holidays,
            self._worked,
            self._area,
            *out,
        )
        return out

    def in_force(
        self,
        rows: NDArray[np.int64],
        path: NDArray[np.int64],
        s: NDArray[np.float64],
        t: int,
        vehicles: Sequence[Vehicle],
    ) -> InForce:
        """Answer for `vehicles` at one moment: `effective` for what a plan asks. `rows`: where each stands in `path` (-1: on none, and no rule holds) and `s` (m)."""
        n = len(vehicles)
        fleet: dict[int, int] = {}  # few differ, and the same figures are the same object
        which = np.array([fleet.setdefault(id(vehicle), len(fleet)) for vehicle in vehicles], np.int64)
        bits, sizes = _fleet(tuple({id(vehicle): vehicle for vehicle in vehicles}.values()))
        limit, by = np.empty(n), np.empty((3, n), np.int32)
        _in_force(
            rows, path, s, which, t, bits, sizes, self._start, self._rule, self._span, self._kind, self._value, self._mask, self._valid,
            self._holding_at(t), self._area, limit, by,
        )  # fmt: skip
        return InForce(limit, by[0], by[1], by[2])

    def _holding_at(self, t: int) -> NDArray[np.bool_]:
        """Return which rules' calendars hold in the second of `t` ns: bool[n_rules]."""
        second = t // SECOND
        if self._holding is None or self._holding[0] != second:
            holding = np.empty(len(self._kind), np.bool_)
            _calendars_hold(second, self._zone, self._calendar, self._shifts, self._holidays, self._worked, holding)
            self._holding = (second, holding)
        return self._holding[1]

    def explain(self, path: str, vehicle: Vehicle, t: int, s: float | None = None) -> Effective:
        """Answer one query in full, with the losing rules: the plain twin."""
        return effective(self.code, path, vehicle, t, s=s, holidays=self.days, at=self.at)


MAX_TABLES = 256
_TABLES: dict[str, RuleTable] = {}


def rule_table(code: CompiledCode) -> RuleTable:
    """Return the compiled rules of a code without a calendar of holidays, made once for each content."""
    table = _TABLES.get(code.hash)
    if table is None:
        if len(_TABLES) >= MAX_TABLES:
            del _TABLES[next(iter(_TABLES))]
        table = _TABLES[code.hash] = RuleTable(code.code)
    return table


@lru_cache(maxsize=1024)
def _fleet(fleet: tuple[Vehicle, ...]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return what some vehicles surely are and what they may be besides (bits, int64[n, 2]), and between what figures their sizes and emission
    stage lie (float64[n, 5, 2])."""
    bits = np.array([_who(vehicle) for vehicle in fleet], np.int64).reshape(-1, 2)
    sizes = np.array(
        [[vehicle.between(kind) for kind in (*SIZES, "emission_zone")] for vehicle in fleet], float
    ).reshape(-1, 5, 2)
    return bits, sizes


def _who(vehicle: Vehicle) -> tuple[int, int]:
    kind = known_class(vehicle.kind)
    sure, maybe = BIT[kind], 0
    if vehicle.automated:
        sure |= AUTOMATED
    if vehicle.dangerous_goods:
        sure |= BIT["dangerous_goods"]
    elif vehicle.dangerous_goods is None and kind in CARRIERS:
        maybe |= BIT["dangerous_goods"]
    if not vehicle.motorised:
        return sure, maybe
    if vehicle.plate >= 0:
        sure |= 1 << (PLATE_BIT + vehicle.plate)
    else:
        maybe |= ALL_PLATES
    if vehicle.fuel in FUELS:
        sure |= FUEL_BIT[vehicle.fuel]
    else:
        maybe |= ALL_FUELS
    return sure, maybe


def _whom(rule: Rule) -> tuple[int, int, int, int]:
    """Return whom a rule names, excepts, and asks for by plate and by fuel: bits, 0 where it does not."""
    plates = sum(1 << (PLATE_BIT + digit) for digit in set(rule.plates))
    fuels, except_fuels = (sum(FUEL_BIT[name] for name in set(names)) for names in (rule.fuels, rule.except_fuels))
    return _mask(rule.classes or RESERVING.get(rule.kind, ())), _mask(rule.except_classes) | except_fuels, plates, fuels


def _mask(classes: Collection[str]) -> int:
    return sum(BIT[name] for name in set(classes))


@njit(cache=True)
def _binds(r: int, sure: int, maybe: int, mask: Any) -> int:
    """Return whether a rule binds a vehicle: NO, YES or OPEN."""
    bound, named, excepted = YES, mask[r, 0], mask[r, 1]
    if mask[r, 4] != 0:
        if named & sure != 0:
            return NO
        if named & maybe != 0:
            bound = OPEN
    elif named != 0 and named & sure == 0:
        if named & maybe == 0:
            return NO
        bound = OPEN
    if excepted & sure != 0:
        return NO
    if excepted & maybe != 0:
        bound = OPEN
    for k in (2, 3):
        if mask[r, k] != 0 and mask[r, k] & sure == 0:
            if mask[r, k] & maybe == 0:
                return NO
            bound = OPEN
    return bound


@njit(cache=True)
def _refusal(win: Any, value: Any, sizes: Any, automated: bool, waits: int, area: int) -> int:
    for kind in (CLOSURE, NO_ENTRY, TURN_BAN, BUS_LANE, LANE_USE):
        if win[kind] >= 0:
            return int(win[kind])
    for k in range(4):
        r = win[SIZE_KINDS[k]]
        if r >= 0 and sizes[k, 0] > value[r]:
            return int(r)
    r = win[EMISSION]
    if r >= 0 and sizes[4, 1] < value[r]:
        return int(r)
    if waits >= 0 and win[TIDAL] < 0:
        return waits
    return area if automated and win[AV_AREA] < 0 else -1


@njit(cache=True)
def _undecided(win: Any, open_: Any, value: Any, sizes: Any, top: float) -> int:
    for kind in (CLOSURE, NO_ENTRY, TURN_BAN, BUS_LANE, LANE_USE):
        if open_[kind] >= 0:
            return int(open_[kind])
    for k in range(4):
        for r in (open_[SIZE_KINDS[k]], win[SIZE_KINDS[k]]):
            if r >= 0 and sizes[k, 1] > value[r]:
                return int(r)
    for r in (open_[EMISSION], win[EMISSION]):
        if r >= 0 and sizes[4, 0] < value[r]:
            return int(r)
    for kind in (SPEED_MAX, SCHOOL, WORKS):
        if open_[kind] >= 0 and value[open_[kind]] < top:
            return int(open_[kind])
    return -1


@njit(cache=True)
def _calendars_hold(
    second: int, zone: Any, calendar: Any, shifts: Any, holidays: Any, worked: Any, holding: Any
) -> None:
    for r in range(len(holding)):
        holding[r] = holds_at(r, second, zone, calendar, shifts, holidays, worked)


@njit(cache=True)
def _decide(
    path: int, s: float, t: int, sure: int, maybe: int, start: Any, rule: Any, span: Any, kind: Any, mask: Any, valid: Any, holding: Any, win: Any, open_: Any,
) -> int:  # fmt: skip
    """Fill in which rule decides each kind for one query, and which would if it bound the vehicle, which what that declares leaves open; returns the
    rule of a tidal lane that does not hold now, -1 where there is none. `holding`: whether the calendar of each rule on the path holds."""
    waits = -1
    win[:], open_[:] = -1, -1
    for e in range(start[path], start[path + 1]):
        r = rule[e]
        if win[kind[r]] >= 0 or mask[r, 5] == 0 or (s == s and not span[e, 0] <= s <= span[e, 1]):
            continue
        bound = _binds(r, sure, maybe, mask)
        if bound == NO or t < valid[r, 0] or t >= valid[r, 1]:
            continue
        if holding[r]:
            if bound == YES:
                win[kind[r]] = r
            elif open_[kind[r]] < 0:
                open_[kind[r]] = r
        elif kind[r] == TIDAL and bound == YES and waits < 0:
            waits = r
    return waits


@njit(cache=True)
def _bounds(
    win: Any, open_: Any, value: Any, sizes: Any, automated: bool, waits: int, area: int
) -> tuple[float, float, int, int, int]:
    """Return what the rules of `_decide` come to: the highest and lowest speed (m/s), the capping, the refusing and the undecided rule."""
    top, cap = inf, -1
    for k in (SPEED_MAX, SCHOOL, WORKS):
        if win[k] >= 0 and value[win[k]] < top:
            top, cap = value[win[k]], int(win[k])
    low = value[win[SPEED_MIN]] if win[SPEED_MIN] >= 0 else 0.0
    refused = _refusal(win, value, sizes, automated, waits, area)
    return top, low, cap, refused, _undecided(win, open_, value, sizes, top) if refused < 0 else -1


@njit(cache=True)
def _answer(
    path: Any, vehicle: Any, t: Any, s: Any, bits: Any, sizes: Any, start: Any, rule: Any, span: Any, kind: Any,
    value: Any, mask: Any, valid: Any, zone: Any, calendar: Any, shifts: Any, holidays: Any, worked: Any, area: int,
    speed_max: Any, speed_min: Any, cap: Any, allowed: Any, refused_by: Any, decided: Any, undecided: Any,
) -> None:  # fmt: skip
    open_, holding = np.empty(decided.shape[1], np.int32), np.empty(len(kind), np.bool_)
    for i in range(len(path)):
        for e in range(start[path[i]], start[path[i] + 1]):
            holding[rule[e]] = holds_at(rule[e], t[i] // 1_000_000_000, zone, calendar, shifts, holidays, worked)
        sure, maybe, win = bits[vehicle[i], 0], bits[vehicle[i], 1], decided[i]
        waits = _decide(path[i], s[i], t[i], sure, maybe, start, rule, span, kind, mask, valid, holding, win, open_)
        top, low, cap[i], refused_by[i], undecided[i] = _bounds(
            win, open_, value, sizes[vehicle[i]], sure & AUTOMATED != 0, waits, area
        )
        speed_max[i], speed_min[i] = top, min(low, top)
        allowed[i] = refused_by[i] < 0


@njit(cache=True)
def _in_force(
    rows: Any, path: Any, s: Any, vehicle: Any, t: int, bits: Any, sizes: Any, start: Any, rule: Any, span: Any, kind: Any, value: Any, mask: Any,
    valid: Any, holding: Any, area: int, limit: Any, by: Any,
) -> None:  # fmt: skip
    """Fill in `limit` and `by` (the capping, the refusing and the undecided rule) for the vehicle of each of `rows`."""
    win, open_ = np.empty(N_KINDS, np.int32), np.empty(N_KINDS, np.int32)
    for k in range(len(rows)):
        i, v = rows[k], vehicle[k]
        if path[i] < 0:
            limit[k], by[0, k], by[1, k], by[2, k] = inf, -1, -1, -1
            continue
        sure, maybe = bits[v, 0], bits[v, 1]
        waits = _decide(path[i], s[i], t, sure, maybe, start, rule, span, kind, mask, valid, holding, win, open_)
        limit[k], _, by[0, k], by[1, k], by[2, k] = _bounds(
            win, open_, value, sizes[v], sure & AUTOMATED != 0, waits, area
        )
