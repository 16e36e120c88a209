"""A SUMO scenario and what the loop needs of it: its network as digital codes, its intersections' frames, its roadside
units.
"""

import gzip
import os
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

import numpy as np

from ... import codes, maps
from ...codes import CompiledCode, compile_code
from ...errors import CloudctlError
from ...schema import Sensor

RSUS = 3  # roadside units per intersection
FIRST_POLE = 0.4  # rad, of the first roadside unit, counter-clockwise from east
DEFAULT_SPAN = 3600.0  # s, of a scenario that gives no end
POLE_M = 16.0  # of a roadside unit's pole from the middle of the intersection
RANGE_M = 120.0


class ScenarioError(CloudctlError, ValueError):
    """A scenario that cannot be run; the text gives the remedy."""


@dataclass(frozen=True, kw_only=True)
class Rsu:
    """One roadside unit: its pole in the intersection's frame (m), and on the globe."""

    id: str
    x: float
    y: float
    lat: float
    lon: float
    sensor: Sensor


@dataclass(frozen=True, kw_only=True)
class Junction:
    """One signalised intersection: its code, and SUMO's coordinates -> its local frame (`local = xy @ turn +
    shift`).
    """

    code: CompiledCode
    signal: str  # SUMO's tlLogic id
    turn: np.ndarray
    shift: np.ndarray
    rsus: tuple[Rsu, ...]

    @property
    def id(self) -> str:
        """The id of its code."""
        return self.code.code.id

    def local(self, xy: np.ndarray) -> np.ndarray:
        """Return float64[n, 2] metres east-north of the intersection's origin."""
        return xy @ self.turn + self.shift


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A SUMO configuration with its digital codes."""

    name: str
    sumocfg: Path
    net: Path
    begin: float
    end: float
    junctions: tuple[Junction, ...]
    extra: tuple[str, ...] = ()
    additional: tuple[Path, ...] = ()  # the configuration's own additional files
    gateways: dict[str, dict[str, str]] = field(default_factory=dict)


def load(sumocfg: Path, name: str | None = None, say: Callable[[str], None] = lambda _: None) -> Scenario:
    """Import any SUMO scenario with signals; raises ScenarioError with the reason and the remedy."""
    os.environ.setdefault("PROJ_DATA", str(files("sumo") / "data" / "proj"))
    if not sumocfg.is_file():
        raise ScenarioError(f"{sumocfg} does not exist. Give the .sumocfg of a SUMO scenario")

    options = _options(sumocfg)
    if "net-file" not in options:
        raise ScenarioError(f'{sumocfg} names no net-file. A scenario needs <net-file value="..."/> under <input>')

    net = (sumocfg.parent / options["net-file"]).resolve()
    say(f"importing {net.name}")
    extra = [(sumocfg.parent / name).resolve() for name in options.get("additional-files", "").split(",") if name]
    imported = codes.import_sumo(net, additional=extra, unsignalised=False)
    if not imported:
        raise ScenarioError(f"{net} has no signalised intersection; cloudctl places roadside units at signals")

    shapes = _lane_shapes(net)
    junctions = tuple(_junction(code, shapes, index) for index, code in enumerate(imported))
    begin, end = _seconds(options.get("begin", "0")), _seconds(options.get("end", "-1"))
    name = name or sumocfg.stem
    gateways = {f"{name}-gateway": {rsu.id: junction.id for junction in junctions for rsu in junction.rsus}}

    return Scenario(
        name=name,
        sumocfg=sumocfg,
        net=net,
        begin=begin,
        end=end if end > begin else begin + DEFAULT_SPAN,
        junctions=junctions,
        additional=tuple(extra),
        gateways=gateways,
    )


def braunschweig(say: Callable[[str], None] = lambda _: None) -> Scenario:
    """Return the real Braunschweig intersection that ships in SUMO's wheel: cars, bicycles and pedestrians as
    recorded.
    """
    return load(Path(str(files("sumo") / "tools" / "game" / "fokr_bs_demo.sumocfg")), "braunschweig", say)


def drt(folder: Path, say: Callable[[str], None] = lambda _: None) -> Scenario:
    """Return the part of Berlin that ships in SUMO's wheel for its demand-responsive game, with demand written into
    `folder`.
    """
    from .city import write

    scenario = load(write(folder, Path(str(files("sumo") / "tools" / "game" / "DRT" / "osm.net.xml"))), "drt", say)
    return replace(scenario, extra=("--ignore-route-errors", "--ignore-junction-blocker", "10"))


def corridor(folder: Path, say: Callable[[str], None] = lambda _: None, flow: float = 1.0) -> Scenario:
    """Return our corridor of five signals at Beijing E-Town, with demand written into `folder`."""
    from .demand import write_corridor

    return load(write_corridor(folder, maps.path("corridor.net.xml.gz"), flow), "corridor", say)


def inputs(sumocfg: Path) -> list[Path]:
    """Return the files a SUMO configuration is made of, itself first, those that exist."""
    options = _options(sumocfg)
    names = [
        name
        for key in ("net-file", "route-files", "additional-files")
        for name in options.get(key, "").split(",")
        if name
    ]

    return [sumocfg, *(file for name in names if (file := (sumocfg.parent / name.strip()).resolve()).is_file())]


def _options(sumocfg: Path) -> dict[str, str]:
    try:
        root = ET.parse(sumocfg).getroot()
    except ET.ParseError as error:
        raise ScenarioError(f"{sumocfg} is not a SUMO configuration: {error}") from None
    return {node.tag: node.attrib["value"] for node in root.iter() if "value" in node.attrib}


def _seconds(text: str) -> float:
    """Return a SUMO time: seconds, or [days:]hours:minutes:seconds."""
    total = 0.0
    for part, unit in zip(reversed(text.split(":")), (1, 60, 3600, 86_400), strict=False):
        total += float(part) * unit
    return total


def _lane_shapes(net: Path) -> dict[str, np.ndarray]:
    opener = gzip.open if net.suffix == ".gz" else open
    shapes = {}

    with opener(net, "rb") as file:
        for _, lane in ET.iterparse(file):
            if lane.tag == "lane":
                shapes[lane.attrib["id"]] = np.array(
                    [[float(value) for value in pair.split(",")[:2]] for pair in lane.attrib["shape"].split()]
                )

    return shapes


def _junction(code: codes.IntersectionCode, shapes: dict[str, np.ndarray], number: int) -> Junction:
    compiled = compile_code(code)
    turn, shift = _frame(compiled, shapes)
    rsus = []

    for index in range(RSUS):
        angle = 2 * np.pi * index / RSUS + FIRST_POLE
        x, y = POLE_M * np.cos(angle), POLE_M * np.sin(angle)
        lat, lon = (float(value) for value in compiled.origin.to_geodetic(x, y))

        sensor = Sensor(
            id="fused",
            type="camera+radar",
            lat=lat,
            lon=lon,
            heading=float(angle),
            fov=2 * np.pi,
            range=RANGE_M,
            hz=10.0,
        )

        rsus.append(Rsu(id=f"rsu-{number}-{index}", x=float(x), y=float(y), lat=lat, lon=lon, sensor=sensor))

    return Junction(code=compiled, signal=_signal_id(code), turn=turn, shift=shift, rsus=tuple(rsus))


def _frame(code: CompiledCode, shapes: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Fit SUMO's coordinates to the code's frame by the lanes both know: exact but for projection, so least squares."""
    sumo_points, code_points = [], []
    for alias, lane in code.lane_alias.items():
        if alias in shapes:
            shape = shapes[alias]
            begin, end = code.path_start[lane], code.path_start[lane + 1]
            # Lines with the same number of points have their last two in common, others (joined, thinned) the last one.
            has_same_points = end - begin == len(shape)
            sumo_points += [shape[-1], shape[-2] if has_same_points else shape[-1]]
            code_points += [code.path_xy[end - 1], code.path_xy[end - 2 if has_same_points else end - 1]]

    sumo_xy, code_xy = np.array(sumo_points), np.array(code_points)
    middle = sumo_xy.mean(axis=0)
    solved, *_ = np.linalg.lstsq(np.c_[sumo_xy - middle, np.ones(len(sumo_xy))], code_xy, rcond=None)
    return solved[:2], solved[2] - middle @ solved[:2]


def _signal_id(code: codes.IntersectionCode) -> str:
    return next(str(alias.value) for alias in code.alias if alias.kind == "sumo_tl")
