"""The kernels that answer which rules hold: `rules.effective`, compiled. `RuleTable` gives them its arrays."""

from math import inf
from typing import Any, NamedTuple

import numpy as np

from ...kernels import njit
from ..rule import CLASSES, RULE_KINDS
from ..rules import SIZE_FIELDS
from .addresses import float_rows, floats, long_rows, longs
from .calendars import holds_at

KIND_INDEX = {kind: k for k, kind in enumerate(RULE_KINDS)}
SPEED_MAX, SCHOOL, CONSTRUCTION, SPEED_MIN = (
    KIND_INDEX["speed_max"],
    KIND_INDEX["school_zone"],
    KIND_INDEX["construction"],
    KIND_INDEX["speed_min"],
)
CLOSURE, NO_ENTRY, TURN_BAN, BUS_LANE, LANE_USE = (
    KIND_INDEX[k] for k in ("closure", "no_entry", "turn_ban", "bus_lane", "lane_use")
)
SIZE_KINDS = tuple(KIND_INDEX[k] for k in SIZE_FIELDS)
EMISSION, TIDAL, AV_AREA = KIND_INDEX["emission_zone"], KIND_INDEX["tidal_lane"], KIND_INDEX["av_operating_area"]
CLASS_BIT = {name: 1 << k for k, name in enumerate(CLASSES)}
AUTOMATED = CLASS_BIT["automated"]
NO, YES, UNDECIDED = 0, 1, 2  # whether a rule binds a vehicle; UNDECIDED: that rests on what it does not declare
N_KINDS = len(RULE_KINDS)


@njit(cache=True)
def _binds(rule: int, certain: int, possible: int, mask: Any) -> int:
    """Return whether a rule binds a vehicle: NO, YES or OPEN."""
    bound, named, excepted = YES, mask[rule, 0], mask[rule, 1]
    if mask[rule, 4] != 0:
        if named & certain != 0:
            return NO
        if named & possible != 0:
            bound = UNDECIDED
    elif named != 0 and named & certain == 0:
        if named & possible == 0:
            return NO
        bound = UNDECIDED

    if excepted & certain != 0:
        return NO

    if excepted & possible != 0:
        bound = UNDECIDED

    for k in (2, 3):
        if mask[rule, k] != 0 and mask[rule, k] & certain == 0:
            if mask[rule, k] & possible == 0:
                return NO
            bound = UNDECIDED

    return bound


@njit(cache=True)
def _refusal(deciding: Any, value: Any, sizes: Any, automated: bool, closed_tidal: int, operating_area: int) -> int:
    for kind in (CLOSURE, NO_ENTRY, TURN_BAN, BUS_LANE, LANE_USE):
        if deciding[kind] >= 0:
            return int(deciding[kind])

    for size in range(4):
        rule = deciding[SIZE_KINDS[size]]
        if rule >= 0 and sizes[size, 0] > value[rule]:
            return int(rule)

    rule = deciding[EMISSION]
    if rule >= 0 and sizes[4, 1] < value[rule]:
        return int(rule)
    if closed_tidal >= 0 and deciding[TIDAL] < 0:
        return closed_tidal

    return operating_area if automated and deciding[AV_AREA] < 0 else -1


@njit(cache=True)
def _undecided(deciding: Any, undecided: Any, value: Any, sizes: Any, speed_cap: float) -> int:
    for kind in (CLOSURE, NO_ENTRY, TURN_BAN, BUS_LANE, LANE_USE):
        if undecided[kind] >= 0:
            return int(undecided[kind])

    for size in range(4):
        for rule in (undecided[SIZE_KINDS[size]], deciding[SIZE_KINDS[size]]):
            if rule >= 0 and sizes[size, 1] > value[rule]:
                return int(rule)

    for rule in (undecided[EMISSION], deciding[EMISSION]):
        if rule >= 0 and sizes[4, 0] < value[rule]:
            return int(rule)

    for kind in (SPEED_MAX, SCHOOL, CONSTRUCTION):
        if undecided[kind] >= 0 and value[undecided[kind]] < speed_cap:
            return int(undecided[kind])

    return -1


@njit(cache=True)
def fill_calendars_hold(
    second: int, zone: Any, calendar: Any, shifts: Any, holidays: Any, worked: Any, holding: Any
) -> None:
    for r in range(len(holding)):
        holding[r] = holds_at(r, second, zone, calendar, shifts, holidays, worked)


@njit(cache=True)
def _decide(
    path: int, s: float, t: int, sure: int, maybe: int, start: Any, rule: Any, span: Any, kind: Any, mask: Any, valid: Any, holding: Any, win: Any, open_: Any,  # noqa: E501
) -> int:  # fmt: skip
    """Fill in which rule decides each kind for one query, and which would if it bound the vehicle, which what that
    declares leaves open; returns the
    rule of a tidal lane that does not hold now, -1 where there is none. `holding`: whether the calendar of each rule on
    the path holds.
    """
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
    """Return what the rules of `_decide` come to: the highest and lowest speed (m/s), the capping, the refusing and the
    undecided rule.
    """
    top, cap = inf, -1
    for k in (SPEED_MAX, SCHOOL, CONSTRUCTION):
        if win[k] >= 0 and value[win[k]] < top:
            top, cap = value[win[k]], int(win[k])
    low = value[win[SPEED_MIN]] if win[SPEED_MIN] >= 0 else 0.0
    refused = _refusal(win, value, sizes, automated, waits, area)
    return top, low, cap, refused, _undecided(win, open_, value, sizes, top) if refused < 0 else -1


@njit(cache=True)
def fill_answers(
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


class RuleArrays(NamedTuple):
    """The rules of a code as kernels read them: columns of `RuleTable`."""

    start: Any  # of each path's placements
    rule: Any  # of each placement
    span: Any  # float64[placements, 2]: m along the path
    kind: Any
    value: Any
    class_bits: Any
    valid: Any  # int64[rules, 2]: ns
    area: Any  # int64[1]: the rule of the operating area, -1 none


RULE_ARRAYS = 8  # that the rules of a code are read by


@njit(cache=True)
def rules_at(row: Any) -> Any:
    """Return the RuleArrays of a row that `RuleTable.addresses` is; its order is that of the fields."""
    return RuleArrays(
        longs(row[0]), longs(row[1]), float_rows(row[2]), longs(row[3]), floats(row[4]), long_rows(row[5]),
        long_rows(row[6]), longs(row[7]),
    )  # fmt: skip


@njit(cache=True)
def fill_in_force(
    rows: Any, path: Any, s: Any, vehicle: Any, t: int, bits: Any, sizes: Any, start: Any, rule: Any, span: Any, kind: Any, value: Any, mask: Any,  # noqa: E501
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
