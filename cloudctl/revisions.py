"""Which revision of each digital code is in force: announcements in, changes at their time, tracks and reports carried over."""

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

NOTICE = 5 * SECOND  # between the announcement of a revision and its beginning, at least


class Revisions:
    """The codes of a node in time. `versions` knows them all; `change` (ns) is when the next one begins or ends."""

    def __init__(self, codes: Iterable[IntersectionCode]) -> None:
        self.versions = Versions()
        for code in codes:
            self.versions.add(code)
        self.change = self.versions.next_change(-NEVER) or NEVER

    def begin(self, make: Callable[[CompiledCode], IntersectionState]) -> dict[str, IntersectionState]:
        """Return the place of every intersection, made of its first revision."""
        places = {}
        for name in self.versions.ids():
            first = self.versions.first(name)
            place = places[name] = make(compile_code(first))
            place.in_force, place.until = first.valid_from is None, self.versions.change_of(name, -NEVER) or NEVER
        return places

    def announce(self, code: IntersectionCode, t: int, places: dict[str, IntersectionState]) -> None:
        """Take in, at `t` ns, a revision that takes effect at its `valid_from`. Raises CodeError."""
        if code.id not in places:
            raise refuse(
                code.id,
                "code",
                "id",
                code.id,
                "is no intersection of this node",
                "add it to the node's file and its gateway, and start the node again",
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
                f"a running node takes a revision {NOTICE // SECOND} s before it begins, or earlier (it is {moment(t)})",
                "set valid_from to a later time, in ns since 1970 (UTC)",
            )
        self.versions.add(code)
        self.change = min(self.change, code.valid_from)
        places[code.id].until = self.versions.change_of(code.id, t) or NEVER

    def activate(
        self,
        t: int,
        places: dict[str, IntersectionState],
        ingest: Ingest,
        make: Callable[[CompiledCode], IntersectionState],
        faults: Faults,
    ) -> list[str]:
        """Bring into force what is in force at `t`; return the intersections whose code changed. One that cannot be made is out of force."""
        changed = []
        for name, place in places.items():
            code = self.versions.current(name, t)
            if place.in_force != (code is not None) or (code is not None and code is not place.code.code):
                changed.append(name)
            place.in_force, place.until = code is not None, self.versions.change_of(name, t) or NEVER
            if code is not None and code is not place.code.code:
                try:
                    _switch_revision(place, make(compile_code(code)), ingest)
                except Exception as error:
                    place.in_force = False
                    faults.note("revision", name, error)
        self.change = self.versions.next_change(t) or NEVER
        return changed


def _switch_revision(place: IntersectionState, fresh: IntersectionState, ingest: Ingest) -> None:
    """Put a place on another revision: tracks stay where its origin stays, everything that names lanes or groups begins anew."""
    code = fresh.code
    moved = code.origin != place.code.origin
    place.renew(fresh)
    ingest.metrics.count("hazard.no_place", code.code.id, place.hazards.renew(code))
    if moved:
        place.fusion = fresh.fusion
        for rsu, name in ingest.sources.move(code.code.id, code.origin):
            register_sensor_pose(ingest.sources[rsu, name], place.fusion, code.origin)
    reports, place.reports = place.reports, {}
    place.reports = {handle: declared(place, report.id, handle, report.state) for handle, report in reports.items()}


def check_bound(gateways: Mapping[str, Mapping[str, str]], places: Collection[str]) -> None:
    """Raise ValueError where a roadside unit is bound to an intersection that has no code."""
    for gateway, rsus in gateways.items():
        for rsu, intersection in rsus.items():
            if intersection not in places:
                raise ValueError(
                    f"gateway {gateway}, RSU {rsu}: intersection {intersection!r} has no digital code here. "
                    f"Known: {', '.join(places) or 'none'}. Add its code under [node] codes and start the node, or correct the id"
                )
