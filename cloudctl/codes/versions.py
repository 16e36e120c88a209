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


def diff(a: IntersectionCode, b: IntersectionCode) -> list[Change]:
    """Return what differs from `a` to `b`, entity by entity, in a fixed order; empty when they are the same."""
    before, after = msgspec.to_builtins(a), msgspec.to_builtins(b)
    out: list[Change] = []
    for field in before:
        if isinstance(before[field], list | tuple):
            out += _table(field, before[field], after[field])
        elif before[field] != after[field]:
            out.append(Change("changed", "code", field, _text(before[field]), _text(after[field])))
    return out


def _table(field: str, before: Any, after: Any) -> Iterator[Change]:
    old, new = {_name(field, row): row for row in before}, {_name(field, row): row for row in after}
    for name, row in old.items():
        if name not in new:
            yield Change("removed", name, "", _text(row), "")
    for name, row in new.items():
        if name not in old:
            yield Change("added", name, "", "", _text(row))
            continue
        for key, value in row.items():
            if old[name].get(key) != value:
                yield Change("changed", name, key, _text(old[name].get(key)), _text(value))


def _name(field: str, row: dict[str, Any]) -> str:
    if field == "conflicts":
        return f"conflict {row['a']}/{row['b']}"
    if field == "signal_exceptions":
        return f"signal exception {row['a']}/{row['b']}"
    if field == "stop_lines":
        return f"stop line {row['lane']}"
    if field == "alias":
        return f"alias {row['kind']} {row['value']}"
    return (
        f"group {row['id']}"
        if field == "signal_groups"
        else f"plan {row['id']}"
        if field == "plans"
        else str(row["id"])
    )


def _text(value: Any) -> str:
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
        self._of: dict[str, list[IntersectionCode]] = {}

    def add(self, code: IntersectionCode) -> None:
        """Take a revision in. Raises CodeError when it is another content under a known revision, or goes back in time."""
        known = list(self._of.get(code.id, ()))
        for other in known:
            if other.revision == code.revision:
                if content_hash(other) != content_hash(code):
                    raise refuse(
                        code.id,
                        "code",
                        "revision",
                        code.revision,
                        "stands for another content already",
                        "give a changed code a new revision",
                    )
                return
            if (other.revision < code.revision) != (_start(other) < _start(code)):
                raise refuse(
                    code.id,
                    "code",
                    "valid_from",
                    code.valid_from,
                    f"revision {code.revision} must begin after every lower revision, and before "
                    f"every higher (revision {other.revision} begins at {other.valid_from})",
                    "correct valid_from or revision",
                )
        self._of[code.id] = sorted([*known, code], key=lambda item: item.revision)

    def knows(self, code: IntersectionCode) -> bool:
        """Return whether the very code is known."""
        return any(other == code for other in self._of.get(code.id, ()))

    def has_revision(self, name: str, revision: int) -> bool:
        """Return whether a revision of an intersection is known."""
        return any(code.revision == revision for code in self._of.get(name, ()))

    def current(self, name: str, t: int) -> IntersectionCode | None:
        """Return the revision in force at `t`; None when there is none."""
        began = [code for code in self._of.get(name, ()) if _start(code) <= t]
        if not began or (began[-1].valid_to is not None and began[-1].valid_to <= t):
            return None
        return began[-1]

    def announced(self, name: str, t: int) -> IntersectionCode | None:
        """Return the next revision that begins after `t`; None when none is announced."""
        return next((code for code in self._of.get(name, ()) if _start(code) > t), None)

    def first(self, name: str) -> IntersectionCode:
        """Return the earliest revision of a known intersection."""
        return self._of[name][0]

    def change_of(self, name: str, t: int) -> int | None:
        """Return when the revision in force at `t` is replaced or ends; None when that is not known."""
        return self._next(self._of.get(name, ()), t)

    def next_change(self, t: int) -> int | None:
        """Return when the next revision of any intersection begins or ends after `t`; None when nothing is to change."""
        return self._next((code for codes in self._of.values() for code in codes), t)

    @staticmethod
    def _next(codes: Iterable[IntersectionCode], t: int) -> int | None:
        return min(
            (at for code in codes for at in (code.valid_from, code.valid_to) if at is not None and at > t), default=None
        )

    def ids(self) -> list[str]:
        """Return the intersections known, sorted."""
        return sorted(self._of)


def _start(code: IntersectionCode) -> int:
    return code.valid_from if code.valid_from is not None else -(2**62)
