"""Which rules hold for a vehicle on a lane at a time: `effective`, plain, with the deciding and the losing rules.

Of rules of one kind that hold at one place and time, one decides: temporary before permanent, then the higher priority,
then the narrower place (span, lane, link, zone, whole intersection), then the more restrictive value, then the one
named first. Kinds add up: school zones and works cap the speed whatever the plain limit is. `compiled/rules.py` is the
same, compiled.

A rule that rests on what the vehicle does not declare (the last digit of its plate, its fuel, its mass on a bridge)
decides nothing: the vehicle is neither let through nor kept out by it, and `undecided_by` names it."""

from collections.abc import Collection, Iterator
from math import inf
from typing import NamedTuple

from msgspec import Struct

from .days import DayCalendar, Days, days_of
from .model import IntersectionCode
from .polygons import inside_spans
from .rule import FUELS, STAGES, Rule, known_class
from .when import holds

# Kinds that bound the speed from above
SPEED_CAP_KINDS = ("speed_max", "school_zone", "construction")
# Kinds that bound a size of the vehicle, and the field of `Vehicle` that each bounds
SIZE_FIELDS = {
    "height_max": "height",
    "width_max": "width",
    "mass_max": "mass",
    "axle_max": "axle",
}
REFUSING_KINDS = ("closure", "no_entry", "turn_ban")
# Kinds that reserve a lane -> the classes that may use it where the rule names none
RESERVING_KINDS = {
    "bus_lane": ("bus", "emergency"),
    "lane_use": (),
}
# Classes without a number plate and an engine: no rule on plates, fuels or emissions binds them
CLASSES_WITHOUT_PLATES = (
    "bicycle",
    "pedestrian",
    "logistics_robot",
    "tram",
)
FUELS_WITHOUT_EXHAUST = ("electric", "hydrogen")
DANGEROUS_GOODS_CARRIERS = ("truck",)  # classes that may carry dangerous goods without saying so

# Height m, width m, mass t, axle load t that a vehicle has at most, where it does not declare them
SMALL_VEHICLE = (2.8, 2.2, 4.5, 3.0)  # GA 802: small vehicles are below 6 m and 4.5 t
LARGE_VEHICLE = (4.0, 2.55, 49.0, 11.5)  # GB 1589-2016: an articulated vehicle of six axles
LIGHT_VEHICLE = (2.5, 1.2, 1.0, 1.0)
MAX_SIZES_OF_CLASS = {
    "car": SMALL_VEHICLE,
    "taxi": SMALL_VEHICLE,
    "motorcycle": LIGHT_VEHICLE,
    "bicycle": LIGHT_VEHICLE,
    "pedestrian": LIGHT_VEHICLE,
    "logistics_robot": LIGHT_VEHICLE,
}


class Vehicle(Struct, frozen=True):
    """A vehicle as rules see it: its class, one of `rule.CLASSES` (any other word counts as a car), its sizes (m, t;
    nan where not known), its emission stage (0: not known), and what rules on plates, fuels and dangerous goods ask for
    (-1, "" and None where not known)."""

    kind: str = "car"
    automated: bool = False
    height: float = float("nan")
    width: float = float("nan")
    mass: float = float("nan")
    axle: float = float("nan")
    stage: int = 0
    plate: int = -1  # last digit of the number plate
    fuel: str = ""
    dangerous_goods: bool | None = None

    def is_one_of(self, classes: Collection[str]) -> bool:
        """Return whether the vehicle surely belongs to one of the classes."""
        manners = ("automated",) * self.automated + ("dangerous_goods",) * (self.dangerous_goods is True)
        return known_class(self.kind) in classes or any(manner in classes for manner in manners)

    def may_be_one_of(self, classes: Collection[str]) -> bool:
        """Return whether the vehicle may belong to one of the classes, for what it does not declare."""
        return (
            self.dangerous_goods is None
            and "dangerous_goods" in classes
            and known_class(self.kind) in DANGEROUS_GOODS_CARRIERS
        )

    @property
    def motorised(self) -> bool:
        """Whether it has a number plate and an engine that rules ask for."""
        return known_class(self.kind) not in CLASSES_WITHOUT_PLATES

    def between(self, kind: str) -> tuple[float, float]:
        """Return the least and the greatest value that the vehicle may have of what a kind of rule bounds
        (`SIZE_FIELDS`, emission_zone)."""
        if kind == "emission_zone":
            if not self.motorised or self.fuel in FUELS_WITHOUT_EXHAUST:
                return inf, inf
            return (self.stage, self.stage) if self.stage else STAGES

        size: float = getattr(self, SIZE_FIELDS[kind])
        if size == size:
            return size, size

        return 0.0, MAX_SIZES_OF_CLASS.get(known_class(self.kind), LARGE_VEHICLE)[tuple(SIZE_FIELDS).index(kind)]


class Decision(NamedTuple):
    """The rule that decided for its kind, and those of the same kind that lost to it."""

    kind: str
    rule: str
    value: float | None
    lost: tuple[str, ...]


