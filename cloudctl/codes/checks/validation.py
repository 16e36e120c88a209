"""Validation that explains: one finding for each fault, with the rule it breaks and what to do."""

from pathlib import Path

from ..canon import parse
from ..findings import CodeError, Finding, Severity
from ..model import IntersectionCode
from ..strict_json import read_file
from .bounds import bound_faults
from .geometry import geometry_faults
from .identity import value_faults
from .meaning import meaning_faults, plausibility_faults
from .references import reference_faults
from .rules import rule_faults
from .signals import signal_faults
from .topology import topology_faults


def validate(code: IntersectionCode) -> list[Finding]:
    """Return every fault of a code, errors before warnings; an empty list when there is none.

    Values and references are checked first: what rests on them is checked only when they hold.
    """
    out_of_bounds = list(bound_faults(code))
    if any(finding.severity == Severity.ERROR for finding in out_of_bounds):
        # No other check counts with numbers of any size
        return out_of_bounds

    early = [*out_of_bounds, *value_faults(code), *meaning_faults(code), *reference_faults(code)]
    if any(finding.severity == Severity.ERROR for finding in early):
        return early

    findings = [
        *early,
        *geometry_faults(code),
        *topology_faults(code),
        *signal_faults(code),
        *rule_faults(code),
        *plausibility_faults(code),
    ]

    return sorted(findings, key=lambda finding: finding.severity)


def check_code(code: IntersectionCode, where: str) -> IntersectionCode:
    """Return the code. Raises CodeError when it has an error (warnings pass)."""
    errors = [finding for finding in validate(code) if finding.severity == Severity.ERROR]
    if errors:
        raise CodeError(where, errors)
    return code


def load(path: Path | str) -> IntersectionCode:
    """Return a checked code from a JSON file. Raises CodeError."""
    data = read_file(Path(path), "make one with: cloudctl codes import NETWORK")
    return check_code(parse(data, str(path)), str(path))


def loads(data: bytes) -> IntersectionCode:
    """Return a checked code from JSON. Raises CodeError."""
    return check_code(parse(data, "code"), "code")
