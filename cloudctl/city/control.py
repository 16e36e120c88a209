"""What an operator asks of a city: who serves what, and what is to change. Every command is one or two keys in etcd."""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ..clock import SECOND, stopwatch
from ..codes import IntersectionCode
from ..codes.canon import content_hash
from ..errors import CloudctlError
from ..io.mqtt import read_retained
from ..node_status import NodeReport
from ..settings import BrokerSection, CitySection
from ..topics import MqttTopics
from .added import AddedRecord
from .etcd import Etcd, EtcdError
from .records import CityState

POLL = 0.1  # s between two looks at whether what was asked for has happened


class CityError(CloudctlError, RuntimeError):
    """What was asked of a city cannot be done; the text says why."""


class NodeStatus(NamedTuple):
    """One node."""

    node: str
    address: str
    version: str
    state: str  # runs, drained, or gone
    owned: int  # intersections


class IntersectionStatus(NamedTuple):
    """One intersection that has, or had, an owner or a wish of an operator's."""

    intersection: str
    node: str | None
    epoch: int
    pinned: str | None
    moving_to: str | None


class CityStatus(NamedTuple):
    """All of a city."""

    nodes: list[NodeStatus]
    intersections: list[IntersectionStatus]


class EdgeStatus(NamedTuple):
    """An edge, by its newest report to the region."""

    edge: str
    age: float  # s
    intersections: list[str]
    counters: dict[str, int]  # of faults, drops and refusals, since it started
    load: float = 0.0  # share of a core that its engine takes


class Reports(NamedTuple):
    """What edges, and nodes of the city itself, have reported of late."""

    edges: list[EdgeStatus]
    nodes: dict[str, EdgeStatus]  # by name


async def reports(broker: BrokerSection, now: int) -> Reports:
    """Return what has been reported to a broker of late, `now` in ns; what is no report is passed over. Raises OSError,
    TimeoutError where there is no broker."""
    retained = await read_retained(broker, MqttTopics.node_status("+"))
    found = Reports([], {})
    for _, payload in sorted(retained.items()):
        try:
            report = msgspec.json.decode(payload, type=NodeReport)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue

        age = (now - report.t) / SECOND
        status = EdgeStatus(report.node, age, report.intersections, report.counters, report.load)
        if report.is_edge:
            found.edges.append(status)
        else:
            found.nodes[report.node] = status

    return found


async def status(section: CitySection) -> CityStatus:
    """Return the state of the city. Raises EtcdError."""
    state = await _state(section)
    owners = [state.owner(intersection) for intersection in state.owners]

    nodes = [
        NodeStatus(
            node=name,
            address=state.nodes[name].address if name in state.nodes else "",
            version=state.nodes[name].version if name in state.nodes else "",
            state=_state_of(state, name),
            owned=owners.count(name),
        )
        for name in sorted({*state.nodes, *state.drained})
    ]
    known = sorted({*state.owners, *state.pins, *state.added})

    intersections = [
        IntersectionStatus(
            intersection=name,
            node=state.owner(name),
            epoch=state.owners[name].revision if name in state.owners else 0,
            pinned=state.pins.get(name),
            moving_to=state.moves[name].to if name in state.moves else None,
        )
        for name in known
    ]
    return CityStatus(nodes, intersections)


async def move(section: CitySection, intersection: str, node: str, seconds: float) -> None:
    """Move an intersection to a node, where it stays while that node runs; return when it is there. Raises CityError
    where it is not within `seconds`, EtcdError."""
    state = await _state(section)
    if node not in state.nodes:
        raise CityError(f"node {node!r} does not run. Nodes: {', '.join(sorted(state.nodes)) or 'none'}")
    if node in state.drained:
        raise CityError(f"node {node!r} is drained, and owns nothing. First: cloudctl city undrain {node}")
    if intersection not in state.owners and intersection not in state.added:
        raise CityError(f"intersection {intersection!r} is not served by any node: see cloudctl city status")

    await _put(section, f"p/{intersection}", node.encode())
    await _until(
        section, lambda now: now.owner(intersection) == node, seconds, f"{intersection} is not at {node} within"
    )


async def unpin(section: CitySection, intersection: str) -> bool:
    """Let an intersection be served by the first in line again; return whether it was pinned. Raises EtcdError."""
    return await _delete(section, f"p/{intersection}")


async def drain(section: CitySection, node: str, seconds: float) -> int:
    """Have a node own nothing, now and until it is undrained; return how many intersections were moved. Raises
    CityError where it still owns some after `seconds`, or no other node could take them; EtcdError."""
    state = await _state(section)
    if node not in state.nodes:
        raise CityError(f"node {node!r} does not run. Nodes: {', '.join(sorted(state.nodes)) or 'none'}")
    if not [other for other in state.nodes if other != node and other not in state.drained]:
        raise CityError(f"node {node!r} is the only one that may own intersections. Start another, or undrain one")

    owned = [name for name in state.owners if state.owner(name) == node]
    await _put(section, f"d/{node}", b"")

    await _until(
        section,
        lambda now: not any(now.owner(name) == node for name in now.owners),
        seconds,
        f"{node} still owns intersections after",
    )
    return len(owned)


