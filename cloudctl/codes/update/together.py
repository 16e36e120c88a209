"""Codes that are to be used together: no city code and no number of a message stands for two of them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..findings import CodeError, Finding
from ..model import IntersectionCode
from ..validate import load
from .folder import Filed, clashes
from .likeness import OFFICIAL


def together(filed: Sequence[Filed]) -> list[Finding]:
    """Return what is wrong with sound codes beside each other; an empty list where nothing is."""
    return [*clashes(filed), *_numbers(filed)]


def load_all(paths: Iterable[Path]) -> list[IntersectionCode]:
    """Return checked codes from JSON files. Raises CodeError, also where one city code stands for two intersections, or one revision for two contents."""
    filed = [Filed(path, load(path)) for path in paths]
    errors = list(clashes(filed))
    if errors:
        raise CodeError("digital codes", errors)
    return [item.code for item in filed]


def _numbers(filed: Sequence[Filed]) -> Iterable[Finding]:
    """Yield numbers of messages (region/id) that stand for two intersections: a receiver cannot tell their signals apart."""
    first: dict[str, Filed] = {}
    for item in filed:
        for alias in item.code.alias:
            other = first.setdefault(f"{alias.kind} {alias.value}", item) if alias.kind in OFFICIAL else item
            if other.code.id != item.code.id:
                yield Finding(
                    item.code.id,
                    "alias",
                    f"{alias.kind} {alias.value} in {item.path}",
                    f"the number stands for another intersection in {other.path} ({other.code.name})",
                    "warning",
                    "give each intersection of a region a number of its own",
                )
