"""Makes the maps: `python -m cloudctl.maps.make_maps`. A corridor of five signals and one four-leg intersection at Beijing E-Town.

The roads are plain XML written here, netconvert (of the eclipse-sumo wheel) makes the networks, the importer makes the codes.
"""

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

from . import HERE

LAT, LON = 39.7955, 116.5080
PROJECTION = f"+proj=tmerc +lat_0={LAT} +lon_0={LON} +k=1 +x_0=0 +y_0=0 +ellps=GRS80 +units=m +no_defs"
ADM = "110115403"
SPACING = 400.0  # m between signals
SIDE = 250.0  # m of side road
END = 450.0  # m of main road before the first and after the last signal
MAIN, CROSS = (16.67, 3), (11.11, 2)  # m/s, vehicle lanes
WALK, BIKE, LANE = 2.5, 1.8, 3.3  # m wide
FIRST = 2  # index of the right-most vehicle lane: 0 is the sidewalk, 1 the bicycle lane
CYCLE = (
    ("main", 35),
    ("main left", 11),
    ("side", 20),
    ("side left", 8),
)  # s of green, then YELLOW and ALL_RED: 90 s in all
YELLOW, ALL_RED, CLEAR = 3, 1, 6  # s; CLEAR: before the end of green, in which nobody may begin to walk
WAVE = 24  # s between neighbours' programmes: 400 m at 60 km/h


def nodes(signals: int) -> str:
    """Return the plain nodes of a corridor of so many signals, its middle at the origin; netconvert takes degrees."""
    first = -SPACING * (signals - 1) / 2
    out = [_node("W", first - END, 0), _node("E", -first + END, 0)]
    for k in range(signals):
        x = first + SPACING * k
        out += [
            _node(f"J{k}", x, 0, f' type="traffic_light" tl="J{k}"'),
            _node(f"N{k}", x, SIDE),
            _node(f"S{k}", x, -SIDE),
        ]

    return "<nodes>" + "".join(out) + "</nodes>"


def _node(name: str, east: float, north: float, more: str = "") -> str:
    lon, lat = pyproj.Proj(PROJECTION)(east, north, inverse=True)
    return f'<node id="{name}" x="{lon:.9f}" y="{lat:.9f}"{more}/>'


def roads(signals: int) -> list[tuple[str, str, float, int]]:
    """Return every road, one way each: from, to, m/s, vehicle lanes."""
    line = ["W", *(f"J{k}" for k in range(signals)), "E"]
    ways = [(a, b, *MAIN) for a, b in pairwise(line)]
    ways += [(f"J{k}", f"{side}{k}", *CROSS) for k in range(signals) for side in "NS"]
    return [*ways, *((b, a, speed, lanes) for a, b, speed, lanes in ways)]


def edges(signals: int) -> str:
    """Return the plain edges: a sidewalk, a bicycle lane, then the vehicle lanes, from the right."""
    out = []
    for start, end, speed, lanes in roads(signals):
        inner = f'<lane index="0" allow="pedestrian" width="{WALK}"/><lane index="1" allow="bicycle" width="{BIKE}"/>'
        inner += "".join(
            f'<lane index="{FIRST + k}" disallow="pedestrian bicycle" width="{LANE}"/>' for k in range(lanes)
        )
        out.append(
            f'<edge id="{start}{end}" from="{start}" to="{end}" numLanes="{FIRST + lanes}" speed="{speed}">{inner}</edge>'
        )

    return "<edges>" + "".join(out) + "</edges>"


def connections(signals: int) -> str:
    """Return who may go where: the left lane turns left, the right one straight or right; and a crossing of each leg."""
    lanes = {f"{start}{end}": count for start, end, _, count in roads(signals)}
    out = []
    for k in range(signals):
        ring = [f"N{k}", "E" if k == signals - 1 else f"J{k + 1}", f"S{k}", "W" if k == 0 else f"J{k - 1}"]
        for n, leg in enumerate(ring):
            into = f"{leg}J{k}"
            left, ahead, right = (f"J{k}{ring[(n + turn) % 4]}" for turn in (1, 2, 3))
            last = FIRST + lanes[into] - 1

            pairs = [
                (into, left, last, FIRST + lanes[left] - 1),
                (into, right, FIRST, FIRST),
                (into, right, 1, 1),
                (into, ahead, 1, 1),
            ]
            pairs += [(into, ahead, index, index) for index in range(FIRST, last)]
            out += [f'<connection from="{a}" to="{b}" fromLane="{i}" toLane="{j}"/>' for a, b, i, j in pairs]
            out.append(f'<crossing node="J{k}" edges="J{k}{leg} {into}" width="4"/>')

    return "<connections>" + "".join(out) + "</connections>"


