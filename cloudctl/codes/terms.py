"""Terms of the field that several parts use, each defined once: roles, uses and turns of lanes, control, limits by
default.

The members of the enumerations are the words of the digital code's JSON (`StrEnum`): a field holds the word itself.
"""

from enum import StrEnum


class LinkRole(StrEnum):
    """Where a link leads: into the intersection, to one of its ingresses, or out of it. The order is that of the
    compiled arrays."""

    INGRESS = "ingress"
    UPSTREAM = "upstream"
    EGRESS = "egress"


class LaneUse(StrEnum):
    """The road users that a lane is built for. The order is that of the compiled arrays."""

    VEHICLE = "vehicle"
    BIKE = "bike"
    PEDESTRIAN = "pedestrian"
    BUS = "bus"
    TRAM = "tram"


class Turn(StrEnum):
    """Which way a movement turns. The order is that of the compiled arrays."""

    STRAIGHT = "straight"
    LEFT = "left"
    RIGHT = "right"
    U_TURN = "u"


class ConflictKind(StrEnum):
    """How two paths meet: they cross, end together, or begin together. The order is that of the compiled arrays."""

    CROSS = "cross"
    MERGE = "merge"
    DIVERGE = "diverge"


class Control(StrEnum):
    """What decides the right of way at an intersection."""

    SIGNAL = "signal"
    STOP = "stop"
    YIELD = "yield"
    PRIORITY = "priority"
    UNCONTROLLED = "uncontrolled"


# Uses without motor vehicles: pedestrians and cyclists have lanes, crosswalks and signal groups of their own
NON_MOTOR_USES = frozenset((LaneUse.PEDESTRIAN, LaneUse.BIKE))

# m/s, 50 km/h: the limit inside built-up areas where no sign gives another (China: Implementation Regulations of the
# Road Traffic Safety Law, art. 45; Germany: StVO section 3; SUMO's default, too)
DEFAULT_SPEED = 13.89
# The same as a limit is given in km/h
KMH_PER_MPS = 3.6
MPH_PER_MPS = 2.236936
