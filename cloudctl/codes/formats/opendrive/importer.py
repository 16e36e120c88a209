"""OpenDRIVE maps -> digital codes: one for each junction whose movements cross, or have lights.

Movements are the connecting roads of the junction; lanes are those of the roads beside it, that road long. The lights of a controller are
one signal group.
"""

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np

from cloudctl.geo import Origin

from ...findings import CodeError, Loss, refuse
from ...model import Alias, Point
from ...polylines import F8, arc
from ...report import Imported
from ...rule import Rule
from ..importing.accounting import Accounts, XmlRecord
from ..importing.build import NO_ADM, RawCode, RawLane, RawMove, build
from ..importing.clusters import approaches, crossing, unit
from .access import connection_rules, lane_permit, lane_rules, may_stop
from .crosswalks import Walk, read_walks
from .groups import Groups
from .junction import Junction, LaneEnd, Move
from .lane import limit_only, merged
from .projection import ToGlobe, globe_of
from .road import Road, read_road
from .signals import MAX_BEFORE, SPEED_SIGN, STOP_SIGN, YIELD_SIGN, Signals

SAME_SPEED = 0.1  # m/s by which a sign and a record may differ: they are rounded
SAME_PLACE = 1.0  # m by which two drawings of one stop line may differ
NEAR = 60.0  # m from the middle within which a crosswalk belongs to a junction
MAJOR = ("1", "")  # of the format's version
HEIGHT, LOOKS, FREE, BOUNDS = (
    "heights: a code is flat",
    "how things look",
    "free for the application that wrote it",
    "the extent of the map",
)
IGNORED = {
    **dict.fromkeys(
        (
            "elevationProfile",
            "lateralProfile",
            "object@zOffset",
            "signal@zOffset",
            "object/repeat",
            "lane@level",
            "lane/height",
            "junction/elevationGrid",
            "header/offset@z",
        ),
        HEIGHT,
    ),
    **dict.fromkeys(
        (
            "object@height",
            "signal@height",
            "signal@width",
            "signal@length",
            "object@radius",
            "signal@hOffset",
            "signal@pitch",
            "signal@roll",
            "object@pitch",
            "object@roll",
            "cornerLocal@z",
            "cornerRoad@dz",
            "cornerLocal@height",
            "cornerRoad@height",
            "cornerLocal@id",
            "cornerRoad@id",
            "outline@id",
            "outline@closed",
            "outline@fillType",
            "outline@outer",
            "outline@laneType",
            "object@zOffset",
            "object@perpToRoad",
            "object/markings",
            "object/borders",
            "object/material",
            "signalReference@t",
            "signal/positionInertial",
            "signal/positionRoad",
            "signal/boards",
        ),
        LOOKS,
    ),
    **dict.fromkeys(("surface", "lane/material", "lane/visibility"), "the state of the surface, and what can be seen"),
    **dict.fromkeys(("userData", "dataQuality", "header/license"), FREE),
    **{f"header@{name}": BOUNDS for name in ("north", "south", "east", "west")},
    **dict.fromkeys(
        ("header@revMinor", "header@version", "header@date", "header@name", "header@vendor"),
        "who wrote the file, and when",
    ),
    **dict.fromkeys(
        (
            "road@name",
            "signal@country",
            "signal@countryRevision",
            "junction/controller@type",
            "signal@text",
            "type@country",
            "signal@name",
            "object@name",
            "object@subtype",
            "object@dynamic",
            "object@orientation",
            "object/validity",
            "signalReference@s",
        ),
        "names a thing that is read by other words",
    ),
    **dict.fromkeys(
        ("controller@sequence", "junction/controller@sequence", "control@type", "junction/controller", "connection@id"),
        "order and kinds that the application chose: groups do not depend on them",
    ),
    **dict.fromkeys(
        ("junction/boundary", "junction/planView", "junction/objects", "laneSection/center@level"),
        "the outline of the junction: its paths say where it is",
    ),
    "junctionGroup": "which junctions belong together: each is a code of its own",
}


