"""Lanelet2 maps (OSM XML) -> digital codes: one for each place where lanelets of different roads cross.

A lanelet runs through an intersection when it has one before and one after it, and forks, merges or crosses there. Chains of
lanelets without forks before and after are one lane each; what lies between a stop line and the crossing is part of the lane.
"""

import re
from itertools import pairwise

import numpy as np

from ...findings import Loss, refuse
from ...model import Alias, Point
from ...polylines import F8, arc, crossings
from ...report import Imported
from ...rule import Rule, Target
from ..importing.accounting import Accounts
from ..importing.build import NO_ADM, RawCode, RawLane, RawMove, build, globe
from ..importing.clusters import approaches, components, crossing, unit
from ..importing.permits import span_rules, turn_bans
from .map import Lanelet, LaneletMap, Walk, read_lanelet2
from .rules import Lights

REACH = 1.5  # m by which a stop line is lengthened to meet the lanes beside it
REACH_OF_LIGHTS = 150.0  # m from the middle to a stop line that its light may share with a lane
MIN_APART, BESIDE = 0.5, 15.0  # m between a lane in and a lane out of one road
NEAR = 60.0  # m from the middle within which a crosswalk belongs to an intersection
MAX_CAUSES = 5  # named in a refusal; the loss report has all
BOOKKEEPING = "who edited the map, and when"
IGNORED = {
    **dict.fromkeys(
        ("@version", "@visible", "@timestamp", "@changeset", "@uid", "@user", "@action", "osm@generator", "osm@upload"),
        BOOKKEEPING,
    ),
    **dict.fromkeys(("MetaInfo", "bounds"), "the version and the extent of the map"),
    **dict.fromkeys(
        ("way@name", "way@width", "way@height", "relation@name", "lanelet@road_name"),
        "names and sizes of things that are read by their points",
    ),
    "way@color": "how a marking looks",
    "way@traffic_light_id": "which light the lamps are of: lanelets say for whom it is",
    "relation@fallback": "who yields counts only where no signal decides",
    "relation@road_surface": "the state of the surface",
    "relation@no_issue": "for checks of the map",
}


def import_lanelet2(data: bytes, *, adm: str = NO_ADM, zero: Point | None = None) -> Imported:
    """Return the codes of a map; `zero` is where its 0, 0 lies, for a map that is not placed. Raises CodeError, with the loss report."""
    with Accounts("Lanelet2", IGNORED) as accounts:
        whole = read_lanelet2(accounts.xml(data), zero)
        for lanelet in whole.lanelets:
            if not lanelet.before and not lanelet.after:
                accounts.enter(
                    "dropped", "lanelet", "joins no other lanelet by the ends of both bounds", f"lanelet {lanelet.name}"
                )
        places = _places(whole)
        if not places:
            raise refuse(
                "Lanelet2",
                "map",
                "lanelets",
                len(whole.lanelets),
                "no two lanelets of different roads cross" + _left_out(accounts),
                "give a map whose lanelets lead through the intersection and share their bounds' end points; the loss report says what was left out",
            )
        raws = [_code(whole, found) for found in places]
        _report_unused(whole)
        codes = [build(raw, adm, k) for k, raw in enumerate(raws, 1)]
        accounts.losses.update(*(raw.losses for raw in raws))
        return accounts.imported(codes)


def _report_unused(whole: LaneletMap) -> None:
    """Report the lights, crosswalks and limits that no intersection has."""
    for light in whole.regulations.lights:
        if light.id not in whole.used:
            whole.accounts.enter(
                "dropped",
                "element traffic_light",
                "no lanelet of an intersection names it, and its stop line crosses no lane of one",
                f"element {light.id}",
            )
    for walk in whole.walks:
        if walk.id not in whole.used:
            whole.accounts.enter(
                "dropped",
                "crosswalk",
                f"more than {NEAR:.0f} m from the middle of each intersection",
                f"crosswalk {walk.id}",
            )
    named = {ref for x in whole.lanelets for ref in x.rules}
    for ref in whole.regulations.speeds:
        if ref not in named:
            whole.accounts.enter("dropped", "element speed_limit", "no lanelet names it", f"element {ref}")


