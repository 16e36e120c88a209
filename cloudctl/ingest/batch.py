"""The accepted messages of one batch, and the replies to the others."""

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from ..schema import Ack, Hazard, Health, Hello, Reject, Signal, VehicleRequest, VehicleState
from .frames import Frames
from .rejections import StaleMessage
from .signal_groups import SignalTimingError


class Vehicle(NamedTuple):
    """A vehicle's message."""

    id: str
    body: VehicleState | VehicleRequest | Ack


class TimestampedMessage(msgspec.Struct, frozen=True):
    """A signal, hazard or health message with its event time `t`, and the clock offset (ns) that was taken off for
    it."""

    t: int
    offset: int
    body: Signal | Hazard | Health
    intersection: str
    gateway: str


@dataclass(kw_only=True)
class Batch:
    """The result of `Ingest.receive`."""

    frames: Frames | None = None
    timed: list[TimestampedMessage] = field(default_factory=list)
    vehicles: list[Vehicle] = field(default_factory=list)
    hellos: list[tuple[str, Hello]] = field(default_factory=list)  # (gateway, body)
    # (intersection, why its signal message, or a part of it, was refused)
    refused_signals: list[tuple[str, StaleMessage | SignalTimingError]] = field(default_factory=list)
    replies: list[tuple[str, str, msgspec.Struct]] = field(default_factory=list)  # (gateway, kind, body)
    rejects: list[tuple[str, Reject]] = field(default_factory=list)  # (vehicle, why its message was refused)
