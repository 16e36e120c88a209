"""What the settings of a node's file may be: each rule yields the faults of one section, with key, value and remedy."""

import ipaddress
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..fusion import MAX_TRACKS
from ..planner.priority import LEVEL
from ..settings import BrokerSection, CitySection, GatewaySection, HttpSection
from ..topics import wrong_vehicle_id

if TYPE_CHECKING:
    from .config import NodeConfig

MAX_PORT = 65_535  # of TCP
MIN_TOKEN = 16  # characters: 96 bits and more where they are random
# What a WebSocket protocol's name may hold, and an address too.
TOKEN_CHARACTERS = frozenset(string.ascii_letters + string.digits + "-_")


class Bound(NamedTuple):
    """What a number of the node's file may be, and what it is."""

    section: str
    key: str
    low: float
    high: float
    unit: str


BOUNDS = (
    Bound("node", "workers", 1, 256, "processes"),
    Bound("broker", "port", 1, MAX_PORT, "a TCP port"),
    Bound("plan", "period_ms", 1, 10_000, "ms"),
    Bound("plan", "refresh", 0, 1, "a share of an advisory's validity"),
    Bound("plan", "max_tracks", 1, MAX_TRACKS, "tracks of one intersection"),
    Bound("record", "part_mb", 0.0625, 1_048_576, "MiB of one file"),
    Bound("record", "part_minutes", 0.01, 44_640, "minutes of one file"),
    Bound("record", "keep_mb", 0.125, 2**40, "MiB of the whole folder"),
    Bound("record", "keep_days", 0.0001, 36_500, "days"),
)


def faults(config: "NodeConfig") -> Iterator[str]:
    """Yield each fault of a node's settings that needs no look at other files, in the order of the file's sections."""
    yield from number_faults(config)
    yield from address_faults("[node] bind", config.node.bind)
    yield from gateway_faults(config)

    for vehicle, kind in config.priority.vehicles.items():
        if kind not in LEVEL:
            yield (
                f"[priority] vehicles: {vehicle!r} is of class {kind!r}, which has no priority. "
                f"Classes: {', '.join(LEVEL)}"
            )

    yield from page_faults(config.http)
    yield from city_faults(config.city)
    if config.live.foxglove and config.http.bind is None:
        yield '[live] foxglove is served by [http], which is off. Write [http] bind = "127.0.0.1:8080"'

    yield from bridge_faults(config.broker)
    if config.broker.version not in (None, 4, 5):
        yield f"[broker] version = {config.broker.version}: MQTT has versions 4 (that is 3.1.1) and 5"


def number_faults(config: "NodeConfig") -> Iterator[str]:
    """Yield each number that cannot be meant."""
    for section, key, low, high, unit in BOUNDS:
        value = getattr(getattr(config, section), key)
        low = 0 if (section, key) == ("broker", "port") and config.broker.embedded else low  # 0 picks a free one
        if value is not None and not low <= value <= high:
            yield (
                f"[{section}] {key} = {value} must be within {low:,g} .. {high:,g} ({unit}). Correct it, or leave it "
                "out"
            )

    record = config.record
    if record.keep_mb is not None and record.keep_mb < 2 * record.part_mb:
        yield (
            f"[record] keep_mb = {record.keep_mb:g} must be at least twice part_mb = {record.part_mb:g}: the file that "
            f"is written is never deleted. Write part_mb = {record.keep_mb / 4:g} or less"
        )


def address_faults(where: str, address: str) -> Iterator[str]:
    """Yield the fault of a ZeroMQ or HTTP address whose port cannot be."""
    port = address.rpartition(":")[2]
    if address.startswith(("ipc:", "inproc:")) or port == "*":
        return

    if not (port.isascii() and port.isdecimal() and int(port) <= MAX_PORT):
        yield (
            f"{where} = {address!r}: {port!r} must be a TCP port, 0 .. {MAX_PORT:,}. Write one that is free, "
            "such as 7788"
        )


def gateway_faults(config: "NodeConfig") -> Iterator[str]:
    """Yield gateways of one name, gateways without a key, and an RSU of two gateways: sources, their sequence numbers
    and the offset of their clock are known by RSU, and what two of them say of one camera cannot both be true."""
    names: set[str] = set()
    for gateway in config.gateway:
        if gateway.name in names:
            yield f"gateway {gateway.name!r} stands twice. Give each [[gateway]] a name of its own"

        names.add(gateway.name)
        if config.node.curve and gateway.key is None:
            yield (
                f'gateway {gateway.name!r} has no key. Write key = "..." with the text after public = of its .pub '
                "file, or the path of that file; cloudctl keys gateway NAME makes one"
            )

    for number, gateway in enumerate(config.gateway):
        yield from binding_faults(config.gateway[:number], gateway.name, gateway.rsus)


