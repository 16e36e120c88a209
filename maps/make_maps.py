"""Makes the maps: `python -m cloudctl.maps.make_maps`. A corridor of five signals and one four-leg intersection at
Beijing E-Town.

The roads are plain XML written here, netconvert (of the eclipse-sumo wheel) makes the networks, the importer makes the
codes."""

import gzip
import os
import re
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from importlib import import_module
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pyproj

from . import MAPS_FOLDER

LAT, LON = 39.7955, 116.5080
PROJECTION = f"+proj=tmerc +lat_0={LAT} +lon_0={LON} +k=1 +x_0=0 +y_0=0 +ellps=GRS80 +units=m +no_defs"
ADM = "110115403"
SIGNAL_SPACING = 400.0  # m between signals
SIDE_ROAD_LENGTH = 250.0  # m of side road
END_ROAD_LENGTH = 450.0  # m of main road before the first and after the last signal
MAIN_ROAD, SIDE_ROAD = (16.67, 3), (11.11, 2)  # m/s, vehicle lanes
SIDEWALK_WIDTH, BIKE_LANE_WIDTH, LANE_WIDTH = 2.5, 1.8, 3.3  # m wide
FIRST_VEHICLE_LANE = 2  # index of the right-most vehicle lane: 0 is the sidewalk, 1 the bicycle lane
# s of green, then YELLOW and ALL_RED: 90 s in all
GREEN_TIMES = (
    ("main", 35),
    ("main left", 11),
    ("side", 20),
    ("side left", 8),
)
YELLOW, ALL_RED, PEDESTRIAN_CLEARANCE = 3, 1, 6  # s; CLEAR: before the end of green, in which nobody may begin to walk
GREEN_WAVE_OFFSET = 24  # s between neighbours' programmes: 400 m at 60 km/h


def nodes(signals: int) -> str:
    """Return the plain nodes of a corridor of so many signals, its middle at the origin; netconvert takes degrees."""
    first_x = -SIGNAL_SPACING * (signals - 1) / 2
    elements = [_node("W", first_x - END_ROAD_LENGTH, 0), _node("E", -first_x + END_ROAD_LENGTH, 0)]
    for k in range(signals):
        x = first_x + SIGNAL_SPACING * k
        elements += [
            _node(f"J{k}", x, 0, f' type="traffic_light" tl="J{k}"'),
            _node(f"N{k}", x, SIDE_ROAD_LENGTH),
            _node(f"S{k}", x, -SIDE_ROAD_LENGTH),
        ]

    return "<nodes>" + "".join(elements) + "</nodes>"


def _node(name: str, east: float, north: float, more: str = "") -> str:
    lon, lat = pyproj.Proj(PROJECTION)(east, north, inverse=True)
    return f'<node id="{name}" x="{lon:.9f}" y="{lat:.9f}"{more}/>'


def roads(signals: int) -> list[tuple[str, str, float, int]]:
    """Return every road, one way each: from, to, m/s, vehicle lanes."""
    main_nodes = ["W", *(f"J{k}" for k in range(signals)), "E"]
    one_way = [(a, b, *MAIN_ROAD) for a, b in pairwise(main_nodes)]
    one_way += [(f"J{k}", f"{side}{k}", *SIDE_ROAD) for k in range(signals) for side in "NS"]
    return [*one_way, *((b, a, speed, lanes) for a, b, speed, lanes in one_way)]


def edges(signals: int) -> str:
    """Return the plain edges: a sidewalk, a bicycle lane, then the vehicle lanes, from the right."""
    elements = []
    for start, end, speed, lanes in roads(signals):
        lane_elements = (
            f'<lane index="0" allow="pedestrian" width="{SIDEWALK_WIDTH}"/><lane index="1" allow="bicycle" '
            f'width="{BIKE_LANE_WIDTH}"/>'
        )
        lane_elements += "".join(
            f'<lane index="{FIRST_VEHICLE_LANE + k}" disallow="pedestrian bicycle" width="{LANE_WIDTH}"/>'
            for k in range(lanes)
        )
        elements.append(
            f'<edge id="{start}{end}" from="{start}" to="{end}" numLanes="{FIRST_VEHICLE_LANE + lanes}" '
            f'speed="{speed}">{lane_elements}</edge>'
        )

    return "<edges>" + "".join(elements) + "</edges>"


def connections(signals: int) -> str:
    """Return who may go where: the left lane turns left, the right one straight or right; and a crossing of each
    leg."""
    lanes = {f"{start}{end}": count for start, end, _, count in roads(signals)}
    elements = []
    for k in range(signals):
        legs = [f"N{k}", "E" if k == signals - 1 else f"J{k + 1}", f"S{k}", "W" if k == 0 else f"J{k - 1}"]
        for leg_index, leg in enumerate(legs):
            incoming = f"{leg}J{k}"
            left_edge, straight_edge, right_edge = (f"J{k}{legs[(leg_index + turn) % 4]}" for turn in (1, 2, 3))
            last_lane = FIRST_VEHICLE_LANE + lanes[incoming] - 1

            pairs = [
                (incoming, left_edge, last_lane, FIRST_VEHICLE_LANE + lanes[left_edge] - 1),
                (incoming, right_edge, FIRST_VEHICLE_LANE, FIRST_VEHICLE_LANE),
                (incoming, right_edge, 1, 1),
                (incoming, straight_edge, 1, 1),
            ]
            pairs += [(incoming, straight_edge, index, index) for index in range(FIRST_VEHICLE_LANE, last_lane)]
            elements += [f'<connection from="{a}" to="{b}" fromLane="{i}" toLane="{j}"/>' for a, b, i, j in pairs]
            elements.append(f'<crossing node="J{k}" edges="J{k}{leg} {incoming}" width="4"/>')

    return "<connections>" + "".join(elements) + "</connections>"


