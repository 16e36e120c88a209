"""Refuses a process that mixes two copies of cloudctl, such as one installed and another in the working directory.

Python looks in the installed copy for any part that the copy it began with does not have: the compiled core where it
was not built, `cloudctl.sim` and `cloudctl.maps`, which lie beside `cloudctl` in a source tree, a module that only one
version has. Without this check the mixture runs, and gives results of neither copy.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from .errors import CloudctlError

HOME = Path(__file__).resolve().parent
BESIDE = ("maps", "sim")  # packages that lie beside `cloudctl` in a source tree, and in it where it is installed


class TwoTreesError(CloudctlError, RuntimeError):
    """A module of cloudctl would come from another copy than the one that is running."""


class OneTree:
    """A finder of modules, asked before all others: it asks them, and refuses what they find elsewhere."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module of cloudctl is; None for any other module. Raises TwoTreesError."""
        if not name.startswith("cloudctl."):
            return None

        for finder in sys.meta_path:
            spec = None if isinstance(finder, OneTree) else finder.find_spec(name, path, target)
            if spec is not None:
                _check(name, spec)
                return spec

        return None


def guard() -> None:
    """Check each module of cloudctl that is imported from now on."""
    others = [finder for finder in sys.meta_path if type(finder).__name__ != OneTree.__name__]
    sys.meta_path[:] = [OneTree(), *others]


def _check(name: str, spec: ModuleSpec) -> None:
    allowed = [HOME]
    package = name.split(".")[1]
    if package in BESIDE:
        allowed.append(HOME.parent / package)

    places = [spec.origin] if spec.has_location and spec.origin else spec.submodule_search_locations or []
    for place in places:
        found = Path(place).resolve()
        if not any(found.is_relative_to(folder) for folder in allowed):
            raise TwoTreesError(
                f"two copies of cloudctl are mixed: cloudctl is {HOME}, but {name} would be {found}. "
                f"Run from one: install the first with 'pip install --editable {HOME.parent}' (which builds its "
                "compiled core), "
                "or leave its folder and unset PYTHONPATH to run the installed one"
            )
