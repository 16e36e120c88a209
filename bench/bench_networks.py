"""Digital codes of SUMO networks: how many have no error, over networks of many makers and of netgenerate; and what 900
signals cost.

Networks are those of the eclipse-sumo wheel, generated ones of every kind (NETWORKS_SEED, default 1, makes others), and
those in NETWORKS: folders, wheels or archives, with a colon between. Junctions without a signal are codes, too.
"""

import os
import subprocess
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import sumo
from cloudctl.sim.common.terminal import table

from cloudctl import codes
from cloudctl.clock import SECOND, cpu
from cloudctl.codes import CodeError

LARGE_GRID = 30  # junctions a side of the network that is timed
MAX_KINDS = 20  # of errors listed
SHAPES = {
    "grid": ("--grid", "--grid.number", "3", "--grid.length", "120", "--grid.attach-length", "80"),
    "spider": ("--spider", "--spider.arm-number", "7", "--spider.circle-number", "2"),
    "rand": ("--rand", "--rand.iterations", "40"),
}
SIGNALS = {
    "static": ("-j", "traffic_light"),
    "actuated": ("-j", "traffic_light", "--tls.default-type", "actuated"),
    "NEMA": ("-j", "traffic_light", "--tls.default-type", "NEMA"),
    "incoming": ("-j", "traffic_light", "--tls.layout", "incoming"),
    "grouped": ("-j", "traffic_light", "--tls.group-signals"),
    "guessed": ("--tls.guess", "--tls.guess.threshold", "20"),
    "priority": ("-j", "priority"),
    "all-way stop": ("-j", "allway_stop"),
    "right before left": ("-j", "right_before_left"),
    "zipper": ("-j", "zipper"),
    "traffic_light_right_on_red": ("-j", "traffic_light_right_on_red"),
}
ROADS = {
    "": (),
    "lanes": ("-L", "3", "--turn-lanes", "1", "--turn-lanes.length", "30"),
    "left-hand": ("--lefthand", "-L", "2"),
    "random lanes": ("-L", "3", "--random-lanenumber", "--random-priority"),
    "people": (
        "-L",
        "2",
        "--sidewalks.guess",
        "--crossings.guess",
        "--bikelanes.guess",
        "--default.sidewalk-width",
        "2",
        "--default.bikelane-width",
        "1.5",
    ),
    "no inner lanes": ("--no-internal-links",),
    "no turning back": ("--no-turnarounds", "-L", "2"),
}


class Count(NamedTuple):
    """What came of one network: codes with a signal, without one, and those of both that have no error."""

    signalled: int
    others: int
    sound: int
    seconds: float
    errors: Counter[str]


def run() -> str:
    """Return the report: of how many networks a sound code is made, and the errors of the others."""
    rows: list[list[object]] = []
    totals: dict[str, list[int]] = {}
    total_, errors = [0, 0, 0], Counter[str]()

    with tempfile.TemporaryDirectory() as folder:
        for name, path in networks(Path(folder)):
            try:
                count = counted(path)
            except CodeError as error:
                finding = error.findings[0]
                rows.append([name, "-", "-", "-", "-", f"{finding.field}: {finding.rule}"[:70]])
                continue

            total = totals.setdefault(name.partition(", ")[0], [0, 0, 0])
            totals[name.partition(", ")[0]] = [
                first + second
                for first, second in zip(total, (count.signalled, count.others, count.sound), strict=True)
            ]
            total_ = [
                first + second
                for first, second in zip(total_, (count.signalled, count.others, count.sound), strict=True)
            ]

            errors += count.errors
            if not name.startswith("made:") or count.errors:
                rows.append(
                    [
                        name,
                        count.signalled,
                        count.others,
                        count.sound,
                        f"{count.seconds:.1f}",
                        next(iter(count.errors), "")[:70],
                    ]
                )

        large, cost = large_grid(Path(folder))

    rows += [[f"{name}, all together", *total, "", ""] for name, total in totals.items() if name.startswith("made:")]
    made_in_all = total_[0] + total_[1]
    lines = [table(["network", "signals", "others", "sound", "s", "not"], rows)]
    lines += [f"{occurrences} x {error}" for error, occurrences in errors.most_common(MAX_KINDS)]
    lines.append(
        f"{total_[2]} of {made_in_all} codes without an error: {100 * total_[2] / made_in_all:.2f} %; must be 98 "
        "% at least"
    )
    lines.append(
        f"{large} signals, a grid of {LARGE_GRID} x {LARGE_GRID}: imported in {cost:.1f} s of processor time; "
        "must be 20 s at most"
    )

    return "\n".join(lines)


def counted(path: Path) -> Count:
    """Return what comes of a network. Raises CodeError where it is refused."""
    begin = cpu()
    imported = codes.import_sumo(path, unsignalised=True)
    seconds = (cpu() - begin) / SECOND
    errors = Counter[str]()
    sound_count = 0

    for code in imported:
        errors_found = [finding for finding in codes.validate(code) if finding.severity == "error"]
        sound_count += not errors_found
        errors.update({f"{finding.field}: {finding.rule}" for finding in errors_found[:1]})

    lost = [loss for loss in imported.losses if loss.entity == "intersection"]
    errors.update({f"left out: {loss.detail}": loss.count for loss in lost})
    signalled = sum(code.control == "signal" for code in imported)

    return Count(
        signalled=signalled,
        others=len(imported) - signalled + sum(loss.count for loss in lost),
        sound=sound_count,
        seconds=seconds,
        errors=errors,
    )


def networks(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the networks, each with its name."""
    sumo_home = Path(sumo.SUMO_HOME)
    for path in sorted((sumo_home / "tools").rglob("*.net.xml*")):
        yield f"wheel/{path.parent.name}/{path.name}", path

    for text in filter(None, os.environ.get("NETWORKS", "").split(":")):
        path_ = Path(text)
        if path_.is_file():
            with zipfile.ZipFile(path_) as archive:
                names = [name for name in archive.namelist() if ".net.xml" in name]
                archive.extractall(folder / path_.stem, names)
            path_ = folder / path_.stem

        for path in sorted(path_.rglob("*.net.xml*")):
            yield f"{path_.name}/{path.name}", path

    yield from _generated(folder, sumo_home / "bin" / "netgenerate")


def _generated(folder: Path, program: Path) -> Iterator[tuple[str, Path]]:
    seed = os.environ.get("NETWORKS_SEED", "1")
    for (shape, shape_options), (signals, signal_options), (roads, road_options) in product(
        SHAPES.items(), SIGNALS.items(), ROADS.items()
    ):
        path = folder / "generated.net.xml"
        if _made([program, *shape_options, *signal_options, *road_options, "--seed", seed, "-o", path]):
            yield f"made: {shape}, {signals}" + (f", {roads}" if roads else ""), path


def _made(command: list[str | Path]) -> bool:
    process = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "SUMO_HOME": sumo.SUMO_HOME})
    return process.returncode == 0


def large_grid(folder: Path) -> tuple[int, float]:
    """Return how many codes a grid with a signal at each junction makes, and what its import costs, s of processor
    time."""
    path = folder / "large.net.xml"
    program = Path(sumo.SUMO_HOME) / "bin" / "netgenerate"

    _made(
        [
            program,
            "--grid",
            "--grid.number",
            str(LARGE_GRID),
            "--grid.length",
            "200",
            "-L",
            "2",
            "-j",
            "traffic_light",
            "-o",
            path,
        ]
    )

    begin = cpu()
    imported = codes.import_sumo(path)
    return len(imported), (cpu() - begin) / SECOND
