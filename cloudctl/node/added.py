"""Intersections that are added to a running city by one command: each node fetches the code and the gateways, and keeps
both as files beside its own, so that they are there at the next start too.

What is stored in etcd is the code's hash and the gateways; the code itself is retained on MQTT.
"""

import contextlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from .. import codes
from ..city.added import AddedRecord
from ..codes.canon import content_hash
from ..io.egress import Egress
from ..metrics import Metrics

LAID_ASIDE = ".removed"  # at the end of a file's name
log = logging.getLogger("cloudctl.node")


class AddedIntersections:
    """Keeps the files of a folder those of the intersections that were added."""

    def __init__(self, folder: Path, egress: Egress, metrics: Metrics) -> None:
        self._folder, self._egress, self._metrics = folder, egress, metrics
        self._applied: dict[str, AddedRecord] = {}
        self._fetched: dict[str, bytes] = {}  # code by intersection, as it is written
        self._has_looked = False

    def look(self, added: Mapping[str, AddedRecord]) -> bool:
        """Write and remove files where something was added, changed or removed; return whether the node is to read its
        file again."""
        changed = not self._has_looked and self._lay_aside(added)
        self._has_looked = True
        for name, record in list(added.items()):
            if self._applied.get(name) == record:
                continue

            code = self._code(name, record)
            if code is not None:
                self._write(name, code, record)
                self._applied[name] = record
                changed = True

        for name in [name for name in self._applied if name not in added]:
            self._remove(name)
            changed = True

        return changed

    def _code(self, name: str, record: AddedRecord) -> bytes | None:
        """Return the code of an added intersection: from its file, or from the broker, once that has sent it."""
        path = self._folder / f"{name}.json"
        with contextlib.suppress(OSError, codes.CodeError):
            if content_hash(codes.load(path)) == record.hash:
                return path.read_bytes()

        fetched = self._fetched.pop(name, None)
        if fetched is not None:
            return fetched

        self._egress.fetch_code(name, lambda payload: self._take(name, record, payload))
        return None

    def _take(self, name: str, record: AddedRecord, payload: bytes) -> None:
        """Keep a code that came from the broker, where it is the one that was added."""
        try:
            code = codes.loads(codes.dump(codes.from_compact(payload)))
        except ValueError as error:
            self._metrics.count("city.code_refused", name)
            log.warning("the code of %s that the broker retains cannot be used: %s", name, error)
            return

        if code.id != name or content_hash(code) != record.hash:
            self._metrics.count("city.code_refused", name)
            return

        self._fetched[name] = codes.dump(code)

    def _write(self, name: str, code: bytes, record: AddedRecord) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        sections = "".join(
            f"[[gateway]]\nname = {json.dumps(gateway)}\nkey = {json.dumps(record.keys.get(gateway, ''))}\n"
            f"rsus = {{ {', '.join(f'{json.dumps(rsu)} = {json.dumps(place)}' for rsu, place in rsus.items())} }}\n"
            for gateway, rsus in record.gateways.items()
        )

        for suffix, data in ((".json", code), (".toml", sections.encode())):
            partial = self._folder / f".{name}-{os.getpid()}"
            partial.write_bytes(data)
            os.replace(partial, self._folder / f"{name}{suffix}")

        log.info("%s was added to the city", name)

    def _lay_aside(self, added: Mapping[str, AddedRecord]) -> bool:
        """Lay aside the files of what was taken out while this node did not run: it would serve that again. They are
        kept under another name, in case it is etcd that has lost what was added."""
        gone = sorted(path.stem for path in self._folder.glob("*.json") if path.stem not in added)
        for name in gone:
            for suffix in (".json", ".toml"):
                file = self._folder / f"{name}{suffix}"
                with contextlib.suppress(FileNotFoundError):
                    file.replace(file.with_name(f"{file.name}{LAID_ASIDE}"))

            log.warning(
                "%s was taken out of the city while this node did not run. Its files are kept as %s/%s.*%s; to have it "
                "again: cloudctl city add",
                name,
                self._folder,
                name,
                LAID_ASIDE,
            )

        return bool(gone)

    def _remove(self, name: str) -> None:
        del self._applied[name]
        for suffix in (".json", ".toml"):
            with contextlib.suppress(FileNotFoundError):
                (self._folder / f"{name}{suffix}").unlink()
        log.info("%s was taken out of the city", name)