def _left_out(accounts: Accounts) -> str:
    """Return why lanelets were left out, in words, for a refusal that may rest on it."""
    lines = [
        f"; left out: {loss.detail} ({loss.count})"
        for loss in accounts.report()
        if loss.what == "dropped" and loss.entity == "lanelet"
    ]
    return "".join(lines[:MAX_CAUSES])


def _places(whole: LaneletMap) -> list[list[Lanelet]]:
    """Return the lanelets through each place where some of different roads cross."""
    crossed = _crossings(whole.lanelets)
    inner = [x for k, x in enumerate(whole.lanelets) if x.before and x.after and (_branches(x) or crossed[k])]
    index = {id(x): k for k, x in enumerate(inner)}
    number = {id(x): k for k, x in enumerate(whole.lanelets)}
    same: dict[str, int] = {}  # the two directions of one lanelet
    pairs: list[tuple[int, int]] = []
    for k, x in enumerate(inner):
        beside = (
            [y for b in x.before for y in b.after]
            + [y for a in x.after for y in a.before]
            + [whole.lanelets[j] for j in crossed[number[id(x)]]]
        )
        pairs += [(k, index[id(y)]) for y in beside if id(y) in index]
        pairs.append((k, same.setdefault(x.id, k)))
    found = [[inner[k] for k in rows] for rows in components(len(inner), pairs)]
    return [group for group in found if any(crossed[number[id(x)]] for x in group)]


def _crossings(lanelets: list[Lanelet]) -> list[list[int]]:
    """Return which lanelets each one crosses: the middles meet between their ends, and they neither begin nor end together."""
    out: list[list[int]] = [[] for _ in lanelets]
    low, high = (np.array([f(x.middle, axis=0) for x in lanelets]).reshape(-1, 2) for f in (np.min, np.max))
    for k, x in enumerate(lanelets):
        near = np.flatnonzero((low[k + 1 :] <= high[k]).all(axis=1) & (high[k + 1 :] >= low[k]).all(axis=1)) + k + 1
        for j in near.tolist():
            y = lanelets[j]
            if x.id != y.id and _apart(x, y) and crossing(x.middle, y.middle):
                out[k].append(j)
                out[j].append(k)
    return out


def _branches(x: Lanelet) -> bool:
    return any(len(b.after) > 1 for b in x.before) or any(len(a.before) > 1 for a in x.after)


def _apart(a: Lanelet, b: Lanelet) -> bool:
    """Return whether two lanelets neither begin nor end together."""
    return not (
        {id(x) for x in a.before} & {id(x) for x in b.before} or {id(x) for x in a.after} & {id(x) for x in b.after}
    )


def _code(whole: LaneletMap, found: list[Lanelet]) -> RawCode:
    inner = {id(x) for x in found}
    middle = np.mean([x.middle.mean(axis=0) for x in found], axis=0)
    (ref,) = globe(whole.origin, middle[None])
    raw = RawCode("Lanelet2 " + found[0].id, ref, alias=(Alias("lanelet2", found[0].id),))
    chains: dict[int, list[Lanelet]] = {}
    for x in found:
        for first in x.before:
            chains.setdefault(id(first), _chain(first, inner, False))
        for last in x.after:
            chains.setdefault(id(last), _chain(last, inner, True))
    ingress = {id(b) for x in found for b in x.before}
    keys = {
        k: ("in " if k in ingress else "out ") + chain[-1 if k in ingress else 0].key for k, chain in chains.items()
    }
    _lanes(raw, whole, chains, ingress, keys, middle)
    raw.left_hand = drives_on_the_left(raw.lanes)
    if raw.left_hand:
        raw.losses.add(Loss("guessed", raw.name, "left-hand traffic: lanes out lie to the right of lanes in"))
    walks = [walk for walk in whole.walks if np.hypot(*(walk.axis.mean(axis=0) - middle)) < NEAR]
    lights = _Lights(raw, whole, {keys[k]: chains[k] for k in chains if k in ingress}, found, walks)
    paths: list[set[str]] = []  # the lanelets that each movement runs on
    for x in found:
        for b in x.before:
            for a in x.after:
                alias = (Alias("lanelet2", x.id),)
                raw.moves.append(
                    RawMove(
                        keys[id(b)],
                        keys[id(a)],
                        lights.of(keys[id(b)], x),
                        x.turn,
                        x.middle - middle,
                        speed=_own_speed(x),
                        alias=alias,
                    )
                )
                entity = f"C{len(raw.moves)}"
                raw.rules += [*_class_limits(Target(entity), x), *turn_bans(entity, [b.permit, a.permit], [x.permit])]
                paths.append({y.id for y in chains[id(b)]} | {x.id})
    _priorities(raw, whole, paths, {keys[k]: chains[k] for k in chains if k in ingress})
    for walk in walks:
        raw.walks.append(
            (walk.axis - middle, round(walk.width * 100), lights.of_walk(walk.rules), (Alias("lanelet2", walk.id),))
        )
    whole.used |= lights.made | {walk.id for walk in walks}
    if any(not walk[2] for walk in raw.walks):
        raw.losses.add(Loss("guessed", raw.name, "crosswalks that name no light have no signal group"))
    lights.describe()
    return raw


