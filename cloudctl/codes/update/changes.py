"""What a person would say has changed from one code to another: grouped, in words and units; nothing that differs is left out.

Both codes are first brought to the same ids by what is what on the road (`compared`), so two codes that were imported apart are compared as
well as two revisions of one. Every field that differs is in a line: what has no words of its own is listed with its values.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..canon import dump
from ..model import IntersectionCode
from ..polylines import M_PER_E7, distance
from .compared import Compared
from .control_changes import rules, signals
from .likeness import SAME_SHIFT
from .rename import TABLES
from .road_changes import conflicts, geometry, limits, movements, roads, stops
from .words import MAX_PAIRS, direction, listed, metres, text

WORDS = {
    "nodes": "node",
    "links": "link",
    "lanes": "lane",
    "connections": "movement",
    "crosswalks": "crosswalk",
    "zones": "zone",
    "devices": "device",
}
TABLED = frozenset(
    (
        *TABLES,
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
WORDED = frozenset(
    ("id", "alias", "points", "speed", "group", "axis", "polygon", "lat_e7", "lon_e7")
)  # fields that have words of their own


def changes(before: IntersectionCode, after: IntersectionCode) -> list[str]:
    """Return a line for each change, what weighs most first; an empty list where the codes are the same."""
    if dump(before) == dump(after):
        return []
    two = Compared(before, after)
    parts = (_whole, roads, geometry, limits, movements, stops, conflicts, signals, rules, _others, _fields)
    lines = [line for part in parts for line in part(two)]
    if two.renumbered:
        lines.append(
            f"ids given otherwise: {listed(two.renumbered)} (an import into the folder of the earlier code keeps them)"
        )
    return lines or ["only the order of entries differs"]


def _whole(two: Compared) -> Iterator[str]:
    """Yield what concerns the code as a whole."""
    for field in (name for name in two.a.__struct_fields__ if name not in TABLED):
        was, now = getattr(two.a, field), getattr(two.b, field)
        if was != now:
            yield f"code.{field}: {text(was)} -> {text(now)}"
    if two.shift:
        north, east = (
            two.shift[0] * M_PER_E7,
            two.shift[1] * M_PER_E7 * float(np.cos(np.radians(two.a.ref_lat_e7 / 1e7))),
        )
        yield f"everything moved {metres(float(np.hypot(north, east)))} to the {direction(np.array([east, north]))}"
    was, now = ((code.ref_lat_e7, code.ref_lon_e7) for code in (two.unshifted, two.b))
    if was != now:
        yield f"reference point moved {metres(distance(was, now))}"
    yield from _aliases(two, "the intersection", {"": (two.a, two.b)})


def _others(two: Compared) -> Iterator[str]:
    """Yield what came and went of the other tables, and what moved."""
    for table in ("nodes", "crosswalks", "zones", "devices"):
        stayed = {row.id: row for row in getattr(two.unshifted, table)}
        for name, (x, y) in two.rows[table].items():
            called = f"{WORDS[table]} {name}" + (f" ({(y or x).kind})" if table in ("zones", "devices") else "")
            if x is None or y is None:
                yield f"{called} {'removed' if y is None else 'added'}"
                continue
            old, here = _places(stayed[name]), _places(y)
            if here == old or (two.shift and _within(_farthest(_places(x), here), SAME_SHIFT)):
                continue
            far = _farthest(old, here)
            yield f"{called}: its outline changed" if far is None else f"{called} moved {metres(far)}"


def _fields(two: Compared) -> Iterator[str]:
    """Yield every other field that differs, the same change of many things in one line."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for table in TABLES:
        for name, (x, y) in two.rows[table].items():
            if not (x and y):
                continue
            for field in x.__struct_fields__:
                was, now = getattr(x, field), getattr(y, field)
                if was == now or field in WORDED or (field == "number" and y.link in two.recounted):
                    continue
                found.setdefault((WORDS[table], field, text(was), text(now)), []).append(name)
        yield from _aliases(two, WORDS[table], two.rows[table])
    for (word, field, was, now), names in found.items():
        yield f"{word} {listed(names)}: {field} {was} -> {now}"


def _aliases(two: Compared, word: str, rows: dict[str, tuple[Any, Any]]) -> Iterator[str]:
    found = []
    for name, (x, y) in rows.items():
        if x and y and x.alias != y.alias:
            was = [f"{alias.kind} {alias.value}" for alias in x.alias if alias not in y.alias]
            now = [f"{alias.kind} {alias.value}" for alias in y.alias if alias not in x.alias]
            found.append(f"{name + ' ' if name else ''}{', '.join(was) or 'none'} -> {', '.join(now) or 'none'}")
    if found:
        yield f"called otherwise: {word} {listed(found, MAX_PAIRS)}"


def _places(row: Any) -> tuple[Any, ...]:
    """Return every point of an entity."""
    if hasattr(row, "lat_e7"):
        return ((row.lat_e7, row.lon_e7),)
    return (*getattr(row, "axis", ()), *row.polygon)


def _within(far: float | None, reach: float) -> bool:
    return far is not None and far <= reach


def _farthest(a: tuple[Any, ...], b: tuple[Any, ...]) -> float | None:
    """Return the farthest that a point has moved, m; None where there are more or fewer now."""
    return max((distance(p, q) for p, q in zip(a, b, strict=True)), default=0.0) if len(a) == len(b) else None
