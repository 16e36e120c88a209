"""The intersection digital code: what a driverless vehicle needs to know of a place. Canonical JSON, and its SHA-256.

Coordinates are absolute integers, 1e-7 degree; widths cm; speeds m/s; s in m along a line. Ids are short and local (`L3`, `C12`);
with the intersection's own they are whole.
"""

import hashlib
import zlib
from pathlib import Path

import msgspec
from msgspec import Struct

Point = tuple[int, int]  # (lat_e7, lon_e7)


class Alias(Struct, frozen=True, order=True):
    """What something is called elsewhere: kind is sumo, sumo_tl, ydt3709, j2735, lanelet2 or opendrive."""

    kind: str
    value: str


class Link(Struct, frozen=True):
    """A road between two nodes, in driving direction. `role`: ingress, upstream or egress."""

    id: str
    role: str
    alias: tuple[Alias, ...] = ()


class Lane(Struct, frozen=True):
    """One lane, numbered from 1 at the left in driving direction; `use`: vehicle, bike, pedestrian or bus."""

    id: str
    link: str
    number: int
    width_cm: int
    speed: float
    points: tuple[Point, ...]
    use: str = "vehicle"
    alias: tuple[Alias, ...] = ()


class Connection(Struct, frozen=True):
    """A movement from a lane to a lane. `group` 0: no signal. `inner`: through this intersection, not a joint of the road before it."""

    id: str
    from_lane: str
    to_lane: str
    turn: str  # straight, left, right, u
    points: tuple[Point, ...]
    group: int = 0
    speed: float = 13.89
    inner: bool = True
    alias: tuple[Alias, ...] = ()


class Conflict(Struct, frozen=True):
    """Where two connections meet: metres along each; kind is cross, merge or diverge; `a_yields`, `b_yields`: who must give way."""

    a: str
    b: str
    kind: str
    s_a: float
    s_b: float
    a_yields: bool = False
    b_yields: bool = False


class SignalGroup(Struct, frozen=True):
    """Heads that always show the same. `channels`: the controller's columns."""

    id: int
    kind: str  # vehicle, pedestrian, bike
    channels: tuple[int, ...] = ()


class StopLine(Struct, frozen=True):
    """Where to stop on a lane, metres along it."""

    lane: str
    s: float


class Crosswalk(Struct, frozen=True):
    """A crossing: its axis and width, and its signal group (0: none)."""

    id: str
    axis: tuple[Point, ...]
    width_cm: int
    group: int = 0
    alias: tuple[Alias, ...] = ()


class Device(Struct, frozen=True):
    """A sensor or roadside unit."""

    id: str
    kind: str
    lat_e7: int
    lon_e7: int


class Rule(Struct, frozen=True):
    """A rule on a lane: kind (speed_max, ...), value in the kind's SI unit."""

    id: str
    kind: str
    lane: str
    value: float


class IntersectionCode(Struct, frozen=True):
    """One intersection."""

    id: str
    name: str
    ref_lat_e7: int
    ref_lon_e7: int
    links: tuple[Link, ...]
    lanes: tuple[Lane, ...]
    connections: tuple[Connection, ...]
    conflicts: tuple[Conflict, ...]
    signal_groups: tuple[SignalGroup, ...]
    stop_lines: tuple[StopLine, ...]
    crosswalks: tuple[Crosswalk, ...] = ()
    devices: tuple[Device, ...] = ()
    rules: tuple[Rule, ...] = ()
    alias: tuple[Alias, ...] = ()
    control: str = "signal"
    revision: int = 1
    valid_from: int | None = None  # ns
    valid_to: int | None = None
    accuracy_cm: int = 50
    format: int = 1


class Finding(Struct, frozen=True):
    """One fault: which entity, which field, its value, the rule it breaks, how bad, and what to do."""

    entity: str
    field: str
    value: str
    rule: str
    remedy: str
    severity: str = "error"

    def __str__(self) -> str:
        return f"{self.severity}: {self.entity}.{self.field} = {self.value}: {self.rule}. {self.remedy}"


class CodeError(ValueError):
    """A digital code that cannot be used; `findings` says why, one line for each fault."""

    def __init__(self, where: str, findings: list[Finding]) -> None:
        super().__init__(f"{where}: {len(findings)} fault(s)\n" + "\n".join(f"  {finding}" for finding in findings))
        self.findings = findings


def dump(code: IntersectionCode) -> bytes:
    """Return canonical JSON (keys sorted, no spaces, shortest numbers: RFC 8785 on this model)."""
    return msgspec.json.encode(code, order="sorted")


def parse(data: bytes, where: str) -> IntersectionCode:
    """Return a code from JSON, unchecked but for its types. Raises CodeError."""
    try:
        return msgspec.json.decode(data, type=IntersectionCode)
    except msgspec.DecodeError as error:
        message, _, path = str(error).partition(" - at `$")
        field = path.rstrip("`").lstrip(".") or "file"
        raise CodeError(
            where,
            [
                Finding(
                    "code",
                    field,
                    message,
                    "must be of the type docs/codes.md gives",
                    "correct it, or import the code anew",
                )
            ],
        ) from None


def content_hash(code: IntersectionCode) -> str:
    """Return the SHA-256 (hex) of the canonical JSON."""
    return hashlib.sha256(dump(code)).hexdigest()


def compact(code: IntersectionCode) -> bytes:
    """Return the form that is published retained: deflated msgpack, `from_compact` reads it."""
    return zlib.compress(msgspec.msgpack.encode(code), 9)


def from_compact(data: bytes) -> IntersectionCode:
    """Return a code from its compact form. Raises CodeError."""
    try:
        return msgspec.msgpack.decode(zlib.decompress(data), type=IntersectionCode)
    except (zlib.error, msgspec.DecodeError) as error:
        raise CodeError(
            "compact code",
            [Finding("code", "bytes", f"{len(data)} bytes", f"not a compact code ({error})", "fetch it anew")],
        ) from None


def read(path: Path) -> bytes:
    """Return a file's bytes. Raises CodeError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CodeError(
            str(path),
            [
                Finding(
                    "file",
                    "path",
                    str(path),
                    error.strerror or "cannot be read",
                    "make one with: cloudctl codes import NETWORK",
                )
            ],
        ) from None
