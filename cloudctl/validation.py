"""What msgspec's exceptions mean: the field at fault, the rule it breaks, and the unknown key where that is the fault.

msgspec gives both in one sentence, `<rule> - at `<path>``, and has no attributes for them. This is the only module that
reads such a sentence; tests/test_validation.py holds it against the installed msgspec.
"""

import re
from typing import NamedTuple

import msgspec

# The path is at the end and of a strict form, so that a value which the rule quotes cannot be taken for it:
# `$` is the whole message, `.name` a field, `[3]` an item, `[...]` the value of some key, "`key` in" a key rather than
# its value.
_SENTENCE = re.compile(
    r"(?P<rule>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>(?:\.\w+|\[\d+\]|\[\.\.\.\])*)`)?", re.DOTALL
)
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<key>.*)`", re.DOTALL)

# All that decoding bytes of any content with msgspec can raise.
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Violation(NamedTuple):
    """One rule that a message breaks."""

    field: str  # from the root of the message: "sensors[1].hz"; "" for the message itself
    rule: str  # "Expected `int`, got `str`"
    unknown_key: str | None = None  # where the rule is that a key is unknown


def violation_of(error: Exception) -> Violation:
    """Return what an exception of msgspec's decoding or conversion means; any other exception is a fault of the whole
    message."""
    text = str(error)
    sentence = _SENTENCE.fullmatch(text)
    if sentence is None:
        return Violation("", text)

    rule, field = sentence["rule"], (sentence["path"] or "").lstrip(".")
    if sentence["key"]:
        rule += ", for a key"

    unknown = _UNKNOWN_FIELD.fullmatch(rule)
    return Violation(field, rule, unknown["key"] if unknown else None)


def join(prefix: str, field: str) -> str:
    """Return the path of a field below another: join("g[2]", "mn") is "g[2].mn"; either may be empty."""
    if not prefix or not field or field.startswith("["):
        return prefix + field
    return f"{prefix}.{field}"
