"""The rules of an intersection as arrays, for the kernels of `rule_kernels` to answer what holds."""

from collections.abc import Collection, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..days import DayCalendar, Days, days_of
from ..model import IntersectionCode
from ..rule import FUELS, RULE_KINDS, Rule, known_class
from ..rules import (
    DANGEROUS_GOODS_CARRIERS,
    RESERVING_KINDS,
    SIZE_FIELDS,
    Effective,
    Vehicle,
    effective,
    rule_placements,
)
from ..when import SECOND, in_force
from .addresses import Addresses, addresses
from .calendars import UNBOUNDED_NS, day_number, shifts_of, tabulate
from .rule_kernels import AUTOMATED, CLASS_BIT, KIND_INDEX, fill_answers, fill_calendars_hold, fill_in_force

PLATE_BIT = 32  # of the last digit 0; then those of 1 .. 9
FUEL_BIT = {name: 1 << (48 + k) for k, name in enumerate(FUELS)}
ALL_PLATES, ALL_FUELS = 1023 << PLATE_BIT, sum(FUEL_BIT.values())


class Answer(NamedTuple):
    """One row a query: speed bounds (m/s), the capping rule, whether it may be there, the refusing rule (indices; -1
    none)."""

    speed_max: NDArray[np.float64]
    speed_min: NDArray[np.float64]
    cap: NDArray[np.int32]
    allowed: NDArray[np.bool_]
    refused_by: NDArray[np.int32]
    decided: NDArray[np.int32]  # int32[n, kinds]: the rule that decided each kind of `RULE_KINDS`
    undecided: NDArray[np.int32]  # the rule that could not be decided by what the vehicle does not declare; -1 none


class InForce(NamedTuple):
    """What holds for each of some vehicles at one moment: `limit` m/s (inf where none), the rule that caps it, the one
    that refuses the vehicle, and the
    one that may, by what it does not declare (-1 none)."""

    limit: NDArray[np.float64]
    cap: NDArray[np.int32]
    refused_by: NDArray[np.int32]
    undecided: NDArray[np.int32]


class Holding(NamedTuple):
    """Which rules' calendars hold: bool[n_rules], and where that is in memory."""

    rules: NDArray[np.bool_]
    address: int


class RuleTable:
    """The rules of one code, compiled, with the days that their calendars ask for: a calendar, or holidays as
    YYYY-MM-DD."""

    def __init__(self, code: IntersectionCode, holidays: DayCalendar | Days | Collection[str] = ()) -> None:
        self.code = code
        self.days = days_of(holidays)
        self.at = rule_placements(code)
        self.paths = {name: k for k, name in enumerate(self.at)}
        placements_by_path = [self.at[name] for name in self.paths]
        self._start = np.cumsum([0, *map(len, placements_by_path)]).astype(np.int64)
        all_placements = [place for rows in placements_by_path for place in rows]
        self._rule = np.array([placement.rule for placement in all_placements], np.int64)
        self._span = np.array([(placement.s_from, placement.s_to) for placement in all_placements], float).reshape(
            -1, 2
        )
        rules = code.rules
        self._kind = np.array([KIND_INDEX[rule.kind] for rule in rules], np.int64)
        self._value = np.array([np.nan if rule.value is None else rule.value for rule in rules], float)
        self._class_bits = np.array(
            [(*_rule_bits(rule), rule.kind in RESERVING_KINDS, rule.mandatory) for rule in rules], np.int64
        ).reshape(-1, 6)

        self._valid = np.array(
            [
                (
                    UNBOUNDED_NS[0] if rule.valid_from is None else rule.valid_from,
                    UNBOUNDED_NS[1] if rule.valid_to is None else rule.valid_to,
                )
                for rule in rules
            ],
            np.int64,
        ).reshape(-1, 2)
        self._calendar = tabulate([rule.calendar for rule in rules])
        zones = tuple(sorted({rule.calendar.tz for rule in rules if rule.calendar is not None}))
        self._zone = np.array(
            [-1 if rule.calendar is None else zones.index(rule.calendar.tz) for rule in rules], np.int64
        )
        self._shifts = shifts_of(zones)
        self._holidays = np.array(sorted(map(day_number, self.days.holidays)), np.int64)
        self._worked = np.array(
            sorted((day_number(day), weekday) for day, weekday in self.days.worked.items()), np.int64
        ).reshape(-1, 2)
        self._area = next((k for k, rule in enumerate(rules) if rule.kind == "av_operating_area"), -1)

        tidal = [
            (
                k,
                [
                    rules[placement.rule]
                    for placement in self.at[lane.id]
                    if rules[placement.rule].kind == "tidal_lane" and rules[placement.rule].mandatory
                ],
            )
            for k, lane in enumerate(code.lanes)
        ]
        self._tidal = [(lane, opening) for lane, opening in tidal if opening]  # lanes, and the rules that open each
        self._closed: tuple[int, NDArray[np.bool_]] | None = None
        self._holding: tuple[int, Holding] | None = None

    @cached_property
    def addresses(self) -> Addresses:
        """The row of a table of rule tables, which `rules_at` reads."""
        self._area_array = np.array([self._area], np.int64)
        return addresses(
            (
                self._start,
                self._rule,
                self._span,
                self._kind,
                self._value,
                self._class_bits,
                self._valid,
                self._area_array,
            )
        )

    @cached_property
    def address(self) -> int:
        """Where that row is in memory."""
        return self.addresses.ctypes.data

    def closed(self, t: int) -> NDArray[np.bool_] | None:
        """Return which lanes are closed at `t` ns because they are tidal and run the other way now: bool[n_paths]; None
        where none is tidal."""
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
        """Answer many queries at once: path (index), vehicle (index into `fleet`), t (ns), s (m; nan or None
        anywhere)."""
        count = len(path)
        bits, sizes = fleet_arrays(tuple(fleet))

        answer = Answer(
            np.empty(count),
            np.empty(count),
            np.empty(count, np.int32),
            np.empty(count, np.bool_),
            np.empty(count, np.int32),
            np.empty((count, len(RULE_KINDS)), np.int32),
            np.empty(count, np.int32),
        )
        fill_answers(
            path,
            vehicle,
            t,
            np.full(count, np.nan) if s is None else s,
            bits,
            sizes,
            self._start,
            self._rule,
            self._span,
            self._kind,
            self._value,
            self._class_bits,
            self._valid,
            self._zone,
            self._calendar,
            self._shifts,
            self._holidays,
            self._worked,
            self._area,
            *answer,
        )

        return answer

    def in_force(
        self,
        rows: NDArray[np.int64],
        path: NDArray[np.int64],
        s: NDArray[np.float64],
        t: int,
        vehicles: Sequence[Vehicle],
    ) -> InForce:
        """Answer for `vehicles` at one moment: `effective` for what a plan asks. `rows`: where each stands in `path`
        (-1: on none, and no rule holds) and `s` (m).
        """
        n = len(vehicles)
        fleet: dict[int, int] = {}  # few differ, and the same figures are the same object
        which = np.array([fleet.setdefault(id(vehicle), len(fleet)) for vehicle in vehicles], np.int64)
        bits, sizes = fleet_arrays(tuple({id(vehicle): vehicle for vehicle in vehicles}.values()))
        limit, by = np.empty(n), np.empty((3, n), np.int32)
        fill_in_force(
            rows, path, s, which, t, bits, sizes, self._start, self._rule, self._span, self._kind, self._value, self._class_bits, self._valid,  # noqa: E501
            self.holding_at(t).rules, self._area, limit, by,
        )  # fmt: skip
        return InForce(limit, by[0], by[1], by[2])

    def holding_at(self, t: int) -> Holding:
        """Return which rules' calendars hold in the second of `t` ns."""
        second = t // SECOND
        if self._holding is None or self._holding[0] != second:
            holding = np.empty(len(self._kind), np.bool_)
            fill_calendars_hold(second, self._zone, self._calendar, self._shifts, self._holidays, self._worked, holding)
            self._holding = (second, Holding(holding, holding.ctypes.data))
        return self._holding[1]

    def explain(self, path: str, vehicle: Vehicle, t: int, s: float | None = None) -> Effective:
        """Answer one query in full, with the losing rules: the plain twin."""
        return effective(self.code, path, vehicle, t, s=s, holidays=self.days, placements=self.at)


