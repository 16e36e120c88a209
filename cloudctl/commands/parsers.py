"""How a command is added to the command line."""

import argparse
from collections.abc import Callable
from typing import Any


def add_command(
    parsers: Any, name: str, help: str, run: Callable[[argparse.Namespace], int | None] | None = None
) -> argparse.ArgumentParser:
    """Return the parser of a new command; `run` returns its exit status, None for 0."""
    parser: argparse.ArgumentParser = parsers.add_parser(name, help=help, description=help)
    if run:
        parser.set_defaults(run=run)
    return parser
