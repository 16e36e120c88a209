"""Reading the signal programmes of a SUMO network."""

from ..importing.accounting import XmlRecord
from .network import Net, NetPhase, NetProgram
from .vocabulary import CONTROLLER_KEYS, IS_ACTUATED_TYPE, LETTER_OF_STATE, RING_KEYS


def take_program(net: Net, record: XmlRecord) -> None:
    """Take in a `tlLogic`; one without phases is left out, with the reason."""
    kind = record.get("type", "static")
    actuated = record.choice("type", IS_ACTUATED_TYPE, True)
    keys = {}

    for row in record.children("param"):
        key, value = row.get("key"), row.get("value")
        if key in RING_KEYS:
            keys[key] = value
        elif key not in CONTROLLER_KEYS:
            row.unknown("key", key, "left out")

    phases = [_phase(row) for row in record.children("phase")]
    # Where the simulation begins, not the day
    if record.get("offset") == "begin":
        record.unknown("offset", "begin", "taken as 0")
        offset = 0.0
    else:
        offset = record.number("offset", 0)

    program = NetProgram(
        id=record.get("programID", "0"), kind=kind, offset=offset, phases=phases, actuated=actuated, keys=keys
    )
    if phases:
        net.programs.setdefault(record.need("id"), []).append(program)
    elif kind not in ("off", "rail_signal", "rail_crossing"):
        record.leave_out("a signal programme without phases")


def _phase(record: XmlRecord) -> NetPhase:
    state = record.need("state")
    for letter in sorted(set(state) - set(LETTER_OF_STATE)):
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
