"""Intersection digital codes: model, city codes, validation with reasons, compiled arrays, import, drawing."""

from .compile import CompiledCode, compile_code
from .model import CodeError, Finding, IntersectionCode, compact, content_hash, dump, from_compact
from .show import show_svg
from .sumo import import_sumo
from .validate import load, loads, validate

__all__ = [
    "CodeError",
    "CompiledCode",
    "Finding",
    "IntersectionCode",
    "compact",
    "compile_code",
    "content_hash",
    "dump",
    "from_compact",
    "import_sumo",
    "load",
    "loads",
    "show_svg",
    "validate",
]
