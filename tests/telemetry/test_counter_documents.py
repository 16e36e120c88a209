"""Every counter that the program counts is described for the operator, and what is described is counted."""

import ast
import re
from collections.abc import Iterator

from paths import ROOT

from cloudctl.telemetry.families import FAMILIES, GAUGES_AMONG_COUNTERS

PAGE = "docs/counters.md"
NAME = re.compile(r"[a-z_]+(\.[a-z_<>]+)*")
COUNTER = re.compile(r"[a-z]+(\.[a-z_<>]+)+")
WITHOUT_VARIANT = ("advisory", "moved")
# Counted by names that are made elsewhere: by the trouble of a sensor, by what a supervisor calls
OTHERWISE = {"sensor.<>", "broker.restart", "reject.<>", "reject.unknown_key", *GAUGES_AMONG_COUNTERS}


def names_of(node: ast.expr) -> Iterator[str]:
    """Yield the texts that an expression may be, `<>` for what is put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "<>" for part in node.values)
    elif isinstance(node, ast.IfExp):
        yield from names_of(node.body)
        yield from names_of(node.orelse)


def counted() -> set[str]:
    names: set[str] = set()
    for path in (ROOT / "cloudctl").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = {"count": 0, "_count": 0, "notice": 1}.get(called)
            if place is not None and len(node.args) > place:
                names.update(names_of(node.args[place]))
    return {name for name in names if COUNTER.fullmatch(name) or name in WITHOUT_VARIANT}


def described() -> set[str]:
    cells = [line.split("|")[1] for line in (ROOT / PAGE).read_text().splitlines() if line.startswith("| `")]
    names = {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    assert all(NAME.fullmatch(name) for name in names)
    return {re.sub(r"<[a-z]+>", "<>", name) for name in names}


def test_every_counter_of_the_program_is_described() -> None:
    names = counted()
    assert len(names) > 60
    assert sorted(names - described()) == [], f"describe them in {PAGE}: what each means, and what its operator does"


def test_what_is_described_is_counted_by_the_program() -> None:
    known = counted() | OTHERWISE
    patterns = [re.compile(re.escape(name).replace("<>", "[a-z_]+")) for name in known]
    assert [name for name in described() if not any(p.fullmatch(name.replace("<>", "x")) for p in patterns)] == []


def test_every_family_of_counters_has_one_that_is_described() -> None:
    prefixes = {name.partition(".")[0] for name in described()}
    assert sorted(set(FAMILIES) - prefixes) == []
