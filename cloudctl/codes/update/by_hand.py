"""What was written by hand where an import does not look: into a code in force while its next revision is announced, or
into one whose intersection is gone."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from ..canon import dump
from ..findings import Loss, LossKind
from ..model import IntersectionCode
from .assumed import repeats_lanes
from .folder import CodeFolder, Filed
from .merge import Notes
from .rules import Relocation, relocated, rule_text

# Tables whose rows are written by hand, in the order in which one names the other
HAND_WRITTEN_TABLES = (
    "zones",
    "devices",
    "rules",
)


class AnnouncedRevision(NamedTuple):
    """An announced revision that takes over what was written by hand into an earlier one since, and the notes for the
    report."""

    code: IntersectionCode
    losses: list[Loss]


def carry_forward(folder: CodeFolder) -> list[Loss]:
    """Write what was added by hand to revisions that another stands beside into the last of them, as its next revision;
    return the notes for the report."""
    losses: list[Loss] = []
    for name, revisions in list(folder.files.items()):
        if len(revisions) < 2:
            continue

        *earlier, last = revisions
        announced = with_later_edits(earlier, [folder.kept(item) for item in earlier], last)
        losses += announced.losses

        if announced.code is not last.code:
            code = replace(announced.code, revision=last.code.revision + 1)
            folder.shelve(last)
            folder.put(last.path.with_name(f"{last.path.stem.partition('-r')[0]}-r{code.revision}.json"), code)
            folder.registry[name].revision = code.revision

        for item in earlier:
            folder.keep_revision(item)

    return losses


def with_later_edits(
    earlier: Sequence[Filed], kept: Sequence[IntersectionCode | None], last: Filed
) -> AnnouncedRevision:
    """Return the last revision with the zones, devices and rules that were added to earlier ones since it was
    announced.

    `kept`: the earlier revisions as they were then, None where that is not known. Other edits of them are named, not
    made."""
    code, losses = last.code, list[Loss]()
    for item, before in zip(earlier, kept, strict=True):
        if before is None or dump(before) == dump(item.code):
            continue

        notes = Notes()
        for table in HAND_WRITTEN_TABLES:
            code = _with_added(table, item, before, code, notes)

        since = f"since revision {last.code.revision} was announced ({last.path.name})"
        for edit in _other_edits(before, item.code):
            notes.kept(
                edit, f"was edited by hand {since}, which keeps it as it was: edit it there too, if the edit is to last"
            )

        losses += [replace(loss, entity=f"{item.path.name} {loss.entity}") for loss in notes]

    return AnnouncedRevision(code, losses)


def _with_added(
    table: str, item: Filed, before: IntersectionCode, code: IntersectionCode, notes: Notes
) -> IntersectionCode:
    """Return the announced code with the rows that a hand added to one table of the earlier one."""
    rows_before, rows_announced = ({row.id: row for row in getattr(owner, table)} for owner in (before, code))
    added: list[Any] = []

    for row in getattr(item.code, table):
        if row.id in rows_before or rows_announced.get(row.id) == row:
            continue

        name = f"{table[:-1]} {row.id}"
        if row.id in rows_announced:
            notes.kept(
                name, f"was written by hand, and the announced revision has another {name}: give one of them another id"
            )
            continue

        rows = relocated(notes, row, Relocation.between(item.code, code)) if table == "rules" else [row]
        if rows:
            notes.kept(name, "was written by hand into the code in force: carried over to the announced revision")

        added += rows

    return replace(code, **{table: (*getattr(code, table), *added)}) if added else code


def _other_edits(before: IntersectionCode, after: IntersectionCode) -> Iterator[str]:
    """Yield what else a hand edited, by name."""
    for field in before.__struct_fields__:
        value_before, value_after = getattr(before, field), getattr(after, field)
        if value_before == value_after:
            continue

        if not (isinstance(value_before, tuple) and all(hasattr(row, "id") for row in (*value_before, *value_after))):
            yield f"code.{field}"
            continue

        old, new = {row.id: row for row in value_before}, {row.id: row for row in value_after}
        changed = [
            name
            for name in {**old, **new}
            if old.get(name) != new.get(name) and not (name not in old and field in HAND_WRITTEN_TABLES)
        ]

        yield from (f"{field.rstrip('s').replace('_', ' ')} {name}" for name in changed)


def parts_by_hand(code: IntersectionCode, base: IntersectionCode | None) -> Iterator[Loss]:
    """Yield a loss for each rule, zone, device and plan that was written by hand into a code that is taken out; `base`
    is what its last import gave."""
    for table in (*HAND_WRITTEN_TABLES, "plans"):
        imported_rows: dict[str, Any] = {row.id: row for row in getattr(base, table)} if base is not None else {}
        for row in getattr(code, table):
            if imported_rows.get(row.id) == row or (
                base is None and (table == "plans" or (table == "rules" and repeats_lanes(code, row)))
            ):
                continue

            text = rule_text(row) if table == "rules" else msgspec.json.encode(row).decode()
            yield Loss(
                what=LossKind.DROPPED,
                entity=f"{table[:-1]} {row.id}",
                detail=(
                    f"({getattr(row, 'kind', 'programme')}) goes with its intersection {code.id}, which is no longer "
                    f"in the map; it was {text}"
                ),
            )
