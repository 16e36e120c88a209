"""Differences between a code and its export as it is read back, and which of them a target declares."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from msgspec import Struct

from ..findings import CodeError, Finding, Severity
from ..model import Alias
from ..polylines import F8
from .messages.speed_limits import SPEED_STEP

MAX_LISTED_DIFFERENCES = 20  # undeclared differences that a refusal names


class Difference(Struct, frozen=True, order=True):
    """One difference. `field` is of the code's tables, `what` lost, added, changed, raised, lowered, rounded, cut,
    moved, shortened or thinned."""

    field: str
    what: str
    entity: str
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        if self.after:
            return f"{self.entity}: {self.before} -> {self.after}"
        return f"{self.entity} {self.before}".strip()


@dataclass
class Pairing:
    """Which lane of what was read back is which of the code; `exits`: those that stand for it where connections end, if
    others."""

    lanes: dict[str, str]
    exits: dict[str, str] = field(default_factory=dict)


def declared_losses(
    differences: list[Difference], table: Mapping[tuple[str, str], str], where: str, remedy: str
) -> list[Finding]:
    """Return the losses of an export, a line a kind. Raises CodeError for differences that the table does not have."""
    other = [difference for difference in differences if (difference.field, difference.what) not in table]
    if other:
        rule = f"would not come back from {where} as it is: {{}}"
        raise CodeError(
            f"export to {where}",
            [
                Finding(
                    entity=difference.entity,
                    field=difference.field,
                    value=difference.before or "none",
                    rule=rule.format(f"{difference.what} {difference.after}".strip()),
                    severity=Severity.ERROR,
                    remedy=remedy,
                )
                for difference in other[:MAX_LISTED_DIFFERENCES]
            ],
        )

    groups: dict[tuple[str, str], list[Difference]] = {}
    for difference in differences:
        groups.setdefault((difference.field, difference.what), []).append(difference)

    return [
        Finding(
            entity="code",
            field=name,
            value=f"{len(rows)} {change}, first {rows[0]}"[:160],
            rule=table[name, change],
            severity=Severity.WARNING,
            remedy="publish the digital code itself beside it",
        )
        for (name, change), rows in groups.items()
    ]


def speed_difference(field: str, entity: str, before: float, after: float) -> Iterator[Difference]:
    if after > before + 1e-9:
        yield Difference(field=field, what="raised", entity=entity, before=f"{before:g}", after=f"{after:g}")
    elif after < before - 1e-9:
        yield Difference(
            field=field,
            what="rounded" if after > before - SPEED_STEP - 1e-9 else "lowered",
            entity=entity,
            before=f"{before:g}",
            after=f"{after:g}",
        )


def lost_aliases(field: str, entity: str, before: tuple[Alias, ...], after: tuple[Alias, ...]) -> Iterator[Difference]:
    for alias in before:
        if alias not in after:
            yield Difference(field=field, what="lost", entity=entity, before=f"{alias.kind} {alias.value}")


def max_offset(points: F8, line: F8) -> float:
    """Return how far (m) points are from a line, at most."""
    starts, steps = line[:-1], np.diff(line, axis=0)
    along = np.clip(((points[:, None] - starts) * steps).sum(axis=2) / np.maximum((steps**2).sum(axis=1), 1e-12), 0, 1)
    return float(np.hypot(*np.moveaxis(points[:, None] - starts - along[..., None] * steps, 2, 0)).min(axis=1).max())
