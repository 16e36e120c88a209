"""What of a file an importer used: every importer reads its file through `Accounts`, which reports what was met and not
used.

A file becomes records (`XmlRecord` an element, `JsonRecord` an object). Reading a value by name marks it used. At the
end, or as soon as a streamed element is done with, what is left enters the loss report, grouped, with a count and the
first example:

    attributes, keys, text and elements that nothing read             dropped
    values of an enumeration that `choice`, `words`, `flag` do not know   unknown
    records left out on purpose (`leave_out`)                            dropped, with the importer's reason

Only what stands in the importer's table of things that carry nothing about traffic, each with its reason, is passed
over. An importer runs within `with Accounts(...) as accounts` and returns `accounts.imported(codes)`; a refusal
(CodeError) that leaves the `with` block carries the report, too."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import TracebackType
from typing import IO, Any, Self

from ...findings import CodeError, Loss, LossKind, refuse
from ...model import IntersectionCode
from ...report import Imported
from .json_records import JsonRecord
from .records import Record, XmlRecord, shown

MAX_GROUPS = 500  # lines of one report: a file of a stranger may hold any number of different names
IGNORED_IN_ANY_XML = {  # of any XML
    "@schemaLocation": "where the schema is",
    "@noNamespaceSchemaLocation": "where the schema is",
}
__all__ = ["IGNORED_IN_ANY_XML", "MAX_GROUPS", "Accounts", "JsonRecord", "Record", "XmlRecord", "load_json", "shown"]


class Accounts:
    """The account of one import. `source` names the format; `ignored` gives the reason why something carries nothing
    about traffic.

    Keys of `ignored`: `tag` and `parent/tag` for elements (JSON: keys that hold objects), `@name`, `tag@name` and
    `parent/tag@name` for attributes (JSON: keys that hold plain values). `losses` are further lines of the report, for
    the importer to add to. `remedy` is what to do about a file with a value that cannot be."""

    def __init__(
        self, source: str, ignored: Mapping[str, str], remedy: str = "correct the map, or export it again"
    ) -> None:
        missing = [key for key, reason in ignored.items() if not reason.strip()]
        if missing:
            raise ValueError(f"why is {missing[0]} ignored? give the reason")

        self.source, self.remedy = source, remedy
        self.ignored = {**IGNORED_IN_ANY_XML, **ignored}
        self.losses: set[Loss] = set()
        # (what, entity, detail) -> [count, first example]
        self._groups: dict[tuple[str, str, str], list[Any]] = {}
        self._further_count = 0
        self._open_records: list[Record] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, CodeError):
            error.losses = self.report()

    def xml(self, data: bytes) -> XmlRecord:
        """Return the root element of a file, names without their namespaces. Raises CodeError."""
        try:
            root = ET.fromstring(data)
        except (ET.ParseError, ValueError, LookupError) as error:
            raise refuse(
                where=self.source,
                entity="file",
                field="XML",
                value=f"{len(data)} bytes",
                rule=f"cannot be read ({error})",
                remedy=self.remedy,
            ) from None

        record = XmlRecord(accounts=self, node=root, parent=None)
        self._open_records.append(record)
        return record

    def stream(self, file: IO[bytes], alone: Collection[str] = ()) -> Iterator[XmlRecord]:
        """Yield the root with its attributes only, then each element below it, whole; each is settled when the next is
        asked for.

        A root of one of the tags `alone` is itself such an element, with no root around it.
        """
        depth, element_depth = 0, 1
        root: XmlRecord | None = None
        root_node: ET.Element | None = None

        for event, node in ET.iterparse(file, ("start", "end")):
            if event == "start":
                depth += 1
                if depth == 1 and node.tag in alone:
                    element_depth = 0
                elif depth == 1:
                    root_node, root = node, XmlRecord(accounts=self, node=node, parent=None, whole=False)
                    self._open_records.append(root)
                    yield root

                continue

            depth -= 1
            if depth == element_depth:
                record = XmlRecord(accounts=self, node=node, parent=root)
                yield record
                self.settle(record)
                if root_node is not None:
                    root_node.clear()

    def json(self, tree: Mapping[str, Any], tag: str = "message") -> JsonRecord:
        """Return the record of decoded JSON (or ASN.1). Raises CodeError for one nested deeper than any map."""
        record = JsonRecord(accounts=self, tag=tag, tree=tree, parent=None)
        self._open_records.append(record)
        return record

    def settle(self, record: Record) -> None:
        """Enter what was not used of a record and of all below it. Only for streamed records; the others are settled by
        `report`."""
        pending = [record]
        while pending:
            record = pending.pop()
            if record.left_out:
                continue

            if not record.met:
                self._enter_element(record)
                continue

            # In the order of the file: the first example is the first
            pending += reversed(record.unsettled())

    def unused(self, record: Record, kind: str, name: str, value: object) -> None:
        """Enter one value that nothing read, unless it is ignored. `kind`: attribute, key or text."""
        path = record.path
        for key in (f"@{name}", f"{record.tag}@{name}", f"{path}@{name}"):
            if key in self.ignored:
                return

        self.enter(
            LossKind.DROPPED, f"{path}@{name}", f"{kind} {name} is not read", f"{name}={shown(value)} of {record}"
        )

    def enter(self, what: str, entity: str, detail: str, example: str = "") -> None:
        """Count one thing of a kind; `what` is of `Loss`. The first example of each kind is kept."""
        group = self._groups.get((what, entity, detail))
        if group is not None:
            group[0] += 1
        elif len(self._groups) < MAX_GROUPS:
            self._groups[what, entity, detail] = [1, example]
        else:
            self._further_count += 1

    def report(self) -> tuple[Loss, ...]:
        """Settle what is still open, and return the whole loss report, in order."""
        for record in self._open_records:
            self.settle(record)

        self._open_records.clear()
        lines = {
            Loss(what=what, entity=entity, detail=detail, count=count, example=example)
            for (what, entity, detail), (count, example) in self._groups.items()
        }

        if self._further_count:
            lines.add(
                Loss(
                    what=LossKind.DROPPED,
                    entity="file",
                    detail=f"further things, after {MAX_GROUPS} different kinds",
                    count=self._further_count,
                )
            )

        return tuple(sorted(self.losses | lines))

    def imported(self, codes: Iterable[IntersectionCode], source: str = "") -> Imported:
        """Return the codes with the whole report: what every importer ends with."""
        all_codes = list(codes)  # a generator may still read
        return Imported(all_codes, source or self.source, self.report())

    def _passed(self, record: Record) -> bool:
        return record.tag in self.ignored or record.path in self.ignored

    def _enter_element(self, record: Record) -> None:
        if not self._passed(record):
            self.enter(LossKind.DROPPED, record.path, f"{record.noun} {record.tag} is not read", str(record))


def load_json(data: bytes, source: str) -> dict[str, Any]:
    """Return the object that a JSON text holds. Raises CodeError for any other text, and for a key that stands twice in
    one object."""

    def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in pairs:
            if key in values and values[key] != value:
                raise ValueError(f"key {shown(key)} stands twice, with different values")
            values[key] = value
        return values

    try:
        tree = json.loads(data, object_pairs_hook=without_repeats)
    except (ValueError, RecursionError) as error:
        raise refuse(
            where=source,
            entity="file",
            field="JSON",
            value=f"{len(data)} bytes",
            rule=f"cannot be read ({error})",
            remedy="correct it; JSON has no comments",
        ) from None

    if not isinstance(tree, dict):
        raise refuse(
            where=source,
            entity="file",
            field="JSON",
            value=shown(tree),
            rule="must be one object",
            remedy="give one message",
        )

    return tree
