"""What of a file an importer used: every importer reads its file through `Accounts`, which reports what was met and not used.

A file becomes records (`XmlRecord` an element, `JsonRecord` an object). Reading a value by name marks it used. At the end, or as soon as
a streamed element is done with, what is left enters the loss report, grouped, with a count and the first example:

    attributes, keys, text and elements that nothing read             dropped
    values of an enumeration that `choice`, `words`, `flag` do not know   unknown
    records left out on purpose (`leave_out`)                            dropped, with the importer's reason

Only what stands in the importer's table of things that carry nothing about traffic, each with its reason, is passed over. An
importer runs within `with Accounts(...) as accounts` and returns `accounts.imported(codes)`; a refusal (CodeError) that leaves the
`with` block carries the report, too.
"""

import json
import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterable, Iterator, Mapping
from math import isfinite
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from .findings import CodeError, refuse
from .model import IntersectionCode
from .report import Imported, Loss

T = TypeVar("T")
MAX_GROUPS = 500  # lines of one report: a file of a stranger may hold any number of different names
MAX_TEXT = 80  # characters of an example or a value in a line
MAX_DEPTH = 200  # of records within records: deeper than any map, and far from the interpreter's own limit
NAMES = ("id", "laneID", "laneId", "name", "key", "index")  # values by which a person finds a record again, the best first
FLAGS = {"1": True, "true": True, "yes": True, "on": True, "x": True, "0": False, "false": False, "no": False, "off": False, "-": False}
EVERYWHERE = {  # of any XML
    "@schemaLocation": "where the schema is",
    "@noNamespaceSchemaLocation": "where the schema is",
}


class Accounts:
    """The account of one import. `source` names the format; `ignored` says why something carries nothing about traffic.

    Keys of `ignored`: `tag` and `parent/tag` for elements (JSON: keys that hold objects), `@name`, `tag@name` and `parent/tag@name` for
    attributes (JSON: keys that hold plain values). `losses` are further lines of the report, for the importer to add to. `remedy` is
    what to do about a file with a value that cannot be.
    """

    def __init__(self, source: str, ignored: Mapping[str, str], remedy: str = "correct the map, or export it again") -> None:
        missing = [key for key, reason in ignored.items() if not reason.strip()]
        if missing:
            raise ValueError(f"why is {missing[0]} ignored? give the reason")
        self.source, self.remedy = source, remedy
        self.ignored = {**EVERYWHERE, **ignored}
        self.losses: set[Loss] = set()
        self._groups: dict[tuple[str, str, str], list[Any]] = {}  # (what, entity, detail) -> [count, first example]
        self._beyond = 0
        self._open: list[Record] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, CodeError):
            error.losses = self.report()

    def xml(self, data: bytes) -> "XmlRecord":
        """Return the root element of a file, names without their namespaces. Raises CodeError."""
        try:
            root = ET.fromstring(data)
        except (ET.ParseError, ValueError, LookupError) as error:
            raise refuse(self.source, "file", "XML", f"{len(data)} bytes", f"cannot be read ({error})", self.remedy) from None
        record = XmlRecord(self, root, None)
        self._open.append(record)
        return record

    def stream(self, file: IO[bytes]) -> Iterator["XmlRecord"]:
        """Yield the root with its attributes only, then each element below it, whole; each is settled when the next is asked for."""
        depth = 0
        root: XmlRecord | None = None
        for event, node in ET.iterparse(file, ("start", "end")):
            if event == "start":
                depth += 1
                if root is None:
                    top, root = node, XmlRecord(self, node, None, whole=False)
                    self._open.append(root)
                    yield root
            else:
                depth -= 1
                if depth == 1:
                    record = XmlRecord(self, node, root)
                    yield record
                    self.settle(record)
                    top.clear()

    def json(self, tree: Mapping[str, Any], tag: str = "message") -> "JsonRecord":
        """Return the record of decoded JSON (or ASN.1). Raises CodeError for one nested deeper than any map."""
        record = JsonRecord(self, tag, tree, None)
        self._open.append(record)
        return record

    def settle(self, record: "Record") -> None:
        """Enter what was not used of a record and of all below it. Only for streamed records; the others are settled by `report`."""
        waiting = [record]
        while waiting:
            record = waiting.pop()
            if record.left_out:
                continue
            if not record.met:
                self._enter_element(record)
                continue
            waiting += reversed(record.unsettled())  # in the order of the file: the first example is the first

    def unused(self, record: "Record", kind: str, name: str, value: object) -> None:
        """Enter one value that nothing read, unless it is ignored. `kind`: attribute, key or text."""
        path = record.path
        for key in (f"@{name}", f"{record.tag}@{name}", f"{path}@{name}"):
            if key in self.ignored:
                return
        self.enter("dropped", f"{path}@{name}", f"{kind} {name} is not read", f"{name}={shown(value)} of {record}")

    def enter(self, what: str, entity: str, detail: str, example: str = "") -> None:
        """Count one thing of a kind; `what` is of `Loss`. The first example of each kind is kept."""
        group = self._groups.get((what, entity, detail))
        if group is not None:
            group[0] += 1
        elif len(self._groups) < MAX_GROUPS:
            self._groups[what, entity, detail] = [1, example]
        else:
            self._beyond += 1

    def report(self) -> tuple[Loss, ...]:
        """Settle what is still open, and return the whole loss report, in order."""
        for record in self._open:
            self.settle(record)
        self._open.clear()
        lines = {Loss(what, entity, detail, count, example) for (what, entity, detail), (count, example) in self._groups.items()}
        if self._beyond:
            lines.add(Loss("dropped", "file", f"further things, after {MAX_GROUPS} different kinds", self._beyond))
        return tuple(sorted(self.losses | lines))

    def imported(self, codes: Iterable[IntersectionCode], source: str = "") -> Imported:
        """Return the codes with the whole report: what every importer ends with."""
        made = list(codes)  # a generator may still read
        return Imported(made, source or self.source, self.report())

    def _passed(self, record: "Record") -> bool:
        return record.tag in self.ignored or record.path in self.ignored

    def _enter_element(self, record: "Record") -> None:
        if not self._passed(record):
            self.enter("dropped", record.path, f"{record.noun} {record.tag} is not read", str(record))


