"""Reading a SUMO network, element by element."""

import gzip
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from math import inf
from pathlib import Path
from typing import IO

import numpy as np
import pyproj
from numpy.typing import NDArray

from ...checks.rules import LIMITS
from ...findings import Loss, refuse
from ..importing.accounting import Accounts, XmlRecord
from .access import EVERYONE, WORDS, allowed
from .network import E_TOWN, Net, NetConnection, NetEdge, NetJunction, NetLane, NetPhase, NetProgram
from .vocabulary import CONTROL, CONTROLLER_KEYS, FUNCTIONS, IGNORED, PROGRAMS, RING_KEYS, SHOWS, TURNS

UNPLACED = ("!", "-", "")  # projections of networks that lie nowhere
BITS = re.compile("[01]*")
MIN_LIMIT, MAX_LIMIT = LIMITS["speed_max"]  # m/s
MIN_PATH_SPEED = (
    0.01  # m/s on a path through a junction: what netconvert gives the tightest turns, and no limit of a rule
)
DEFAULT_WIDTH, DEFAULT_SPEED = 3.2, 13.89  # SUMO's own, m and m/s
REMEDY = "give a .net.xml or .net.xml.gz as netconvert writes it"
CONNECTION = ("from", "to", "via", "tl")  # attributes of a connection that are taken as they are
__all__ = ["E_TOWN", "REMEDY", "Net", "read_net"]
HEIGHTS = Loss("dropped", "elevation", "lanes are taken flat: heights of the network are not in the code")

ALONE = ("tlLogic",)  # elements that an additional file may consist of, with no root around them; SUMO reads it so


def read_net(
    path: Path, additional: Iterable[Path] = (), *, data: bytes | None = None, accounts: Accounts | None = None
) -> Net:
    """Read a .net.xml or .net.xml.gz, or its text where that is at hand (`data`), and signal programmes of additional files. Raises CodeError."""
    net = Net(accounts or Accounts("SUMO", IGNORED, REMEDY))
    for file in (path, *additional):
        try:
            with io.BytesIO(data) if data is not None and file is path else _opened(file) as stream:
                _read(net, stream)
            net.projector if net.placed else None  # noqa: B018 - a projection that pyproj refuses is found here
        except (ET.ParseError, EOFError, OSError, LookupError, pyproj.exceptions.ProjError) as error:
            raise refuse(
                str(file), "network", "file", file, f"cannot be read as a SUMO network ({error!r})", REMEDY
            ) from None
    if not net.edges:
        raise refuse(str(path), "network", "edge", "none", "a network has edges", REMEDY)
    if not net.placed:
        net.losses.add(
            Loss(
                "guessed",
                "location",
                "the network has no projection: laid at Beijing E-Town, its middle at 39.7955, 116.5080",
            )
        )
    _drop_loose_edges(net)
    net.connections = [c for c in net.connections if _sound(net, c)]
    for c in net.connections:
        if c.tl and c.column >= 0:
            net.signalled.setdefault(c.tl, []).append(c)
        if c.via and c.via not in net.inner:
            net.accounts.enter(
                "unknown",
                "connection@via",
                "no such inner lane: the path is a line",
                f"{c.via} of {c.from_edge}>{c.to_edge}",
            )
    lanes = {lane.id for edge in net.edges.values() for lane in edge.lanes}
    for junction in net.junctions.values():
        for name in junction.incoming:
            if name not in lanes and not name.startswith(":"):
                net.accounts.enter("unknown", "junction@incLanes", "no such lane", f"{name} of junction {junction.id}")
    for name in net.programs:
        if name not in net.signalled:
            net.accounts.enter("dropped", "tlLogic", "a programme of a signal that no connection has", name)
    for rows in net.crossings.values():
        rows.sort(key=lambda row: row[1].id)
    return net


def _opened(file: Path) -> IO[bytes]:
    if file.suffix == ".gz":
        return gzip.open(file, "rb")  # type: ignore[return-value]
    return file.open("rb")


def _read(net: Net, stream: IO[bytes]) -> None:
    takers = {
        "edge": _take_edge,
        "connection": _take_connection,
        "junction": _take_junction,
        "tlLogic": _take_program,
        "location": _take_location,
        "type": _take_type,
    }
    for record in net.accounts.stream(stream, alone=ALONE):
        if record.tag == "net":
            net.left_hand = record.flag("lefthand")
        elif record.tag in takers and (record.parent is not None or record.tag in ALONE):
            takers[record.tag](net, record.use())


def _take_location(net: Net, record: XmlRecord) -> None:
    net.projection = record.get("projParameter", "!")
    if not net.placed and net.projection not in UNPLACED:
        record.unknown("projParameter", net.projection, "taken as a network without a place")
    net.offset = _pair(record, "netOffset")
    x0, y0, x1, y1 = _numbers(record, "convBoundary", record.get("convBoundary", "0,0,0,0"), 4)
    net.middle = ((x0 + x1) / 2, (y0 + y1) / 2)


