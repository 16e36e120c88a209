"""Signal programmes that traffic drives: SUMO's `actuated` and `delay_based` control on the phases a scenario has
already.

Every phase keeps its state and its place in the cycle, so signal groups and clearance times are those of the fixed
programme. One that shows a green and
no change (yellow, red and yellow), for MIN_STAGE or longer, may last from its own duration or MIN_GREEN, whichever is
shorter, up to MAX_GREEN (netconvert's
`--tls.min-dur` and `--tls.max-dur`); every other phase lasts as long as it did, the clearance time of pedestrians
among them. Detectors, gaps and time
losses are SUMO's defaults.

`nema` changes nothing: rings and barriers are not to be had from a list of phases. A network must bring such a
programme.
"""

import gzip
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .scenario import Scenario, ScenarioError

SIGNALS = ("fixed", "actuated", "delay_based", "nema")
MIN_GREEN, MAX_GREEN = 5.0, 50.0  # s; what netconvert gives an actuated phase
MIN_STAGE = 3.0  # s; a shorter phase without a change is a step of a transition
CHANGES = "yYu"
GREEN = "gG"


def with_signals(scenario: Scenario, kind: str, folder: Path) -> Scenario:
    """Return a scenario whose signals are of one of SIGNALS; programmes are written into `folder`.

    Raises ScenarioError for what the network does not have: phases that traffic may change, or a NEMA programme.
    """
    if kind not in SIGNALS:
        raise ScenarioError(f"--signals {kind}: must be one of {', '.join(SIGNALS)}")
    if kind == "fixed":
        return scenario

    active = active_programs(scenario)
    if kind == "nema":
        without = [signal for signal, logic in active.items() if logic.get("type") != "NEMA"]
        if without:
            raise ScenarioError(
                f"--signals nema: signal {without[0]} of {scenario.net.name} has no ring-barrier programme. "
                'Give a network whose tlLogic is of type="NEMA", or take actuated or delay_based'
            )

        return scenario

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{kind}.add.xml"
    root = ET.Element("additional")
    root.extend(_responsive(logic, kind) for logic in active.values())
    ET.ElementTree(root).write(file)

    return replace(scenario, additional=(*scenario.additional, file))


def active_programs(scenario: Scenario) -> dict[str, ET.Element]:
    """Return the tlLogic in force of each signal of a scenario, by its id: the one that is loaded last."""
    signals = {junction.signal for junction in scenario.junctions}
    programs: dict[str, ET.Element] = {}

    for file in (scenario.net, *scenario.additional):
        for logic in _logics(file):
            if logic.attrib["id"] in signals:
                programs[logic.attrib["id"]] = logic

    return programs


def _logics(file: Path) -> Iterator[ET.Element]:
    opener = gzip.open if file.suffix == ".gz" else open
    with opener(file, "rb") as stream:
        for _, node in ET.iterparse(stream):
            if node.tag == "tlLogic":
                yield node


def _responsive(logic: ET.Element, kind: str) -> ET.Element:
    """Return a copy of a programme under control of `kind`."""
    element = ET.Element("tlLogic", id=logic.attrib["id"], type=kind, programID=kind, offset="0")
    phases = [(float(phase.attrib["duration"]), phase.attrib["state"]) for phase in logic.iter("phase")]
    changeable = 0

    for index, (duration, state) in enumerate(phases):
        shortest, longest = duration, duration
        if duration >= MIN_STAGE and _is_stage(state, phases[index - 1][1]):
            shortest, longest = min(duration, MIN_GREEN), max(duration, MAX_GREEN)
            changeable += 1

        ET.SubElement(
            element, "phase", duration=f"{duration:g}", minDur=f"{shortest:g}", maxDur=f"{longest:g}", state=state
        )

    if not changeable:
        raise ScenarioError(
            f"--signals {kind}: no phase of signal {logic.attrib['id']} shows a green for {MIN_STAGE:g} s without a"
            " change. Give a network whose programme has one, or take --signals fixed"
        )

    return element


def _is_stage(state: str, before: str) -> bool:
    """Return whether a phase shows a green and no change, and is more than the phase `before` it with some greens taken
    off: the clearance time of a crossing.
    """
    steady = any(letter in GREEN for letter in state) and not any(letter in CHANGES for letter in state)
    clears = all(now == then or (now == "r" and then in GREEN) for now, then in zip(state, before, strict=True))
    return steady and not (clears and state != before)
