"""What the last import may have given, where it was not kept."""

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from ..model import IntersectionCode
from ..rule import Rule
from ..terms import LaneUse


def ids_of(rows: Iterable[Any]) -> set[str]:
    return {row.id for row in rows}


def assumed_base(prev: IntersectionCode, new: IntersectionCode) -> IntersectionCode:
    """Return what the last import may have given, where that was not kept: `prev` without what only a hand writes.

    These are rules that do more than repeat the lanes' limits and uses, zones and devices, signal exceptions, plans
    that the source does not name, aliases of kinds that it does not give, and the interval in which the revision holds.
    """
    alias_kinds = {alias.kind for alias in new.alias}
    alias_kinds |= {
        alias.kind
        for table in ("nodes", "links", "lanes", "connections", "crosswalks")
        for row in getattr(new, table)
        for alias in row.alias
    }

    plan_ids = {plan.id for plan in new.plans}
    zones, devices = ids_of(new.zones), ids_of(new.devices)

    return replace(
        prev,
        alias=tuple(alias for alias in prev.alias if alias.kind in alias_kinds),
        plans=tuple(plan for plan in prev.plans if plan.id in plan_ids),
        zones=tuple(zone for zone in prev.zones if zone.id in zones),
        devices=tuple(device for device in prev.devices if device.id in devices),
        signal_exceptions=tuple(
            exception for exception in prev.signal_exceptions if exception in new.signal_exceptions
        ),
        rules=tuple(rule for rule in prev.rules if repeats_lanes(prev, rule)),
        valid_from=new.valid_from,
        valid_to=new.valid_to,
        accuracy_cm=new.accuracy_cm,
    )


def repeats_lanes(code: IntersectionCode, rule: Rule) -> bool:
    """Return whether a rule only repeats the lanes it names: their limit, or that they are bus lanes."""
    if rule != Rule(id=rule.id, kind=rule.kind, targets=rule.targets, value=rule.value) or any(
        target.s_from is not None or target.s_to is not None for target in rule.targets
    ):
        return False

    target_ids = {target.entity for target in rule.targets}
    lanes = [
        lane
        for lane in code.lanes
        if (lane.id in target_ids or lane.link in target_ids) and lane.use != LaneUse.PEDESTRIAN
    ]
    if rule.kind == "speed_max":
        return bool(lanes) and all(lane.speed == rule.value for lane in lanes)

    return rule.kind == "bus_lane" and bool(lanes) and all(lane.use == LaneUse.BUS for lane in lanes)