def binding_faults(gateways: Sequence[GatewaySection], name: str, rsus: Mapping[str, str]) -> Iterator[str]:
    """Yield each unit in `rsus` (with its intersection) that gateway `name` cannot have beside those of `gateways`."""
    bound = {rsu: (gateway.name, place) for gateway in gateways for rsu, place in gateway.rsus.items()}
    for rsu, place in rsus.items():
        owner, other_place = bound.get(rsu, (name, place))
        if owner != name:
            yield (
                f"RSU {rsu!r} is of gateway {owner!r} and of {name!r}: of one unit, one gateway speaks. Take it off "
                f"one of them, or give it an id of its own there, such as {rsu + '-b'!r}; a standby machine uses the "
                "folder of the gateway that it stands in for"
            )
        elif other_place != place:
            yield f"RSU {rsu!r} of {name!r} is at {other_place!r} and at {place!r}. Give each RSU an id of its own"


def page_faults(http: HttpSection) -> Iterator[str]:
    """Yield an address without a port, a token of the page that could be guessed or not be sent, and an origin
    that no browser names so.
    """
    if http.bind is not None:
        if ":" in http.bind and http.bind.rpartition(":")[2].isdecimal():
            yield from address_faults("[http] bind", http.bind)
        else:
            yield f'[http] bind = {http.bind!r} is not "host:port", such as "0.0.0.0:8080"'

    if http.token is not None and not (len(http.token) >= MIN_TOKEN and set(http.token) <= TOKEN_CHARACTERS):
        yield (
            f"[http] token must be {MIN_TOKEN} or more of the characters A-Z a-z 0-9 - _. Leave it out: then one is "
            'made at each start and printed; or make one: python -c "import secrets; print(secrets.token_urlsafe(18))"'
        )

    for origin in http.origins:
        if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
            yield (
                f"[http] origins: {origin!r} is no origin. Write scheme, host and port alone: "
                '"https://console.example:8443"'
            )


def bridge_faults(section: BrokerSection) -> Iterator[str]:
    """Yield each reason for which an edge's broker could not make its bridge."""
    if section.bridge is None:
        return

    host, _, port = section.bridge.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) <= MAX_PORT):
        yield f'[broker] bridge = {section.bridge!r} must be "HOST:PORT" of the region\'s broker'

    if not section.embedded:
        yield "[broker] bridge needs embedded = true: it is the embedded broker that passes on"

    if section.bridge_name is None or wrong_vehicle_id(section.bridge_name):
        yield f"[broker] bridge_name = {section.bridge_name!r} must be this edge's name at the region"

    if (section.bridge_cert is None) != (section.bridge_key is None) or (section.bridge_cert and not section.bridge_ca):
        yield "[broker] bridge_ca, bridge_cert and bridge_key belong together. Name all three"


def city_faults(section: CitySection) -> Iterator[str]:
    """Yield each reason for which a node could not take part in its city."""
    if not section.etcd:
        if section != CitySection():
            yield (
                '[city] etcd is missing: write the servers, such as etcd = ["10.0.0.1:2379", "10.0.0.2:2379", '
                '"10.0.0.3:2379"], or leave [city] out'
            )
        return

    if rule := wrong_vehicle_id(section.node):
        yield f"[city] node = {section.node!r} {rule}. Write a name that no other node has"

    if not section.address.startswith("tcp://"):
        yield f'[city] address = {section.address!r} must be where gateways reach this node: "tcp://HOST:PORT"'

    yield from address_faults("[city] address", section.address)
    for server in section.etcd:
        if not _is_numeric(server):
            yield f'[city] etcd: {server!r} must be "ADDRESS:PORT", the address numeric'

    if (section.etcd_cert is None) != (section.etcd_key is None) or (section.etcd_cert and not section.etcd_ca):
        yield "[city] etcd_ca, etcd_cert and etcd_key belong together. Name all three"


def _is_numeric(server: str) -> bool:
    host, _, port = server.rpartition(":")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return port.isdecimal()