def programme(columns: dict[int, tuple[str, str]], signal: str, offset: int) -> str:
    """Return a fixed-time programme: `columns` gives each link's approach ("main", "side") and turn ("s", "l", "r", "walk")."""
    phases = []
    for name, green in CYCLE:
        shown = "".join(_shown(name, *columns[k]) for k in sorted(columns))
        walked = "".join("r" if columns[k][1] == "walk" else c for k, c in enumerate(shown))
        yellow = walked.replace("G", "y").replace("g", "y")
        phases += [(green - CLEAR, shown), (CLEAR, walked), (YELLOW, yellow), (ALL_RED, "r" * len(shown))]

    body = "".join(f'<phase duration="{s}" state="{state}"/>' for s, state in phases)
    return f'<tlLogic id="{signal}" type="static" programID="0" offset="{offset}">{body}</tlLogic>'


def _shown(phase: str, road: str, turn: str) -> str:
    if turn == "walk":  # people cross a road while the other one has its straight green
        return "G" if phase == ("side" if road == "main" else "main") else "r"
    if turn == "l":
        return "G" if phase == f"{road} left" else "r"
    return ("g" if turn == "r" else "G") if phase == road else "r"


def build(folder: Path, signals: int, out: Path) -> None:
    """Write the network of a corridor of so many signals. Raises CalledProcessError with what netconvert said."""
    home = Path(str(files("sumo")))
    os.environ.setdefault("PROJ_DATA", str(home / "data" / "proj"))
    base = [str(home / "bin" / "netconvert"), "--no-turnarounds", "--junctions.corner-detail", "5", "--no-warnings"]
    plain = {"-n": nodes(signals), "-e": edges(signals), "-x": connections(signals)}
    rough = folder / "rough.net.xml"
    arguments = ["--proj", PROJECTION]

    for option, text in plain.items():
        (folder / f"plain{option}.xml").write_text(text)
        arguments += [option, str(folder / f"plain{option}.xml")]

    subprocess.run([*base, *arguments, "-o", str(rough)], check=True, capture_output=True)
    programmes = "".join(programme(columns(rough, f"J{k}"), f"J{k}", WAVE * k % 90) for k in range(signals))
    (folder / "signals.xml").write_text(f"<tlLogics>{programmes}</tlLogics>")
    whole = folder / "whole.net.xml"
    subprocess.run(
        [*base, "-s", str(rough), "-i", str(folder / "signals.xml"), "-o", str(whole)], check=True, capture_output=True
    )
    text = re.sub(r"<!--.*?-->\s*", "", whole.read_text(), flags=re.DOTALL)  # when and where it was made
    out.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def columns(net: Path, signal: str) -> dict[int, tuple[str, str]]:
    """Return each link's approach and turn of a signal, as netconvert numbered them."""
    root = ET.parse(net).getroot()
    crossed = {
        edge.attrib["id"]: edge.attrib["crossingEdges"] for edge in root.iter("edge") if "crossingEdges" in edge.attrib
    }
    out: dict[int, tuple[str, str]] = {}

    for c in root.iter("connection"):
        if c.get("tl") == signal:
            walk = c.attrib["to"] in crossed
            edge = crossed[c.attrib["to"]].split()[0] if walk else c.attrib["from"]
            road = "side" if "N" in edge or "S" in edge else "main"
            out[int(c.attrib["linkIndex"])] = (road, "walk" if walk else {"s": "s", "l": "l"}.get(c.attrib["dir"], "r"))

    return out


def main() -> None:
    """Write every map into this folder."""
    codes = import_module("cloudctl.codes")  # this script stands above its layer
    with tempfile.TemporaryDirectory() as scratch:
        for name, signals in (("corridor", 5), ("intersection", 1)):
            net = HERE / f"{name}.net.xml.gz"
            build(Path(scratch), signals, net)
            for k, code in enumerate(codes.import_sumo(net, adm=ADM)):
                file = f"{name}-{k + 1}.json" if signals > 1 else f"{name}.json"
                (HERE / file).write_bytes(codes.dump(code))


if __name__ == "__main__":
    main()
