"""One intersection from its last import and the code as it stands to the next revision."""

from typing import NamedTuple

from msgspec.structs import replace

from ..canon import dump
from ..findings import Loss
from ..model import IntersectionCode
from ..versions import WIRE_REVISIONS, wire_revision
from .match import match
from .merge import Three, assumed_base, merged
from .rename import LETTERS, Numbering, named_rules, renamed, unique
from .settle import given, settled


class Carried(NamedTuple):
    """The next revision, what the source said in the same ids, the numbers given, and what is to be said of it."""

    code: IntersectionCode
    base: IntersectionCode
    numbering: Numbering
    losses: list[Loss]
    changed: bool


def carry(
    prev: IntersectionCode, base: IntersectionCode | None, new: IntersectionCode, highest: dict[str, int]
) -> Carried:
    """Return the next revision of `prev`, of which the last import was `base`, from the import `new`; `highest` are the numbers ever given.

    The revision is the same where the content is. Raises CodeError where a number runs out.
    """
    standing = prev
    prev, doubled = unique(prev)
    losses = [Loss("dropped", name, "stood twice in the code: the first one stays") for name in doubled]
    if base is None:
        base = assumed_base(prev, new)
        losses.append(
            Loss(
                "guessed",
                prev.id,
                "what the last import gave was not kept: rules and zones of the code are taken as written by hand, other edits are not known",
            )
        )
    numbering = Numbering(highest)
    numbering.note((prev, base))
    fixed = given(new)
    matches = match(base, new, groups_fixed=fixed)
    fresh = settled(base, renamed(new, matches, numbering, fixed))
    fresh = replace(fresh, id=prev.id, rules=named_rules(base.rules, fresh.rules, numbering))
    fresh = _in_order(base, fresh)
    code, notes = merged(Three(base, prev, fresh), lambda: numbering.next(LETTERS["rules"]))
    code = replace(code, revision=prev.revision)
    changed = dump(code) != dump(standing) or (counted(new) and wire_revision(new) != wire_revision(base))
    if changed:
        code = replace(code, revision=next_revision(prev, new))
    return Carried(code, fresh, numbering, losses + notes, changed)


def next_revision(prev: IntersectionCode, new: IntersectionCode) -> int:
    """Return the number of the next revision: one more, or where the source counts revisions itself, the next that it would call the same on the wire."""
    if not counted(new):
        return prev.revision + 1
    return prev.revision + 1 + (wire_revision(new) - wire_revision(prev) - 1) % WIRE_REVISIONS


def counted(code: IntersectionCode) -> bool:
    """Return whether the source counts revisions itself: the signal states of its controller name them."""
    return any(alias.kind == "j2735" for alias in code.alias)


def _in_order(base: IntersectionCode, fresh: IntersectionCode) -> IntersectionCode:
    """Return a code with its tables in the order of the last import; not the signal groups, whose order the letters of the plans follow."""
    changes: dict[str, object] = {}
    for table in ("nodes", "links", "lanes", "connections", "crosswalks", "zones", "devices", "rules", "plans"):
        place = {row.id: k for k, row in enumerate(getattr(base, table))}
        changes[table] = tuple(sorted(getattr(fresh, table), key=lambda row: place.get(row.id, len(place))))
    return replace(fresh, **changes)
