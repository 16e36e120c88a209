"""Dangerous drivers, so that there is something to warn of: red-light runners and careless ones, as copies of a
scenario's own vehicle types.
"""

import xml.etree.ElementTree as ET
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from ..scenario.scenario import Scenario, inputs

# s: drives on when the red is younger
LATE = {"jmDriveAfterRedTime": "4", "jmDriveAfterYellowTime": "6"}
RECKLESS = {"jmDriveAfterRedTime": "300", "jmDriveAfterYellowTime": "60", "speedFactor": "1.2"}
CARELESS = {
    "sigma": "0.9",
    "speedFactor": "1.25",
    "tau": "0.7",
    "jmIgnoreFoeProb": "0.4",
    "jmIgnoreFoeSpeed": "12",
    "jmTimegapMinor": "0.3",
    "jmCrossingGap": "1",
    "impatience": "0.9",
}
WAYS = {"late": LATE, "reckless": RECKLESS, "careless": CARELESS}
SHARES = {"late": 0.10, "reckless": 0.12, "careless": 0.10}
VIOLATORS = SHARES["late"] + SHARES["reckless"]  # of drivers, run reds
SPEED_ATTRIBUTES = ("speedDev", "speedFactor")
UNTOUCHED = ("bicycle", "pedestrian")
PLAIN = ET.fromstring('<vType id="DEFAULT_VEHTYPE" vClass="passenger"/>')


def write_types(scenario: Scenario, file: Path) -> tuple[str, ...]:
    """Write each motor type of a scenario in each of WAYS, named TYPE~WAY; return SUMO's arguments that load it.

    `vehicletype.setParameter` does not make SUMO run reds; a type from a file does.
    """
    types = {"DEFAULT_VEHTYPE": PLAIN}
    files = [
        path for path in inputs(scenario.sumocfg) if path.name.endswith(".xml") and not path.name.endswith(".net.xml")
    ]
    for source in files:
        for _, node in ET.iterparse(source):
            if node.tag == "vType" and node.get("vClass", "passenger") not in UNTOUCHED:
                types[node.attrib["id"]] = node

    root = ET.Element("additional")
    for node in types.values():
        for manner, changes in WAYS.items():
            attributes = {key: value for key, value in node.attrib.items() if key not in SPEED_ATTRIBUTES}
            if "speedFactor" not in changes:
                attributes |= {key: value for key, value in node.attrib.items() if key in SPEED_ATTRIBUTES}
            ET.SubElement(root, "vType", attributes | changes | {"id": f"{node.attrib['id']}~{manner}"})

    file.parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(root).write(file)
    # SUMO takes one list: the scenario's own come along
    additional = [*map(str, scenario.additional), str(file)]
    return ("--additional-files", ",".join(additional))


def shares_of(violators: float) -> dict[str, float]:
    """Return the share of drivers in each of WAYS when `violators` of all run reds, late and reckless ones in the
    proportion of SHARES.
    """
    more = violators / VIOLATORS
    return {manner: share if manner == "careless" else share * more for manner, share in SHARES.items()}


def way_of(name: str, seed: int, shares: Mapping[str, float] = MappingProxyType(SHARES)) -> str | None:
    """Return how a vehicle drives: one of WAYS or None; decided by its name and the seed."""
    draw = zlib.crc32(f"way {seed}:{name}".encode()) / 2**32
    for manner, share in shares.items():
        if draw < share:
            return manner
        draw -= share

    return None


def typed(kind: str, manner: str) -> str:
    """Return the name of a type in one of WAYS; `kind` as a vehicle has it, which may be a copy of its own
    (TYPE@VEHICLE).
    """
    return f"{kind.partition('@')[0]}~{manner}"
