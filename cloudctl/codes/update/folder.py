"""A folder of digital codes: one file an intersection, the registry of every city code ever given, and what was
replaced.

0.json, 1.json ...           the codes; a later revision with its own beginning stands beside, 0-r2.json
registry.jsonl               every city code ever given here, also of intersections that are gone
history/<city code>.cc       what the last import gave for it, to find what was written by hand since
history/<city code>.r1.json  revisions that were replaced, and intersections that are gone
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from ..canon import compact, dump, from_compact, parse
from ..citycode import CityCodeError
from ..findings import CodeError, Finding, Severity, refuse
from ..model import IntersectionCode
from ..registry import Registry
from .likeness import same_intersection

REGISTRY_FILE, HISTORY_FOLDER = "registry.jsonl", "history"


class Filed(NamedTuple):
    """One code in the folder."""

    path: Path
    code: IntersectionCode


class CodeFolder:
    """The codes of a folder, by city code, revisions in order. Use `opened`: two imports at once would give one code
    twice."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = self._read()
        self.registry = self._registry()

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator["CodeFolder"]:
        """Open a folder, made where it is not there; another import into it waits. Raises CodeError for a file that
        cannot be read."""
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield cls(path)
        finally:
            os.close(descriptor)

    def _read(self) -> dict[str, list[Filed]]:
        files: dict[str, list[Filed]] = {}
        for path in sorted(self.path.glob("*.json"), key=_file_number):
            data = path.read_bytes()
            if _is_code(data, path):
                code = parse(data, str(path))
                files.setdefault(code.id, []).append(Filed(path, code))

        errors = [finding for filed in files.values() for finding in identity_clashes(filed)]
        if errors:
            raise CodeError(str(self.path), errors)

        for filed in files.values():
            filed.sort(key=lambda revision: revision.code.revision)

        return files

    def _registry(self) -> Registry:
        """Return the registry, with every code of the folder in it: a file that was put here by hand has its code for
        ever too."""
        file = self.path / REGISTRY_FILE
        try:
            registry = Registry.load(file) if file.exists() else Registry()
            for name, filed in self.files.items():
                code = filed[-1].code
                if name in registry:
                    registry[name].revision = max(registry[name].revision, filed[-1].code.revision)
                else:
                    registry.adopt(name, code.ref_lat_e7, code.ref_lon_e7, 0, code.name)
        except CityCodeError as error:
            raise refuse(
                where=str(self.path),
                entity="registry",
                field="city code",
                value=REGISTRY_FILE,
                rule=str(error),
                remedy="correct it, or restore the file from the last copy",
            ) from None

        return registry

    def save(self) -> None:
        """Write the registry. It is written before the codes: what was given is never given again, whatever happens
        then."""
        self.registry.save(self.path / REGISTRY_FILE)

    def latest(self) -> list[Filed]:
        """Return the last revision of each code, in the order of the files."""
        return sorted((filed[-1] for filed in self.files.values()), key=lambda revision: _file_number(revision.path))

    def gone(self) -> list[IntersectionCode]:
        """Return intersections that were here and are gone, taken out or deleted: as they stood last, as far as that
        was kept."""
        absent_rows = [entry for entry in self.registry if entry.code not in self.files]
        known_codes = [(entry, self._last_of(entry.code) or self.last_import(entry.code)) for entry in absent_rows]
        highest = {
            entry.code: max(entry.revision, 1) + (UNSEEN_REVISIONS if entry.retired is None else 0)
            for entry in absent_rows
        }
        return [
            replace(code, revision=max(highest[entry.code], code.revision))
            for entry, code in known_codes
            if code is not None
        ]

    def _last_of(self, name: str) -> IntersectionCode | None:
        kept_revisions = [
            parse(path.read_bytes(), str(path)) for path in sorted((self.path / HISTORY_FOLDER).glob(f"{name}.r*.json"))
        ]
        return max(kept_revisions, key=lambda code: code.revision, default=None)

    def last_import(self, name: str) -> IntersectionCode | None:
        """Return what the last import gave for a code, in its ids; None where that was not kept, or cannot be read."""
        file = self.path / HISTORY_FOLDER / f"{name}.cc"
        try:
            return from_compact(file.read_bytes()) if file.exists() else None
        except CodeError:
            return None

    def keep_import(self, base: IntersectionCode) -> None:
        """Keep what an import gave, in the code's ids."""
        _write_whole(self.path / HISTORY_FOLDER / f"{base.id}.cc", compact(base))

    def put(self, path: Path, code: IntersectionCode) -> None:
        """Write a code to a file of the folder, whole before the old one goes."""
        _write_whole(path, dump(code))
        filed = [revision for revision in self.files.get(code.id, []) if revision.path != path]
        self.files[code.id] = sorted([*filed, Filed(path, code)], key=lambda revision: revision.code.revision)

    def shelve(self, filed: Filed) -> Path:
        """Keep a revision in the folder's history and take its file out of what a node loads; return where it is
        now."""
        target = self.keep_revision(filed)
        filed.path.unlink()

        remaining = [file for file in self.files[filed.code.id] if file.path != filed.path]
        if remaining:
            self.files[filed.code.id] = remaining
        else:
            del self.files[filed.code.id]

        return target

    def kept(self, filed: Filed) -> IntersectionCode | None:
        """Return a revision as it was when it was last kept; None where it was not, or cannot be read."""
        file = self._kept_as(filed.code)
        try:
            return parse(file.read_bytes(), str(file)) if file.exists() else None
        except CodeError:
            return None

    def _kept_as(self, code: IntersectionCode) -> Path:
        return self.path / HISTORY_FOLDER / f"{code.id}.r{code.revision}.json"

    def keep_revision(self, filed: Filed) -> Path:
        """Keep a copy of a revision that is about to be replaced; return where it is."""
        target = self._kept_as(filed.code)
        _write_whole(target, dump(filed.code))
        return target

    def free_file(self, taken: set[Path]) -> Path:
        """Return the file for one more code: numbered after all that are or were just now here."""
        numbers = [
            _file_number(path)[0]
            for path in (*taken, *(revision.path for filed in self.files.values() for revision in filed))
        ]
        return self.path / f"{max((number for number in numbers if number < UNNUMBERED_FILE), default=-1) + 1}.json"


