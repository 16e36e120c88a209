"""What has changed from one code to another: grouped, in words and units; nothing that differs is
left out.

Both codes are first brought to the same ids by what is what on the road (`compared`), so two codes that were imported
apart are compared as well as two revisions of one. Every field that differs is in a line: what has no words of its own
is listed with its values."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..canon import dump
from ..model import IntersectionCode
from ..polylines import M_PER_E7, distance
from .compared import Compared
from .control_changes import rule_changes, signal_changes
from .likeness import MAX_SHIFT_DIFFERENCE
from .rename import ID_TABLES
from .road_changes import (
    conflict_changes,
    geometry_changes,
    limit_changes,
    movement_changes,
    road_changes,
    stop_line_changes,
)
from .words import MAX_PAIRS, direction, listed, metres, text

WORD_OF_TABLE = {
    "nodes": "node",
    "links": "link",
    "lanes": "lane",
    "connections": "movement",
    "crosswalks": "crosswalk",
    "zones": "zone",
    "devices": "device",
}
FIELDS_WITH_TABLES = frozenset(
    (
        *ID_TABLES,
        "alias",
        "rules",
        "plans",
        "signal_groups",
        "stop_lines",
        "conflicts",
        "signal_exceptions",
        "ref_lat_e7",
        "ref_lon_e7",
    )
)
# Fields that have words of their own
FIELDS_WITH_WORDS = frozenset(("id", "alias", "points", "speed", "group", "axis", "polygon", "lat_e7", "lon_e7"))


def changes(before: IntersectionCode, after: IntersectionCode) -> list[str]:
    """Return a line for each change, what weighs most first; an empty list where the codes are the same."""
    if dump(before) == dump(after):
        return []

    compared = Compared(before, after)
    parts = (
        _code_changes,
        road_changes,
        geometry_changes,
        limit_changes,
        movement_changes,
        stop_line_changes,
        conflict_changes,
        signal_changes,
        rule_changes,
        _other_tables,
        _fields,
    )

    lines = [line for part in parts for line in part(compared)]

    if compared.renumbered:
        lines.append(
            f"ids given otherwise: {listed(compared.renumbered)} (an import into the folder of the earlier "
            "code keeps them)"
        )

    return lines or ["only the order of entries differs"]


def _code_changes(compared: Compared) -> Iterator[str]:
    """Yield what concerns the code as a whole."""
    for field in (name for name in compared.a.__struct_fields__ if name not in FIELDS_WITH_TABLES):
        value_before, value_after = getattr(compared.a, field), getattr(compared.b, field)
        if value_before != value_after:
            yield f"code.{field}: {text(value_before)} -> {text(value_after)}"

    if compared.shift:
        north, east = (
            compared.shift[0] * M_PER_E7,
            compared.shift[1] * M_PER_E7 * float(np.cos(np.radians(compared.a.ref_lat_e7 / 1e7))),
        )
        yield f"everything moved {metres(float(np.hypot(north, east)))} to the {direction(np.array([east, north]))}"

    value_before, value_after = ((code.ref_lat_e7, code.ref_lon_e7) for code in (compared.unshifted, compared.b))
    if value_before != value_after:
        yield f"reference point moved {metres(distance(value_before, value_after))}"

    yield from _aliases(compared, "the intersection", {"": (compared.a, compared.b)})


def _other_tables(compared: Compared) -> Iterator[str]:
    """Yield what came and went of the other tables, and what moved."""
    for table in ("nodes", "crosswalks", "zones", "devices"):
        unshifted_rows = {row.id: row for row in getattr(compared.unshifted, table)}
        for name, (earlier, later) in compared.rows[table].items():
            title = f"{WORD_OF_TABLE[table]} {name}" + (
                f" ({(later or earlier).kind})" if table in ("zones", "devices") else ""
            )
            if earlier is None or later is None:
                yield f"{title} {'removed' if later is None else 'added'}"
                continue

            points_before, points_after = _points_of(unshifted_rows[name]), _points_of(later)
            if points_after == points_before or (
                compared.shift and _within(_max_distance(_points_of(earlier), points_after), MAX_SHIFT_DIFFERENCE)
            ):
                continue

            moved_m = _max_distance(points_before, points_after)
            yield f"{title}: its outline changed" if moved_m is None else f"{title} moved {metres(moved_m)}"


def _fields(compared: Compared) -> Iterator[str]:
    """Yield every other field that differs, the same change of many things in one line."""
    names_of_change: dict[tuple[str, str, str, str], list[str]] = {}
    for table in ID_TABLES:
        for name, (earlier, later) in compared.rows[table].items():
            if not (earlier and later):
                continue

            for field in earlier.__struct_fields__:
                value_before, value_after = getattr(earlier, field), getattr(later, field)
                if (
                    value_before == value_after
                    or field in FIELDS_WITH_WORDS
                    or (field == "number" and later.link in compared.recounted)
                ):
                    continue

                names_of_change.setdefault(
                    (WORD_OF_TABLE[table], field, text(value_before), text(value_after)), []
                ).append(name)

        yield from _aliases(compared, WORD_OF_TABLE[table], compared.rows[table])

    for (word, field, value_before, value_after), names in names_of_change.items():
        yield f"{word} {listed(names)}: {field} {value_before} -> {value_after}"


def _aliases(compared: Compared, word: str, rows: dict[str, tuple[Any, Any]]) -> Iterator[str]:
    renamings = []
    for name, (earlier, later) in rows.items():
        if earlier and later and earlier.alias != later.alias:
            names_before = [f"{alias.kind} {alias.value}" for alias in earlier.alias if alias not in later.alias]
            names_after = [f"{alias.kind} {alias.value}" for alias in later.alias if alias not in earlier.alias]
            renamings.append(
                f"{name + ' ' if name else ''}{', '.join(names_before) or 'none'} -> {', '.join(names_after) or 'none'}"
            )

    if renamings:
        yield f"called otherwise: {word} {listed(renamings, MAX_PAIRS)}"


def _points_of(row: Any) -> tuple[Any, ...]:
    """Return every point of an entity."""
    if hasattr(row, "lat_e7"):
        return ((row.lat_e7, row.lon_e7),)
    return (*getattr(row, "axis", ()), *row.polygon)


def _within(moved_m: float | None, tolerance: float) -> bool:
    return moved_m is not None and moved_m <= tolerance


def _max_distance(earlier: tuple[Any, ...], later: tuple[Any, ...]) -> float | None:
    """Return the farthest that a point has moved, m; None where there are more or fewer now."""
    if len(earlier) == len(later):
        return max((distance(before, after) for before, after in zip(earlier, later, strict=True)), default=0.0)
    return None
