"""Makes the maps: `python -m cloudctl.sim.make_maps`. A corridor of five signals and one four-leg intersection at Beijing E-Town.

The roads are plain XML written here, netconvert makes the network, the importer makes the codes.
"""

import itertools
import os
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from importlib.resources import files
from pathlib import Path

from .. import codes
from ..codes.sumo_net import read_net
from ..geo import Origin
from ..maps import HERE

LAT, LON = 39.7955, 116.5080
PROJECTION = f"+proj=tmerc +lat_0={LAT} +lon_0={LON} +k=1 +x_0=0 +y_0=0 +ellps=GRS80 +units=m +no_defs"
ADM = "110115403"
SPACING = 400.0  # m between signals
SIDE = 250.0  # m of side road
END = 450.0  # m of main road before the first and after the last signal
MAIN, CROSS = (16.67, 3), (11.11, 2)  # m/s, lanes
CYCLE = (
    ("main", 36),
    ("main left", 12),
    ("side", 22),
    ("side left", 8),
)  # s of green; each followed by 3 s of yellow and 1 s of red


def nodes(signals: int) -> str:
    """Return the plain nodes of a corridor of so many signals, the middle one at the origin."""
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
    lat, lon = Origin(LAT, LON).to_geodetic(east, north)
    return f'<node id="{name}" x="{lon:.9f}" y="{lat:.9f}"{more}/>'


def edges(signals: int) -> str:
    """Return the plain edges: each road both ways, a bicycle lane and a sidewalk on every side."""
    line = ["W", *(f"J{k}" for k in range(signals)), "E"]
    roads = [(a, b, MAIN) for a, b in itertools.pairwise(line)]
    roads += [(f"J{k}", f"{side}{k}", CROSS) for k in range(signals) for side in "NS"]
    out = []
    for a, b, (speed, lanes) in roads:
        for start, end in ((a, b), (b, a)):
            out.append(
                f'<edge id="{start}{end}" from="{start}" to="{end}" numLanes="{lanes}" speed="{speed}" sidewalkWidth="2.5" bikeLaneWidth="1.8"/>'
            )
    return "<edges>" + "".join(out) + "</edges>"


def programme(states: dict[int, tuple[str, str]], signal: str, offset: int) -> str:
    """Return a fixed-time programme: `states` gives each column's approach ("main", "side") and turn ("s", "l", "r", "walk")."""
    phases = []
    for name, green in CYCLE:
        shown = "".join(_shown(name, *states[k]) for k in sorted(states))
        walk_ends = "".join("r" if states[k][1] == "walk" else c for k, c in enumerate(shown))
        phases += [
            (green - 6, shown),
            (6, walk_ends),
            (3, walk_ends.replace("G", "y").replace("g", "y")),
            (1, "r" * len(shown)),
        ]
    body = "".join(f'<phase duration="{s}" state="{state}"/>' for s, state in phases if s > 0)
    return f'<tlLogic id="{signal}" type="static" programID="0" offset="{offset}">{body}</tlLogic>'


def _shown(phase: str, road: str, turn: str) -> str:
    if turn == "walk":  # people cross the other road while this one has its straight green
        return "G" if phase == ("side" if road == "main" else "main") else "r"
    if turn == "l":
        return "G" if phase == f"{road} left" else "r"
    if turn == "r":
        return "g" if phase == road else "r"
    return "G" if phase == road else "r"


def build(folder: Path, signals: int, out: Path) -> None:
    """Write the network of a corridor of so many signals."""
    home = Path(str(files("sumo")))
    os.environ.setdefault("PROJ_DATA", str(home / "data" / "proj"))
    (folder / "n.xml").write_text(nodes(signals))
    (folder / "e.xml").write_text(edges(signals))
    base = [
        str(home / "bin" / "netconvert"),
        "--crossings.guess",
        "--no-turnarounds",
        "--tls.default-type",
        "static",
        "--junctions.corner-detail",
        "5",
        "--no-warnings",
    ]
    rough = folder / "rough.net.xml"
    subprocess.run(
        [*base, "--proj", PROJECTION, "-n", str(folder / "n.xml"), "-e", str(folder / "e.xml"), "-o", str(rough)],
        check=True,
        capture_output=True,
    )
    (folder / "t.xml").write_text(
        "<tlLogics>"
        + "".join(programme(_columns(rough, f"J{k}"), f"J{k}", 24 * k % 90) for k in range(signals))
        + "</tlLogics>"
    )
    subprocess.run(
        [*base, "-s", str(rough), "-i", str(folder / "t.xml"), "-o", str(out)], check=True, capture_output=True
    )


def _columns(net: Path, signal: str) -> dict[int, tuple[str, str]]:
    out: dict[int, tuple[str, str]] = {}
    for c in read_net(net).connections:
        if c.get("tl") == signal:
            if c["from"].startswith(":"):
                out[int(c["linkIndex"])] = (_crossed(net, c["to"]), "walk")
            else:
                road = "side" if c["from"][0] in "NS" else "main"
                out[int(c["linkIndex"])] = (road, {"s": "s", "l": "l", "L": "l"}.get(c["dir"], "r"))
    return out


def _crossed(net: Path, crossing: str) -> str:
    edge = next(e for e in ET.parse(net).iter("edge") if e.get("id") == crossing)
    return (
        "side" if any(name[0] in "NS" or name[-2] in "NS" for name in edge.attrib["crossingEdges"].split()) else "main"
    )


def main() -> None:
    """Write every map into maps/."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, signals in (("corridor", 5), ("intersection", 1)):
            net = HERE / f"{name}.net.xml.gz"
            build(Path(scratch), signals, net)
            made = codes.import_sumo(net, adm=ADM)
            for k, code in enumerate(made):
                (HERE / (f"{name}-{k + 1}.json" if signals > 1 else f"{name}.json")).write_bytes(codes.dump(code))


if __name__ == "__main__":
    main()
