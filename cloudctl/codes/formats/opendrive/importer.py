"""OpenDRIVE maps -> digital codes: one for each junction whose movements cross, or have lights.

Movements are the connecting roads of the junction; lanes are those of the roads beside it, that road long. The lights
of a controller are one signal group."""

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np

from cloudctl.geo import Origin

from ...findings import Loss, LossKind, refuse
from ...model import Alias, Point
from ...polylines import F8, arc_lengths
from ...report import Imported
from ...rule import Rule
from ...terms import KMH_PER_MPS, LaneUse, LinkRole
from ..importing.accounting import Accounts
from ..importing.build import DEFAULT_ADM, build
from ..importing.clusters import approaches, lines_cross, unit_vector
from ..importing.raw import RawCode, RawLane, RawMove
from .access import connection_rules, lane_permit, lane_rules, may_stop
from .crosswalks import CrosswalkObject, read_crosswalks
from .groups import Groups
from .junction import Junction
from .lane import limit_only, merged
from .movement import LaneEnd, Movement
from .projection import ToGlobe, to_globe_of
from .road_list import read_roads
from .signals import MAX_SIGNAL_DISTANCE, SPEED_SIGN, STOP_SIGN, YIELD_SIGN, Signals
from .vocabulary import IGNORED

MAX_SPEED_DIFFERENCE = 0.1  # m/s by which a sign and a record may differ: they are rounded
MAX_STOP_DIFFERENCE = 1.0  # m by which two drawings of one stop line may differ
MAX_CROSSWALK_DISTANCE = 60.0  # m from the middle within which a crosswalk belongs to a junction
MAJOR_VERSIONS = ("1", "")  # of the format's version


def import_opendrive(data: bytes, *, adm: str = DEFAULT_ADM, origin: Point | None = None) -> Imported:
    """Return the codes of a map; `origin` is where its 0, 0 lies, for a map without geoReference. Raises CodeError,
    with
    the loss report."""
    with Accounts("OpenDRIVE", IGNORED) as accounts:
        root = accounts.xml(data)
        header = root.find("header")
        if header is not None and header.get("revMajor") not in MAJOR_VERSIONS:
            header.unknown("revMajor", header.get("revMajor"), "read as version 1")

        to_globe = to_globe_of(root, origin, accounts.losses)
        roads = read_roads(root)
        signals = Signals(root, roads)
        crosswalks = read_crosswalks(roads, signals)
        junctions = [Junction(element, roads) for element in root.children("junction")]
        used_crosswalks: set[str] = set()  # crosswalks of some code

        raws = [
            raw
            for junction in junctions
            for raw in _JunctionCode(
                junction=junction,
                signals=signals,
                crosswalks=crosswalks,
                used_crosswalks=used_crosswalks,
                to_globe=to_globe,
            ).code()
        ]

        signals.report_unused()
        for crosswalk in crosswalks:
            if crosswalk.id not in used_crosswalks:
                accounts.enter(
                    LossKind.DROPPED,
                    "objects/object",
                    f"crosswalks more than {MAX_CROSSWALK_DISTANCE:.0f} m from the middle of each junction of "
                    "which a code is made",
                    f"object {crosswalk.id}",
                )

        if not raws:
            raise refuse(
                where="OpenDRIVE",
                entity="file",
                field="junction",
                value=len(junctions),
                rule="has no junction whose movements cross, or have lights",
                remedy=(
                    "give a map with a junction; roads alone make no intersection. The loss report says what "
                    "was left out"
                ),
            )

        codes = [build(raw, adm, number) for number, raw in enumerate(raws, 1)]
        accounts.losses.update(*(raw.losses for raw in raws))
        return accounts.imported(codes)


