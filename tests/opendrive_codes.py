"""What tests ask of the code of an OpenDRIVE file."""

from cloudctl import codes
from cloudctl.codes import Imported, IntersectionCode
from cloudctl.codes.rules import Vehicle, effective


def one(found: Imported) -> IntersectionCode:
    (code,) = found
    assert [finding for finding in codes.validate(code) if finding.severity == "error"] == []
    return code


def alias(item: object) -> str:
    return next(a.value for a in item.alias if a.kind == "opendrive")  # type: ignore[attr-defined]


def groups(code: IntersectionCode) -> dict[str, set[int]]:
    """Return the groups of the movements of each lane in."""
    lanes = {item.id: alias(item) for item in code.lanes}
    out: dict[str, set[int]] = {}
    for c in code.connections:
        out.setdefault(lanes[c.from_lane], set()).add(c.group)
    return out


def lane_of(code: IntersectionCode, name: str) -> codes.model.Lane:
    return next(item for item in code.lanes if alias(item) == name)


def stop_of(code: IntersectionCode, name: str) -> float:
    return next(line.s for line in code.stop_lines if line.lane == lane_of(code, name).id)


def told(found: Imported, *words: str) -> bool:
    return any(all(word in str(loss) for word in words) for loss in found.losses)


def allowed(code: IntersectionCode, name: str, *kinds: str) -> dict[str, bool]:
    return {kind: effective(code, lane_of(code, name).id, Vehicle(kind), 0, s=20.0).allowed for kind in kinds}
