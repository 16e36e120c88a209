"""The roads of an OpenDRIVE file, and those that cannot be read."""

from ...findings import CodeError, LossKind
from ..importing.accounting import XmlRecord
from .road import Road, read_road


def read_roads(root: XmlRecord) -> dict[str, Road]:
    """Return the roads that can be read; the others are left out, each with its reason."""
    roads: dict[str, Road] = {}
    for element in root.children("road"):
        try:
            road = read_road(element)
        except CodeError as error:
            finding = error.findings[0]
            element.leave_out(
                f"roads that cannot be read: {finding.field} = {finding.value} of {finding.entity}: {finding.rule}"
            )
            continue

        if road.id in roads:
            element.unknown("id", road.id, "another road has the same: the first is taken")
            continue

        roads[road.id] = road

    stated_sides = {road.left_hand for road in roads.values() if "rule" in road.element}
    for road in roads.values():
        if stated_sides == {True} and "rule" not in road.element:
            road.left_hand = True
            root.accounts.enter(
                LossKind.GUESSED,
                "road",
                "roads without a rule are taken as left-hand, as all that state one",
                f"road {road.id}",
            )

    return roads
