"""Lanelet2 maps (OSM XML) -> digital codes: one for each place where lanelets of different roads cross.

A lanelet runs through an intersection when it has one before and one after it, and forks, merges or crosses there. Chains of
lanelets without forks before and after are one lane each; what lies between a stop line and the crossing is part of the lane.
"""

import re
from itertools import pairwise

import numpy as np

from .build import NO_ADM, RawCode, RawLane, RawMove, build, globe
from .clusters import approaches, crossing, groups, unit
from .findings import refuse
from .lanelet2_map import USES, Lanelet, LaneletMap, Lights, read_lanelet2
from .lines import F8, arc, crossings
from .model import Alias, Point
from .report import Imported, Loss

SPEED = 13.89
REACH = 1.5  # m by which a stop line is lengthened to meet the lanes beside it
NEAR = 60.0  # m from the middle within which a crosswalk belongs to an intersection


def import_lanelet2(data: bytes, *, adm: str = NO_ADM, zero: Point | None = None) -> Imported:
    """Return the codes of a map; `zero` is where its 0, 0 lies, for a map that is not placed. Raises CodeError."""
    whole = read_lanelet2(data, zero)
    inner = [x for x in whole.lanelets if x.before and x.after and (_branches(x) or any(crossing(x.middle, y.middle) for y in whole.lanelets if _apart(x, y)))]
    places = [found for found in groups(inner, lambda a, b: not _apart(a, b) or crossing(a.middle, b.middle)) if _crossed(found)]
    if not places:
        raise refuse("Lanelet2", "map", "lanelets", len(whole.lanelets), "no two lanelets of different roads cross",
                     "give a map whose lanelets lead through the intersection and share their bounds' end points")
    for lanelet in whole.lanelets:
        if not lanelet.before and not lanelet.after:
            whole.losses.add(Loss("dropped", f"lanelet {lanelet.name}", "joins no other lanelet by the ends of both bounds"))
    raws = [_code(whole, found) for found in places]
    losses = whole.losses.union(*(raw.losses for raw in raws))
    codes = [build(raw, adm, k) for k, raw in enumerate(raws, 1)]
    return Imported(codes, "Lanelet2", losses.union(*(raw.losses for raw in raws)))


def _branches(x: Lanelet) -> bool:
    return any(len(b.after) > 1 for b in x.before) or any(len(a.before) > 1 for a in x.after)


def _apart(a: Lanelet, b: Lanelet) -> bool:
    """Return whether two lanelets neither begin nor end together."""
    return not ({id(x) for x in a.before} & {id(x) for x in b.before} or {id(x) for x in a.after} & {id(x) for x in b.after})


def _crossed(found: list[Lanelet]) -> bool:
    return any(crossing(a.middle, b.middle) for a in found for b in found if a is not b and _apart(a, b))


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
    keys = {k: ("in " if k in ingress else "out ") + chain[-1 if k in ingress else 0].id for k, chain in chains.items()}
    _lanes(raw, whole, chains, ingress, keys, middle)
    group_of = _groups(raw, whole, {keys[k]: chains[k] for k in chains if k in ingress})
    for x in found:
        for b in x.before:
            for a in x.after:
                raw.moves.append(RawMove(keys[id(b)], keys[id(a)], group_of.get(keys[id(b)], 0), "", x.middle - middle, alias=(Alias("lanelet2", x.id),)))
    for name, axis, width in whole.walks:
        if np.hypot(*(axis.mean(axis=0) - middle)) < NEAR:
            raw.walks.append((axis - middle, round(width * 100), 0, (Alias("lanelet2", name),)))
    if raw.walks:
        raw.losses.add(Loss("guessed", raw.name, "crosswalks have no signal group: the map says of none"))
    return raw