def drives_on_the_left(lanes: list[RawLane]) -> bool:
    """Return whether lanes out lie to the right of the lanes in beside them, which the format does not say otherwise."""
    votes = 0
    for a in lanes:
        for b in lanes:
            if (a.role, b.role) != ("ingress", "egress"):
                continue
            ahead, between, back = unit(a.xy[-1] - a.xy[-2]), b.xy[0] - a.xy[-1], unit(b.xy[1] - b.xy[0])
            across = float(ahead[0] * between[1] - ahead[1] * between[0])
            if ahead @ back < -0.9 and abs(float(ahead @ between)) < BESIDE and MIN_APART < abs(across) < BESIDE:
                votes += 1 if across < 0 else -1
    return votes > 0


def _chain(x: Lanelet, inner: set[int], forward: bool) -> list[Lanelet]:
    """Return the lanelets that are one lane with `x`, in driving direction: no fork, no merge, no intersection between."""
    out = [x]
    while True:
        more = out[-1].after if forward else out[-1].before
        back = (more[0].before if forward else more[0].after) if len(more) == 1 else ()
        if len(more) != 1 or len(back) != 1 or id(more[0]) in inner or more[0] in out:
            return out if forward else out[::-1]
        out.append(more[0])


def _lanes(
    raw: RawCode,
    whole: LaneletMap,
    chains: dict[int, list[Lanelet]],
    ingress: set[int],
    keys: dict[int, str],
    middle: F8,
) -> None:
    ends = []
    for k, chain in chains.items():
        line = chain[-1].middle if k in ingress else chain[0].middle
        ends.append(
            (keys[k], line[-1], unit(line[-1] - line[-2]))
            if k in ingress
            else (keys[k], line[0], unit(line[1] - line[0]))
        )
    of = approaches(end for end in ends if end[0].startswith("in ")) | approaches(
        end for end in ends if end[0].startswith("out ")
    )
    lines = [
        line for light in whole.regulations.lights if not light.walking for line in light.lines
    ] + whole.regulations.stop_lines
    ends_of = np.array([end for _, end, _ in ends])
    stops = [line for line in lines if np.hypot(*(ends_of - line.mean(axis=0)).T).min() < REACH_OF_LIGHTS]
    for k, chain in chains.items():
        xy = _line(chain)
        stop = _stop(xy, stops) if k in ingress else None
        if k in ingress and stop is None:
            whole.accounts.enter(
                "guessed",
                "lane",
                "no stop line crosses it: it is taken to stop at its end",
                f"lanelet {chain[-1].name}",
            )
        limits = _limits(raw, keys[k], chain, xy, _nearest(chain, k in ingress))
        raw.lanes.append(
            RawLane(
                key=keys[k],
                xy=xy - middle,
                role="ingress" if k in ingress else "egress",
                approach=of[keys[k]],
                use=_nearest(chain, k in ingress).permit.use,
                shared=_nearest(chain, k in ingress).permit.shared,
                width_cm=round(float(np.median([x.width_m for x in chain])) * 100),
                speed=min(limit for _, _, limit in limits),
                limits=tuple(limits) if len(limits) > 1 else (),
                stop_s=stop,
                alias=tuple(Alias("lanelet2", x.id) for x in chain)
                + tuple(Alias("name", x.name) for x in chain if x.name != x.id),
            )
        )


