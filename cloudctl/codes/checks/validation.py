"""Validation that explains: one finding for each fault, with the rule it breaks and what to do."""

from pathlib import Path

from ..canon import parse
from ..findings import CodeError, Finding, refuse
from ..model import IntersectionCode
from .bounds import bounds
from .geometry import geometry
from .identity import identity
from .meaning import meaning, plausibility
from .references import references
from .rules import rules
from .signals import signals
from .topology import topology


def validate(code: IntersectionCode) -> list[Finding]:
    """Return every fault of a code, errors before warnings; an empty list when there is none.

    Values and references are checked first: what rests on them is checked only when they hold.
    """
    beyond = list(bounds(code))
    if any(finding.severity == "error" for finding in beyond):
        return beyond  # no other check counts with numbers of any size
    first = [*beyond, *identity(code), *meaning(code), *references(code)]
    if any(finding.severity == "error" for finding in first):
        return first
    found = [*first, *geometry(code), *topology(code), *signals(code), *rules(code), *plausibility(code)]
    return sorted(found, key=lambda finding: finding.severity)


def check_code(code: IntersectionCode, where: str) -> IntersectionCode:
    """Return the code. Raises CodeError when it has an error (warnings pass)."""
    errors = [finding for finding in validate(code) if finding.severity == "error"]
    if errors:
        raise CodeError(where, errors)
    return code


def load(path: Path | str) -> IntersectionCode:
    """Return a checked code from a JSON file. Raises CodeError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise refuse(
            str(path),
            "file",
            "path",
            path,
            error.strerror or "cannot be read",
            "make one with: cloudctl codes import NETWORK",
        ) from None
    return check_code(parse(data, str(path)), str(path))


def loads(data: bytes) -> IntersectionCode:
    """Return a checked code from JSON. Raises CodeError."""
    return check_code(parse(data, "code"), "code")
