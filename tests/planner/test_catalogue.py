"""The table of the advisory kinds: complete, and what the documentation says."""

import importlib
import inspect
import pkgutil
import re

import pytest
from paths import ROOT

from cloudctl.clock import SECOND
from cloudctl.planner import kinds
from cloudctl.planner.catalogue import DELIVERY, PLANNERS
from cloudctl.planner.screens import SCREENS
from cloudctl.schema import AdvisoryKind

MODULES = {module.name for module in pkgutil.iter_modules(kinds.__path__)}
PLANNED_BY_ANOTHER = {"crossing": "red_light"}  # of a violator, the traffic it will cross


def test_every_kind_has_a_row_that_says_how_it_is_sent() -> None:
    assert set(DELIVERY) == set(AdvisoryKind)


def test_every_screen_is_of_one_row_in_the_order_in_which_kinds_are_asked() -> None:
    assert [planner.screen for planner in PLANNERS] == list(range(SCREENS))


def test_every_module_of_the_kinds_is_asked_by_the_table() -> None:
    asked = {name for planner in PLANNERS for name in planner.plan.__code__.co_names if name in MODULES}
    assert asked | set(PLANNED_BY_ANOTHER) == MODULES
    for module, caller in PLANNED_BY_ANOTHER.items():
        assert f"{module}.plan(" in inspect.getsource(importlib.import_module(f"cloudctl.planner.kinds.{caller}"))


def test_every_kind_but_those_of_the_node_itself_is_planned_by_a_module_of_the_folder() -> None:
    sources = "".join(
        inspect.getsource(importlib.import_module(f"cloudctl.planner.kinds.{module}")) for module in sorted(MODULES)
    )
    planned = {kind for kind in AdvisoryKind if f"= AdvisoryKind.{kind.name}\n" in sources}
    assert set(AdvisoryKind) - planned == {AdvisoryKind.PRIORITY, AdvisoryKind.DEGRADED}


@pytest.mark.parametrize("kind", list(AdvisoryKind))
def test_the_documentation_gives_the_validity_of_a_kind(kind: AdvisoryKind) -> None:
    text = (ROOT / "docs" / "advisories.md").read_text()
    (row,) = re.findall(rf"(?m)^\| `{kind}` \|.*\| (\d+) s \|$", text)
    assert int(row) * SECOND == DELIVERY[kind].validity
