"""Objects of JSON as records: read like a mapping, and accounted for."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from ...findings import LossKind, refuse

if TYPE_CHECKING:
    from .accounting import Accounts
from .records import MAX_DEPTH, Record, shown


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
            return [self._wrapped(key, element, depth + 1) for element in value]
        if isinstance(value, tuple):  # a choice of ASN.1: (name, value)
            return tuple(self._wrapped(key, element, depth + 1) for element in value)

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
            if type_name is not None:
                items = items.get(type_name)
            elif not items.values:
                items = None

        if items is None:
            items = []
        elif not isinstance(items, list):
            items = [items]

        for element in items:
            if not isinstance(element, JsonRecord):
                raise self.refuse(name, shown(element), "must be a list of objects")

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
                    self.accounts.enter(
                        LossKind.DROPPED, f"{self.tag}/{name}", f"key {name} is not read", str(first_record)
                    )

        return below


def _is_empty(value: Any) -> bool:
    if isinstance(value, JsonRecord):
        return all(_is_empty(element) for element in value.values.values())
    return value == "" or (isinstance(value, list) and all(_is_empty(element) for element in value))


def _records(value: Any) -> list[JsonRecord]:
    """Return the records in a value: itself, or those of its list or choice."""
    if isinstance(value, JsonRecord):
        return [value]
    if isinstance(value, list | tuple):
        return [record for element in value for record in _records(element)]
    return []
