"""Intersection digital codes: model, city codes, rules, validation with reasons, compiled arrays, import, export,
drawing.

Names load on use: what only passes a finding on needs neither the importers nor the compiled kernels.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .canon import compact as compact
    from .canon import content_hash as content_hash
    from .canon import dump as dump
    from .canon import from_compact as from_compact
    from .checks.validation import load as load
    from .checks.validation import loads as loads
    from .checks.validation import validate as validate
    from .compiled.code import CompiledCode as CompiledCode
    from .compiled.code import compile_code as compile_code
    from .draw.drawing import show_svg as show_svg
    from .findings import CodeError as CodeError
    from .findings import Finding as Finding
    from .findings import Loss as Loss
    from .formats.detect import read_any as read_any
    from .formats.sumo.importer import import_sumo as import_sumo
    from .model import IntersectionCode as IntersectionCode
    from .report import Imported as Imported
    from .update.together import load_all as load_all

MODULES = {
    "CodeError": ".findings",
    "CompiledCode": ".compiled.code",
    "Finding": ".findings",
    "Imported": ".report",
    "IntersectionCode": ".model",
    "Loss": ".findings",
    "compact": ".canon",
    "compile_code": ".compiled.code",
    "content_hash": ".canon",
    "dump": ".canon",
    "from_compact": ".canon",
    "import_sumo": ".formats.sumo.importer",
    "load": ".checks.validation",
    "load_all": ".update.together",
    "loads": ".checks.validation",
    "read_any": ".formats.detect",
    "show_svg": ".draw.drawing",
    "validate": ".checks.validation",
}

__all__ = [
    "CodeError",
    "CompiledCode",
    "Finding",
    "Imported",
    "IntersectionCode",
    "Loss",
    "compact",
    "compile_code",
    "content_hash",
    "dump",
    "from_compact",
    "import_sumo",
    "load",
    "load_all",
    "loads",
    "read_any",
    "show_svg",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name in MODULES:
        value = getattr(import_module(MODULES[name], __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