def _chain(x: Lanelet, inner: set[int], forward: bool) -> list[Lanelet]:
    """Return the lanelets that are one lane with `x`, in driving direction: no fork, no merge, no intersection between."""
    out = [x]
    while True:
        more = out[-1].after if forward else out[-1].before
        back = (more[0].before if forward else more[0].after) if len(more) == 1 else ()
        if len(more) != 1 or len(back) != 1 or id(more[0]) in inner or more[0] in out:
            return out if forward else out[::-1]
        out.append(more[0])


def _lanes(raw: RawCode, whole: LaneletMap, chains: dict[int, list[Lanelet]], ingress: set[int], keys: dict[int, str], middle: F8) -> None:
    ends = []
    for k, chain in chains.items():
        line = chain[-1].middle if k in ingress else chain[0].middle
        ends.append((keys[k], line[-1], unit(line[-1] - line[-2])) if k in ingress else (keys[k], line[0], unit(line[1] - line[0])))
    of = approaches(end for end in ends if end[0].startswith("in ")) | approaches(end for end in ends if end[0].startswith("out "))
    guessed = False
    for k, chain in chains.items():
        xy = _line(chain)
        width, role = float(np.median([x.width_m for x in chain])), "ingress" if k in ingress else "egress"
        speed = next((x.speed for x in reversed(chain) if x.speed), None)
        guessed |= speed is None
        stop = _stop(xy, [line for light in whole.lights for line in light.lines] + whole.stop_lines) if role == "ingress" else None
        if role == "ingress" and stop is None:
            raw.losses.add(Loss("guessed", f"lane {chain[-1].name}", "no stop line crosses it: it is taken to stop at its end"))
        raw.lanes.append(RawLane(keys[k], xy - middle, role, of[keys[k]], USES[chain[0].subtype], round(width * 100), speed or SPEED, stop_s=stop,
                                 alias=tuple(Alias("lanelet2", x.id) for x in chain) + tuple(Alias("name", x.name) for x in chain if x.name != x.id)))
    if guessed:
        raw.losses.add(Loss("guessed", raw.name, "lanelets without a speed limit: 50 km/h"))


def _line(chain: list[Lanelet]) -> F8:
    whole = np.concatenate([x.middle for x in chain])
    keep = np.concatenate([[True], np.hypot(*np.diff(whole, axis=0).T) > 0.05])
    return np.asarray(whole[keep])


def _stop(xy: F8, lines: list[F8]) -> float | None:
    """Return m along a lane where the last of the stop lines crosses it."""
    found = [float(row[0]) for line in lines for a, b in pairwise(line)
             for row in crossings(xy, arc(xy), np.concatenate([a - unit(b - a) * REACH, b + unit(b - a) * REACH]))]
    return float(np.floor(max(found) * 100) / 100) if found else None


def _groups(raw: RawCode, whole: LaneletMap, chains: dict[str, list[Lanelet]]) -> dict[str, int]:
    """Return the signal group of each lane that leads in: its lanelets name the light, or the light's stop line crosses it."""
    out: dict[str, int] = {}
    for number, light in _numbered(whole.lights):
        named = [key for key, chain in chains.items() if any(light.id in x.rules for x in chain)]
        met = [key for key, chain in chains.items() if _stop(_line(chain), light.lines) is not None]
        if not named and not met:
            raw.losses.add(Loss("dropped", f"light {light.id}", "no lanelet names it and its stop line crosses no lane of this intersection"))
        for key in named or met:
            out.setdefault(key, number)
    if out:
        raw.losses.add(Loss("guessed", raw.name, "all movements of a lane share the signal group of its light: the map does not part them"))
    return out


def _numbered(lights: list[Lights]) -> list[tuple[int, Lights]]:
    """Return lights with group numbers: those in their names where these are all different, else in order."""
    said = [re.search(r"(\d+)\s*$", light.names[0]) if light.names else None for light in lights]
    numbers = [int(found[1]) for found in said if found]
    good = len(set(numbers)) == len(lights) and all(1 <= k <= 255 for k in numbers)
    return list(zip(numbers, lights, strict=True)) if good else list(enumerate(lights, 1))
