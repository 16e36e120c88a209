"""Which software a run was recorded by: another one may advise otherwise on the same inputs, and that is no fault."""

import hashlib
from functools import cache
from pathlib import Path

from ... import __version__
from ...python_sources import python_sources

PACKAGE = Path(__file__).resolve().parents[2]
DIGITS = 12  # of the digest that are shown


@cache
def software() -> str:
    """Return the version of this software, with a digest of its Python sources: "0.1.0+1f2e3d4c5b6a"."""
    digest = hashlib.sha256()
    for path, content in python_sources(str(PACKAGE)):
        digest.update(path.encode() + b"\0" + content)
    return f"{__version__}+{digest.hexdigest()[:DIGITS]}"


def other_software(recorded: str) -> str | None:
    """Return the sentence on a run that was recorded by `recorded` ("": it does not say), None where it was this."""
    if recorded == software():
        return None

    which = recorded or "a version that does not name itself"
    return (
        f"the run was recorded by {which}, this is {software()}: where it advises otherwise than that one did, the "
        "recording is whole all the same. To have the same bytes, replay it with the version that recorded it"
    )