async def add(section: CitySection, code: IntersectionCode, gateway: str, key: str, rsus: Sequence[str]) -> None:
    """Let the city serve an intersection, whose code the broker retains; its roadside units `rsus` speak through
    `gateway`, whose public key is `key` ("" and none: it has none yet). Raises EtcdError."""
    record = AddedRecord(
        revision=code.revision,
        hash=content_hash(code),
        place=(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7),
        gateways={gateway: dict.fromkeys(rsus, code.id)} if gateway else {},
        keys={gateway: key} if gateway else {},
    )
    await _put(section, f"i/{code.id}", msgspec.json.encode(record))


async def remove(section: CitySection, intersection: str) -> bool:
    """Take an intersection that was added out of the city; return whether it was added. Raises EtcdError."""
    was_added = await _delete(section, f"i/{intersection}")
    await _delete(section, f"p/{intersection}")
    return was_added


async def undrain(section: CitySection, node: str) -> bool:
    """Let a node own intersections again; return whether it was drained. Raises EtcdError."""
    return await _delete(section, f"d/{node}")


async def secure(section: CitySection, root: CitySection, users: Sequence[str]) -> bool:
    """Close an etcd cluster: each of `users` may read and write below the section's prefix, by its certificate, and
    nobody else anything. `root`: the section with the certificate of the user root. Returns False where that was done
    before. Raises EtcdError."""
    etcd = Etcd(root)
    try:
        return await etcd.secure(section.prefix, users)
    finally:
        await etcd.close()


class EtcdServer(NamedTuple):
    """One server of etcd as it was found: its version, "" where it does not answer, and what is wrong."""

    address: str
    version: str
    trouble: str | None


async def etcd_servers(section: CitySection) -> list[EtcdServer]:
    """Return how each etcd server is found: whether it answers, and whether it can end leases too early."""
    servers = []
    for address in section.etcd:
        etcd = Etcd(replace(section, etcd=(address,)))
        version, trouble = "", None
        try:
            version = await etcd.version()
            if ends_leases_early(version):
                trouble = (
                    "it can end all leases after its leader froze (etcd issue 15247): every intersection is then "
                    "without an owner for a moment. Mended from 3.4.32 and 3.5.14 on"
                )
        except EtcdError as error:
            trouble = f"it does not answer: {error}"
        finally:
            await etcd.close()

        servers.append(EtcdServer(address, version, trouble))

    return servers


async def etcd_notes(section: CitySection) -> list[str]:
    """Return a line for each etcd server that does not answer, or that can end leases too early."""
    return [
        f"etcd {server.version} at {server.address}: {server.trouble}".replace("etcd  at", "etcd at")
        for server in await etcd_servers(section)
        if server.trouble
    ]


def ends_leases_early(version: str) -> bool:
    """Return whether an etcd of a version has the fault of etcd issue 15247."""
    parts = [int(part) for part in re.findall(r"\d+", version)[:3]]
    if len(parts) < 3 or parts[0] != 3:
        return False
    return parts[1] < 4 or (parts[1] == 4 and parts[2] < 32) or (parts[1] == 5 and parts[2] < 14)


def _state_of(state: CityState, node: str) -> str:
    if node not in state.nodes:
        return "gone"
    return "drained" if node in state.drained else "runs"


async def _state(section: CitySection) -> CityState:
    etcd = Etcd(section)
    try:
        return await _read(etcd)
    finally:
        await etcd.close()


async def _read(etcd: Etcd) -> CityState:
    state = CityState()
    for entry in (await etcd.snapshot()).entries:
        state.take(entry)
    return state


async def _put(section: CitySection, key: str, value: bytes) -> None:
    etcd = Etcd(section)
    try:
        await etcd.put(key, value)
    finally:
        await etcd.close()


async def _delete(section: CitySection, key: str) -> bool:
    etcd = Etcd(section)
    try:
        return await etcd.delete(key)
    finally:
        await etcd.close()


async def _until(section: CitySection, done: Callable[[CityState], bool], seconds: float, what: str) -> None:
    etcd = Etcd(section)
    begun = stopwatch()
    try:
        while not done(await _read(etcd)):
            if stopwatch() - begun > seconds * SECOND:
                raise CityError(f"{what} {seconds:.0f} s. See: cloudctl city status")
            await asyncio.sleep(POLL)
    finally:
        await etcd.close()
