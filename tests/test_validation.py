"""msgspec's sentences, read in one place: held against the msgspec that is installed, for made-up types, values and
paths."""

import ast
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import ROOT

from cloudctl.validation import UNDECODABLE, Violation, join, violation_of

READERS: dict[str, Callable[[Any, Any], Any]] = {
    "convert": msgspec.convert,
    "msgpack": lambda value, kind: msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=kind),
    "json": lambda value, kind: msgspec.json.decode(msgspec.json.encode(value), type=kind),
}


def broken(value: Any, kind: Any, reader: str) -> Violation:
    with pytest.raises(msgspec.ValidationError) as caught:
        READERS[reader](value, kind)
    return violation_of(caught.value)


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=150)
@given(steps=st.lists(st.sampled_from(["field", "item", "value"]), max_size=6), data=st.data())
def test_the_path_of_a_wrong_value_is_found_however_deep_it_lies(
    reader: str, steps: list[str], data: st.DataObject
) -> None:
    kind: Any = int
    value: Any = "no number"
    path = ""
    for step in steps:
        if step == "field":
            name = data.draw(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(str.isidentifier))
            kind = msgspec.defstruct("Made", [(f"field_{name}", kind)])
            value, path = {f"field_{name}": value}, join(f"field_{name}", path)
        elif step == "item":
            before = data.draw(st.integers(0, 3))
            kind, value, path = list[kind | None], [*[None] * before, value], join(f"[{before}]", path)
        else:
            key = data.draw(st.text(max_size=8) | st.just("a - at `$.b`"))
            kind, value, path = dict[str, kind], {key: value}, join("[...]", path)
    violation = broken(value, kind, reader)
    assert violation.field == path
    assert violation.rule.startswith("Expected `int")
    assert violation.unknown_key is None


class Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    x: int = 0


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    inner: Closed = Closed()
    word: Literal["yes", "no"] = "yes"
    numbers: dict[int, int] = {}
    required: tuple[Closed, ...] = ()


@pytest.mark.parametrize("reader", READERS)
@given(key=st.text(max_size=12).filter(lambda key: key not in ("inner", "word", "numbers", "required", "x")))
def test_an_unknown_key_is_named_with_its_place(reader: str, key: str) -> None:
    if " - at `" in key or key.encode("utf-8", "replace").decode() != key:
        return
    assert broken({key: 1}, Outer, reader)[::2] == ("", key)
    assert broken({"inner": {key: 1}}, Outer, reader)[::2] == ("inner", key)
    assert broken({"required": [{}, {key: 1}]}, Outer, reader)[::2] == ("required[1]", key)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("value", ["a - at `$.numbers`", "`", "$", "x - at `key` in `$.inner`", "- at `$`"])
def test_a_value_that_reads_like_a_path_is_no_path(reader: str, value: str) -> None:
    """What a sender writes must not name another field than the one that is wrong."""
    assert broken({"word": value}, Outer, reader).field == "word"


@pytest.mark.parametrize("reader", READERS)
def test_a_key_at_fault_is_told_from_its_value(reader: str) -> None:
    violation = broken({"numbers": {"ten": 1}}, Outer, reader)
    assert violation.field == "numbers"
    assert violation.rule.endswith(", for a key")


@given(data=st.binary(max_size=40))
def test_bytes_of_any_content_are_a_fault_of_the_message_or_of_a_field(data: bytes) -> None:
    for decode in (msgspec.msgpack.decode, msgspec.json.decode):
        try:
            decode(data, type=Outer)
        except UNDECODABLE as error:
            violation = violation_of(error)
            assert violation.rule
            assert violation.field.split("[")[0].split(".")[0] in ("", "inner", "word", "numbers", "required")


class Colour(Enum):
    RED = 1


class Bounded(msgspec.Struct):
    colour: Colour = Colour.RED
    pair: tuple[int, int] = (0, 0)
    small: Annotated[int, msgspec.Meta(le=3)] = 0
    short: Annotated[str, msgspec.Meta(max_length=2)] = ""
    few: Annotated[tuple[int, ...], msgspec.Meta(max_length=1)] = ()
    raw: bytes = b""


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "value", [{"colour": 7}, {"pair": [1]}, {"pair": "no"}, {"small": 4}, {"short": "abc"}, {"few": [1, 2]}, {"raw": 5}]
)
def test_every_kind_of_sentence_is_divided_into_field_and_rule(reader: str, value: dict[str, object]) -> None:
    violation = broken(value, Bounded, reader)
    assert violation.field == next(iter(value))
    assert " - at" not in violation.rule


@pytest.mark.parametrize(
    ("prefix", "field", "path"),
    [("g[2]", "mn", "g[2].mn"), ("g", "[2].mn", "g[2].mn"), ("", "mn", "mn"), ("g", "", "g"), ("", "", "")],
)
def test_paths_are_joined(prefix: str, field: str, path: str) -> None:
    assert join(prefix, field) == path


SOURCES = sorted(path for folder in ("cloudctl", "sim", "bench") for path in Path(ROOT, folder).rglob("*.py"))
READ_BY = ("partition", "rpartition", "split", "startswith", "endswith", "find", "index")


def test_no_other_module_reads_the_sentences_of_msgspec() -> None:
    """Their wording is msgspec's own: what is decided by it must be decided in one place."""
    wording = (" - at `", "unknown field", "missing required field", "Object contains")
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
            if any(words in node.value for words in wording)
        ]
        assert not found or path.name == "validation.py", f"{path}: {found}: use cloudctl.validation.violation_of"


def test_nothing_is_decided_by_the_text_of_an_exception() -> None:
    """A text may be rewritten by anyone; a decision rests on a type or an attribute."""
    found = []
    for path in SOURCES:
        for handler in ast.walk(ast.parse(path.read_text())):
            if not isinstance(handler, ast.ExceptHandler) or handler.name is None:
                continue
            for node in ast.walk(handler):
                if isinstance(node, ast.Compare):
                    operands = [node.left, *node.comparators]
                elif isinstance(node, ast.Attribute) and node.attr in READ_BY:
                    operands = [node.value]
                else:
                    continue
                if any(_text_of(operand, handler.name) for operand in operands):
                    found.append(f"{path}:{node.lineno}")
    assert not found, found


def _text_of(node: ast.expr, name: str) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("str", "repr")
        and [ast.unparse(argument) for argument in node.args] == [name]
    )
