"""What holds of every test: it waits with an end, asks only what is public, and shares what it shares in a module of
helpers.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from paths import TESTS

PACE = 0.1  # s: how long a loop that looks or sends may pause; whoever waits for more asks for it, see deadlines.py
OTHERS_NAMES = {
    "_replace",
    "_fields",
    "_fields_",
    "_cont",
    "_exit",
    "_SAFE_BND",
    "_thread",
}  # of the standard library, pycrate and paho
# These still look inside the player and the observer of the page: take one off when it does not any more.
LOOK_INSIDE = {
    "page_messages.py",
    "view/test_observer.py",
    "view/test_player.py",
    "view/test_reasons.py",
    "view/test_socket.py",
}
FILES = sorted(path for path in TESTS.rglob("*.py") if "__pycache__" not in path.parts)


def name_of(path: Path) -> str:
    return str(path.relative_to(TESTS))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names(tree: ast.Module) -> Iterator[str]:
    """Yield private names of other modules: imported, asked of an object that is not `self`, or replaced by a patch."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"line {node.lineno}: {a.name}" for a in node.names if is_private(a.name) and a.name != "_core")
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in OTHERS_NAMES:
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")) and node.attr != "_core":
                yield f"line {node.lineno}: {node.attr}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            yield from (
                f"line {node.lineno}: {text}"
                for text in texts
                if is_private(text.rpartition(".")[2]) and not text.rpartition(".")[2].startswith("_core")
            )


def long_sleeps(tree: ast.Module) -> Iterator[str]:
    """Yield calls of `sleep` for more than PACE, or for a time worked out elsewhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sleep":
            (pause,) = node.args
            if not (isinstance(pause, ast.Constant) and pause.value <= PACE):
                yield f"line {node.lineno}: {ast.unparse(node)}"


def own_limits(tree: ast.Module) -> Iterator[str]:
    """Yield settings of hypothesis that time examples, or put a list of checks in place of that of the profile of
    conftest.py (which a list does, rather than add to it): but none or all of them.
    """
    for node in ast.walk(tree):
        is_limit = isinstance(node, ast.keyword) and node.arg in ("deadline", "suppress_health_check")
        if is_limit and ast.unparse(node.value) != "list(HealthCheck)":
            yield f"line {node.value.lineno}: {node.arg}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_of_tests_keeps_to_the_habits(path: Path) -> None:
    tree = ast.parse(path.read_text())
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    assert [name for name in sorted(modules) if name.rpartition(".")[2].startswith("test_")] == [], (
        "what two files of tests share stands in a module of helpers in tests/"
    )
    if name_of(path) in LOOK_INSIDE:
        assert list(private_names(tree)) != [], "take it off the list"
    else:
        assert list(private_names(tree)) == [], "test through what is public, or make it public"
    if path.name != "conftest.py":
        assert list(own_limits(tree)) == [], "examples have no time limit: see the profile in conftest.py"
    if path.name != "deadlines.py":
        assert list(long_sleeps(tree)) == [], "wait with `when` or `until` of deadlines.py for what is to happen"


def test_the_habits_are_seen_where_they_are_broken() -> None:
    broken = ast.parse(
        "from m import _hidden\nx._inner()\nm.setattr(x, '_part', 1)\n"
        "async def wait(n):\n    await asyncio.sleep(2)\n    await asyncio.sleep(n)\n"
        "settings(deadline=200, suppress_health_check=[HealthCheck.filter_too_much])"
    )
    assert sorted(text.rpartition(" ")[2] for text in private_names(broken)) == ["_hidden", "_inner", "_part"]
    assert len(list(long_sleeps(broken))) == 2
    assert len(list(own_limits(broken))) == 2


def test_examples_of_hypothesis_have_no_time_limit() -> None:
    assert settings.default is not None
    assert settings.default.deadline is None
    assert HealthCheck.too_slow in settings.default.suppress_health_check