class Effective(NamedTuple):
    """What holds: bounds of speed (m/s; inf and 0 where there are none), whether the vehicle may be there, and the
    rules that decided."""

    speed_max: float
    speed_min: float
    allowed: bool
    refused_by: str  # rule; "" where allowed
    decisions: tuple[Decision, ...]
    # Where it is allowed: the first rule that might keep it out, or slow it down, by what it does not declare
    undecided_by: str = ""

    def rule_of(self, kind: str) -> str:
        """Return the rule that decided a kind; "" where none holds."""
        return next((decision.rule for decision in self.decisions if decision.kind == kind), "")


class RulePlacement(NamedTuple):
    """A rule on a lane or connection: `scope`, how narrow its target is (0 the whole intersection .. 4 a span), and the
    span where it holds, m along the path."""

    rule: int
    scope: int
    s_from: float
    s_to: float


def rule_placements(code: IntersectionCode) -> dict[str, list[RulePlacement]]:
    """Return the rules on each lane and connection, in the order in which they decide."""
    placements: dict[str, list[RulePlacement]] = {
        name: [] for name in (*(path.id for path in code.lanes), *(path.id for path in code.connections))
    }
    zones = {zone.id: zone.polygon for zone in code.zones}
    members: dict[str, list[str]] = {"code": list(placements)}

    for lane in code.lanes:
        members.setdefault(lane.link, []).append(lane.id)

    points = {lane.id: lane.points for lane in code.lanes} | {
        connection.id: connection.points for connection in code.connections
    }
    for index, rule in enumerate(code.rules):
        for target in rule.targets:
            has_span = target.s_from is not None or target.s_to is not None
            extent = (target.s_from or 0.0, inf if target.s_to is None else target.s_to)

            # Scope, from the narrowest: 4 a span of a lane, 3 a lane, 2 a link, 1 a zone, 0 the whole code
            if target.entity in placements:
                placements[target.entity].append(RulePlacement(index, 4 if has_span else 3, *extent))
            elif target.entity in zones:
                for name, line in points.items():
                    placements[name] += [
                        RulePlacement(index, 1, *span_within)
                        for span_within in inside_spans(line, zones[target.entity])
                    ]
            else:
                for name in members.get(target.entity, ()):
                    placements[name].append(
                        RulePlacement(rule=index, scope=0 if target.entity == "code" else 2, s_from=0.0, s_to=inf)
                    )

    for on_path in placements.values():
        on_path.sort(key=lambda placement: _rank(code.rules[placement.rule], placement))

    return placements


def _rank(rule: Rule, placement: RulePlacement) -> tuple[object, ...]:
    value = 0.0 if rule.value is None else rule.value
    more_is_stricter = rule.kind in ("speed_min", "emission_zone")  # where more is stricter

    return (
        not rule.temporary,
        -rule.priority,
        -placement.scope,
        -value if more_is_stricter else value,
        placement.rule,
        placement.s_from,
    )


def binds(rule: Rule, vehicle: Vehicle) -> bool | None:
    """Return whether a rule binds a vehicle; None where that rests on what the vehicle does not declare.

    Rules that reserve a lane are addressed to everyone they do not name. `plates` and `fuels` are about motor vehicles
    only."""
    is_certain = True
    named_classes = rule.classes or RESERVING_KINDS.get(rule.kind, ())

    if rule.kind in RESERVING_KINDS:
        if vehicle.is_one_of(named_classes):
            return False
        is_certain = not vehicle.may_be_one_of(named_classes)
    elif named_classes and not vehicle.is_one_of(named_classes):
        if not vehicle.may_be_one_of(named_classes):
            return False
        is_certain = False

    if vehicle.is_one_of(rule.except_classes):
        return False

    is_certain = is_certain and not vehicle.may_be_one_of(rule.except_classes)
    narrowing: tuple[tuple[object, bool, Collection[object]], ...] = (
        (vehicle.plate, vehicle.plate >= 0, rule.plates),
        (vehicle.fuel, vehicle.fuel in FUELS, rule.fuels),
    )
    # Bicycles and pedestrians have neither plates nor fuel
    for declared, is_declared, values in narrowing:
        if values and (not vehicle.motorised or (is_declared and declared not in values)):
            return False
        is_certain = is_certain and (is_declared or not values)

    if rule.except_fuels and vehicle.motorised:
        if vehicle.fuel in rule.except_fuels:
            return False
        is_certain = is_certain and vehicle.fuel in FUELS

    return True if is_certain else None


def missing(rule: Rule, vehicle: Vehicle) -> tuple[str, ...]:
    """Return what a vehicle would have to declare, as fields of its state, so that a rule can be decided for it."""
    named_classes = (*rule.classes, *rule.except_classes)
    is_missing_by_field = {
        "dangerous_goods": vehicle.may_be_one_of(named_classes),
        "plate_digit": bool(rule.plates) and vehicle.plate < 0,
        "fuel": bool(rule.fuels or rule.except_fuels) and vehicle.fuel not in FUELS,
        "emission_stage": rule.kind == "emission_zone" and vehicle.between(rule.kind) == STAGES,
    }

    field_of_size = {"mass": "mass", "axle": "axle_load", "height": "height", "width": "width"}
    is_missing_by_field |= {
        field_of_size[size]: rule.kind == kind and getattr(vehicle, size) != getattr(vehicle, size)
        for kind, size in SIZE_FIELDS.items()
    }
    return tuple(name for name, is_missing in is_missing_by_field.items() if is_missing)


