"""Which intersections an engine serves: one is added or dropped while it runs, as an input of a step.

An intersection that is about to be moved here is served as a guest first: it gets its messages, is tracked and planned,
and nothing of it is sent until it is added again, as its owner.
"""

from collections.abc import Callable, Collection, Mapping

from .codes import IntersectionCode, loads
from .codes.findings import refuse
from .ingest.messages import Ingest
from .intersection import IntersectionState
from .output import Output
from .ownership_messages import AddIntersection
from .revisions import MakeIntersection, Revisions
from .scheduling import PlanScheduler
from .schema import Broadcast, Priority
from .settings import EngineConfig


class ServedIntersections:
    """Adds to and drops from `intersections`. `reindex` is called once after a step's changes, before its messages."""

    def __init__(
        self,
        *,
        intersections: dict[str, IntersectionState],
        revisions: Revisions,
        ingest: Ingest,
        scheduler: PlanScheduler,
        make: MakeIntersection,
        reindex: Callable[[], None],
    ) -> None:
        self._intersections = intersections
        self._revisions = revisions
        self._ingest = ingest
        self._scheduler = scheduler
        self._make = make
        self._reindex = reindex
        self._is_changed = False
        self._added: list[str] = []
        # served beside their owner, before they are moved here; asked, never iterated
        self.guests: set[str] = set()

    def add(self, addition: AddIntersection, t: int) -> None:
        """Serve an intersection from `t` ns on, or make a guest the node's own. Raises CodeError for codes that cannot
        be used, and for an intersection that is served already."""
        name = addition.intersection
        intersection = self._intersections.get(name)
        if intersection is None:
            intersection = self._new(addition, t)
        elif addition.guest or name not in self.guests:
            raise refuse(name, "code", "id", name, "is served already", "drop it first, or leave it")

        if addition.guest:
            self.guests.add(name)
        else:
            self.guests.discard(name)

        intersection.advisory_filter.epoch = addition.epoch
        if addition.advisories:
            intersection.advisory_filter.adopt(addition.advisories)

        if not addition.guest:
            self._added.append(name)

    def drop(self, name: str, config: EngineConfig) -> None:
        """Serve an intersection no longer. Raises ValueError for one that is not served, and, where no other node could
        serve it, for one that a roadside unit is bound to."""
        intersection = self._intersections.get(name)
        if intersection is None:
            raise refuse(name, "code", "id", name, "is no intersection that this node serves", "leave it")

        bound = [rsu for rsus in config.gateways.values() for rsu, place in rsus.items() if place == name]
        if bound and not config.shared:
            raise refuse(
                name, "code", "id", name, f"is what RSU {bound[0]} is bound to", "take the RSU out under [[gateway]]"
            )

        del self._intersections[name]
        self.guests.discard(name)
        self._scheduler.drop(intersection)
        self._revisions.drop(name)
        self._ingest.sources.drop_intersection(name)
        self._is_changed = True

    def settle(self, config: EngineConfig) -> list[str]:
        """Bind gateways to what is served now, after the operator's inputs of a step; return the intersections that
        were added as the node's own."""
        added, self._added = self._added, []
        if self._is_changed:
            self._is_changed = False
            self._ingest.rebind(bindings(config, self._intersections))
            self._reindex()

        return [name for name in added if name in self._intersections]

    def _new(self, addition: AddIntersection, t: int) -> IntersectionState:
        name = addition.intersection
        intersection = self._revisions.add(name, _revisions_of(addition), self._make)
        intersection.advisory_filter.begin(t)
        self._ingest.sources.drop_intersection(name)
        self._ingest.sources.add_intersection(name, intersection.code.origin)
        self._intersections[name] = intersection
        self._is_changed = True

        return intersection


def bindings(config: EngineConfig, intersections: Mapping[str, object]) -> Mapping[str, Mapping[str, str]]:
    """Return the roadside units of each gateway that are bound to intersections of this engine."""
    if not config.shared:
        return config.gateways
    return {
        gateway: {rsu: intersection for rsu, intersection in rsus.items() if intersection in intersections}
        for gateway, rsus in config.gateways.items()
    }


def without_guests(output: Output, guests: Collection[str]) -> None:
    """Take what a step says of guests out of its output: their owner says it."""
    if not guests:
        return

    output.advisories = [advisory for advisory in output.advisories if advisory.intersection not in guests]
    output.signals = [signals for signals in output.signals if signals.intersection not in guests]
    output.traffic = [report for report in output.traffic if report.intersection not in guests]
    output.faults = [fault for fault in output.faults if fault.intersection not in guests]
    output.changed = [name for name in output.changed if name not in guests]

    output.replies = [
        (gateway, kind, body)
        for gateway, kind, body in output.replies
        if not (isinstance(body, Broadcast | Priority) and body.intersection in guests)
    ]


def _revisions_of(addition: AddIntersection) -> list[IntersectionCode]:
    """Return the codes of an addition. Raises CodeError where there is none, or one of another intersection."""
    codes = [loads(bytes(revision)) for revision in addition.revisions]
    name = addition.intersection
    if not codes:
        raise refuse(name, "code", "revisions", "none", "an intersection needs a digital code", "add its code")

    for code in codes:
        if code.id != name:
            raise refuse(name, "code", "id", code.id, f"is not {name}", "add the code of this very intersection")

    return codes
