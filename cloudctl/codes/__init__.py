"""Intersection digital codes: model, city codes, rules, validation with reasons, compiled arrays, import, export, drawing."""

from .canon import compact, content_hash, dump, from_compact
from .compile import CompiledCode, compile_code
from .findings import CodeError, Finding
from .model import IntersectionCode
from .reading import read_any
from .report import Imported, Loss
from .show import show_svg
from .sumo import import_sumo
from .update.together import load_all
from .validate import load, loads, validate

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