def effective(
    code: IntersectionCode,
    path: str,
    vehicle: Vehicle,
    t: int,
    *,
    s: float | None = None,
    holidays: DayCalendar | Days | Collection[str] = (),
    placements: dict[str, list[RulePlacement]] | None = None,
) -> Effective:
    """Return what holds for a vehicle on a lane or connection at `t` ns, at `s` m along it (None: anywhere on it).

    `placements` is `places(code)`, where it is at hand. Raises KeyError for a path that the code has not.
    """
    active: dict[str, list[Rule]] = {}
    # By kind, the first of which it is not known whether it binds the vehicle
    undecided_rules: dict[str, Rule] = {}
    closed_tidal_rules: list[Rule] = []  # that open a place, and are not in force
    days = days_of(holidays)

    for placement in (placements if placements is not None else rule_placements(code))[path]:
        rule = code.rules[placement.rule]
        bound = binds(rule, vehicle)
        if not rule.mandatory or (s is not None and not placement.s_from <= s <= placement.s_to) or bound is False:
            continue
        if not (rule.valid_from is None or rule.valid_from <= t) or not (rule.valid_to is None or t < rule.valid_to):
            continue

        if holds(rule.calendar, t, days):
            if bound:
                active.setdefault(rule.kind, []).append(rule)
            elif rule.kind not in active:
                undecided_rules.setdefault(rule.kind, rule)
        elif rule.kind == "tidal_lane" and bound:
            closed_tidal_rules.append(rule)

    decisions = {
        kind: Decision(
            kind=kind,
            rule=rules[0].id,
            value=rules[0].value,
            lost=tuple(dict.fromkeys(loser.id for loser in rules[1:] if loser.id != rules[0].id)),
        )
        for kind, rules in active.items()
    }

    refused_by = next(_refusals(code, vehicle, decisions, closed_tidal_rules), None)
    speed_max = min((decisions[kind].value or inf for kind in SPEED_CAP_KINDS if kind in decisions), default=inf)
    speed_min = decisions["speed_min"].value or 0.0 if "speed_min" in decisions else 0.0
    undecided_by = ""
    if refused_by is None:
        undecided_by = next(_undecided(vehicle, decisions, undecided_rules, speed_max), "")

    return Effective(
        speed_max=speed_max,
        speed_min=min(speed_min, speed_max),
        allowed=refused_by is None,
        refused_by=refused_by or "",
        decisions=tuple(decisions[kind] for kind in sorted(decisions)),
        undecided_by=undecided_by,
    )


def _refusals(
    code: IntersectionCode, vehicle: Vehicle, decisions: dict[str, Decision], closed_tidal_rules: list[Rule]
) -> Iterator[str]:
    """Yield the rules that keep a vehicle out, in a fixed order of kinds."""
    for kind in (*REFUSING_KINDS, *RESERVING_KINDS):
        if kind in decisions:
            yield decisions[kind].rule

    for kind in SIZE_FIELDS:
        if kind in decisions and vehicle.between(kind)[0] > (decisions[kind].value or 0.0):
            yield decisions[kind].rule

    if "emission_zone" in decisions and vehicle.between("emission_zone")[1] < (decisions["emission_zone"].value or 0.0):
        yield decisions["emission_zone"].rule

    # A tidal lane is closed whenever none of its rules opens it
    if closed_tidal_rules and "tidal_lane" not in decisions:
        yield closed_tidal_rules[0].id

    # Where a code has operating areas, automated vehicles may drive in them only
    if vehicle.automated and "av_operating_area" not in decisions:
        yield from (rule.id for rule in code.rules if rule.kind == "av_operating_area")


def _undecided(
    vehicle: Vehicle, decisions: dict[str, Decision], undecided_rules: dict[str, Rule], speed_max: float
) -> Iterator[str]:
    """Yield the rules that might keep a vehicle out, or slow it down, by what it does not declare; in the same
    order."""
    for kind in (*REFUSING_KINDS, *RESERVING_KINDS):
        if kind in undecided_rules:
            yield undecided_rules[kind].id

    for kind in (*SIZE_FIELDS, "emission_zone"):
        least, greatest = vehicle.between(kind)
        if kind in undecided_rules and _may_exceed(kind, undecided_rules[kind].value, least, greatest):
            yield undecided_rules[kind].id
        if kind in decisions and _may_exceed(kind, decisions[kind].value, least, greatest):
            yield decisions[kind].rule

    for kind in SPEED_CAP_KINDS:
        if kind in undecided_rules and (undecided_rules[kind].value or inf) < speed_max:
            yield undecided_rules[kind].id


def _may_exceed(kind: str, value: float | None, least: float, greatest: float) -> bool:
    """Return whether a bound may keep out a vehicle whose value lies between two figures."""
    return least < (value or 0.0) if kind == "emission_zone" else greatest > (value or 0.0)
