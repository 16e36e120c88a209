"""Reading a SUMO network, element by element."""

import gzip
import io
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from math import inf
from pathlib import Path
from typing import IO

import numpy as np
import pyproj

from ...findings import Loss, LossKind, refuse
from ...terms import DEFAULT_SPEED, Turn
from ..importing.accounting import Accounts, XmlRecord
from .access import ALL_VCLASSES, VCLASS_NAMES, allowed_vclasses
from .attributes import (
    BIT_STRING,
    MIN_LIMIT,
    MIN_PATH_SPEED,
    number_list,
    number_pair,
    read_limit,
    read_parameters,
    read_permissions,
    read_shape,
    whole_number,
)
from .network import E_TOWN, Net, NetConnection, NetEdge, NetJunction, NetLane
from .programs import take_program
from .vocabulary import (
    CONTROL_OF_JUNCTION,
    EDGE_FUNCTIONS,
    IGNORED,
    TURN_OF_DIR,
)

NO_PROJECTION = ("!", "-", "")  # projections of networks that lie nowhere
DEFAULT_WIDTH = 3.2  # m, SUMO's own
REMEDY = "give a .net.xml or .net.xml.gz as netconvert writes it"
# Attributes of a connection that are taken as they are
CONNECTION_ATTRIBUTES = ("from", "to", "via", "tl")
__all__ = ["E_TOWN", "REMEDY", "Net", "read_net"]
HEIGHTS_DROPPED = Loss(
    what=LossKind.DROPPED, entity="elevation", detail="lanes are taken flat: heights of the network are not in the code"
)
# Elements that an additional file may consist of, with no root around them; SUMO reads it so
ALONE = ("tlLogic",)


def read_net(
    path: Path, additional: Iterable[Path] = (), *, data: bytes | None = None, accounts: Accounts | None = None
) -> Net:
    """Read a .net.xml or .net.xml.gz, or its text where that is at hand (`data`), and signal programmes of additional
    files. Raises CodeError."""
    net = Net(accounts or Accounts("SUMO", IGNORED, REMEDY))
    for file in (path, *additional):
        _read_file(net, file, data if file is path else None)

    if not net.edges:
        raise refuse(
            where=str(path), entity="network", field="edge", value="none", rule="a network has edges", remedy=REMEDY
        )

    if not net.placed:
        net.losses.add(
            Loss(
                what=LossKind.GUESSED,
                entity="location",
                detail="the network has no projection: laid at Beijing E-Town, its middle at 39.7955, 116.5080",
            )
        )

    _drop_loose_edges(net)
    net.connections = [connection for connection in net.connections if _names_existing_lanes(net, connection)]
    _enter_signalled(net)
    _report_unknown_names(net)

    for crossings in net.crossings.values():
        crossings.sort(key=lambda row: row[1].id)

    return net


def _read_file(net: Net, file: Path, data: bytes | None) -> None:
    """Read one file, or its text where that is at hand, into the network. Raises CodeError."""
    try:
        with _open(file) if data is None else io.BytesIO(data) as stream:
            _read(net, stream)
        net.projector if net.placed else None  # noqa: B018 - a projection that pyproj refuses is found here
    except (ET.ParseError, EOFError, OSError, LookupError, pyproj.exceptions.ProjError) as error:
        raise refuse(
            where=str(file),
            entity="network",
            field="file",
            value=file,
            rule=f"cannot be read as a SUMO network ({error!r})",
            remedy=REMEDY,
        ) from None


def _enter_signalled(net: Net) -> None:
    """Enter the connections of each signal; report inner lanes that are not there."""
    for connection in net.connections:
        if connection.tl and connection.column >= 0:
            net.signalled.setdefault(connection.tl, []).append(connection)

        if connection.via and connection.via not in net.inner:
            net.accounts.enter(
                LossKind.UNKNOWN,
                "connection@via",
                "no such inner lane: the path is a line",
                f"{connection.via} of {connection.from_edge}>{connection.to_edge}",
            )