def programme(columns: dict[int, tuple[str, str]], signal: str, offset: int) -> str:
    """Return a fixed-time programme: `columns` gives each link's approach ("main", "side") and turn ("s", "l", "r",
    "walk")."""
    phases = []
    for name, green in GREEN_TIMES:
        state = "".join(_letter(name, *columns[k]) for k in sorted(columns))
        clearing_state = "".join("r" if columns[k][1] == "walk" else c for k, c in enumerate(state))
        yellow = clearing_state.replace("G", "y").replace("g", "y")
        phases += [
            (green - PEDESTRIAN_CLEARANCE, state),
            (PEDESTRIAN_CLEARANCE, clearing_state),
            (YELLOW, yellow),
            (ALL_RED, "r" * len(state)),
        ]

    body = "".join(f'<phase duration="{s}" state="{state}"/>' for s, state in phases)
    return f'<tlLogic id="{signal}" type="static" programID="0" offset="{offset}">{body}</tlLogic>'


def _letter(phase: str, road: str, turn: str) -> str:
    if turn == "walk":  # people cross a road while the other one has its straight green
        return "G" if phase == ("side" if road == "main" else "main") else "r"
    if turn == "l":
        return "G" if phase == f"{road} left" else "r"
    return ("g" if turn == "r" else "G") if phase == road else "r"


def build(folder: Path, signals: int, out: Path) -> None:
    """Write the network of a corridor of so many signals. Raises CalledProcessError with what netconvert said."""
    sumo_home = Path(str(files("sumo")))
    os.environ.setdefault("PROJ_DATA", str(sumo_home / "data" / "proj"))
    netconvert = [
        str(sumo_home / "bin" / "netconvert"),
        "--no-turnarounds",
        "--junctions.corner-detail",
        "5",
        "--no-warnings",
    ]
    plain_files = {"-n": nodes(signals), "-e": edges(signals), "-x": connections(signals)}
    rough_net = folder / "rough.net.xml"
    arguments = ["--proj", PROJECTION]

    for option, text in plain_files.items():
        (folder / f"plain{option}.xml").write_text(text)
        arguments += [option, str(folder / f"plain{option}.xml")]

    subprocess.run([*netconvert, *arguments, "-o", str(rough_net)], check=True, capture_output=True)
    programmes = "".join(
        programme(columns(rough_net, f"J{k}"), f"J{k}", GREEN_WAVE_OFFSET * k % 90) for k in range(signals)
    )
    (folder / "signals.xml").write_text(f"<tlLogics>{programmes}</tlLogics>")
    complete_net = folder / "whole.net.xml"
    subprocess.run(
        [*netconvert, "-s", str(rough_net), "-i", str(folder / "signals.xml"), "-o", str(complete_net)],
        check=True,
        capture_output=True,
    )
    text = re.sub(r"<!--.*?-->\s*", "", complete_net.read_text(), flags=re.DOTALL)  # when and where it was made
    out.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def columns(net: Path, signal: str) -> dict[int, tuple[str, str]]:
    """Return each link's approach and turn of a signal, as netconvert numbered them."""
    root = ET.parse(net).getroot()
    crossing_edges = {
        edge.attrib["id"]: edge.attrib["crossingEdges"] for edge in root.iter("edge") if "crossingEdges" in edge.attrib
    }
    columns: dict[int, tuple[str, str]] = {}

    for connection in root.iter("connection"):
        if connection.get("tl") == signal:
            is_crossing = connection.attrib["to"] in crossing_edges
            edge = crossing_edges[connection.attrib["to"]].split()[0] if is_crossing else connection.attrib["from"]
            road = "side" if "N" in edge or "S" in edge else "main"
            columns[int(connection.attrib["linkIndex"])] = (
                road,
                "walk" if is_crossing else {"s": "s", "l": "l"}.get(connection.attrib["dir"], "r"),
            )

    return columns


def main() -> None:
    """Write every map into this folder."""
    codes = import_module("cloudctl.codes")  # this script stands above its layer
    with tempfile.TemporaryDirectory() as scratch:
        for name, signals in (("corridor", 5), ("intersection", 1)):
            net = MAPS_FOLDER / f"{name}.net.xml.gz"
            build(Path(scratch), signals, net)
            for k, code in enumerate(codes.import_sumo(net, adm=ADM)):
                file = f"{name}-{k + 1}.json" if signals > 1 else f"{name}.json"
                (MAPS_FOLDER / file).write_bytes(codes.dump(code))


if __name__ == "__main__":
    main()
