"""The records that an importer reads its file through: elements of XML, objects of JSON. Reading a value by its name
marks it used.

What nothing reads, and values that are not understood, are entered in the `accounting.Accounts` of the import.
"""

import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterator, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeVar

from ...findings import CodeError, LossKind, refuse

if TYPE_CHECKING:
    from .accounting import Accounts

T = TypeVar("T")
MAX_SHOWN_LENGTH = 80  # characters of an example or a value in a line
# Of records within records: deeper than any map, and far from the interpreter's own limit
MAX_DEPTH = 200
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
        """Report a value that is not understood; `result` is what was made of it ("left out", "taken as
        straight")."""
        self._used.add(name)
        self.accounts.enter(
            LossKind.UNKNOWN, f"{self.path}@{name}", f"{shown(value)} is not known: {result}", str(self)
        )

    def ignore(self, name: str, reason: str) -> None:
        """Mark a value used that carries nothing here, for a reason that the code should give."""
        if not reason:
            raise ValueError(f"why is {self.tag}@{name} ignored? give the reason")
        self._used.add(name)

    def leave_out(self, reason: str) -> None:
        """Report the whole record as left out, for a reason; nothing below it is accounted for further."""
        self.left_out = self.met = True
        self.accounts.enter(LossKind.DROPPED, self.path, reason, str(self))

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
    """An element. Children are asked for by their tags; a child that is asked for is used, and so is what lies on the
    way to it."""

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

        if whole:
            self._records = [
                XmlRecord(accounts=accounts, node=child, parent=self, depth=depth + 1)
                for child in node
                if isinstance(child.tag, str)
            ]
        else:
            self._records = []

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


def shown(value: object, quote: str = '"') -> str:
    """Return a value as text for a line of the report, cut to a length that can be read."""
    text = str(value)
    return f"{quote}{text if len(text) <= MAX_SHOWN_LENGTH else text[: MAX_SHOWN_LENGTH - 1] + '…'}{quote}"


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int) and value != ""
