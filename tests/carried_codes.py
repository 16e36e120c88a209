"""What tests of carrying a code over to another version of its map ask of codes."""

from crossing_map import Crossing
from msgspec.structs import replace

from cloudctl import codes
from cloudctl.codes.model import IntersectionCode
from cloudctl.codes.rule import Rule
from cloudctl.codes.update.carry import Carried, carry


def errors(code: IntersectionCode) -> list:
    return [finding for finding in codes.validate(code) if finding.severity == "error"]


def ids(code: IntersectionCode) -> dict[str, str]:
    """Return the id of each lane by the name it has in the map."""
    return {lane.alias[0].value: lane.id for lane in code.lanes}


def by_id(rows) -> dict:
    return {row.id: row for row in rows}


def again(first: IntersectionCode, version: Crossing, prev: IntersectionCode | None = None) -> Carried:
    return carry(prev or first, first, version.code(), {})


def handed(code: IntersectionCode, *rules: Rule) -> IntersectionCode:
    return replace(code, revision=code.revision + 1, rules=(*code.rules, *rules))
