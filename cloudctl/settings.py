"""The settings of a node and of its engine: the sections of the node's file and `EngineConfig`. `node.config` reads
and checks the file."""

from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from msgspec import Struct

from .clock import SECOND
from .codes.days import NO_DAYS, DayCalendar

MiB = 1024 * 1024


class PrioritySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The vehicles whose class is proven, by name or by a pattern of names ("bus-*"), and the class of each."""

    vehicles: dict[str, str] = {}
    trust_declared: bool = False  # accept the class that any vehicle declares: only for closed trials and simulation

    def listed(self, vehicle: str) -> str | None:
        """Return the class the operator gives a vehicle: by its name, else by the first pattern it fits."""
        own_class = self.vehicles.get(vehicle)
        if own_class is not None:
            return own_class

        for pattern, vehicle_class in self.vehicles.items():
            if "*" in pattern and fnmatchcase(vehicle, pattern):
                return vehicle_class

        return None


class EngineConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of an engine, besides its codes; recorded with every run."""

    gateways: dict[str, dict[str, str]]  # gateway -> RSU -> intersection id
    period_ms: int = 100  # of planning, per intersection
    refresh: float = 0.4  # of an advisory's validity left when it is sent again; 0 sends every proposal of every plan
    max_tracks: int = 512
    priority: PrioritySettings = PrioritySettings()
    days: DayCalendar = NO_DAYS  # holidays and make-up working days, for rules that ask for them
    shared: bool = False  # other nodes serve the intersections that gateways are bound to and this engine does not have


class RecordingLimits(NamedTuple):
    """The limits of a part, and of the age and size of old files (None: none)."""

    part_bytes: int = 1024 * MiB
    part_ns: int = 3600 * SECOND
    keep_bytes: int | None = None  # of the whole folder's recordings
    keep_ns: int | None = None  # since a file was last written to


class NodeSection(Struct, frozen=True, forbid_unknown_fields=True):
    """Sockets, keys and digital codes."""

    bind: str = "tcp://0.0.0.0:7788"
    key: str | None = None  # file of the node's key pair
    curve: bool = True
    signature_key: str | None = None  # file of the key that advisories are signed with; None: they are not signed
    codes: tuple[str, ...] = ()  # files or patterns of digital codes
    calendar: str | None = None  # file of holidays and make-up working days; None: the public holidays of the rules'
    # time zone
    status: str | None = None  # file that gets the metrics every second
    workers: int = 1  # processes that share the intersections of one machine: cloudctl serve --workers
    trace: str | None = None  # file that gets a line "advisory id, ns published" per advisory, for latency studies


class CitySection(Struct, frozen=True, forbid_unknown_fields=True):
    """Several machines that share the intersections, by leases in etcd; off where `etcd` is left out."""

    node: str = ""  # the name of this node, which no other has
    address: str = ""  # "tcp://host:port": where gateways reach this node
    etcd: tuple[str, ...] = ()  # "address:port" of each etcd server, the address numeric
    etcd_ca: str | None = None  # with it, TLS; etcd_cert and etcd_key: this node's own
    etcd_cert: str | None = None
    etcd_key: str | None = None
    etcd_name: str = "etcd.cloudctl"  # a name in the certificate of every etcd server
    prefix: str = "cloudctl"  # of every key
    added: str = "added"  # folder of the intersections that were added while the city runs
    quorum_lost: Literal["silent", "serve"] = "silent"  # what the node does when etcd does not answer


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
    bridge: str | None = (
        None  # of an embedded broker: "host:port" of a region's broker, which gathers what this one has
    )
    bridge_name: str | None = None  # this edge's name there, and in its certificate
    bridge_ca: str | None = None  # with bridge_cert and bridge_key: TLS, both ends proven
    bridge_cert: str | None = None
    bridge_key: str | None = None


class HttpSection(Struct, frozen=True, forbid_unknown_fields=True):
    """Digital codes and the live page over HTTP, read only; off where `bind` is left out."""

    bind: str | None = None  # "host:port"
    tls_cert: str | None = None  # of the server; with tls_key
    tls_key: str | None = None
    open: bool = False  # true: without TLS beyond this machine: behind a proxy that adds it, or on a closed test bench
    view: bool = True  # whether the live page is served
    token: str | None = None  # for all but digital codes; None: the live page makes one at each start, which is printed
    # Further sites whose pages may open the live page's socket: "https://console.example".
    origins: tuple[str, ...] = ()


class LiveSection(Struct, frozen=True, forbid_unknown_fields=True):
    """What other people's viewers may connect to, through the server of [http]."""

    foxglove: bool = False  # a WebSocket at /foxglove


class RecordSection(Struct, frozen=True, forbid_unknown_fields=True):
    """Where to record, when a new part of a run begins, and how much of the recordings is kept (None: all)."""

    path: str | None = None
    part_mb: float = 1024.0  # MiB
    part_minutes: float = 60.0
    keep_mb: float | None = None  # MiB, of all recordings of this path's folder and name
    keep_days: float | None = None
    foxglove: bool = False  # also tracks, signals, advisories and the map in Foxglove's schemas, for other viewers

    @property
    def limits(self) -> RecordingLimits:
        return RecordingLimits(
            part_bytes=int(self.part_mb * MiB),
            part_ns=int(self.part_minutes * 60 * SECOND),
            keep_bytes=None if self.keep_mb is None else int(self.keep_mb * MiB),
            keep_ns=None if self.keep_days is None else int(self.keep_days * 86_400 * SECOND),
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