class _JunctionCode:
    """A junction as a code in the making."""

    def __init__(
        self,
        junction: Junction,
        signals: Signals,
        crosswalks: list[CrosswalkObject],
        used_crosswalks: set[str],
        to_globe: ToGlobe,
    ) -> None:
        self.junction, self.signals, self.walks, self.used, self.place = (
            junction,
            signals,
            crosswalks,
            used_crosswalks,
            to_globe,
        )

    def code(self) -> Iterator[RawCode]:
        """Yield the code, if the junction's movements cross, or have lights."""
        moves, accounts = self.junction.moves, self.junction.accounts
        if moves and all(self.junction.ends[move.start].permit.use == LaneUse.TRAM for move in moves):
            accounts.enter(LossKind.DROPPED, "junction", "junctions of tracks alone", f"junction {self.junction.name}")
            return

        any_cross = any(
            lines_cross(first.line, second.line)
            for first, second in combinations(moves, 2)
            if first.start != second.start and first.end != second.end
        )
        if not any_cross and not any(Groups(self.junction, self.signals, set()).lights.values()):
            accounts.enter(
                LossKind.DROPPED,
                "junction",
                "no two movements cross, and none has a light: a fork or a merge, no intersection",
                f"junction {self.junction.name}",
            )
            return

        self.junction.join()
        moves = self.junction.moves
        centre = np.mean([move.line.mean(axis=0) for move in moves], axis=0)
        ((lat, lon),) = self.place(centre[None])
        reference = round(lat * 1e7), round(lon * 1e7)
        origin = Origin(reference[0] / 1e7, reference[1] / 1e7)

        def to_local(points: F8) -> F8:
            degrees = self.place(points)
            return np.stack(origin.to_local(degrees[:, 0], degrees[:, 1]), axis=1)

        raw = RawCode(self.junction.name, reference, alias=(Alias("opendrive", self.junction.id),))
        raw.left_hand = sum(self.junction.ends[move.start].road.left_hand for move in moves) * 2 > len(moves)
        self._add_lanes(raw, to_local)
        groups = Groups(self.junction, self.signals, raw.losses)

        for index, move in enumerate(moves):
            raw.rules += self._connection_rules(f"C{index + 1}", move)
            speed = self._connection_limit(raw, move)
            alias = (Alias("opendrive", f"{move.road.id}/{move.lane}"),)

            raw.moves.append(
                RawMove(
                    start=move.start,
                    end=move.end,
                    group=groups.group_of_movement(index),
                    turn=move.turn,
                    xy=to_local(move.line),
                    speed=speed,
                    alias=alias,
                )
            )

        self._add_crosswalks(raw, groups, to_local, centre)
        groups.describe()
        self._add_priorities(raw)
        yield raw

    def _connection_limit(self, raw: RawCode, move: Movement) -> float | None:
        """Return the limit of a connecting lane: the lowest of its records, else of its signs; None where it has
        none."""
        recorded = [row.state.speed for row in move.road.stretches(move.chain) if row.state.speed is not None]
        signed = [limit for _, limit in self.signals.signs_on(move.road, move.lane, SPEED_SIGN) if limit is not None]
        if recorded and signed and abs(min(recorded) - min(signed)) > MAX_SPEED_DIFFERENCE:
            raw.losses.add(
                Loss(
                    what=LossKind.DIFFERS,
                    entity=raw.name,
                    detail=(
                        f"a sign on road {move.road.id} shows {min(signed)} m/s, its record {min(recorded)} m/s: the "
                        "record is taken"
                    ),
                )
            )

        return min(recorded or signed, default=None)

    def _connection_rules(self, key: str, move: Movement) -> list[Rule]:
        """Return the rules of a connecting lane that do not hold on the lanes beside it already."""
        before, after = self.junction.ends[move.start], self.junction.ends[move.end]
        stopping = may_stop(before.stretches())
        return connection_rules(key, move.road.stretches(move.chain), [before.permit, after.permit], stopping)

    def _add_lanes(self, raw: RawCode, to_local: Callable[[F8], F8]) -> None:
        lines = {key: to_local(end.line) for key, end in self.junction.ends.items()}
        approach_of: dict[str, str] = {}

        for ingress in (True, False):
            lane_ends = []
            for key, end in self.junction.ends.items():
                line = lines[key]
                if end.ingress is ingress:
                    lane_ends.append(
                        (key, line[-1], unit_vector(line[-1] - line[-2]))
                        if ingress
                        else (key, line[0], unit_vector(line[1] - line[0]))
                    )

            approach_of |= approaches(lane_ends)

        for key, end in self.junction.ends.items():
            raw.lanes.append(self._lane(raw, end, lines[key], approach_of[key]))

    def _lane(self, raw: RawCode, end: LaneEnd, line: F8, approach: str) -> RawLane:
        stretches = end.stretches()
        raw.rules += lane_rules(end.key, stretches, end.permit)

        if (
            end.permit.use != LaneUse.VEHICLE
            and "car" not in end.permit.users
            and any("car" in lane_permit(row.state).users for row in stretches)
        ):
            raw.losses.add(
                Loss(
                    what=LossKind.DIFFERS,
                    entity=raw.name,
                    detail=(
                        f"lanes for {end.permit.use} at the junction are so all along: further off they are "
                        "for cars, too"
                    ),
                )
            )

        limits = self._limits(raw, end)
        return RawLane(
            key=end.key,
            xy=line,
            role=LinkRole.INGRESS if end.ingress else LinkRole.EGRESS,
            approach=approach,
            use=end.permit.use,
            shared=end.permit.shared,
            width_cm=round(end.width * 100),
            speed=min(limit for _, _, limit in limits),
            limits=tuple(limits) if len(limits) > 1 else (),
            stop_s=self._stop_position(end) if end.ingress else None,
            alias=tuple(Alias("opendrive", f"{piece.road.id}/{piece.lane}") for piece in reversed(end.pieces)),
        )

    def _limits(self, raw: RawCode, end: LaneEnd) -> list[tuple[float, float, float]]:
        """Return the limits along a lane, (from m, to m, m/s); where the map has none, that of a sign, or 50 km/h."""
        signs = sorted((position, limit) for position, limit in self._signs(end, SPEED_SIGN) if limit is not None)
        default_limit = min(piece.road.usual for piece in end.pieces)
        limits = []

        for stretch in merged(end.stretches(), limit_only):
            limit, signed_limits = (
                stretch.state.speed,
                [sign_limit for position, sign_limit in signs if position < stretch.s_to],
            )
            # A record of the lane or road is surveyed with the map; a sign is only a position, and stands for what
            # follows
            if limit is None and signed_limits:
                raw.losses.add(
                    Loss(
                        what=LossKind.GUESSED,
                        entity=raw.name,
                        detail=(
                            "lanes without a limit have the lowest of the speed signs on their road before, "
                            "all along it"
                        ),
                    )
                )
            elif limit is None:
                self.junction.accounts.enter(
                    LossKind.GUESSED,
                    "road/type/speed",
                    f"roads without a speed limit: {default_limit * KMH_PER_MPS:.0f} km/h, as is usual for their type",
                    f"road {end.road.id}",
                )

            for position, sign_limit in signs:
                if (
                    limit is not None
                    and stretch.s_from <= position < stretch.s_to
                    and abs(sign_limit - limit) > MAX_SPEED_DIFFERENCE
                ):
                    raw.losses.add(
                        Loss(
                            what=LossKind.DIFFERS,
                            entity=raw.name,
                            detail=(
                                f"a sign on road {end.road.id} shows {sign_limit} m/s, its record {limit} m/s: the "
                                "record is taken"
                            ),
                        )
                    )

            limits.append(
                (
                    round(stretch.s_from, 2),
                    round(stretch.s_to, 2),
                    limit if limit is not None else min(signed_limits, default=default_limit),
                )
            )

        return limits

    def _signs(self, end: LaneEnd, kind: str) -> list[tuple[float, float | None]]:
        """Return m along a lane and limit of the signs of a kind that concern it."""
        return [
            (piece.along(s), limit)
            for piece in end.pieces
            for s, limit in self.signals.signs_on(piece.road, piece.lane, kind)
        ]

    def _stop_position(self, end: LaneEnd) -> float | None:
        """Return m along a lane of its last stop line; None where it has none."""
        # On the last road, stop lines count wherever they are
        min_position = min(float(arc_lengths(end.line)[-1]) - MAX_SIGNAL_DISTANCE, end.pieces[-1].start)
        positions = [
            (piece.along(mark.s), mark.id)
            for piece in end.pieces
            for mark in self.signals.stops_on(piece.road, piece.lane)
        ]

        for position, name in positions:
            if position < min_position:
                self.junction.accounts.enter(
                    LossKind.DROPPED,
                    "signals, objects",
                    f"stop lines on the roads before the last, more than {MAX_SIGNAL_DISTANCE:.0f} m before "
                    "the junction",
                    f"stop line {name} of {end.key}",
                )

        positions = sorted((position, name) for position, name in positions if position >= min_position)
        for position, name in positions:
            if position < positions[-1][0] - MAX_STOP_DIFFERENCE:
                self.junction.accounts.enter(
                    LossKind.DROPPED,
                    "signals, objects",
                    "lanes with several stop lines: the last one is taken",
                    f"stop line {name} of {end.key}, {positions[-1][0] - position:.0f} m before it",
                )

        return float(np.floor(positions[-1][0] * 100) / 100) if positions else None

    def _add_crosswalks(self, raw: RawCode, groups: Groups, to_local: Callable[[F8], F8], centre: F8) -> None:
        for crosswalk in self.walks:
            if np.hypot(*(crosswalk.axis.mean(axis=0) - centre)) < MAX_CROSSWALK_DISTANCE:
                self.used.add(crosswalk.id)
                group = groups.group_of_light(crosswalk.light) if crosswalk.light is not None else 0
                raw.walks.append(
                    (to_local(crosswalk.axis), round(crosswalk.width * 100), group, (Alias("opendrive", crosswalk.id),))
                )

        if any(not crosswalk[2] for crosswalk in raw.walks):
            raw.losses.add(
                Loss(
                    what=LossKind.GUESSED,
                    entity=raw.name,
                    detail="crosswalks without a light for pedestrians beside them have no signal group",
                )
            )

    def _add_priorities(self, raw: RawCode) -> None:
        """Enter the right of way where the map gives it: by its priorities of connecting roads, and by stop and yield
        signs."""
        moves = self.junction.moves
        movements_with_sign, all_stop = set(), True

        for index, move in enumerate(moves):
            end = self.junction.ends[move.start]
            # On the last road, signs count wherever they stand
            min_position = float(arc_lengths(end.line)[-1]) - MAX_SIGNAL_DISTANCE
            stops, yields = (
                any(position >= min(min_position, end.pieces[-1].start) for position, _ in self._signs(end, kind))
                for kind in (STOP_SIGN, YIELD_SIGN)
            )
            all_stop = all_stop and stops

            if stops or yields:
                movements_with_sign.add(index)

        for index_, first in enumerate(moves):
            for other, second in enumerate(moves):
                if (second.road.id, first.road.id) in self.junction.priorities or (
                    index_ in movements_with_sign and other not in movements_with_sign
                ):
                    raw.stated[index_, other] = True

        raw.control = "stop" if all_stop else "priority" if raw.stated else ""
