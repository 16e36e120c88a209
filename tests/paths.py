"""Where tests find their files."""

import os
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
DATA = TESTS / "data"  # the project's own: written by hand, or by make_data.py
CASES = DATA / "cases"  # small inputs that once went wrong
GOLDEN = TESTS / "golden" / "run.mcap"
# Recordings and maps of others, which may not be passed on. Each test that reads them has its like on files of DATA.
OUTSIDE = Path(os.environ.get("CLOUDCTL_TEST_DATA", ROOT.parent / "shared"))
MCITY = Path(os.environ.get("CLOUDCTL_MCITY", OUTSIDE / "data" / "mcity"))


def outside_file(name: str) -> bytes:
    """Return a file of OUTSIDE, or skip: what is asserted of it holds for no other file."""
    path = OUTSIDE / name
    if not path.exists():
        pytest.skip(f"{path} is not there: it may not be passed on; another test reads the project's own of its kind")
    return path.read_bytes()


def outside(*names: str) -> list[Path]:
    """Return those files of OUTSIDE that are here, for the parameters of tests that read the project's own files as
    well.
    """
    return [path for name in names if (path := OUTSIDE / name).exists()]
