"""Rules in a drawing: a plate where each holds, and their list under the legend. Speed limits are drawn as signs instead."""

from datetime import UTC, datetime
from html import escape
from typing import Protocol

import numpy as np

from ..compiled.code import CompiledCode
from ..polylines import F8, arc, at
from ..rule import VALUED, Calendar, Rule, Target
from ..rules import SECOND

SIGN = {
    "turn_ban": "⊘",
    "no_entry": "⛔",
    "closure": "✕",
    "lane_use": "▥",
    "bus_lane": "BUS",
    "tidal_lane": "⇅",
    "height_max": "↕",
    "width_max": "↔",
    "mass_max": "t",
    "axle_max": "axle",
    "school_zone": "school",
    "construction": "works",
    "toll": "toll",
    "no_stopping": "no stop",
    "no_overtaking": "no pass",
    "emission_zone": "LEZ",
    "av_operating_area": "AV",
    "speed_min": "min",
}
DAYS = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"]
BEFORE = 18.0  # m before the end of a lane that a plate stands
WHOLE = np.array(
    [-28.0, 28.0]
)  # m from the reference point: where plates of rules on the whole intersection stand, off its roads
SIDE, MARGIN = 1080.0, 24.0  # px of the drawing; of its edge, within which the middle of no plate stands
LEFT, STEP, LONGEST = 215.0, 17.0, 58  # px, px, characters


class Places(Protocol):
    """What makes pixels of metres."""

    def xy(self, points: F8) -> F8:
        """Return pixels, float64[n, 2]."""


def plates(code: CompiledCode, view: Places) -> list[str]:
    """Return the plates."""
    out, taken = [], dict[tuple[int, int], int]()
    for rule in code.code.rules:
        if rule.kind == "speed_max":
            continue
        for target in rule.targets:
            for spot in _spots(code, target):
                ((px, py),) = view.xy(spot[None])
                x, y = (min(max(float(at), MARGIN), SIDE - MARGIN) for at in (px, py))
                is_beyond = (x, y) != (px, py)
                cell = (round(x / 30), round(y / 16))
                y += 16 * taken.get(cell, 0)  # several rules of one place stand one below the other
                taken[cell] = taken.get(cell, 0) + 1
                sign = _sign(rule)
                if is_beyond:  # the drawing: it stands at its edge, with how far away it is
                    sign += f" at {float(np.hypot(*spot)):.0f} m"
                    y = max(y - MARGIN / 2, MARGIN)  # beside the limit that stands there
                x = min(max(x, 3.3 * len(sign) + 6), SIDE - 3.3 * len(sign) - 6)
                width = 8 + 6.5 * len(sign)
                out.append(
                    f'<g><title>{escape(f"{rule.id}: {said(rule)}")}</title><rect x="{x - width / 2:.0f}" y="{y - 8:.0f}" width="{width:.0f}" height="15" rx="3" fill="#fff" stroke="#c22" '
                    f'stroke-width="1.4"/><text x="{x:.0f}" y="{y:.0f}" text-anchor="middle" dominant-baseline="central" font-size="10" font-weight="600">{escape(sign)}</text></g>'
                )
    return out


def listing(rules: tuple[Rule, ...], x: float, groups: int) -> list[str]:
    """Return the list of rules under `groups` signal groups of the legend."""
    y = LEFT + min(24.0, (1080.0 - LEFT) / max(groups, 1)) * groups + 18
    room = int((1060 - y) / STEP) - 1
    if not rules or room < 1:
        return []
    out = [f'<text x="{x}" y="{y:.0f}" font-weight="700">rules</text>']
    shown = rules if len(rules) <= room else rules[: room - 1]
    lines = [f"{rule.id} {said(rule)}" for rule in shown] + (
        [f"and {len(rules) - len(shown)} more"] if len(shown) < len(rules) else []
    )
    for k, line in enumerate(lines, 1):
        short = line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
        out.append(
            f'<text x="{x}" y="{y + STEP * k:.0f}" font-size="12"><title>{escape(line)}</title>{escape(short)}</text>'
        )
    return out


