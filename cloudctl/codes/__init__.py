"""Intersection digital codes: model, city codes, rules, validation with reasons, compiled arrays, import, export,
drawing."""

from .canon import compact, content_hash, dump, from_compact
from .checks.validation import load, loads, validate
from .compiled.code import CompiledCode, compile_code
from .draw.drawing import show_svg
from .findings import CodeError, Finding, Loss
from .formats.detect import read_any
from .formats.sumo.importer import import_sumo
from .model import IntersectionCode
from .report import Imported
from .update.together import load_all

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
