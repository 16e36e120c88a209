"""Rules in a drawing: a plate where each holds, and their list under the legend. Speed limits are drawn as signs
instead."""

from datetime import UTC, datetime
from html import escape
from typing import Protocol

import numpy as np

from ..compiled.code import CompiledCode
from ..polylines import F8, arc_lengths, points_along
from ..rule import VALUED, Calendar, Rule, Target
from ..terms import KMH_PER_MPS
from ..when import SECOND

SYMBOL_OF_KIND = {
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
WEEKDAY_NAMES = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"]
PLATE_BEFORE_END = 18.0  # m before the end of a lane that a plate stands
# m from the reference point: where plates of rules on the whole intersection stand, off its roads
WHOLE_CODE_SPOTS = np.array([-28.0, 28.0])
# px of the drawing; of its edge, within which the middle of no plate stands
DRAWING_PX, EDGE_PX = 1080.0, 24.0
LIST_TOP_PX, LINE_PX, MAX_LINE_LENGTH = 215.0, 17.0, 58  # px, px, characters


class PixelView(Protocol):
    """What makes pixels of metres."""

    def xy(self, points: F8) -> F8:
        """Return pixels, float64[n, 2]."""


def rule_plates(code: CompiledCode, view: PixelView) -> list[str]:
    """Return the plates."""
    elements, plates_in_cell = [], dict[tuple[int, int], int]()
    for rule in code.code.rules:
        if rule.kind == "speed_max":
            continue

        for target in rule.targets:
            for spot in _plate_positions(code, target):
                ((px, py),) = view.xy(spot[None])
                x, y = (min(max(float(points_along), EDGE_PX), DRAWING_PX - EDGE_PX) for points_along in (px, py))
                is_outside = (x, y) != (px, py)
                cell = (round(x / 30), round(y / 16))
                # Several rules of one place stand one below the other
                y += 16 * plates_in_cell.get(cell, 0)
                plates_in_cell[cell] = plates_in_cell.get(cell, 0) + 1
                plate = _plate_text(rule)

                # The drawing: it stands at its edge, with how far away it is
                if is_outside:
                    plate += f" at {float(np.hypot(*spot)):.0f} m"
                    y = max(y - EDGE_PX / 2, EDGE_PX)  # beside the limit that stands there

                x = min(max(x, 3.3 * len(plate) + 6), DRAWING_PX - 3.3 * len(plate) - 6)
                width = 8 + 6.5 * len(plate)

                elements.append(
                    f'<g><title>{escape(f"{rule.id}: {rule_in_words(rule)}")}</title><rect x="{x - width / 2:.0f}" '
                    f'y="{y - 8:.0f}" width="{width:.0f}" height="15" rx="3" fill="#fff" stroke="#c22" '
                    f'stroke-width="1.4"/><text x="{x:.0f}" y="{y:.0f}" text-anchor="middle" '
                    f'dominant-baseline="central" font-size="10" font-weight="600">{escape(plate)}</text></g>'
                )

    return elements


def rule_list(rules: tuple[Rule, ...], x: float, groups: int) -> list[str]:
    """Return the list of rules under `groups` signal groups of the legend."""
    y = LIST_TOP_PX + min(24.0, (1080.0 - LIST_TOP_PX) / max(groups, 1)) * groups + 18
    line_count = int((1060 - y) / LINE_PX) - 1
    if not rules or line_count < 1:
        return []

    elements = [f'<text x="{x}" y="{y:.0f}" font-weight="700">rules</text>']
    shown = rules if len(rules) <= line_count else rules[: line_count - 1]

    lines = [f"{rule.id} {rule_in_words(rule)}" for rule in shown] + (
        [f"and {len(rules) - len(shown)} more"] if len(shown) < len(rules) else []
    )

    for number, line in enumerate(lines, 1):
        shortened = line if len(line) <= MAX_LINE_LENGTH else line[: MAX_LINE_LENGTH - 1] + "…"
        elements.append(
            f'<text x="{x}" y="{y + LINE_PX * number:.0f}" '
            f'font-size="12"><title>{escape(line)}</title>{escape(shortened)}</text>'
        )

    return elements


def rule_in_words(rule: Rule) -> str:
    """Return a rule in words: kind, value, users, place, times."""
    unit = VALUED.get(rule.kind, "")
    if rule.value is None:
        value = ""
    elif unit == "m/s":
        value = f" {rule.value * KMH_PER_MPS:.0f} km/h"
    else:
        value = f" {rule.value:g} {unit}"

    places = ", ".join(_place(target) for target in rule.targets[:6]) + (
        f" and {len(rule.targets) - 6} more" if len(rule.targets) > 6 else ""
    )
    times = "" if rule.calendar is None else _when(rule.calendar)

    times += "".join(
        f" {word} {datetime.fromtimestamp(target // SECOND, UTC):%Y-%m-%d %H:%M} UTC"
        for word, target in (("from", rule.valid_from), ("until", rule.valid_to))
        if target is not None
    )

    return (
        f"{rule.kind.replace('_', ' ')}{value}{_whom(rule)} on "
        f"{places}{times}{', temporary' if rule.temporary else ''}{'' if rule.mandatory else ', advisory'}"
    )


def _place(target: Target) -> str:
    if target.s_from is None and target.s_to is None:
        return target.entity
    return f"{target.entity} {target.s_from or 0:g}-{'end' if target.s_to is None else f'{target.s_to:g}'} m"


def _whom(rule: Rule) -> str:
    named_subjects = [
        *rule.classes,
        *rule.fuels,
        *(f"plates ending {' '.join(map(str, rule.plates))}" for _ in rule.plates[:1]),
    ]

    excepted_subjects = [*rule.except_classes, *rule.except_fuels]
    return (f" for {', '.join(named_subjects)}" if named_subjects else "") + (
        f" but {', '.join(excepted_subjects)}" if excepted_subjects else ""
    )


HOLIDAYS = {"as_weekday": "", "never": ", not on holidays", "only": ", on holidays only", "also": ", and on holidays"}


def _when(calendar: Calendar) -> str:
    """Return a calendar in words."""
    if len(set(calendar.weekdays)) == 7 or calendar.holidays == "only":
        days = ""
    else:
        days = " " + " ".join(WEEKDAY_NAMES[day - 1] for day in calendar.weekdays)

    minutes = "".join(
        f" {start // 60:02d}:{start % 60:02d}-{end // 60:02d}:{end % 60:02d}" for start, end in calendar.minutes
    )
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

    return f"{days}{minutes}{dates}{HOLIDAYS.get(calendar.holidays, '')}{', and on make-up days' if calendar.make_up == 'as_workday' else ''}"  # noqa: E501


def _plate_text(rule: Rule) -> str:
    sign = SYMBOL_OF_KIND.get(rule.kind, rule.kind)
    if rule.value is None:
        if rule.kind in ("turn_ban", "no_entry", "lane_use"):
            subjects = [*rule.classes[:1], *(f"…{' …'.join(map(str, rule.plates))}" for _ in rule.plates[:1])]
        else:
            subjects = []
        return " ".join([sign, *subjects])

    if VALUED.get(rule.kind) == "m/s":
        return f"{sign} {rule.value * KMH_PER_MPS:.0f}"

    return f"{sign} {rule.value:g}"


def _plate_positions(code: CompiledCode, target: Target) -> list[F8]:
    """Return where the plates of a target stand, metres."""
    name = target.entity
    if name == "code":
        return [WHOLE_CODE_SPOTS]

    path_of_lane = {lane.id: index for index, lane in enumerate(code.code.lanes)}
    path_of_connection = {connection.id: code.n_lanes + index for index, connection in enumerate(code.code.connections)}
    if name in path_of_lane or name in path_of_connection:
        index = path_of_lane.get(name, path_of_connection.get(name, 0))
        line = code.path_xy[code.path_start[index] : code.path_start[index + 1]]
        lengths = arc_lengths(line)
        path_length = float(lengths[-1])

        if target.s_from is not None or target.s_to is not None:
            s = ((target.s_from or 0.0) + min(target.s_to if target.s_to is not None else path_length, path_length)) / 2
        else:
            if name in path_of_connection:
                s = path_length / 2
            elif code.lane_role[index] == 2:
                s = PLATE_BEFORE_END
            else:
                s = path_length - PLATE_BEFORE_END

        return [points_along(line, lengths, min(max(s, 0.0), path_length))]

    # The plate of a link stands on its middle lane
    link_index = {link.id: index for index, link in enumerate(code.code.links)}
    if name in link_index:
        lanes_of_link = np.flatnonzero(code.lane_link == link_index[name])
        if len(lanes_of_link):
            return _plate_positions(
                code, Target(code.lane_ids[int(lanes_of_link[len(lanes_of_link) // 2])], target.s_from, target.s_to)
            )
        return []

    zone = next((candidate for candidate in code.code.zones if candidate.id == name), None)
    if zone is not None:
        degrees = np.array(zone.polygon, float) / 1e7
        return [np.stack(code.origin.to_local(degrees[:, 0], degrees[:, 1]), axis=1).mean(axis=0)]

    return []
