"""What the columns beside the place are worth: a scene again with some left out, or wrong. None may make it worse than
places alone.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...fusion import Rows
from .scenes import Case

GROUPS = {
    "class": ("class",),
    "size": ("length", "width", "height"),
    "velocity": ("vx", "vy"),
    "heading": ("heading",),
    "confidence": ("confidence",),
}
Change = Callable[[Rows, np.random.Generator], None]


def _without(*groups: str) -> Change:
    def change(rows: Rows, rng: np.random.Generator) -> None:
        for group in groups:
            for name in GROUPS[group]:
                rows[name] = 0 if name == "class" else np.nan

    return change


def _random_class(rows: Rows, rng: np.random.Generator) -> None:
    rows["class"] = rng.choice((1, 2, 5, 6), len(rows))


def _often_wrong_class(rows: Rows, rng: np.random.Generator) -> None:
    is_wrong = rng.random(len(rows)) < 0.3
    rows["class"][is_wrong] = rng.choice((1, 2, 5, 6), int(is_wrong.sum()))


def _random_confidence(rows: Rows, rng: np.random.Generator) -> None:
    rows["confidence"] = rng.random(len(rows))


def _modest(rows: Rows, rng: np.random.Generator) -> None:
    rows["confidence"] *= 0.3


def _boastful(rows: Rows, rng: np.random.Generator) -> None:
    rows["confidence"] = 0.99


def _noisy_velocity(rows: Rows, rng: np.random.Generator) -> None:
    for name in ("vx", "vy"):
        rows[name] += rng.normal(0, 5.0, len(rows)).astype(rows[name].dtype)


def _no_velocity(rows: Rows, rng: np.random.Generator) -> None:
    rows["vx"] = rows["vy"] = 0.0


def _random_size(rows: Rows, rng: np.random.Generator) -> None:
    rows["length"] = rng.uniform(0.3, 12.0, len(rows))
    rows["width"] = rng.uniform(0.3, 2.5, len(rows))


def _random_heading(rows: Rows, rng: np.random.Generator) -> None:
    rows["heading"] = rng.uniform(-np.pi, np.pi, len(rows))


CHANGES: dict[str, Change] = {
    "places alone": _without(*GROUPS),
    "all columns": lambda rows, rng: None,
    **{f"without {group}": _without(group) for group in GROUPS},
    **{f"{group} alone": _without(*(other for other in GROUPS if other != group)) for group in GROUPS},
    "class at random": _random_class,
    "class wrong in 3 of 10": _often_wrong_class,
    "confidence at random": _random_confidence,
    "confidence too low": _modest,
    "confidence always .99": _boastful,
    "velocity noisy by 5 m/s": _noisy_velocity,
    "velocity always 0": _no_velocity,
    "size at random": _random_size,
    "heading at random": _random_heading,
}


def changed(case: Case, name: str, seed: int = 1) -> Case:
    """Return the case with its columns changed as CHANGES[name] does."""
    rng, scans = np.random.default_rng(seed), []
    for scan in case.scans:
        rows = scan.rows.copy()
        CHANGES[name](rows, rng)
        scans.append(replace(scan, rows=rows))

    return replace(case, name=f"{case.name}, {name}", scans=scans)
