"""The records that an importer reads its file through: elements of XML, objects of JSON. Reading a value by its name
marks it used.

What nothing reads, and values that are not understood, are entered in the `accounting.Accounts` of the import.
"""

import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterator, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeVar

from ...findings import CodeError, refuse

if TYPE_CHECKING:
    from .accounting import Accounts

T = TypeVar("T")
MAX_SHOWN_LENGTH = 80  # characters of an example or a value in a line
MAX_DEPTH = 200  # of records within records: deeper than any map, and far from the interpreter's own limit
# Values by which a person finds a record again, the best first
IDENTIFYING_NAMES = (
    "id",
    "laneID",
    "laneId",
    "name",
    "key",
    "index",
)
FLAGS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "x": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
    "-": False,
}


class Record:
    """A group of named values of a file. Reading one by name marks it used."""

    noun = "element"
    __slots__ = ("_used", "accounts", "left_out", "met", "parent", "tag", "values")

    def __init__(self, accounts: "Accounts", tag: str, values: dict[str, Any], parent: "Record | None") -> None:
        self.accounts, self.tag, self.values, self.parent = accounts, tag, values, parent
        self._used: set[str] = set()
        self.met = parent is None
        self.left_out = False

    @property
    def path(self) -> str:
        """Return its tag after that of what it stands in: how it is named in reports and tables."""
        return self.tag if self.parent is None else f"{self.parent.tag}/{self.tag}"

    def __str__(self) -> str:
        own = next(
            (f" {shown(self.values[name], '')}" for name in IDENTIFYING_NAMES if _is_plain(self.values.get(name))), ""
        )
        outer = self.parent
        while (
            outer is not None
            and outer.parent is not None
            and not any(_is_plain(outer.values.get(name)) for name in IDENTIFYING_NAMES)
        ):
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
        """Return a value as a finite number; `default` where there is none. Raises CodeError for anything else, or
        without a default."""
        self._used.add(name)
        value = self.values.get(name, default)
        if value is None:
            raise self.refuse(name, "none", "must be given")

        try:
            number = float("nan") if isinstance(value, bool) or "_" in str(value) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = float("nan")

        if not isfinite(number):
            raise self.refuse(name, shown(value), "must be a finite number")

        return number

    def choice(self, name: str, table: Mapping[str, T], default: T) -> T:
        """Return what a value of an enumeration stands for; `default` where there is none. An unknown one is reported,
        and taken as `default`."""
        self._used.add(name)
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, str | int) and str(value) in table:
            return table[str(value)]

        self.unknown(name, value, f"taken as {default}" if isinstance(default, str) and default else "left out")
        return default

    def words(self, name: str, allowed: Collection[str]) -> tuple[str, ...]:
        """Return the words of a list in one text; unknown ones are reported, and left out."""
        self._used.add(name)
        words = str(self.values.get(name, "")).split()
        for word in words:
            if word not in allowed:
                self.unknown(name, word, "left out")
        return tuple(word for word in words if word in allowed)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a value as true or false; an unknown one is reported, and taken as `default`."""
        self._used.add(name)
        value = self.values.get(name, default)
        if isinstance(value, bool):
            return value

        flag = FLAGS.get(str(value).strip().lower())
        if flag is None:
            self.unknown(name, value, f"taken as {str(default).lower()}")

        return default if flag is None else flag

    def unknown(self, name: str, value: object, result: str) -> None:
        """Report a value that is not understood; `result` says what was made of it ("left out", "taken as
        straight")."""
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
        return refuse(
            where=self.accounts.source,
            entity=str(self),
            field=name,
            value=value,
            rule=rule,
            remedy=remedy or self.accounts.remedy,
        )

    def unsettled(self) -> list["Record"]:
        """Enter the values that nothing read; return the records below."""
        raise NotImplementedError


class XmlRecord(Record):
    """An element. Children are asked for by their tags; who is asked for is used, and so is what lies on the way to
    it."""

    __slots__ = ("_records", "_text", "_text_used")
    values: dict[str, str]

    def __init__(
        self, accounts: "Accounts", node: ET.Element, parent: "XmlRecord | None", depth: int = 0, whole: bool = True
    ) -> None:
        if depth > MAX_DEPTH:
            raise refuse(
                where=accounts.source,
                entity="file",
                field="elements",
                value=f"{depth} within each other",
                rule=f"must be {MAX_DEPTH} at most",
                remedy=accounts.remedy,
            )

        attributes = node.attrib
        if any("}" in name for name in attributes):
            attributes = {name.rpartition("}")[2]: value for name, value in attributes.items()}

        super().__init__(accounts, node.tag.rpartition("}")[2], dict(attributes), parent)
        self._text = (node.text or "").strip() if whole else ""
        self._text_used = False

        self._records = (
            [
                XmlRecord(accounts=accounts, node=child, parent=self, depth=depth + 1)
                for child in node
                if isinstance(child.tag, str)
            ]
            if whole
            else []
        )

    def get(self, name: str, default: str = "") -> str:
        """Return an attribute; `default` where there is none."""
        self._used.add(name)
        value: str = self.values.get(name, default)
        return value

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
        element = self.find(path)
        return default if element is None else element.text

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
    """An object of decoded JSON: read like a mapping, values that are objects are records, too. null, {}, [] and ""
    carry nothing."""

    noun = "key"
    __slots__ = ()

    def __init__(
        self, accounts: "Accounts", tag: str, tree: Mapping[str, Any], parent: "JsonRecord | None", depth: int = 0
    ) -> None:
        if depth > MAX_DEPTH:
            raise refuse(
                where=accounts.source,
                entity="file",
                field="objects",
                value=f"{depth} within each other",
                rule=f"must be {MAX_DEPTH} at most",
                remedy=accounts.remedy,
            )

        super().__init__(accounts, tag, {}, parent)
        self.met = True  # whether it is used stands with the key that it is found under
        self.values = {
            str(key): self._wrapped(str(key), value, depth) for key, value in tree.items() if value is not None
        }

    def _wrapped(self, key: str, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            return JsonRecord(accounts=self.accounts, tag=key, tree=value, parent=self, depth=depth + 1)
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
        """Return the one (name, value) of a choice, written as an object of one key. Raises CodeError for none; further
        ones stay unused."""
        if not self.values:
            raise self.refuse("choice", "none", "must have one key")
        name = next(iter(self.values))
        return name, self.get(name)

    def child(self, name: str) -> "JsonRecord":
        """Return an object by its key; an empty one where there is none. Raises CodeError for a value that is no
        object."""
        value = self.get(name)
        if value is None:
            return JsonRecord(accounts=self.accounts, tag=name, tree={}, parent=self)
        if not isinstance(value, JsonRecord):
            raise self.refuse(name, shown(value), "must be an object")
        return value

    def rows(self, name: str, *types: str) -> list["JsonRecord"]:
        """Return the objects of a list, however it is written: bare, under its type's name, or its only element by
        itself."""
        items = self.get(name)
        if isinstance(items, JsonRecord):
            type_name = next((key for key in types if key in items), None)
            items = items.get(type_name) if type_name is not None else items if items.values else None

        items = [] if items is None else items if isinstance(items, list) else [items]
        for item in items:
            if not isinstance(item, JsonRecord):
                raise self.refuse(name, shown(item), "must be a list of objects")

        return items

    def flags(self, name: str, names: Collection[str]) -> tuple[str, ...]:
        """Return which of the known flags of an object of flags are true, in the order of `names`."""
        record = self.child(name)
        return tuple(flag for flag in names if record.flag(flag))

    def unsettled(self) -> list[Record]:
        """Enter keys that nothing read; return the objects below those that were."""
        below: list[Record] = []
        for name, value in self.values.items():
            if name in self._used:
                below += _records(value)
            elif not _is_empty(value):
                first_record = next(iter(_records(value)), None)
                if first_record is None:
                    self.accounts.unused(self, "key", name, value)
                elif not (name in self.accounts.ignored or f"{self.tag}/{name}" in self.accounts.ignored):
                    self.accounts.enter("dropped", f"{self.tag}/{name}", f"key {name} is not read", str(first_record))

        return below


def shown(value: object, quote: str = '"') -> str:
    """Return a value as text for a line of the report, cut to a length that can be read."""
    text = str(value)
    return f"{quote}{text if len(text) <= MAX_SHOWN_LENGTH else text[: MAX_SHOWN_LENGTH - 1] + '…'}{quote}"


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int) and value != ""


def _is_empty(value: Any) -> bool:
    if isinstance(value, JsonRecord):
        return all(_is_empty(item) for item in value.values.values())
    return value == "" or (isinstance(value, list) and all(_is_empty(item) for item in value))


def _records(value: Any) -> list[JsonRecord]:
    """Return the records in a value: itself, or those of its list or choice."""
    if isinstance(value, JsonRecord):
        return [value]
    return [record for item in value for record in _records(item)] if isinstance(value, list | tuple) else []