def _report_unknown_names(net: Net) -> None:
    """Report incoming lanes of junctions that are not there, and programmes of signals that no connection has."""
    lanes = {lane.id for edge in net.edges.values() for lane in edge.lanes}
    for junction in net.junctions.values():
        for name in junction.incoming:
            if name not in lanes and not name.startswith(":"):
                net.accounts.enter(
                    LossKind.UNKNOWN, "junction@incLanes", "no such lane", f"{name} of junction {junction.id}"
                )

    for name in net.programs:
        if name not in net.signalled:
            net.accounts.enter(LossKind.DROPPED, "tlLogic", "a programme of a signal that no connection has", name)


def _open(file: Path) -> IO[bytes]:
    if file.suffix == ".gz":
        return gzip.open(file, "rb")  # type: ignore[return-value]
    return file.open("rb")


def _read(net: Net, stream: IO[bytes]) -> None:
    readers = {
        "edge": _take_edge,
        "connection": _take_connection,
        "junction": _take_junction,
        "tlLogic": take_program,
        "location": _take_location,
        "type": _take_type,
    }
    for record in net.accounts.stream(stream, alone=ALONE):
        if record.tag == "net":
            net.left_hand = record.flag("lefthand")
        elif record.tag in readers and (record.parent is not None or record.tag in ALONE):
            readers[record.tag](net, record.use())


def _take_location(net: Net, record: XmlRecord) -> None:
    net.projection = record.get("projParameter", "!")
    if not net.placed and net.projection not in NO_PROJECTION:
        record.unknown("projParameter", net.projection, "taken as a network without a place")
    net.offset = number_pair(record, "netOffset")
    west, south, east, north = number_list(record, "convBoundary", record.get("convBoundary", "0,0,0,0"), size=4)
    net.middle = ((west + east) / 2, (south + north) / 2)


def _take_type(net: Net, record: XmlRecord) -> None:
    limits = []
    for row in record.children("restriction"):
        if row.words("vClass", VCLASS_NAMES):
            limits.append((row.get("vClass"), read_limit(row)))
    net.limits[record.get("id")] = tuple(limits)


def _take_edge(net: Net, record: XmlRecord) -> None:
    read_parameters(record)
    function = record.choice("function", EDGE_FUNCTIONS, "normal")
    is_internal = function in ("internal", "crossing", "walkingarea")
    lanes = [_lane(net, lane) for lane in record.children("lane")]

    if is_internal:
        net.inner.update((lane.id, lane) for lane in lanes)
        name = record.need("id")
        if function == "crossing":
            net.crossings.setdefault(name[1:].rpartition("_c")[0], []).extend((name, lane) for lane in lanes)
        return

    function = record.get("type")
    # Without any types in the file, the name is a label
    if function and net.limits and function not in net.limits:
        record.unknown("type", function, "no such type: without limits of its own")

    limits = net.limits.get(function, ())
    edge = NetEdge(
        id=record.need("id"),
        start=record.need("from"),
        end=record.need("to"),
        lanes=lanes,
        name=record.get("name"),
        limits=limits,
    )

    if not lanes:
        record.leave_out("an edge without lanes")
        return

    for offset in record.children("stopOffset"):
        # A lane's own counts before its road's
        _stop_offset(offset, [lane for lane in lanes if not lane.stop_offset])

    net.edges[edge.id] = edge


def _lane(net: Net, record: XmlRecord) -> NetLane:
    read_parameters(record)
    shape = read_shape(record)
    if shape.shape[1] > 2 and np.ptp(shape[:, 2]) > 0.01:
        net.losses.add(HEIGHTS_DROPPED)

    vclasses, stated = read_permissions(record)
    lane = NetLane(
        id=record.need("id"),
        speed=read_limit(record, DEFAULT_SPEED, MIN_PATH_SPEED if record.get("id").startswith(":") else MIN_LIMIT),
        width=record.number("width", DEFAULT_WIDTH),
        shape=shape[:, :2],
        may=vclasses,
        stated=stated,
    )

    for offset in record.children("stopOffset"):
        _stop_offset(offset, [lane])

    return lane


