"""Which part of a list is asked for."""

from collections.abc import Mapping
from typing import NamedTuple

DEFAULT_LIMIT = 100  # rows of a list
MAX_LIMIT = 500  # rows: some 4 ms to encode
MAX_OFFSET = 1_000_000


class ParameterError(ValueError):
    """A parameter that cannot be used: which, its value, the rule and the remedy."""

    def __init__(self, field: str, value: str, rule: str, remedy: str) -> None:
        super().__init__(f"{field} = {value}: {rule}. {remedy}")
        self.field, self.value, self.rule, self.remedy = field, value, rule, remedy


class Page(NamedTuple):
    """A part of a list."""

    offset: int
    limit: int


def page_of(query: Mapping[str, str]) -> Page:
    """Return the part that a request's parameters ask for. Raises ParameterError."""
    offset = _whole_number(query, "offset", 0, 0, MAX_OFFSET)
    return Page(offset, _whole_number(query, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT))


def check_names(names: list[str], known: tuple[str, ...]) -> None:
    """Raise ParameterError for a parameter that is not known, or stands twice."""
    for name in names:
        if name not in known:
            remedy = f"known here: {', '.join(known)}" if known else "this takes none: leave it out"
            raise ParameterError(name or '""', "...", "is no parameter of this", remedy)
        if names.count(name) > 1:
            raise ParameterError(name, "...", "stands more than once", "write it once")


def _whole_number(query: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(high)) and low <= int(text) <= high):
        raise ParameterError(name, text, f"must be a whole number, {low} .. {high}", f"leave it out for {default}")
    return int(text)
