"""Which revision of each digital code is in force: announcements, changes at their time, what an intersection keeps
across a change."""

from collections.abc import Callable, Collection, Iterable, Mapping

from .clock import SECOND
from .codes import CompiledCode, IntersectionCode, compile_code
from .codes.findings import refuse
from .codes.versions import Versions, moment
from .faults import Faults
from .ingest.messages import Ingest
from .intersection import NEVER, IntersectionState
from .sensor_health import register_sensor_pose
from .vehicles import declared

NOTICE = 5 * SECOND  # at least, between the announcement of a revision and its beginning

MakeIntersection = Callable[[CompiledCode], IntersectionState]


class Revisions:
    """The codes of a node in time. `versions` holds all of them; `next_change` (ns): when the
    next one begins or ends, NEVER where none does."""

    def __init__(self, codes: Iterable[IntersectionCode]) -> None:
        self.versions = Versions()
        for code in codes:
            self.versions.add(code)
        self.next_change = self.versions.next_change(-NEVER) or NEVER

    def begin(self, make: MakeIntersection) -> dict[str, IntersectionState]:
        """Return the state of every intersection, made from its first revision."""
        return {name: self._begin_one(name, make) for name in self.versions.ids()}

    def add(self, name: str, codes: Iterable[IntersectionCode], make: MakeIntersection) -> IntersectionState:
        """Return the state of an intersection that is new to the engine, made from its first revision. Raises
        CodeError, and takes nothing in then; `activate` is due at once."""
        try:
            for code in codes:
                self.versions.add(code)
            intersection = self._begin_one(name, make)
        except Exception:
            self.versions.remove(name)
            raise

        self.next_change = -NEVER
        return intersection

    def drop(self, name: str) -> None:
        """Forget the revisions of an intersection."""
        self.versions.remove(name)

    def _begin_one(self, name: str, make: MakeIntersection) -> IntersectionState:
        first = self.versions.first(name)
        intersection = make(compile_code(first))
        intersection.in_force = first.valid_from is None
        intersection.in_force_until = self.versions.change_of(name, -NEVER) or NEVER
        return intersection

    def announce(self, code: IntersectionCode, t: int, intersections: Mapping[str, IntersectionState]) -> None:
        """Accept, at `t` ns, a revision that takes effect at its `valid_from`. Raises CodeError."""
        if code.id not in intersections:
            raise refuse(
                code.id,
                "code",
                "id",
                code.id,
                "is no intersection that this node serves",
                "add it first: put its code under [node] codes",
            )

        if self.versions.knows(code):
            return

        if self.versions.has_revision(code.id, code.revision):
            raise refuse(
                code.id,
                "code",
                "revision",
                code.revision,
                "stands for another content already",
                f"give the changed code a higher revision, and a valid_from that is {NOTICE // SECOND} s ahead or more",
            )

        if code.valid_from is None or code.valid_from < t + NOTICE:
            raise refuse(
                code.id,
                "code",
                "valid_from",
                "none" if code.valid_from is None else moment(code.valid_from),
                f"a running node takes a revision {NOTICE // SECOND} s before it begins, or earlier (it is "
                f"{moment(t)})",
                "set valid_from to a later time, in ns since 1970 (UTC)",
            )

        self.versions.add(code)
        self.next_change = min(self.next_change, code.valid_from)
        intersections[code.id].in_force_until = self.versions.change_of(code.id, t) or NEVER

    def activate(
        self,
        t: int,
        intersections: Mapping[str, IntersectionState],
        ingest: Ingest,
        make: MakeIntersection,
        faults: Faults,
    ) -> list[str]:
        """Bring the revisions into force that are in force at `t` ns; return the intersections whose code changed.

        An intersection that cannot be made from its new revision is out of force: advice by the old one would be wrong.
        """
        changed = []
        for name, intersection in intersections.items():
            code = self.versions.current(name, t)
            is_new = code is not None and code is not intersection.code.code
            if is_new or intersection.in_force != (code is not None):
                changed.append(name)

            intersection.in_force = code is not None
            intersection.in_force_until = self.versions.change_of(name, t) or NEVER

            if code is not None and is_new:
                try:
                    _switch_revision(intersection, make(compile_code(code)), ingest)
                except Exception as error:
                    intersection.in_force = False
                    faults.note("revision", name, error)

        self.next_change = self.versions.next_change(t) or NEVER
        return changed


def restart(intersection: IntersectionState, fresh: IntersectionState, ingest: Ingest) -> None:
    """Begin an intersection anew on the same code, as `fresh` is; its sensors stay known to the tracker."""
    intersection.restart(fresh)
    code = intersection.code
    for _, source in ingest.sources.of_intersection(code.code.id):
        register_sensor_pose(source, intersection.fusion, code.origin)


def check_bound(gateways: Mapping[str, Mapping[str, str]], intersections: Collection[str]) -> None:
    """Raise ValueError where a roadside unit is bound to an intersection that has no code."""
    for gateway, rsus in gateways.items():
        for rsu, intersection in rsus.items():
            if intersection not in intersections:
                raise ValueError(
                    f"gateway {gateway}, RSU {rsu}: intersection {intersection!r} has no digital code here. "
                    f"Known: {', '.join(intersections) or 'none'}. "
                    "Add its code under [node] codes and start the node, or correct the id"
                )


def _switch_revision(intersection: IntersectionState, fresh: IntersectionState, ingest: Ingest) -> None:
    """Put an intersection on the revision that `fresh` is made from.

    Tracks stay where its origin stays. Everything that names lanes or signal groups begins anew.
    """
    code = fresh.code
    moved = code.origin != intersection.code.origin
    intersection.renew(fresh)
    dropped_hazards = intersection.hazards.renew(code)
    ingest.metrics.count("hazard.no_place", code.code.id, dropped_hazards)

    if moved:
        intersection.fusion = fresh.fusion
        for rsu, sensor in ingest.sources.move(code.code.id, code.origin):
            register_sensor_pose(ingest.sources[rsu, sensor], intersection.fusion, code.origin)

    # Declared movements are looked up by the ids of the new revision. The table is emptied first: an entry in it would
    # be reused.
    reports, intersection.reports = intersection.reports, {}
    intersection.reports = {
        handle: declared(intersection, report.id, handle, report.state) for handle, report in reports.items()
    }