def _stop_offset(record: XmlRecord, lanes: list[NetLane]) -> None:
    """Take where cars stop before the end of lanes; that others stop elsewhere has no place in a code."""
    vehicles = record.words("vClasses", VCLASS_NAMES) or record.words("vclasses", VCLASS_NAMES)
    excepted = record.words("exceptions", VCLASS_NAMES)

    bound_vclasses = allowed_vclasses(
        vehicles, excepted, bool(record.get("vClasses").strip() or record.get("vclasses").strip())
    )

    if "passenger" in bound_vclasses:
        for lane in lanes:
            lane.stop_offset = record.number("value")

    if len(bound_vclasses) < len(ALL_VCLASSES):
        record.accounts.enter(
            LossKind.DIFFERS, "lane/stopOffset", "stop lines of some vehicle classes only: cars' are taken", str(record)
        )

    record.ignore("value", "of others than cars it is reported above")


def _take_connection(net: Net, record: XmlRecord) -> None:
    read_parameters(record)
    start, end, via, tl = (record.get(name) for name in CONNECTION_ATTRIBUTES)
    inner = start.startswith(":")

    if inner:
        record.ignore("dir", "of the inner lane: the connection that it belongs to has the turn")

    vclasses = None
    if "allow" in record or "disallow" in record:
        vclasses, _ = read_permissions(record)

    column = record.number("linkIndex", -1)
    connection = NetConnection(
        from_edge=start,
        to_edge=end,
        from_lane=whole_number(record, "fromLane"),
        to_lane=whole_number(record, "toLane"),
        via=via,
        turn=Turn.STRAIGHT if inner else record.choice("dir", TURN_OF_DIR, "straight"),
        tl=tl,
        column=int(column),
        may=vclasses,
        speed=read_limit(record, lowest=MIN_PATH_SPEED) if "speed" in record else inf,
        passes=record.flag("pass"),
    )

    net.connections.append(connection)


def _take_junction(net: Net, record: XmlRecord) -> None:
    read_parameters(record)
    name = record.need("id")
    requests: dict[int, dict[str, str]] = {}

    for row in record.children("request"):
        bit_strings = {key: row.get(key) for key in ("foes", "response")}
        for key, text in bit_strings.items():
            if not BIT_STRING.fullmatch(text):
                row.unknown(key, text, "left out")
                bit_strings[key] = ""
        requests[whole_number(row, "index")] = {**bit_strings, "cont": "1" if row.flag("cont") else "0"}

    control = record.choice("type", CONTROL_OF_JUNCTION, "uncontrolled")
    if control == "inner":
        for key in ("x", "y", "name", "incLanes"):
            record.ignore(key, "where to wait inside: the inner lanes are cut there")
        return

    net.junctions[name] = NetJunction(
        id=name,
        x=record.number("x"),
        y=record.number("y"),
        control=control,
        name=record.get("name"),
        incoming=tuple(record.get("incLanes").split()),
    )

    net.requests[name] = requests


def _drop_loose_edges(net: Net) -> None:
    """Leave out edges whose junctions are not there, with a line."""
    for edge in list(net.edges.values()):
        missing = next((name for name in (edge.start, edge.end) if name not in net.junctions), None)
        if missing is not None:
            net.accounts.enter(
                LossKind.DROPPED, "edge", "edges of a junction that is not there", f"{missing} of edge {edge.id}"
            )
            del net.edges[edge.id]


def _names_existing_lanes(net: Net, connection: NetConnection) -> bool:
    """Return whether the roads and lanes that a connection names are there; what it names otherwise is reported."""
    for name, lane in ((connection.from_edge, connection.from_lane), (connection.to_edge, connection.to_lane)):
        if name.startswith(":"):
            continue

        if name not in net.edges:
            net.accounts.enter(
                LossKind.DROPPED,
                "connection",
                "connections of an edge that is not there",
                f"{name} of {connection.from_edge}>{connection.to_edge}",
            )
            return False

        if lane >= len(net.edges[name].lanes):
            net.accounts.enter(
                LossKind.DROPPED,
                "connection",
                "connections of a lane that is not there",
                f"{name}_{lane} of {connection.from_edge}>{connection.to_edge}",
            )
            return False

    return True