class Record:
    """A group of named values of a file. Reading one by name marks it used."""

    noun = "element"
    __slots__ = ("_used", "accounts", "left_out", "met", "parent", "tag", "values")

    def __init__(self, accounts: Accounts, tag: str, values: dict[str, Any], parent: "Record | None") -> None:
        self.accounts, self.tag, self.values, self.parent = accounts, tag, values, parent
        self._used: set[str] = set()
        self.met = parent is None
        self.left_out = False

    @property
    def path(self) -> str:
        """Return its tag after that of what it stands in: how it is named in reports and tables."""
        return self.tag if self.parent is None else f"{self.parent.tag}/{self.tag}"

    def __str__(self) -> str:
        own = next((f" {shown(self.values[name], '')}" for name in NAMES if _plain(self.values.get(name))), "")
        outer = self.parent
        while outer is not None and outer.parent is not None and not any(_plain(outer.values.get(name)) for name in NAMES):
            outer = outer.parent
        return f"{self.tag}{own}" + (f" in {outer}" if outer is not None and outer.parent is not None else "")

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def need(self, name: str) -> Any:
        """Return a value that must be there. Raises CodeError."""
        self._used.add(name)
        if name not in self.values:
            raise self.refuse(name, "none", "must be given")
        return self.values[name]

    def number(self, name: str, default: float | None = None) -> float:
        """Return a value as a finite number; `default` where there is none. Raises CodeError for anything else, or without a default."""
        self._used.add(name)
        value = self.values.get(name, default)
        if value is None:
            raise self.refuse(name, "none", "must be given")
        try:
            found = float("nan") if isinstance(value, bool) or "_" in str(value) else float(value)
        except (TypeError, ValueError, OverflowError):
            found = float("nan")
        if not isfinite(found):
            raise self.refuse(name, shown(value), "must be a finite number")
        return found

    def choice(self, name: str, table: Mapping[str, T], default: T) -> T:
        """Return what a value of an enumeration stands for; `default` where there is none. An unknown one is reported, and taken as `default`."""
        self._used.add(name)
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, str | int) and str(value) in table:
            return table[str(value)]
        self.unknown(name, value, f"taken as {default}" if isinstance(default, str) and default else "left out")
        return default

    def words(self, name: str, known: Collection[str]) -> tuple[str, ...]:
        """Return the words of a list in one text; unknown ones are reported, and left out."""
        self._used.add(name)
        found = str(self.values.get(name, "")).split()
        for word in found:
            if word not in known:
                self.unknown(name, word, "left out")
        return tuple(word for word in found if word in known)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a value as true or false; an unknown one is reported, and taken as `default`."""
        self._used.add(name)
        value = self.values.get(name, default)
        if isinstance(value, bool):
            return value
        found = FLAGS.get(str(value).strip().lower())
        if found is None:
            self.unknown(name, value, f"taken as {str(default).lower()}")
        return default if found is None else found

    def unknown(self, name: str, value: object, result: str) -> None:
        """Report a value that is not understood; `result` says what was made of it ("left out", "taken as straight")."""
        self._used.add(name)
        self.accounts.enter("unknown", f"{self.path}@{name}", f"{shown(value)} is not known: {result}", str(self))

    def ignore(self, name: str, reason: str) -> None:
        """Mark a value used that carries nothing here, for a reason that the code should give."""
        if not reason:
            raise ValueError(f"why is {self.tag}@{name} ignored? give the reason")
        self._used.add(name)

    def leave_out(self, reason: str) -> None:
        """Report the whole record as left out, for a reason; nothing below it is accounted for further."""
        self.left_out = self.met = True
        self.accounts.enter("dropped", self.path, reason, str(self))

    def refuse(self, name: str, value: object, rule: str, remedy: str = "") -> CodeError:
        """Return an error about one value, to be raised; without a remedy of its own it has the import's."""
        return refuse(self.accounts.source, str(self), name, value, rule, remedy or self.accounts.remedy)

    def unsettled(self) -> list["Record"]:
        """Enter the values that nothing read; return the records below."""
        raise NotImplementedError


