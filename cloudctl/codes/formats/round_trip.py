"""What an export changed: a code beside what our own reader makes of its export, field by field.

Every target has one table of the differences that may be, each with its reason; they are printed as losses. Any other
difference is a refusal: a limit raised, a connection cut, a stop line moved, a lane opened to others cannot pass
unseen, whatever part of an exporter fails."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from msgspec import Struct

from cloudctl.geo import Origin

from ..compiled.code import local_lines
from ..findings import CodeError, Finding
from ..model import Alias, Connection, IntersectionCode, Lane, Point
from ..polylines import F8, arc_lengths, points_along
from ..rule import Rule
from ..rules import SPEED_CAP_KINDS, RulePlacement, Vehicle, binds, rule_placements
from .held_limits import highest_plain_limit, limits_held
from .importing.permits import MOTOR_CLASSES
from .messages.kept_out import CLASSES_OF_USE, classes_by_lane, refused_classes
from .messages.limit_profile import SPECIAL_CLASSES
from .messages.speed_limits import SPEED_STEP, narrowing_fields

TOLERANCE = 0.03  # m: a MAP counts in cm, a code in about as much
STOP_TOLERANCE = 0.05  # m along the lane; a stop line stands on whole cm of a lane whose points do, too
# Classes whose limits are compared
PROBED = (
    *(name for name in MOTOR_CLASSES if name not in SPECIAL_CLASSES),
    "automated",
)
SHOWN = 20  # undeclared differences that a refusal names


class Difference(Struct, frozen=True, order=True):
    """One difference. `field` is of the code's tables, `what` lost, added, changed, raised, lowered, rounded, cut,
    moved, shortened or thinned."""

    field: str
    what: str
    entity: str
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        return f"{self.entity}: {self.before} -> {self.after}" if self.after else f"{self.entity} {self.before}".strip()


@dataclass
class Pairing:
    """Which lane of what was read back is which of the code; `exits`: those that stand for it where connections end, if
    others."""

    lanes: dict[str, str]
    exits: dict[str, str] = field(default_factory=dict)


def differences(code: IntersectionCode, back: IntersectionCode, pairing: Pairing) -> list[Difference]:
    """Return every difference, in a fixed order."""
    return sorted(set(_Comparison(code, back, pairing).all()))


def declared(found: list[Difference], table: Mapping[tuple[str, str], str], where: str, remedy: str) -> list[Finding]:
    """Return the losses of an export, a line a kind. Raises CodeError for differences that the table does not have."""
    other = [d for d in found if (d.field, d.what) not in table]
    if other:
        rule = f"would not come back from {where} as it is: {{}}"
        raise CodeError(
            f"export to {where}",
            [
                Finding(
                    entity=d.entity,
                    field=d.field,
                    value=d.before or "none",
                    rule=rule.format(f"{d.what} {d.after}".strip()),
                    severity="error",
                    remedy=remedy,
                )
                for d in other[:SHOWN]
            ],
        )

    groups: dict[tuple[str, str], list[Difference]] = {}
    for d in found:
        groups.setdefault((d.field, d.what), []).append(d)

    return [
        Finding(
            entity="code",
            field=name,
            value=f"{len(rows)} {what}, first {rows[0]}"[:160],
            rule=table[name, what],
            severity="warning",
            remedy="publish the digital code itself beside it",
        )
        for (name, what), rows in groups.items()
    ]


class _Comparison:
    def __init__(self, code: IntersectionCode, back: IntersectionCode, pairing: Pairing) -> None:
        self.code, self.back, self.pairing = code, back, pairing
        self.origin = Origin(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7)
        self.back_lanes = {lane.id: lane for lane in back.lanes}
        self.roles = [{link.id: link for link in side.links} for side in (code, back)]
        self.places = rule_placements(code), rule_placements(back)
        self.refused = refused_classes(code)
        self.let_in = (classes_by_lane(code), classes_by_lane(back))
        self.connections = self._paired_connections()

    def all(self) -> Iterator[Difference]:
        """Yield the differences of every table."""
        yield from self._head()
        yield from self._lanes()
        yield from self._limits()
        yield from self._connections()
        yield from self._conflicts()
        yield from self._groups()
        yield from self._stop_lines()
        yield from self._crosswalks()
        yield from self._rules()

    def _head(self) -> Iterator[Difference]:
        a, b = self.code, self.back
        if (a.ref_lat_e7, a.ref_lon_e7) != (b.ref_lat_e7, b.ref_lon_e7):
            yield Difference(
                field="ref",
                what="changed",
                entity="code",
                before=f"{a.ref_lat_e7}, {a.ref_lon_e7}",
                after=f"{b.ref_lat_e7}, {b.ref_lon_e7}",
            )

        for name in ("id", "name", "revision", "control", "accuracy_cm", "valid_from", "valid_to"):
            if getattr(a, name) != getattr(b, name):
                yield Difference(
                    field=name, what="changed", entity="code", before=str(getattr(a, name)), after=str(getattr(b, name))
                )

        yield from _lost_alias("alias", "code", a.alias, b.alias)
        for node in a.nodes:
            if not any(
                (node.lat_e7, node.lon_e7, node.control, node.alias) == (n.lat_e7, n.lon_e7, n.control, n.alias)
                for n in b.nodes
            ):
                yield Difference(field="nodes", what="lost", entity=node.id)

        for plan in a.plans:
            yield Difference(field="plans", what="lost", entity=plan.id)

        for zone in a.zones:
            yield Difference(field="zones", what="lost", entity=zone.id)

        for device in a.devices:
            yield Difference(field="devices", what="lost", entity=device.id)

        for excepted in a.signal_exceptions:
            yield Difference(field="signal_exceptions", what="lost", entity=f"{excepted.a}/{excepted.b}")

        used = {lane.link for lane in a.lanes if lane.id in self.pairing.lanes}
        for link in a.links:
            if link.id in used:
                yield from _lost_alias("links.alias", link.id, link.alias, ())
                if {link.upstream, link.downstream} - {"", "N0"}:
                    yield Difference(
                        field="links.nodes", what="lost", entity=link.id, before=f"{link.upstream} > {link.downstream}"
                    )

    def _lanes(self) -> Iterator[Difference]:
        led = {c.to_lane for c in self.code.connections if c.inner}
        for lane in self.code.lanes:
            link = self.roles[0][lane.link]
            other = self.back_lanes.get(self.pairing.lanes.get(lane.id, ""))
            if other is None:
                yield Difference(
                    field="lanes.upstream" if link.role == "upstream" and lane.id not in led else "lanes",
                    what="lost",
                    entity=lane.id,
                )
                continue

            role = self.roles[1][other.link].role
            if link.role != role:
                yield Difference(
                    field="links.role",
                    what="changed" if link.role == "upstream" and role == "egress" else "turned",
                    entity=lane.id,
                    before=link.role,
                    after=role,
                )

            yield from self._lane(lane, other)

        expected = {*self.pairing.lanes.values()}
        for name in sorted(self.back_lanes.keys() - expected):
            yield Difference(
                field="lanes", what="doubled" if name in self.pairing.exits.values() else "added", entity=name
            )

    def _lane(self, lane: Lane, other: Lane) -> Iterator[Difference]:
        for name in ("number", "width_cm", "use", "revocable"):
            before, after = getattr(lane, name), getattr(other, name)
            if before != after:
                what = "closed" if name == "use" and not self.let_in[1][other.id] else "changed"
                yield Difference(field=f"lanes.{name}", what=what, entity=lane.id, before=str(before), after=str(after))

        yield from self._access(lane, other)
        for use in sorted({*lane.shared} - {*other.shared, lane.use}):
            closed = not self.let_in[1][other.id] or not self.refused[lane.id].isdisjoint(CLASSES_OF_USE[use])
            yield Difference(field="lanes.shared", what="closed" if closed else "lost", entity=lane.id, before=use)

        for use in sorted({*other.shared} - {*lane.shared, lane.use}):
            yield Difference(field="lanes.shared", what="opened", entity=lane.id, before=use)

        if (
            lane.speed + 1e-9 < other.speed <= highest_plain_limit(self.code, self.places[0][lane.id], lane.speed)
        ):  # of parts, which `_limits` compares
            yield Difference(
                field="lanes.speed", what="restated", entity=lane.id, before=f"{lane.speed:g}", after=f"{other.speed:g}"
            )
        else:
            yield from _speed("lanes.speed", lane.id, lane.speed, other.speed)

        yield from _lost_alias("lanes.alias", lane.id, lane.alias, other.alias)
        stop = next((line.s for line in self.code.stop_lines if line.lane == lane.id), None)
        what = self._line(lane.points, other.points, stop)

        if what:
            yield Difference(
                field="lanes.points",
                what=what,
                entity=lane.id,
                before=f"{len(lane.points)} points",
                after=f"{len(other.points)} points",
            )

    def _access(self, lane: Lane, other: Lane) -> Iterator[Difference]:
        """Yield the classes that were let in, or no longer are: those that may use a lane always and all along it."""
        before, after = self.let_in[0][lane.id], self.let_in[1][other.id]
        for kind in after:
            if kind not in before:
                yield Difference(field="lanes.access", what="opened", entity=lane.id, before=kind)

        for kind in before:
            if kind not in after:
                yield Difference(field="lanes.access", what="closed", entity=lane.id, before=kind)

    def _line(self, before: tuple[Point, ...], after: tuple[Point, ...], stop: float | None = None) -> str:
        """Return how a line differs: "" where it does not, rounded or thinned within the tolerance, shortened to the
        stop line, or moved."""
        if before == after:
            return ""

        a, b = local_lines(self.origin, [before, after])
        if (
            _off(b, a) <= TOLERANCE
            and _off(a, b) <= TOLERANCE
            and np.hypot(*(a[0] - b[0])) <= TOLERANCE
            and np.hypot(*(a[-1] - b[-1])) <= TOLERANCE
        ):
            return "rounded" if len(a) <= len(b) else "thinned"

        if (
            stop is not None
            and _off(b, a) <= TOLERANCE
            and np.hypot(*(points_along(a, arc_lengths(a), stop) - b[-1])) <= STOP_TOLERANCE
            and np.hypot(*(a[0] - b[0])) <= TOLERANCE
        ):
            return "shortened"

        return "moved"

    def _limits(self) -> Iterator[Difference]:
        """Yield where what holds for a class at a place of a lane was raised, or lowered beyond rounding."""
        rules = self.places
        for lane in self.code.lanes:
            other = self.back_lanes.get(self.pairing.lanes.get(lane.id, ""))
            if other is None or lane.use == "pedestrian":
                continue

            length = float(arc_lengths(local_lines(self.origin, [other.points])[0])[-1])
            cuts = sorted(
                {
                    0.0,
                    length,
                    *(
                        min(s, length)
                        for side, name in ((0, lane.id), (1, other.id))
                        for p in rules[side][name]
                        for s in (p.s_from, p.s_to)
                    ),
                }
            )

            for low, high in pairwise(cuts):
                if high - low < 2 * STOP_TOLERANCE:
                    continue
                s = (low + high) / 2
                yield from self._held(lane, other, s)

        for c in self.code.connections:
            found = self.connections.get(c.id)
            if found is not None:
                yield from _caps(
                    "connections.speed",
                    c.id,
                    (self.code, rules[0][c.id], c.speed),
                    (self.back, rules[1][found.id], found.speed),
                    None,
                )

    def _held(self, lane: Lane, other: Lane, s: float) -> Iterator[Difference]:
        """Yield how the limits of a place changed, once for the classes for which they did alike."""
        kinds = dict.fromkeys((*PROBED, *CLASSES_OF_USE[lane.use]))
        pairs = {
            kind: (
                limits_held(self.code, self.places[0][lane.id], lane.speed, kind, s),
                limits_held(self.back, self.places[1][other.id], other.speed, kind, s),
            )
            for kind in kinds
        }

        for before, after in dict.fromkeys(pairs.values()):
            named = [kind for kind, pair in pairs.items() if pair == (before, after)]
            entity = f"{lane.id} at {s:.0f} m" + ("" if len(named) == len(pairs) else f" for {', '.join(named)}")
            yield from _speed("lanes.limit", entity, before.usual, after.usual)

            if after.greatest < before.greatest - SPEED_STEP - 1e-9:
                yield Difference(
                    field="lanes.limit",
                    what="lowered",
                    entity=entity,
                    before=f"{before.greatest:g} at times",
                    after=f"{after.greatest:g}",
                )

            if after.lowest > before.lowest + 1e-9:
                yield Difference(
                    field="lanes.limit",
                    what="raised",
                    entity=entity,
                    before=f"{before.lowest:g} at times",
                    after=f"{after.lowest:g}",
                )

    def _paired_connections(self) -> dict[str, Connection]:
        """Return the connection that was read back for each of the code: of the same lanes, first those with the same
        turn and group."""
        left = list(self.back.connections)
        out: dict[str, Connection] = {}
        ends = self.pairing.lanes | self.pairing.exits

        for strict in (True, False):
            for c in self.code.connections:
                lanes = self.pairing.lanes.get(c.from_lane), ends.get(c.to_lane)
                if c.id in out or not c.inner:
                    continue

                found = next(
                    (
                        o
                        for o in left
                        if (o.from_lane, o.to_lane) == lanes and (not strict or (o.turn, o.group) == (c.turn, c.group))
                    ),
                    None,
                )
                if found is not None:
                    left.remove(found)
                    out[c.id] = found

        self.further = left
        return out

    def _connections(self) -> Iterator[Difference]:
        for c in self.code.connections:
            other = self.connections.get(c.id)
            if not c.inner:
                yield Difference(field="connections.joints", what="lost", entity=c.id)
            elif other is None:
                yield Difference(field="connections", what="cut", entity=c.id, before=f"{c.from_lane} > {c.to_lane}")
            else:
                for name in ("turn", "group"):
                    if getattr(c, name) != getattr(other, name):
                        yield Difference(
                            field=f"connections.{name}",
                            what="changed",
                            entity=c.id,
                            before=str(getattr(c, name)),
                            after=str(getattr(other, name)),
                        )

                if c.waits != other.waits:
                    yield Difference(
                        field="connections.waits",
                        what="changed",
                        entity=c.id,
                        before=str(c.waits),
                        after=str(other.waits),
                    )

                yield from _lost_alias("connections.alias", c.id, c.alias, other.alias)
                what = self._line(c.points, other.points)
                if what:
                    yield Difference(
                        field="connections.points", what="redrawn" if what == "moved" else what, entity=c.id
                    )

        for c in self.further:
            yield Difference(field="connections", what="added", entity=c.id, before=f"{c.from_lane} > {c.to_lane}")

    def _conflicts(self) -> Iterator[Difference]:
        def rows(code: IntersectionCode, names: dict[str, str]) -> dict[tuple[str, str], tuple[object, ...]]:
            out: dict[tuple[str, str], tuple[object, ...]] = {}
            for c in code.conflicts:
                a, b = names.get(c.a, ""), names.get(c.b, "")
                row = (c.kind, round(c.s_a), round(c.s_b), c.a_yields, c.b_yields)
                out[min((a, b), (b, a))] = row if a <= b else (c.kind, row[2], row[1], row[4], row[3])
            return out

        before, after = (
            rows(self.code, {c.id: c.id for c in self.code.connections}),
            rows(self.back, {o.id: name for name, o in self.connections.items()}),
        )
        for pair, row in before.items():
            if after.get(pair) != row:
                yield Difference(
                    field="conflicts",
                    what="lost" if pair not in after else "changed",
                    entity="/".join(pair),
                    before=str(row),
                    after=str(after.get(pair, "")),
                )

        for pair in after.keys() - before.keys():
            yield Difference(field="conflicts", what="added", entity="/".join(pair))

    def _groups(self) -> Iterator[Difference]:
        others = {group.id: group for group in self.back.signal_groups}
        used = {c.group for c in self.code.connections} | {walk.group for walk in self.code.crosswalks}
        for group in self.code.signal_groups:
            other = others.pop(group.id, None)
            if other is None:
                yield Difference(
                    field="signal_groups" if group.id in used else "signal_groups.unused",
                    what="lost",
                    entity=str(group.id),
                )
            else:
                for name in ("kind", "channels"):
                    if getattr(group, name) != getattr(other, name):
                        yield Difference(
                            field=f"signal_groups.{name}",
                            what="changed",
                            entity=str(group.id),
                            before=str(getattr(group, name)),
                            after=str(getattr(other, name)),
                        )

        for number in others:
            yield Difference(field="signal_groups", what="added", entity=str(number))

    def _stop_lines(self) -> Iterator[Difference]:
        lanes, others = (
            {lane.id: lane for lane in self.code.lanes},
            {line.lane: line.s for line in self.back.stop_lines},
        )
        for line in self.code.stop_lines:
            name = self.pairing.lanes.get(line.lane, "")
            s = others.pop(name, None)
            if s is None:
                yield Difference(
                    field="stop_lines.pedestrian" if lanes[line.lane].use == "pedestrian" else "stop_lines",
                    what="lost",
                    entity=line.lane,
                    before=f"{line.s}",
                )
            else:
                a, b = local_lines(self.origin, [lanes[line.lane].points, self.back_lanes[name].points])
                off = float(np.hypot(*(points_along(a, arc_lengths(a), line.s) - points_along(b, arc_lengths(b), s))))
                if off > STOP_TOLERANCE:
                    yield Difference(
                        field="stop_lines", what="moved", entity=line.lane, before=f"{line.s}", after=f"{off:.2f} m off"
                    )

        for name in others:
            yield Difference(field="stop_lines", what="added", entity=name)

    def _crosswalks(self) -> Iterator[Difference]:
        for walk, other in zip(
            self.code.crosswalks, [*self.back.crosswalks, *[None] * len(self.code.crosswalks)], strict=False
        ):
            if other is None:
                yield Difference(field="crosswalks", what="lost", entity=walk.id)
                continue

            for name in ("width_cm", "group"):
                if getattr(walk, name) != getattr(other, name):
                    yield Difference(
                        field=f"crosswalks.{name}",
                        what="changed",
                        entity=walk.id,
                        before=str(getattr(walk, name)),
                        after=str(getattr(other, name)),
                    )

            what = self._line(walk.axis, other.axis)
            if what:
                yield Difference(field="crosswalks.axis", what=what, entity=walk.id)

            if walk.polygon:
                yield Difference(field="crosswalks.polygon", what="lost", entity=walk.id)

            yield from _lost_alias("crosswalks.alias", walk.id, walk.alias, other.alias)

        for walk in self.back.crosswalks[len(self.code.crosswalks) :]:
            yield Difference(field="crosswalks", what="added", entity=walk.id)

    def _rules(self) -> Iterator[Difference]:
        """Yield rules that did not come back at each place, and those that came in addition; plain limits are compared
        by `_limits`."""
        paths = self.pairing.lanes | {name: c.id for name, c in self.connections.items()}
        before, after = (
            _rule_rows(self.code, {name: name for name in paths}),
            _rule_rows(self.back, {b: a for a, b in paths.items()}),
        )
        for rule, rows in before:
            if not any(rows <= others and _same_rule(rule, other) for other, others in after):
                yield Difference(field=f"rules.{rule.kind}", what="lost", entity=rule.id, before=_shown(rule))
            elif rule.priority or rule.authority or rule.sign or rule.text:
                yield Difference(field="rules.notes", what="lost", entity=rule.id)

        for rule, rows in after:
            if not any(rows & others and _same_rule(rule, other) for other, others in before):
                yield Difference(field=f"rules.{rule.kind}", what="added", entity=rule.id, before=_shown(rule))


def _rule_rows(code: IntersectionCode, names: dict[str, str]) -> list[tuple[Rule, set[tuple[str, float, float]]]]:
    """Return each rule but plain limits with the places where it holds, by the other code's names: (lane or connection,
    from, to), whole m."""
    rows: dict[int, set[tuple[str, float, float]]] = {}
    for path, found in rule_placements(code).items():
        for place in found:
            if path in names:
                rows.setdefault(place.rule, set()).add(
                    (
                        names[path],
                        round(place.s_from),
                        min(place.s_to, 1e6) if place.s_to == float("inf") else round(place.s_to),
                    )
                )

    return [(rule, rows.get(k, set())) for k, rule in enumerate(code.rules) if not _is_compared(rule)]


def _is_compared(rule: Rule) -> bool:
    """Return whether a rule is a limit whose effect is compared place by place, whatever rule carries it."""
    return rule.kind == "speed_max" and not (
        rule.classes or rule.except_classes or rule.calendar or narrowing_fields(rule)
    )


def _same_rule(a: Rule, b: Rule) -> bool:
    """Return whether two rules ask for the same of the same at the same times."""
    values = a.value == b.value or (
        a.value is not None and b.value is not None and abs(a.value - b.value) <= SPEED_STEP
    )
    return values and _asked(a) == _asked(b)


def _asked(rule: Rule) -> list[object]:
    """Return what a rule says, but for its value, its place, its rank, and its notes."""
    rows = [
        getattr(rule, field)
        for field in rule.__struct_fields__
        if field not in ("id", "targets", "value", "priority", "authority", "sign", "text")
    ]
    return [frozenset(row) if isinstance(row, tuple) else row for row in rows]


def _shown(rule: Rule) -> str:
    value = "" if rule.value is None else f" {rule.value:g}"
    return f"{rule.kind}{value}{' for ' + ', '.join(rule.classes) if rule.classes else ''}{' at times' if rule.calendar else ''}"


def _caps(
    field: str,
    entity: str,
    before: tuple[IntersectionCode, list[RulePlacement], float],
    after: tuple[IntersectionCode, list[RulePlacement], float],
    s: float | None,
) -> Iterator[Difference]:
    """Yield how the lowest cap of a place changed, once for the classes for which it did alike."""
    caps = {kind: (_lowest(*before, kind, s), _lowest(*after, kind, s)) for kind in PROBED}
    for low, high in dict.fromkeys(caps.values()):
        named = [kind for kind, pair in caps.items() if pair == (low, high)]
        yield from _speed(field, entity if len(named) == len(caps) else f"{entity} for {', '.join(named)}", low, high)


def _lowest(code: IntersectionCode, found: list[RulePlacement], speed: float, kind: str, s: float | None) -> float:
    """Return the lowest cap, at any time, for a class at a place; at any place without `s`."""
    vehicle = Vehicle("car", automated=True) if kind == "automated" else Vehicle(kind)
    rules = [code.rules[p.rule] for p in found if s is None or p.s_from <= s <= p.s_to]

    return min(
        [
            speed,
            *(
                r.value
                for r in rules
                if r.kind in SPEED_CAP_KINDS and r.value is not None and r.mandatory and binds(r, vehicle) is not False
            ),
        ]
    )


def _speed(field: str, entity: str, before: float, after: float) -> Iterator[Difference]:
    if after > before + 1e-9:
        yield Difference(field=field, what="raised", entity=entity, before=f"{before:g}", after=f"{after:g}")
    elif after < before - 1e-9:
        yield Difference(
            field=field,
            what="rounded" if after > before - SPEED_STEP - 1e-9 else "lowered",
            entity=entity,
            before=f"{before:g}",
            after=f"{after:g}",
        )


def _lost_alias(field: str, entity: str, before: tuple[Alias, ...], after: tuple[Alias, ...]) -> Iterator[Difference]:
    for alias in before:
        if alias not in after:
            yield Difference(field=field, what="lost", entity=entity, before=f"{alias.kind} {alias.value}")


def _off(points: F8, line: F8) -> float:
    """Return how far (m) points are from a line, at most."""
    a, d = line[:-1], np.diff(line, axis=0)
    along = np.clip(((points[:, None] - a) * d).sum(axis=2) / np.maximum((d**2).sum(axis=1), 1e-12), 0, 1)
    return float(np.hypot(*np.moveaxis(points[:, None] - a - along[..., None] * d, 2, 0)).min(axis=1).max())
