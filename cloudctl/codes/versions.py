"""Revisions of codes in time: which one is in force, which one is announced, and what differs between two."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from .canon import content_hash
from .findings import refuse
from .json_schema import json_schema as json_schema
from .model import IntersectionCode

WIRE_REVISIONS = 128  # MAP and SPAT carry the revision in 7 bits


class Change(Struct, frozen=True):
    """One difference: `what` is added, removed or changed; values as JSON, "" where there is none."""

    what: str
    entity: str
    field: str
    before: str
    after: str

    def __str__(self) -> str:
        if self.what == "changed":
            return f"changed: {self.entity}.{self.field}: {self.before} -> {self.after}"
        return f"{self.what}: {self.entity}: {self.before or self.after}"


def diff(earlier: IntersectionCode, later: IntersectionCode) -> list[Change]:
    """Return what differs from `earlier` to `later`, entity by entity, in a fixed order; empty when they are the
    same."""
    before, after = msgspec.to_builtins(earlier), msgspec.to_builtins(later)
    differences: list[Change] = []

    for field in before:
        if isinstance(before[field], list | tuple):
            differences += _table_changes(field, before[field], after[field])
        elif before[field] != after[field]:
            differences.append(
                Change(
                    what="changed",
                    entity="code",
                    field=field,
                    before=_json_text(before[field]),
                    after=_json_text(after[field]),
                )
            )

    return differences


def _table_changes(field: str, before: Any, after: Any) -> Iterator[Change]:
    old, new = {_row_name(field, row): row for row in before}, {_row_name(field, row): row for row in after}
    for name, row in old.items():
        if name not in new:
            yield Change(what="removed", entity=name, field="", before=_json_text(row), after="")

    for name, row in new.items():
        if name not in old:
            yield Change(what="added", entity=name, field="", before="", after=_json_text(row))
            continue

        for key, value in row.items():
            if old[name].get(key) != value:
                yield Change(
                    what="changed",
                    entity=name,
                    field=key,
                    before=_json_text(old[name].get(key)),
                    after=_json_text(value),
                )


def _row_name(field: str, row: dict[str, Any]) -> str:
    if field == "conflicts":
        return f"conflict {row['a']}/{row['b']}"
    if field == "signal_exceptions":
        return f"signal exception {row['a']}/{row['b']}"
    if field == "stop_lines":
        return f"stop line {row['lane']}"
    if field == "alias":
        return f"alias {row['kind']} {row['value']}"

    if field == "signal_groups":
        return f"group {row['id']}"
    if field == "plans":
        return f"plan {row['id']}"

    return str(row["id"])


def _json_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def moment(t: int) -> str:
    """Return a time in ns for people, in UTC."""
    return datetime.fromtimestamp(t // 10**9, UTC).isoformat().replace("+00:00", "Z")


def wire_revision(code: IntersectionCode) -> int:
    """Return the revision as MAP and SPAT carry it: counted from 0, modulo 128."""
    return (code.revision - 1) % WIRE_REVISIONS


class Versions:
    """Every known revision of every intersection; answers which is in force at a time. Times are ns."""

    def __init__(self) -> None:
        self._revisions: dict[str, list[IntersectionCode]] = {}

    def add(self, code: IntersectionCode) -> None:
        """Take a revision in. Raises CodeError when it is another content under a known revision, or goes back in
        time."""
        revisions = list(self._revisions.get(code.id, ()))
        for other in revisions:
            if other.revision == code.revision:
                if content_hash(other) != content_hash(code):
                    raise refuse(
                        where=code.id,
                        entity="code",
                        field="revision",
                        value=code.revision,
                        rule="stands for another content already",
                        remedy="give a changed code a new revision",
                    )

                return

            if (other.revision < code.revision) != (_start_time(other) < _start_time(code)):
                raise refuse(
                    where=code.id,
                    entity="code",
                    field="valid_from",
                    value=code.valid_from,
                    rule=f"revision {code.revision} must begin after every lower revision, and before "
                    f"every higher (revision {other.revision} begins at {other.valid_from})",
                    remedy="correct valid_from or revision",
                )

        self._revisions[code.id] = sorted([*revisions, code], key=lambda revision: revision.revision)

    def remove(self, name: str) -> None:
        """Forget every revision of an intersection."""
        self._revisions.pop(name, None)

    def of(self, name: str) -> tuple[IntersectionCode, ...]:
        """Return the revisions of an intersection, the lowest first."""
        return tuple(self._revisions.get(name, ()))

    def knows(self, code: IntersectionCode) -> bool:
        """Return whether the very code is known."""
        return any(other == code for other in self._revisions.get(code.id, ()))

    def has_revision(self, name: str, revision: int) -> bool:
        """Return whether a revision of an intersection is known."""
        return any(code.revision == revision for code in self._revisions.get(name, ()))

    def current(self, name: str, t: int) -> IntersectionCode | None:
        """Return the revision in force at `t`; None when there is none."""
        began = [code for code in self._revisions.get(name, ()) if _start_time(code) <= t]
        if not began or (began[-1].valid_to is not None and began[-1].valid_to <= t):
            return None
        return began[-1]

    def announced(self, name: str, t: int) -> IntersectionCode | None:
        """Return the next revision that begins after `t`; None when none is announced."""
        return next((code for code in self._revisions.get(name, ()) if _start_time(code) > t), None)

    def first(self, name: str) -> IntersectionCode:
        """Return the earliest revision of a known intersection."""
        return self._revisions[name][0]

    def change_of(self, name: str, t: int) -> int | None:
        """Return when the revision in force at `t` is replaced or ends; None when that is not known."""
        return self._next_change(self._revisions.get(name, ()), t)

    def next_change(self, t: int) -> int | None:
        """Return when the next revision of any intersection begins or ends after `t`; None when nothing is to
        change."""
        return self._next_change((code for codes in self._revisions.values() for code in codes), t)

    @staticmethod
    def _next_change(codes: Iterable[IntersectionCode], t: int) -> int | None:
        return min(
            (
                change_time
                for code in codes
                for change_time in (code.valid_from, code.valid_to)
                if change_time is not None and change_time > t
            ),
            default=None,
        )

    def ids(self) -> list[str]:
        """Return the intersections known, sorted."""
        return sorted(self._revisions)


def _start_time(code: IntersectionCode) -> int:
    return code.valid_from if code.valid_from is not None else -(2**62)
