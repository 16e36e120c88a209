"""Where tests find their files."""

import os
from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
DATA = TESTS / "data"
GOLDEN = TESTS / "golden" / "run.mcap"
# Recorded data and maps of others, which may not be passed on: tests that read them skip where this folder is absent.
OUTSIDE = Path(os.environ.get("CLOUDCTL_TEST_DATA", ROOT.parent / "shared"))