def said(rule: Rule) -> str:
    """Return a rule in words: kind, value, whom, where, when."""
    unit = VALUED.get(rule.kind, "")
    value = (
        "" if rule.value is None else f" {rule.value * 3.6:.0f} km/h" if unit == "m/s" else f" {rule.value:g} {unit}"
    )
    where = ", ".join(_place(t) for t in rule.targets[:6]) + (
        f" and {len(rule.targets) - 6} more" if len(rule.targets) > 6 else ""
    )
    when = "" if rule.calendar is None else _when(rule.calendar)
    when += "".join(
        f" {word} {datetime.fromtimestamp(t // SECOND, UTC):%Y-%m-%d %H:%M} UTC"
        for word, t in (("from", rule.valid_from), ("until", rule.valid_to))
        if t is not None
    )
    return f"{rule.kind.replace('_', ' ')}{value}{_whom(rule)} on {where}{when}{', temporary' if rule.temporary else ''}{'' if rule.mandatory else ', advisory'}"


def _place(target: Target) -> str:
    if target.s_from is None and target.s_to is None:
        return target.entity
    return f"{target.entity} {target.s_from or 0:g}-{'end' if target.s_to is None else f'{target.s_to:g}'} m"


def _whom(rule: Rule) -> str:
    named = [*rule.classes, *rule.fuels, *(f"plates ending {' '.join(map(str, rule.plates))}" for _ in rule.plates[:1])]
    excepted = [*rule.except_classes, *rule.except_fuels]
    return (f" for {', '.join(named)}" if named else "") + (f" but {', '.join(excepted)}" if excepted else "")


HOLIDAYS = {"as_weekday": "", "never": ", not on holidays", "only": ", on holidays only", "also": ", and on holidays"}


def _when(calendar: Calendar) -> str:
    """Return a calendar in words."""
    days = (
        ""
        if len(set(calendar.weekdays)) == 7 or calendar.holidays == "only"
        else " " + " ".join(DAYS[d - 1] for d in calendar.weekdays)
    )
    minutes = "".join(f" {a // 60:02d}:{a % 60:02d}-{b // 60:02d}:{b % 60:02d}" for a, b in calendar.minutes)
    ranges = (*((calendar.dates,) if calendar.dates else ()), *calendar.date_ranges)
    dates = f", {' and '.join(f'{first} to {last}' for first, last in ranges)}" if ranges else ""
    if calendar.month_days:
        odd_even = {tuple(range(1, 32, 2)): "odd", tuple(range(2, 32, 2)): "even"}.get(
            tuple(sorted(calendar.month_days))
        )
        dates += (
            f", on {odd_even} dates"
            if odd_even
            else f", on days {' '.join(map(str, calendar.month_days))} of the month"
        )
    return f"{days}{minutes}{dates}{HOLIDAYS.get(calendar.holidays, '')}{', and on make-up days' if calendar.make_up == 'as_workday' else ''}"


def _sign(rule: Rule) -> str:
    sign = SIGN.get(rule.kind, rule.kind)
    if rule.value is None:
        narrowed = (
            [*rule.classes[:1], *(f"…{' …'.join(map(str, rule.plates))}" for _ in rule.plates[:1])]
            if rule.kind in ("turn_ban", "no_entry", "lane_use")
            else []
        )
        return " ".join([sign, *narrowed])
    return f"{sign} {rule.value * 3.6:.0f}" if VALUED.get(rule.kind) == "m/s" else f"{sign} {rule.value:g}"


def _spots(code: CompiledCode, target: Target) -> list[F8]:
    """Return where the plates of a target stand, metres."""
    name = target.entity
    if name == "code":
        return [WHOLE]
    lanes = {lane.id: k for k, lane in enumerate(code.code.lanes)}
    conns = {c.id: code.n_lanes + k for k, c in enumerate(code.code.connections)}
    if name in lanes or name in conns:
        k = lanes.get(name, conns.get(name, 0))
        line = code.path_xy[code.path_start[k] : code.path_start[k + 1]]
        along = arc(line)
        whole = float(along[-1])
        if target.s_from is not None or target.s_to is not None:
            s = ((target.s_from or 0.0) + min(target.s_to if target.s_to is not None else whole, whole)) / 2
        else:
            s = whole / 2 if name in conns else BEFORE if code.lane_role[k] == 2 else whole - BEFORE
        return [at(line, along, min(max(s, 0.0), whole))]
    links = {link.id: k for k, link in enumerate(code.code.links)}
    if name in links:
        of = np.flatnonzero(code.lane_link == links[name])
        return _spots(code, Target(code.lane_ids[int(of[len(of) // 2])], target.s_from, target.s_to)) if len(of) else []
    zone = next((z for z in code.code.zones if z.id == name), None)
    if zone is not None:
        table = np.array(zone.polygon, float) / 1e7
        return [np.stack(code.origin.to_local(table[:, 0], table[:, 1]), axis=1).mean(axis=0)]
    return []