class XmlRecord(Record):
    """An element. Children are asked for by their tags; who is asked for is used, and so is what lies on the way to it."""

    __slots__ = ("_records", "_text", "_text_used")
    values: dict[str, str]

    def __init__(self, accounts: Accounts, node: ET.Element, parent: "XmlRecord | None", depth: int = 0, whole: bool = True) -> None:
        if depth > MAX_DEPTH:
            raise refuse(accounts.source, "file", "elements", f"{depth} within each other", f"must be {MAX_DEPTH} at most", accounts.remedy)
        attributes = node.attrib
        if any("}" in name for name in attributes):
            attributes = {name.rpartition("}")[2]: value for name, value in attributes.items()}
        super().__init__(accounts, node.tag.rpartition("}")[2], dict(attributes), parent)
        self._text = (node.text or "").strip() if whole else ""
        self._text_used = False
        self._records = [XmlRecord(accounts, child, self, depth + 1) for child in node if isinstance(child.tag, str)] if whole else []

    def get(self, name: str, default: str = "") -> str:
        """Return an attribute; `default` where there is none."""
        self._used.add(name)
        found: str = self.values.get(name, default)
        return found

    @property
    def text(self) -> str:
        """The text of the element, without the spaces around it."""
        self._text_used = True
        return self._text

    def use(self) -> "XmlRecord":
        """Mark the element used, and what it stands in; returned for chaining."""
        record: Record | None = self
        while record is not None and not record.met:
            record.met = True
            record = record.parent
        return self

    def children(self, *tags: str) -> Iterator["XmlRecord"]:
        """Yield the elements directly below of the tags named, in the file's order. Others stay unused."""
        if not tags:
            raise TypeError("name the tags that are read: what nobody names is reported")
        for record in self._records:
            if record.tag in tags:
                yield record.use()

    def iterfind(self, path: str) -> Iterator["XmlRecord"]:
        """Yield the elements at a path of tags, as `header/offset`."""
        tag, _, rest = path.partition("/")
        for record in self._records:
            if record.tag == tag:
                if rest:
                    yield from record.iterfind(rest)
                else:
                    yield record.use()

    def findall(self, path: str) -> list["XmlRecord"]:
        """Return the elements at a path of tags."""
        return list(self.iterfind(path))

    def find(self, path: str) -> "XmlRecord | None":
        """Return the first element at a path of tags. Further ones stay unused, and are reported."""
        return next(self.iterfind(path), None)

    def findtext(self, path: str, default: str = "") -> str:
        """Return the text of the first element at a path of tags."""
        found = self.find(path)
        return default if found is None else found.text

    def iter(self, *tags: str) -> Iterator["XmlRecord"]:
        """Yield the elements of the tags named at any depth below, in the file's order."""
        for record in self._records:
            if record.tag in tags:
                yield record.use()
            yield from record.iter(*tags)

    def unsettled(self) -> list[Record]:
        """Enter attributes and text that nothing read; return the elements below."""
        if len(self._used) < len(self.values) or not self._used.issuperset(self.values):
            for name, value in self.values.items():
                if name not in self._used:
                    self.accounts.unused(self, "attribute", name, value)
        if self._text and not self._text_used:
            self.accounts.unused(self, "text", "text", self._text)
        return list(self._records)