class RuledBytes(NamedTuple):
    """One vehicle as `fill_in_force` reads it, as bytes: int64[2], float64[5, 2]."""

    bits: bytes
    sizes: bytes


@lru_cache(maxsize=65_536)
def ruled_bytes(vehicle: Vehicle) -> RuledBytes:
    """Return a vehicle's row of `fleet_arrays`, to be joined with those of others."""
    bits, sizes = fleet_arrays((vehicle,))
    return RuledBytes(bits=bits.tobytes(), sizes=sizes.tobytes())


@lru_cache(maxsize=1024)
def fleet_arrays(fleet: tuple[Vehicle, ...]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return what some vehicles surely are and what they may be besides (bits, int64[n, 2]), and between what figures
    their sizes and emission stage lie (float64[n, 5, 2])."""
    bits = np.array([_vehicle_bits(vehicle) for vehicle in fleet], np.int64).reshape(-1, 2)
    sizes = np.array(
        [[vehicle.between(kind) for kind in (*SIZE_FIELDS, "emission_zone")] for vehicle in fleet], float
    ).reshape(-1, 5, 2)
    return bits, sizes


def _vehicle_bits(vehicle: Vehicle) -> tuple[int, int]:
    kind = known_class(vehicle.kind)
    certain, possible = CLASS_BIT[kind], 0
    if vehicle.automated:
        certain |= AUTOMATED

    if vehicle.dangerous_goods:
        certain |= CLASS_BIT["dangerous_goods"]
    elif vehicle.dangerous_goods is None and kind in DANGEROUS_GOODS_CARRIERS:
        possible |= CLASS_BIT["dangerous_goods"]

    if not vehicle.motorised:
        return certain, possible

    if vehicle.plate >= 0:
        certain |= 1 << (PLATE_BIT + vehicle.plate)
    else:
        possible |= ALL_PLATES

    if vehicle.fuel in FUELS:
        certain |= FUEL_BIT[vehicle.fuel]
    else:
        possible |= ALL_FUELS

    return certain, possible


def _rule_bits(rule: Rule) -> tuple[int, int, int, int]:
    """Return whom a rule names, excepts, and asks for by plate and by fuel: bits, 0 where it does not."""
    plates = sum(1 << (PLATE_BIT + digit) for digit in set(rule.plates))
    fuels, except_fuels = (sum(FUEL_BIT[name] for name in set(names)) for names in (rule.fuels, rule.except_fuels))
    return (
        _class_bits(rule.classes or RESERVING_KINDS.get(rule.kind, ())),
        _class_bits(rule.except_classes) | except_fuels,
        plates,
        fuels,
    )


def _class_bits(classes: Collection[str]) -> int:
    return sum(CLASS_BIT[name] for name in set(classes))
