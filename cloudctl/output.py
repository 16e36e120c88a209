"""What one step of the engine returns, for the driver to send, publish, record and log."""

from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import Struct

from .faults import Fault
from .intersection import IntersectionState
from .schema import Advisory, RawMessage, Reject, Signals
from .signals.faults import SignalFault
from .traffic_messages import Traffic


class Answer(NamedTuple):
    """The result of an operator's input: the intersection `name` where it is a digital code; why it was refused, None
    where it was accepted."""

    datum: RawMessage
    name: str
    refusal: str | None


@dataclass(kw_only=True)
class Output:
    """The results of one step."""

    replies: list[tuple[str, str, Struct]] = field(default_factory=list)  # (gateway, kind, body)
    rejects: list[tuple[str, Reject]] = field(default_factory=list)  # (vehicle, why its message was refused)
    events: list[str] = field(default_factory=list)  # for the operator to act on, in words: once, when each begins
    advisories: list[Advisory] = field(default_factory=list)
    signals: list[Signals] = field(default_factory=list)
    traffic: list[Traffic] = field(default_factory=list)
    faults: list[SignalFault] = field(default_factory=list)  # of signal states, that begin with this step
    changed: list[str] = field(default_factory=list)  # intersections whose digital code changed with this step
    answers: list[Answer] = field(default_factory=list)  # to the operator's inputs
    errors: list[Fault] = field(
        default_factory=list
    )  # exceptions inside the node, each confined to one message or plan
    planned: list[IntersectionState] = field(default_factory=list)  # intersections that this step has planned