class JsonRecord(Record):
    """An object of decoded JSON: read like a mapping, values that are objects are records, too. null, {}, [] and "" carry nothing."""

    noun = "key"
    __slots__ = ()

    def __init__(self, accounts: Accounts, tag: str, tree: Mapping[str, Any], parent: "JsonRecord | None", depth: int = 0) -> None:
        if depth > MAX_DEPTH:
            raise refuse(accounts.source, "file", "objects", f"{depth} within each other", f"must be {MAX_DEPTH} at most", accounts.remedy)
        super().__init__(accounts, tag, {}, parent)
        self.met = True  # whether it is used stands with the key that it is found under
        self.values = {str(key): self._wrapped(str(key), value, depth) for key, value in tree.items() if value is not None}

    def _wrapped(self, key: str, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            return JsonRecord(self.accounts, key, value, self, depth + 1)
        if isinstance(value, list):
            return [self._wrapped(key, item, depth + 1) for item in value]
        if isinstance(value, tuple):  # a choice of ASN.1: (name, value)
            return tuple(self._wrapped(key, item, depth + 1) for item in value)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, a record, or a list of these; `default` where there is none."""
        self._used.add(name)
        return self.values.get(name, default)

    def __getitem__(self, name: str) -> Any:
        return self.need(name)

    def keys(self) -> list[str]:
        """Return the names of what is there. None of them counts as used."""
        return list(self.values)

    def one(self) -> tuple[str, Any]:
        """Return the one (name, value) of a choice, written as an object of one key. Raises CodeError for none; further ones stay unused."""
        if not self.values:
            raise self.refuse("choice", "none", "must have one key")
        name = next(iter(self.values))
        return name, self.get(name)

    def child(self, name: str) -> "JsonRecord":
        """Return an object by its key; an empty one where there is none. Raises CodeError for a value that is no object."""
        found = self.get(name)
        if found is None:
            return JsonRecord(self.accounts, name, {}, self)
        if not isinstance(found, JsonRecord):
            raise self.refuse(name, shown(found), "must be an object")
        return found

    def rows(self, name: str, *types: str) -> list["JsonRecord"]:
        """Return the objects of a list, however it is written: bare, under its type's name, or its only element by itself."""
        found = self.get(name)
        if isinstance(found, JsonRecord):
            inner = next((key for key in types if key in found), None)
            found = found.get(inner) if inner is not None else found if found.values else None
        found = [] if found is None else found if isinstance(found, list) else [found]
        for item in found:
            if not isinstance(item, JsonRecord):
                raise self.refuse(name, shown(item), "must be a list of objects")
        return found

    def flags(self, name: str, known: Collection[str]) -> tuple[str, ...]:
        """Return which of the known flags of an object of flags are true, in the order of `known`."""
        found = self.child(name)
        return tuple(flag for flag in known if found.flag(flag))

    def unsettled(self) -> list[Record]:
        """Enter keys that nothing read; return the objects below those that were."""
        below: list[Record] = []
        for name, value in self.values.items():
            if name in self._used:
                below += _records(value)
            elif not _empty(value):
                inner = next(iter(_records(value)), None)
                if inner is None:
                    self.accounts.unused(self, "key", name, value)
                elif not (name in self.accounts.ignored or f"{self.tag}/{name}" in self.accounts.ignored):
                    self.accounts.enter("dropped", f"{self.tag}/{name}", f"key {name} is not read", str(inner))
        return below


def shown(value: object, quote: str = '"') -> str:
    """Return a value as text for a line of the report, cut to a length that can be read."""
    text = str(value)
    return f"{quote}{text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + '…'}{quote}"


def load_json(data: bytes, source: str) -> dict[str, Any]:
    """Return the object that a JSON text holds. Raises CodeError for any other text, and for a key that stands twice in one object."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found and found[key] != value:
                raise ValueError(f"key {shown(key)} stands twice, with different values")
            found[key] = value
        return found

    try:
        tree = json.loads(data, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise refuse(source, "file", "JSON", f"{len(data)} bytes", f"cannot be read ({error})", "correct it; JSON has no comments") from None
    if not isinstance(tree, dict):
        raise refuse(source, "file", "JSON", shown(tree), "must be one object", "give one message")
    return tree


def _plain(value: object) -> bool:
    return isinstance(value, str | int) and value != ""


def _empty(value: Any) -> bool:
    if isinstance(value, JsonRecord):
        return all(_empty(item) for item in value.values.values())
    return value == "" or (isinstance(value, list) and all(_empty(item) for item in value))


def _records(value: Any) -> list[JsonRecord]:
    """Return the records in a value: itself, or those of its list or choice."""
    if isinstance(value, JsonRecord):
        return [value]
    return [record for item in value for record in _records(item)] if isinstance(value, list | tuple) else []