def _nearest(chain: list[Lanelet], ingress: bool) -> Lanelet:
    """Return the lanelet of a lane that lies at the intersection."""
    return chain[-1 if ingress else 0]


def _limits(
    raw: RawCode, key: str, chain: list[Lanelet], xy: F8, at_place: Lanelet
) -> list[tuple[float, float, float]]:
    """Return the limits along a lane, (from m, to m, m/s); enter its rules: limits of some classes, and who may use it where.

    `at_place` is its lanelet at the intersection, which gives the use of the lane.
    """
    cuts = np.cumsum([0.0, *(float(arc(x.middle)[-1]) for x in chain)])
    cuts *= float(arc(xy)[-1]) / max(float(cuts[-1]), 1e-9)
    out: list[tuple[float, float, float]] = []
    for x, start, end in zip(chain, cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        target = Target(key) if len(chain) == 1 else Target(key, round(start, 2), round(end, 2))
        own = _own_speed(x)
        if own is None:
            raw.losses.add(Loss("guessed", raw.name, f"lanelets without a speed limit: {x.usual[1]}"))
        speed = x.usual[0] if own is None else own
        if out and out[-1][2] == speed:
            out[-1] = (out[-1][0], round(end, 2), speed)
        else:
            out.append((round(start, 2), round(end, 2), speed))
        raw.rules += [*_class_limits(target, x), *span_rules(target, x.permit, at_place.permit)]
        if at_place.permit.use != "vehicle" and "car" in x.permit.users and "car" not in at_place.permit.users:
            raw.losses.add(
                Loss(
                    "differs",
                    raw.name,
                    f"lanes for {at_place.permit.use} at the intersection are so all along: further off they are for cars, too",
                )
            )
    return out


def _class_limits(target: Target, x: Lanelet) -> list[Rule]:
    """Return the limits of a lanelet that hold for some vehicles only."""
    return [
        Rule("", "speed_max", (target,), limit.speed, classes=limit.classes, fuels=limit.fuels)
        for limit in x.limits
        if limit.classes
    ]


def _own_speed(x: Lanelet) -> float | None:
    """Return the limit that a lanelet states for all; None where it states none."""
    return min((limit.speed for limit in x.limits if not limit.classes), default=None)


def _line(chain: list[Lanelet]) -> F8:
    whole = np.concatenate([x.middle for x in chain])
    keep = np.concatenate([[True], np.hypot(*np.diff(whole, axis=0).T) > 0.05])
    return np.asarray(whole[keep])


def _stop(xy: F8, lines: list[F8]) -> float | None:
    """Return m along a lane where the last of the stop lines crosses it."""
    found = [
        float(row[0])
        for line in lines
        for a, b in pairwise(line)
        for row in crossings(xy, arc(xy), np.concatenate([a - unit(b - a) * REACH, b + unit(b - a) * REACH]))
    ]
    return float(np.floor(max(found) * 100) / 100) if found else None


class _Lights:
    """The signal groups of one intersection: a movement has the light that its own lanelet names, else that of the lane before it.

    A lane has the lights that its lanelets name, else those whose stop line crosses it.
    """

    def __init__(
        self, raw: RawCode, whole: LaneletMap, chains: dict[str, list[Lanelet]], inner: list[Lanelet], walks: list[Walk]
    ) -> None:
        self.raw = raw
        self.lanes: dict[str, str] = {}  # lane -> light
        self.served: dict[str, set[str]] = {}  # lane -> lanelets of its movements that have its light
        self.made: set[str] = set()  # lights that are groups of this intersection
        lines = {key: _line(chain) for key, chain in chains.items()}
        middle = np.mean([x.middle.mean(axis=0) for x in inner], axis=0)
        here: list[Lights] = []
        for light in whole.regulations.lights:
            named = [key for key, chain in chains.items() if any(light.id in x.rules for x in chain)]
            elsewhere = any(light.id in x.rules for x in inner) or any(light.id in walk.rules for walk in walks)
            near = [line for line in light.lines if np.hypot(*(line.mean(axis=0) - middle)) < REACH_OF_LIGHTS]
            crossed = (
                []
                if named or elsewhere or light.walking
                else [key for key in chains if _stop(lines[key], near) is not None]
            )
            if named or elsewhere or crossed:
                here.append(light)
            for key in (named or crossed) if not light.walking else ():
                if self.lanes.setdefault(key, light.id) != light.id:
                    raw.losses.add(Loss("guessed", raw.name, f"lane {key} has several lights: the first is taken"))
        self.numbers = _numbered(here)
        self.heads = {light.id: light.names for light in here}
        self.walking = {light.id for light in here if light.walking}

    def of(self, lane: str, x: Lanelet) -> int:
        """Return the group of a movement from a lane on a lanelet."""
        own = [ref for ref in x.rules if ref in self.numbers and ref not in self.walking]
        if len(own) > 1:
            self.raw.losses.add(
                Loss("guessed", self.raw.name, f"lanelet {x.name} names several lights: the first is taken")
            )
        if not own and lane in self.lanes:
            self.served.setdefault(lane, set()).add(x.key)
        return self._number(own[0] if own else self.lanes.get(lane, ""))

    def _number(self, name: str) -> int:
        if name in self.numbers:
            self.made.add(name)
        return self.numbers.get(name, 0)

    def of_walk(self, rules: list[str]) -> int:
        """Return the group of a crosswalk that names regulatory elements."""
        return self._number(next((ref for ref in rules if ref in self.numbers), ""))

    def describe(self) -> None:
        """Report what was made of lights, and which group is which: the numbers are not the map's."""
        if self.made:
            rows = ", ".join(
                f"{self.numbers[name]} element {name} ({', '.join(self.heads[name]) or 'no head'})"
                for name in sorted(self.made, key=self.numbers.__getitem__)
            )
            self.raw.losses.add(
                Loss(
                    "guessed",
                    self.raw.name,
                    f"the numbers of signal groups are not the map's, but of the names of lights or their order: {rows}",
                )
            )
        if any(len(lanelets) > 1 for lanelets in self.served.values()):
            self.raw.losses.add(
                Loss(
                    "guessed",
                    self.raw.name,
                    "all movements of a lane share the signal group of its light: the map does not part them",
                )
            )


def _numbered(lights: list[Lights]) -> dict[str, int]:
    """Return the group number of each light: that in its name where these are all different, else its place in the file."""
    endings = [re.search(r"(\d+)\s*$", light.names[0]) if light.names else None for light in lights]
    numbers = [int(found[1]) for found in endings if found]
    good = len(set(numbers)) == len(lights) and all(1 <= k <= 255 for k in numbers)
    return {
        light.id: number for light, number in zip(lights, numbers if good else range(1, len(lights) + 1), strict=True)
    }


def _priorities(raw: RawCode, whole: LaneletMap, paths: list[set[str]], chains: dict[str, list[Lanelet]]) -> None:
    """Enter who yields where the map says so: by elements of right of way, and by stop and yield signs."""
    said = whole.regulations
    signed = {key for key, chain in chains.items() if any(ref in said.giving_way for x in chain for ref in x.rules)}
    for i, a in enumerate(raw.moves):
        for j, b in enumerate(raw.moves):
            ruled = any(paths[i] & low and paths[j] & high and not paths[i] & high for low, high in said.yields)
            if ruled or (a.start in signed and b.start not in signed):
                raw.stated[i, j] = True
    every = {key for key, chain in chains.items() if said.all_stop & {x.id for x in chain}}
    if chains and len(every) == len(chains):
        raw.control = "stop"
    elif raw.stated:
        raw.control = "priority"