def import_opendrive(data: bytes, *, adm: str = NO_ADM, zero: Point | None = None) -> Imported:
    """Return the codes of a map; `zero` is where its 0, 0 lies, for a map without geoReference. Raises CodeError, with the loss report."""
    with Accounts("OpenDRIVE", IGNORED) as accounts:
        root = accounts.xml(data)
        header = root.find("header")
        if header is not None and header.get("revMajor") not in MAJOR:
            header.unknown("revMajor", header.get("revMajor"), "read as version 1")
        place = globe_of(root, zero, accounts.losses)
        roads = _roads(root)
        signals = Signals(root, roads)
        walks = read_walks(roads, signals)
        junctions = [Junction(element, roads) for element in root.children("junction")]
        used: set[str] = set()  # crosswalks of some code
        raws = [raw for junction in junctions for raw in _Place(junction, signals, walks, used, place).code()]
        signals.report_unused()
        for walk in walks:
            if walk.id not in used:
                accounts.enter(
                    "dropped",
                    "objects/object",
                    f"crosswalks more than {NEAR:.0f} m from the middle of each junction of which a code is made",
                    f"object {walk.id}",
                )
        if not raws:
            raise refuse(
                "OpenDRIVE",
                "file",
                "junction",
                len(junctions),
                "has no junction whose movements cross, or have lights",
                "give a map with a junction; roads alone make no intersection. The loss report says what was left out",
            )
        codes = [build(raw, adm, k) for k, raw in enumerate(raws, 1)]
        accounts.losses.update(*(raw.losses for raw in raws))
        return accounts.imported(codes)


def _roads(root: XmlRecord) -> dict[str, Road]:
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
    stated = {road.left_hand for road in roads.values() if "rule" in road.element}
    for road in roads.values():
        if stated == {True} and "rule" not in road.element:
            road.left_hand = True
            root.accounts.enter(
                "guessed",
                "road",
                "roads without a rule are taken as left-hand, as all that state one",
                f"road {road.id}",
            )
    return roads


