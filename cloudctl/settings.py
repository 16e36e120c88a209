"""What a node and an engine are set up with: the sections of the node's file and `EngineConfig`. `node.config` reads
and checks the file."""

from fnmatch import fnmatchcase
from typing import NamedTuple

from msgspec import Struct

from .clock import SECOND
from .codes.days import NO_DAYS, DayCalendar

MiB = 1024 * 1024


class PrioritySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose class is proven: vehicles by name, or by a pattern of names ("bus-*"), and the class each has."""

    vehicles: dict[str, str] = {}
    trust_declared: bool = False  # believe every vehicle's own word: only for closed trials and simulation

    def listed(self, vehicle: str) -> str | None:
        """Return the class the operator gives a vehicle: by its name, else by the first pattern it fits."""
        own = self.vehicles.get(vehicle)
        if own is not None:
            return own
        return next((kind for name, kind in self.vehicles.items() if "*" in name and fnmatchcase(vehicle, name)), None)


class EngineConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What an engine needs besides its codes; recorded with every run."""

    gateways: dict[str, dict[str, str]]  # gateway -> RSU -> intersection id
    period_ms: int = 100  # of planning, an intersection
    refresh: float = 0.4  # of an advisory's validity left when it is sent again; 0 sends every proposal of every plan
    max_tracks: int = 512
    priority: PrioritySettings = PrioritySettings()
    days: DayCalendar = NO_DAYS  # holidays and make-up working days, for rules that ask for them


class RecordingLimits(NamedTuple):
    """When a part ends, and when old files are deleted (None: never)."""

    part_bytes: int = 1024 * MiB
    part_ns: int = 3600 * SECOND
    keep_bytes: int | None = None  # of the whole folder's recordings
    keep_ns: int | None = None  # since a file was last written to


class NodeSection(Struct, frozen=True, forbid_unknown_fields=True):
    """Sockets, keys and codes."""

    bind: str = "tcp://0.0.0.0:7788"
    key: str | None = None  # file of the node's key pair
    curve: bool = True
    signature_key: str | None = None  # file of the key that advisories are signed with; None: they are not signed
    codes: tuple[str, ...] = ()  # files or patterns of digital codes
    calendar: str | None = (
        None  # file of holidays and make-up working days; left out: the public holidays of the rules' time zone
    )
    status: str | None = None  # file that gets the metrics every second
    trace: str | None = None  # file that gets "advisory id, ns published" a line, for latency studies


class BrokerSection(Struct, frozen=True, forbid_unknown_fields=True):
    """The MQTT broker: one that runs elsewhere, or one that the node starts (`embedded`)."""

    host: str = "127.0.0.1"
    port: int = 1883
    embedded: bool = False
    version: int | None = None  # of MQTT: 5 or 4 (3.1.1); None takes the best the broker knows
    username: str | None = None
    password: str | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    server_cert: str | None = None  # of an embedded broker: its own certificate, with which TLS and the ACL are on
    server_key: str | None = None
    server_crl: str | None = None  # of an embedded broker: certificates that are revoked
    public_host: str | None = None  # where vehicles reach the broker, for their credentials; None: `host`
    folder: str | None = None  # of an embedded broker: its files; None: beside the recording, or a temporary folder
    open: bool = False  # true: no TLS, anyone may read and publish everything; only for a closed test bench


class HttpSection(Struct, frozen=True, forbid_unknown_fields=True):
    """Digital codes and the live page over HTTP, read only; off where `bind` is left out."""

    bind: str | None = None  # "host:port"
    view: bool = True  # whether the live page is served
    token: str | None = None  # that the live page needs; None: one is made at each start and printed
    origins: tuple[
        str, ...
    ] = ()  # further sites whose pages may open the live page's socket: "https://console.example"


class RecordSection(Struct, frozen=True, forbid_unknown_fields=True):
    """Where to record, when a new part of a run is begun, and how much of what was recorded is kept (None: all)."""

    path: str | None = None
    part_mb: float = 1024.0  # MiB
    part_minutes: float = 60.0
    keep_mb: float | None = None  # MiB, of all recordings of this path's folder and name
    keep_days: float | None = None

    @property
    def limits(self) -> RecordingLimits:
        return RecordingLimits(
            int(self.part_mb * MiB),
            int(self.part_minutes * 60 * SECOND),
            None if self.keep_mb is None else int(self.keep_mb * MiB),
            None if self.keep_days is None else int(self.keep_days * 86_400 * SECOND),
        )


class PlanSection(Struct, frozen=True, forbid_unknown_fields=True):
    """How often to plan and repeat."""

    period_ms: int = 100
    refresh: float = 0.4
    max_tracks: int = 512


class GatewaySection(Struct, frozen=True, forbid_unknown_fields=True):
    """One gateway that may connect: its public key and the RSUs it speaks for."""

    name: str
    rsus: dict[str, str]  # RSU id -> intersection id
    key: str | None = None
