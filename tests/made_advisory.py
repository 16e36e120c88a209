"""An advisory for tests of delivery."""

from cloudctl.clock import SECOND, WallClock
from cloudctl.schema import Advisory, AdvisoryKind, Inputs


def advisory(name: str, valid_s: float = 60.0, vehicle: str = "car") -> Advisory:
    t = WallClock().now()
    return Advisory(
        name, AdvisoryKind.GLOSA, "X", f"vehicle:{vehicle}", 2, 1.0, "why", t, t + int(valid_s * SECOND), Inputs(1)
    )
