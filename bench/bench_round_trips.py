"""Round trips: every code that can be had here goes out as MAPEM and as YD/T 3709 and is read back; how many
differences of each kind.

Codes come from maps/, the networks inside the eclipse-sumo wheel, four generated ones, and ../shared/data where it is.
A difference that the export does not declare refuses it; the counts of those that must never be (raised, cut, moved,
opened) stand first.
"""

import json
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from cloudctl.sim.common.terminal import table

from cloudctl import codes
from cloudctl.codes import CodeError, IntersectionCode
from cloudctl.codes.formats.differences import Difference
from cloudctl.codes.formats.export import Number, export_code

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
TARGETS = ("mapem", "ydt3709")
NEVER = ("raised", "cut", "moved", "opened")
GENERATED = (
    ("--grid", "--grid.number", "4", "--default.lanenumber", "2"),
    ("--grid", "--grid.number", "3", "--default.lanenumber", "3", "--turn-lanes", "1"),
    ("--spider", "--spider.arm-number", "6"),
    ("--rand", "--rand.iterations", "60", "--seed", "7"),
)
SIZE = 60_000_000  # bytes of a file, above which it is no map of one place


def run() -> str:
    """Return the report: what of each code comes back from each format, and why codes are refused."""
    kinds: dict[str, Counter[tuple[str, str]]] = {to: Counter() for to in TARGETS}
    refused: dict[str, Counter[str]] = {to: Counter() for to in TARGETS}
    counts: Counter[str] = Counter()

    for _, code in sources():
        counts["codes"] += 1
        counts["connections"] += sum(connection.inner for connection in code.connections)

        for to in TARGETS:
            try:
                exported = export_code(code, to, number=Number(id=300, region=10))
            except CodeError as error:
                finding = error.findings[0]
                refused[to][f"{finding.field.split('.')[-1]}: {finding.rule}"] += 1
                continue

            counts[to] += 1
            kinds[to].update({_kind(difference) for difference in exported.differences})

    rows = [
        [f"{name} {change}", *(kinds[to][name, change] for to in TARGETS)]
        for name, change in sorted({key for to in TARGETS for key in kinds[to]}, key=_order)
    ]
    first = table(
        [f"{counts['codes']} codes, {counts['connections']} connections", *TARGETS],
        [["came back", *(counts[to] for to in TARGETS)], ["refused", *(sum(refused[to].values()) for to in TARGETS)]],
    )

    reasons = table(
        ["why refused", *TARGETS],
        [
            [reason[:110], *(refused[to][reason] for to in TARGETS)]
            for reason in sorted({refusal for to in TARGETS for refusal in refused[to]})
        ],
    )

    return "\n\n".join([first, table(["codes with a difference, all declared", *TARGETS], rows), reasons])


def _kind(difference: Difference) -> tuple[str, str]:
    return difference.field, difference.what


def _order(key: tuple[str, str]) -> tuple[bool, str, str]:
    return key[1] not in NEVER, *key


def sources() -> Iterator[tuple[str, IntersectionCode]]:
    """Yield every code that can be made of the files here, by the file's name; files that are no map, and codes with an
    error, are passed over."""
    with tempfile.TemporaryDirectory() as folder:
        files = [
            *sorted((ROOT / "maps").glob("*.json")),
            *_networks(),
            *_generated(Path(folder)),
            *(sorted(path for path in DATA.rglob("*") if path.is_file()) if DATA.exists() else []),
        ]
        for file in files:
            if file.stat().st_size > SIZE:
                continue

            for index, data in enumerate(_messages(file)):
                try:
                    codes_read = codes.read_any(data, str(file), unsignalised=True)
                except CodeError:
                    continue

                for code in codes_read:
                    if not any(finding.severity == "error" for finding in codes.validate(code)):
                        yield f"{file.name} {index}", code


def _messages(file: Path) -> list[bytes]:
    """Return what of a file may be a map: itself, or the messages that it lists."""
    data = file.read_bytes()
    if file.name == "j2735_uper_hex.json":
        return [row["hex"].encode() for row in json.loads(data)["MAP"]]

    if file.suffix == ".csv" and file.name.startswith("MAP"):
        return [
            line[line.index("{") :].replace('"@MINUTE_OF_YEAR@"', "1").encode()
            for line in data.decode().splitlines()
            if "{" in line
        ]

    if file.suffix == ".md" and b"```json" in data:
        return [re.sub(r"//[^\n]*", "", data.decode().split("```json")[1].split("```")[0]).encode()]

    return [data]


def _networks() -> list[Path]:
    """Return the networks inside the eclipse-sumo wheel."""
    spec = find_spec("sumo")
    sumo_home = Path(next(iter(spec.submodule_search_locations or []))) if spec else None
    if sumo_home:
        return sorted([*sumo_home.rglob("*.net.xml"), *sumo_home.rglob("*.net.xml.gz")])
    return []


def _generated(folder: Path) -> list[Path]:
    """Return networks of netgenerate: grids with signals, a spider, a random one."""
    spec = find_spec("sumo")
    if not spec:
        return []

    tool = Path(next(iter(spec.submodule_search_locations or []))) / "bin" / "netgenerate"
    files = []

    for index, options in enumerate(GENERATED):
        file = folder / f"generated-{index}.net.xml"
        subprocess.run(
            [
                str(tool),
                *options,
                "--tls.guess",
                "--default-junction-type",
                "traffic_light",
                "--output-file",
                str(file),
            ],
            check=True,
            capture_output=True,
        )

        files.append(file)

    return files
