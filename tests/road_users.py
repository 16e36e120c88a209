"""Which road users a lane or movement is open to, for tests of every format."""

from cloudctl.codes import IntersectionCode
from cloudctl.codes.formats.importing.permits import MOTOR_CLASSES
from cloudctl.codes.rules import Vehicle, effective

KINDS = (*MOTOR_CLASSES, "bicycle")


def takes(code: IntersectionCode, path: str, kinds: tuple[str, ...] = KINDS, s: float = 5.0) -> set[str]:
    """Return who may be on a lane or connection."""
    return {kind for kind in kinds if effective(code, path, Vehicle(kind), 0, s=s).allowed}