def identity_clashes(filed: Sequence[Filed]) -> Iterator[Finding]:
    """Yield where one city code stands for two intersections, or one revision for two contents."""
    filed_of_id: dict[str, list[Filed]] = {}
    for code_file in filed:
        code, path = code_file.code, code_file.path
        for other in filed_of_id.setdefault(code.id, []):
            if not same_intersection(other.code, code):
                yield Finding(
                    entity=code.id,
                    field="id",
                    value=f"{path} ({code.name})",
                    rule=f"the city code stands for another intersection in {other.path} ({other.code.name})",
                    severity=Severity.ERROR,
                    remedy=(
                        f"move it out of the folder, then: cloudctl codes import {path.name} --out "
                        f"{other.path.parent} "
                        "gives it a code of its own"
                    ),
                )

                break

            if other.code.revision == code.revision and dump(other.code) != dump(code):
                yield Finding(
                    entity=code.id,
                    field="revision",
                    value=f"{code.revision} in {path}",
                    rule=f"the revision stands for another content in {other.path}",
                    severity=Severity.ERROR,
                    remedy=(
                        "give the changed code a higher revision, or take one of the files away; cloudctl codes diff "
                        "shows how they differ"
                    ),
                )

                break

        filed_of_id[code.id].append(code_file)


UNNUMBERED_FILE = 10**9
# Revisions that a hand may have given before it deleted a file: none of them may stand for another content
UNSEEN_REVISIONS = 10


def _file_number(path: Path) -> tuple[int, str]:
    first = path.stem.partition("-")[0]
    return (int(first) if first.isdecimal() and len(first) < 9 else UNNUMBERED_FILE, path.name)


def _is_code(data: bytes, path: Path) -> bool:
    """Return whether a JSON file is a digital code; others may stand beside. Raises CodeError for what is no JSON: it
    may be a code that was mistyped."""
    try:
        tree: Any = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refuse(
            where=str(path),
            entity="file",
            field="JSON",
            value=f"{len(data)} bytes",
            rule=f"cannot be read ({error})",
            remedy="correct it, or move it out of the folder: what was written by hand in it would be lost",
        ) from None

    return isinstance(tree, dict) and "ref_lat_e7" in tree and "lanes" in tree


def is_code(data: bytes) -> bool:
    """Return whether a file to import is a digital code itself (JSON, GeoJSON, compact), with the city code that it
    has."""
    return data[:2] == b"C1" or (data.lstrip()[:1] == b"{" and b'"ref_lat_e7"' in data)


def _write_whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    new_file = path.with_name(path.name + ".new")
    new_file.write_bytes(data)
    new_file.replace(path)