def _pair(record: XmlRecord, name: str) -> tuple[float, float]:
    x, y = _numbers(record, name, record.get(name, "0,0"), 2)
    return x, y


def _numbers(record: XmlRecord, name: str, text: str, size: int) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) != size or not np.isfinite(found).all():
        raise record.refuse(name, text, f"must be {size} numbers with commas between")
    return found


def _take_type(net: Net, record: XmlRecord) -> None:
    limits = []
    for row in record.children("restriction"):
        if row.words("vClass", WORDS):
            limits.append((row.get("vClass"), _limit(row)))
    net.limits[record.get("id")] = tuple(limits)


def _take_edge(net: Net, record: XmlRecord) -> None:
    _parameters(record)
    kind = record.choice("function", FUNCTIONS, "normal")
    inner = kind in ("internal", "crossing", "walkingarea")
    lanes = [_lane(net, lane) for lane in record.children("lane")]
    if inner:
        net.inner.update((lane.id, lane) for lane in lanes)
        name = record.need("id")
        if kind == "crossing":
            net.crossings.setdefault(name[1:].rpartition("_c")[0], []).extend((name, lane) for lane in lanes)
        return
    kind = record.get("type")
    if kind and net.limits and kind not in net.limits:  # without any types in the file, the name is a label
        record.unknown("type", kind, "no such type: without limits of its own")
    limits = net.limits.get(kind, ())
    edge = NetEdge(record.need("id"), record.need("from"), record.need("to"), lanes, record.get("name"), limits)
    if not lanes:
        record.leave_out("an edge without lanes")
        return
    for offset in record.children("stopOffset"):
        _stop_offset(offset, [lane for lane in lanes if not lane.stop_offset])  # a lane's own counts before its road's
    net.edges[edge.id] = edge


def _lane(net: Net, record: XmlRecord) -> NetLane:
    _parameters(record)
    shape = _shape(record)
    if shape.shape[1] > 2 and np.ptp(shape[:, 2]) > 0.01:
        net.losses.add(HEIGHTS)
    may, stated = _may(record)
    lane = NetLane(
        id=record.need("id"),
        speed=_limit(record, DEFAULT_SPEED, MIN_PATH_SPEED if record.get("id").startswith(":") else MIN_LIMIT),
        width=record.number("width", DEFAULT_WIDTH),
        shape=shape[:, :2],
        may=may,
        stated=stated,
    )
    for offset in record.children("stopOffset"):
        _stop_offset(offset, [lane])
    return lane


def _may(record: XmlRecord) -> tuple[frozenset[str], bool]:
    """Return the vClasses that may use a lane or a connection, and whether it says so at all: words to keep out that are not known say nothing."""
    reserved = bool(record.get("allow").strip())
    if reserved and record.get("disallow").strip():
        record.accounts.enter(
            "differs",
            f"{record.tag}@disallow",
            "stands beside allow: allow is taken alone, as SUMO has it",
            str(record),
        )
    allow, disallow = record.words("allow", WORDS), record.words("disallow", WORDS)
    return allowed(allow, disallow, reserved), reserved or bool(allow or disallow)


def _limit(record: XmlRecord, default: float | None = None, lowest: float = MIN_LIMIT) -> float:
    """Return a limit in m/s; one that a code cannot have is reported, and the nearest that it can is taken."""
    speed = record.number("speed", default)
    taken = min(max(speed, lowest), MAX_LIMIT)
    if taken != speed:
        record.unknown(
            "speed",
            record.get("speed"),
            f"{'higher' if speed > taken else 'lower'} than any limit of a code: {taken:g} m/s is taken",
        )
    return taken


def _stop_offset(record: XmlRecord, lanes: list[NetLane]) -> None:
    """Take where cars stop before the end of lanes; that others stop elsewhere has no place in a code."""
    vehicles = record.words("vClasses", WORDS) or record.words("vclasses", WORDS)
    excepted = record.words("exceptions", WORDS)
    bound = allowed(vehicles, excepted, bool(record.get("vClasses").strip() or record.get("vclasses").strip()))
    if "passenger" in bound:
        for lane in lanes:
            lane.stop_offset = record.number("value")
    if len(bound) < len(EVERYONE):
        record.accounts.enter(
            "differs", "lane/stopOffset", "stop lines of some vehicle classes only: cars' are taken", str(record)
        )
    record.ignore("value", "of others than cars it is reported above")


def _parameters(record: XmlRecord) -> None:
    """Read the free parameters of an element: the ids that OpenStreetMap and others have for it carry nothing; the rest is reported."""
    for row in record.children("param"):
        key = row.get("key")
        row.ignore("value", "goes with the key")
        if not key.startswith("orig"):
            row.unknown("key", key, "left out")


def _shape(record: XmlRecord) -> NDArray[np.float64]:
    text = record.need("shape")
    try:
        rows = [[float(v) for v in point.split(",")] for point in text.split()]
        shape = np.array([row[: min(map(len, rows))] for row in rows])
    except ValueError:
        shape = np.empty((0, 0))
    if len(shape) < 2 or shape.shape[1] < 2 or not np.isfinite(shape).all():
        raise record.refuse("shape", text[:60], "must be two points or more, as x,y or x,y,z")
    return shape