class _Place:
    """A junction as a code in the making."""

    def __init__(self, junction: Junction, signals: Signals, walks: list[Walk], used: set[str], place: ToGlobe) -> None:
        self.junction, self.signals, self.walks, self.used, self.place = junction, signals, walks, used, place

    def code(self) -> Iterator[RawCode]:
        """Yield the code, if the junction's movements cross, or have lights."""
        moves, accounts = self.junction.moves, self.junction.accounts
        if moves and all(self.junction.ends[move.start].permit.use == "tram" for move in moves):
            accounts.enter("dropped", "junction", "junctions of tracks alone", f"junction {self.junction.name}")
            return
        crossed = any(
            crossing(a.line, b.line) for a, b in combinations(moves, 2) if a.start != b.start and a.end != b.end
        )
        if not crossed and not any(Groups(self.junction, self.signals, set()).lights.values()):
            accounts.enter(
                "dropped",
                "junction",
                "no two movements cross, and none has a light: a fork or a merge, no intersection",
                f"junction {self.junction.name}",
            )
            return
        self.junction.join()
        moves = self.junction.moves
        middle = np.mean([move.line.mean(axis=0) for move in moves], axis=0)
        ((lat, lon),) = self.place(middle[None])
        ref = round(lat * 1e7), round(lon * 1e7)
        origin = Origin(ref[0] / 1e7, ref[1] / 1e7)

        def local(xy: F8) -> F8:
            table = self.place(xy)
            return np.stack(origin.to_local(table[:, 0], table[:, 1]), axis=1)

        raw = RawCode(self.junction.name, ref, alias=(Alias("opendrive", self.junction.id),))
        raw.left_hand = sum(self.junction.ends[move.start].road.left_hand for move in moves) * 2 > len(moves)
        self._lanes(raw, local)
        groups = Groups(self.junction, self.signals, raw.losses)
        for k, move in enumerate(moves):
            raw.rules += self._own_rules(f"C{k + 1}", move)
            speed = self._own_speed(raw, move)
            alias = (Alias("opendrive", f"{move.road.id}/{move.lane}"),)
            raw.moves.append(
                RawMove(move.start, move.end, groups.of(k), move.turn, local(move.line), speed=speed, alias=alias)
            )
        self._walks(raw, groups, local, middle)
        groups.describe()
        self._priorities(raw)
        yield raw

    def _own_speed(self, raw: RawCode, move: Move) -> float | None:
        """Return the limit of a connecting lane: the lowest of its records, else of its signs; None where it has none."""
        records = [row.state.speed for row in move.road.stretches(move.chain) if row.state.speed is not None]
        signs = [limit for _, limit in self.signals.signs_on(move.road, move.lane, SPEED_SIGN) if limit is not None]
        if records and signs and abs(min(records) - min(signs)) > SAME_SPEED:
            raw.losses.add(
                Loss(
                    "differs",
                    raw.name,
                    f"a sign on road {move.road.id} shows {min(signs)} m/s, its record {min(records)} m/s: the record is taken",
                )
            )
        return min(records or signs, default=None)

    def _own_rules(self, key: str, move: Move) -> list[Rule]:
        """Return the rules of a connecting lane that do not hold on the lanes beside it already."""
        before, after = self.junction.ends[move.start], self.junction.ends[move.end]
        stopping = may_stop(before.stretches())
        return connection_rules(key, move.road.stretches(move.chain), [before.permit, after.permit], stopping)

    def _lanes(self, raw: RawCode, local: Callable[[F8], F8]) -> None:
        lines = {key: local(end.line) for key, end in self.junction.ends.items()}
        of: dict[str, str] = {}
        for ingress in (True, False):
            tips = []
            for key, end in self.junction.ends.items():
                line = lines[key]
                if end.ingress is ingress:
                    tips.append(
                        (key, line[-1], unit(line[-1] - line[-2]))
                        if ingress
                        else (key, line[0], unit(line[1] - line[0]))
                    )
            of |= approaches(tips)
        for key, end in self.junction.ends.items():
            raw.lanes.append(self._lane(raw, end, lines[key], of[key]))

    def _lane(self, raw: RawCode, end: LaneEnd, line: F8, approach: str) -> RawLane:
        rows = end.stretches()
        raw.rules += lane_rules(end.key, rows, end.permit)
        if (
            end.permit.use != "vehicle"
            and "car" not in end.permit.users
            and any("car" in lane_permit(row.state).users for row in rows)
        ):
            raw.losses.add(
                Loss(
                    "differs",
                    raw.name,
                    f"lanes for {end.permit.use} at the junction are so all along: further off they are for cars, too",
                )
            )
        limits = self._limits(raw, end)
        return RawLane(
            key=end.key,
            xy=line,
            role="ingress" if end.ingress else "egress",
            approach=approach,
            use=end.permit.use,
            shared=end.permit.shared,
            width_cm=round(end.width * 100),
            speed=min(limit for _, _, limit in limits),
            limits=tuple(limits) if len(limits) > 1 else (),
            stop_s=self._stop(end) if end.ingress else None,
            alias=tuple(Alias("opendrive", f"{piece.road.id}/{piece.lane}") for piece in reversed(end.pieces)),
        )

    def _limits(self, raw: RawCode, end: LaneEnd) -> list[tuple[float, float, float]]:
        """Return the limits along a lane, (from m, to m, m/s); where the map has none, that of a sign, or 50 km/h."""
        signs = sorted((m, limit) for m, limit in self._signs(end, SPEED_SIGN) if limit is not None)
        usual = min(piece.road.usual for piece in end.pieces)
        out = []
        for row in merged(end.stretches(), limit_only):
            limit, shown = row.state.speed, [found for m, found in signs if m < row.s_to]
            if limit is None and shown:
                raw.losses.add(
                    Loss(
                        "guessed",
                        raw.name,
                        "lanes without a limit have the lowest of the speed signs on their road before, all along it",
                    )
                )
            elif limit is None:
                self.junction.accounts.enter(
                    "guessed",
                    "road/type/speed",
                    f"roads without a speed limit: {usual * 3.6:.0f} km/h, as is usual for their type",
                    f"road {end.road.id}",
                )
            for m, found in signs:
                if limit is not None and row.s_from <= m < row.s_to and abs(found - limit) > SAME_SPEED:
                    raw.losses.add(
                        Loss(
                            "differs",
                            raw.name,
                            f"a sign on road {end.road.id} shows {found} m/s, its record {limit} m/s: the record is taken",
                        )
                    )
            out.append(
                (round(row.s_from, 2), round(row.s_to, 2), limit if limit is not None else min(shown, default=usual))
            )
        return out

    def _signs(self, end: LaneEnd, kind: str) -> list[tuple[float, float | None]]:
        """Return m along a lane and limit of the signs of a kind that concern it."""
        return [
            (piece.along(s), limit)
            for piece in end.pieces
            for s, limit in self.signals.signs_on(piece.road, piece.lane, kind)
        ]

    def _stop(self, end: LaneEnd) -> float | None:
        """Return m along a lane of its last stop line; None where it has none."""
        near = min(
            float(arc(end.line)[-1]) - MAX_BEFORE, end.pieces[-1].start
        )  # on the last road, stop lines count wherever they are
        places = [
            (piece.along(mark.s), mark.id)
            for piece in end.pieces
            for mark in self.signals.stops_on(piece.road, piece.lane)
        ]
        for m, name in places:
            if m < near:
                self.junction.accounts.enter(
                    "dropped",
                    "signals, objects",
                    f"stop lines on the roads before the last, more than {MAX_BEFORE:.0f} m before the junction",
                    f"stop line {name} of {end.key}",
                )
        places = sorted((m, name) for m, name in places if m >= near)
        for m, name in places:
            if m < places[-1][0] - SAME_PLACE:
                self.junction.accounts.enter(
                    "dropped",
                    "signals, objects",
                    "lanes with several stop lines: the last one is taken",
                    f"stop line {name} of {end.key}, {places[-1][0] - m:.0f} m before it",
                )
        return float(np.floor(places[-1][0] * 100) / 100) if places else None

    def _walks(self, raw: RawCode, groups: Groups, local: Callable[[F8], F8], middle: F8) -> None:
        for walk in self.walks:
            if np.hypot(*(walk.axis.mean(axis=0) - middle)) < NEAR:
                self.used.add(walk.id)
                group = groups.for_light(walk.light) if walk.light is not None else 0
                raw.walks.append((local(walk.axis), round(walk.width * 100), group, (Alias("opendrive", walk.id),)))
        if any(not walk[2] for walk in raw.walks):
            raw.losses.add(
                Loss("guessed", raw.name, "crosswalks without a light for pedestrians beside them have no signal group")
            )

    def _priorities(self, raw: RawCode) -> None:
        """Enter who yields where the map says so: by its priorities of connecting roads, and by stop and yield signs."""
        moves = self.junction.moves
        signed, all_stop = set(), True
        for k, move in enumerate(moves):
            end = self.junction.ends[move.start]
            near = float(arc(end.line)[-1]) - MAX_BEFORE  # on the last road, signs count wherever they stand
            stops, yields = (
                any(m >= min(near, end.pieces[-1].start) for m, _ in self._signs(end, kind))
                for kind in (STOP_SIGN, YIELD_SIGN)
            )
            all_stop = all_stop and stops
            if stops or yields:
                signed.add(k)
        for i, a in enumerate(moves):
            for j, b in enumerate(moves):
                if (b.road.id, a.road.id) in self.junction.priorities or (i in signed and j not in signed):
                    raw.stated[i, j] = True
        raw.control = "stop" if all_stop else "priority" if raw.stated else ""
