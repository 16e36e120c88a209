"""Codes that are to be used together: no city code and no number of a message stands for two of them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..checks.validation import load
from ..findings import CodeError, Finding, Severity
from ..model import IntersectionCode
from ..polylines import distance
from .folder import Filed, identity_clashes
from .likeness import (
    MAX_PAIR_DISTANCE,
    MIN_LIKENESS,
    OFFICIAL_KINDS,
    lane_ends_at_intersection,
    likeness,
    names_elsewhere,
)

MAX_SAME_POINT_DISTANCE = 5.0  # m between reference points: no two intersections lie so close
# 1e-7 degree, over 150 m up to 45 degrees of latitude: two versions of one intersection lie in cells beside each other
CELL_E7 = 20_000


def faults_together(filed: Sequence[Filed]) -> list[Finding]:
    """Return what is wrong with sound codes beside each other; an empty list where nothing is."""
    return [*identity_clashes(filed), *_numbers(filed), *_standing_twice(filed)]


def _standing_twice(filed: Sequence[Filed]) -> Iterable[Finding]:
    """Yield intersections that stand twice, under two city codes: their lanes reach them at the same places."""
    ends = [lane_ends_at_intersection(filed_code.code) for filed_code in filed]
    cells: dict[tuple[int, int], list[int]] = {}

    for index, filed_code in enumerate(filed):
        row, column = filed_code.code.ref_lat_e7 // CELL_E7, filed_code.code.ref_lon_e7 // CELL_E7
        neighbours = [
            other_index
            for north in (-1, 0, 1)
            for east in (-1, 0, 1)
            for other_index in cells.get((row + north, column + east), ())
        ]

        cells.setdefault((row, column), []).append(index)

        for other_index in neighbours:
            other = filed[other_index]
            if other.code.id != filed_code.code.id and (
                likeness(ends[other_index], ends[index]) >= MIN_LIKENESS or _share_a_name(other.code, filed_code.code)
            ):
                yield Finding(
                    entity=filed_code.code.id,
                    field="id",
                    value=f"{filed_code.path} ({filed_code.code.name})",
                    rule=f"is the intersection of {other.path} too, which has another city code, {other.code.id}: a "
                    "node would serve it twice",
                    severity=Severity.WARNING,
                    remedy="take one of the files away; import later maps of the place with the --source of the "
                    "one that stays",
                )

                break


def _share_a_name(first: IntersectionCode, second: IntersectionCode) -> bool:
    """Return whether two codes near each other have one name elsewhere, or lie on one point: versions of a map, however
    their lanes moved."""
    distance_m = distance((first.ref_lat_e7, first.ref_lon_e7), (second.ref_lat_e7, second.ref_lon_e7))
    return distance_m <= MAX_SAME_POINT_DISTANCE or (
        distance_m <= MAX_PAIR_DISTANCE and bool(names_elsewhere(first) & names_elsewhere(second))
    )


def load_all(paths: Iterable[Path]) -> list[IntersectionCode]:
    """Return checked codes from JSON files. Raises CodeError, also where one city code stands for two intersections, or
    one revision for two contents."""
    filed = [Filed(path, load(path)) for path in paths]
    errors = list(identity_clashes(filed))
    if errors:
        raise CodeError("digital codes", errors)

    return [item.code for item in filed]


def _numbers(filed: Sequence[Filed]) -> Iterable[Finding]:
    """Yield numbers of messages (region/id) that stand for two intersections: a receiver takes the signals of one for
    the other's."""
    first_of_number: dict[str, Filed] = {}
    for item in filed:
        for alias in item.code.alias:
            if alias.kind in OFFICIAL_KINDS:
                other = first_of_number.setdefault(f"{alias.kind} {alias.value}", item)
            else:
                other = item

            if other.code.id != item.code.id:
                yield Finding(
                    entity=item.code.id,
                    field="alias",
                    value=f"{alias.kind} {alias.value} in {item.path}",
                    rule=f"the number stands for another intersection in {other.path} ({other.code.name})",
                    severity=Severity.WARNING,
                    remedy="give each intersection of a region a number of its own",
                )