def _take_connection(net: Net, record: XmlRecord) -> None:
    _parameters(record)
    start, end, via, tl = (record.get(name) for name in CONNECTION)
    inner = start.startswith(":")
    if inner:
        record.ignore("dir", "of the inner lane: the connection that it belongs to has the turn")
    may = None
    if "allow" in record or "disallow" in record:
        may, _ = _may(record)
    column = record.number("linkIndex", -1)
    connection = NetConnection(
        from_edge=start,
        to_edge=end,
        from_lane=_whole(record, "fromLane"),
        to_lane=_whole(record, "toLane"),
        via=via,
        turn="straight" if inner else record.choice("dir", TURNS, "straight"),
        tl=tl,
        column=int(column),
        may=may,
        speed=_limit(record, lowest=MIN_PATH_SPEED) if "speed" in record else inf,
        passes=record.flag("pass"),
    )
    net.connections.append(connection)


def _whole(record: XmlRecord, name: str) -> int:
    found = record.number(name)
    if found != int(found) or found < 0:
        raise record.refuse(name, record.get(name), "must be a whole number from 0")
    return int(found)


def _take_junction(net: Net, record: XmlRecord) -> None:
    _parameters(record)
    name = record.need("id")
    requests: dict[int, dict[str, str]] = {}
    for row in record.children("request"):
        found = {key: row.get(key) for key in ("foes", "response")}
        for key, text in found.items():
            if not BITS.fullmatch(text):
                row.unknown(key, text, "left out")
                found[key] = ""
        requests[_whole(row, "index")] = {**found, "cont": "1" if row.flag("cont") else "0"}
    control = record.choice("type", CONTROL, "uncontrolled")
    if control == "inner":
        for key in ("x", "y", "name", "incLanes"):
            record.ignore(key, "where to wait inside: the inner lanes are cut there")
        return
    net.junctions[name] = NetJunction(
        name, record.number("x"), record.number("y"), control, record.get("name"), tuple(record.get("incLanes").split())
    )
    net.requests[name] = requests


def _take_program(net: Net, record: XmlRecord) -> None:
    kind = record.get("type", "static")
    actuated = record.choice("type", PROGRAMS, True)
    keys = {}
    for row in record.children("param"):
        key, value = row.get("key"), row.get("value")
        if key in RING_KEYS:
            keys[key] = value
        elif key not in CONTROLLER_KEYS:
            row.unknown("key", key, "left out")
    phases = [_phase(row) for row in record.children("phase")]
    if record.get("offset") == "begin":  # where the simulation begins, not the day
        record.unknown("offset", "begin", "taken as 0")
        offset = 0.0
    else:
        offset = record.number("offset", 0)
    program = NetProgram(record.get("programID", "0"), kind, offset, phases, actuated, keys)
    if phases:
        net.programs.setdefault(record.need("id"), []).append(program)
    elif kind not in ("off", "rail_signal", "rail_crossing"):
        record.leave_out("a signal programme without phases")


def _phase(record: XmlRecord) -> NetPhase:
    state = record.need("state")
    for letter in sorted(set(state) - set(SHOWS)):
        record.unknown("state", f"{letter} in {state}", "taken as dark")
    shortest, longest = (record.number(name) if name in record else None for name in ("minDur", "maxDur"))
    following: tuple[int, ...] = ()
    if "next" in record:
        words = record.get("next").split()
        following = tuple(int(word) for word in words if word.isdecimal())
        if len(following) < len(words):
            record.unknown("next", record.get("next"), "left out")
    return NetPhase(
        state=state,
        duration=record.number("duration"),
        shortest=shortest,
        longest=longest,
        name=record.get("name"),
        yellow=record.number("yellow", 0),
        red=record.number("red", 0),
        following=following,
    )


def _drop_loose_edges(net: Net) -> None:
    """Leave out edges whose junctions are not there, with a line."""
    for edge in list(net.edges.values()):
        missing = next((name for name in (edge.start, edge.end) if name not in net.junctions), None)
        if missing is not None:
            net.accounts.enter(
                "dropped", "edge", "edges of a junction that is not there", f"{missing} of edge {edge.id}"
            )
            del net.edges[edge.id]


def _sound(net: Net, c: NetConnection) -> bool:
    """Return whether the roads and lanes that a connection names are there; what it names otherwise is reported."""
    for name, lane in ((c.from_edge, c.from_lane), (c.to_edge, c.to_lane)):
        if name.startswith(":"):
            continue
        if name not in net.edges:
            net.accounts.enter(
                "dropped",
                "connection",
                "connections of an edge that is not there",
                f"{name} of {c.from_edge}>{c.to_edge}",
            )
            return False
        if lane >= len(net.edges[name].lanes):
            net.accounts.enter(
                "dropped",
                "connection",
                "connections of a lane that is not there",
                f"{name}_{lane} of {c.from_edge}>{c.to_edge}",
            )
            return False
    return True
