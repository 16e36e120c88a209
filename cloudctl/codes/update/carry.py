"""One intersection from its last import and the code as it stands to the next revision."""

from typing import NamedTuple

from msgspec.structs import replace

from ..canon import dump
from ..findings import Loss, LossKind
from ..model import IntersectionCode
from ..versions import WIRE_REVISIONS, wire_revision
from .assumed import assumed_base
from .match import match
from .merge import MergeInputs, merged
from .rename import LETTER_OF_TABLE, Numbering, named_rules, renamed, with_unique_ids
from .settle import numbers_are_given, settled


class Carried(NamedTuple):
    """The next revision, what the source gave, in the same ids, the numbers given, and the notes for the report."""

    code: IntersectionCode
    base: IntersectionCode
    numbering: Numbering
    losses: list[Loss]
    changed: bool


def carry(
    previous: IntersectionCode, base: IntersectionCode | None, imported: IntersectionCode, highest: dict[str, int]
) -> Carried:
    """Return the next revision of `previous`, of which the last import was `base`, from the import `imported`;
    `highest` are the numbers ever given.

    The revision is the same where the content is. Raises CodeError where a number runs out.
    """
    as_filed = previous
    previous, repeated_ids = with_unique_ids(previous)
    losses = [
        Loss(what=LossKind.DROPPED, entity=name, detail="stood twice in the code: the first one stays")
        for name in repeated_ids
    ]

    if base is None:
        base = assumed_base(previous, imported)
        losses.append(
            Loss(
                what=LossKind.GUESSED,
                entity=previous.id,
                detail="what the last import gave was not kept: rules and zones of the code are taken as written by "
                "hand, other edits are not known",
            )
        )

    numbering = Numbering(highest)
    numbering.note((previous, base))
    numbers_given = numbers_are_given(imported)
    matches = match(base, imported, groups_fixed=numbers_given)
    renamed_import = settled(base, renamed(imported, matches, numbering, numbers_given))
    renamed_import = replace(
        renamed_import, id=previous.id, rules=named_rules(base.rules, renamed_import.rules, numbering)
    )
    renamed_import = _in_order(base, renamed_import)
    code, notes = merged(
        MergeInputs(last_import=base, current=previous, new_import=renamed_import),
        lambda: numbering.next(LETTER_OF_TABLE["rules"]),
    )
    code = replace(code, revision=previous.revision)
    changed = dump(code) != dump(as_filed) or (counted(imported) and wire_revision(imported) != wire_revision(base))

    if changed:
        code = replace(code, revision=next_revision(previous, imported))

    return Carried(code=code, base=renamed_import, numbering=numbering, losses=losses + notes, changed=changed)


def next_revision(previous: IntersectionCode, imported: IntersectionCode) -> int:
    """Return the number of the next revision: one more, or where the source counts revisions itself, the next that it
    would call the same on the wire."""
    if not counted(imported):
        return previous.revision + 1
    return previous.revision + 1 + (wire_revision(imported) - wire_revision(previous) - 1) % WIRE_REVISIONS


def counted(code: IntersectionCode) -> bool:
    """Return whether the source counts revisions itself: the signal states of its controller name them."""
    return any(alias.kind == "j2735" for alias in code.alias)


def _in_order(base: IntersectionCode, fresh: IntersectionCode) -> IntersectionCode:
    """Return a code with its tables in the order of the last import; not the signal groups, whose order the letters of
    the plans follow."""
    changes: dict[str, object] = {}
    for table in ("nodes", "links", "lanes", "connections", "crosswalks", "zones", "devices", "rules", "plans"):
        position = {row.id: index for index, row in enumerate(getattr(base, table))}
        changes[table] = tuple(sorted(getattr(fresh, table), key=lambda row: position.get(row.id, len(position))))

    return replace(fresh, **changes)
