"""Signal groups of an intersection from the traffic lights of a Lanelet2 map."""

import re
from itertools import pairwise

import numpy as np

from ...compiled.crosswalk_spans import crossings
from ...findings import Loss, LossKind
from ...polylines import F8, arc_lengths
from ..importing.clusters import unit_vector
from ..importing.raw import RawCode
from .lanelet import Lanelet, LaneletMap, Walk
from .rules import Lights

STOP_LINE_EXTENSION = 1.5  # m by which a stop line is lengthened to meet the lanes beside it
MAX_LIGHT_DISTANCE = 150.0  # m from the middle to a stop line that its light may share with a lane


def chain_line(chain: list[Lanelet]) -> F8:
    points = np.concatenate([lanelet.middle for lanelet in chain])
    is_kept = np.concatenate([[True], np.hypot(*np.diff(points, axis=0).T) > 0.05])
    return np.asarray(points[is_kept])


def stop_position(xy: F8, lines: list[F8]) -> float | None:
    """Return m along a lane where the last of the stop lines crosses it."""
    crossing_positions = [
        float(crossing[0])
        for line in lines
        for start, end in pairwise(line)
        for crossing in crossings(
            xy,
            arc_lengths(xy),
            np.concatenate(
                [
                    start - unit_vector(end - start) * STOP_LINE_EXTENSION,
                    end + unit_vector(end - start) * STOP_LINE_EXTENSION,
                ]
            ),
        )
    ]

    return float(np.floor(max(crossing_positions) * 100) / 100) if crossing_positions else None


class SignalGroups:
    """The signal groups of one intersection: a movement has the light that its own lanelet names, else that of the lane
    before it.

    A lane has the lights that its lanelets name, else those whose stop line crosses it.
    """

    def __init__(
        self,
        raw: RawCode,
        lanelet_map: LaneletMap,
        chains: dict[str, list[Lanelet]],
        members: list[Lanelet],
        crosswalks: list[Walk],
    ) -> None:
        self.raw = raw
        self.lanes: dict[str, str] = {}  # lane -> light
        # lane -> lanelets of its movements that have its light
        self.served_lanelets: dict[str, set[str]] = {}
        self.used_lights: set[str] = set()  # lights that are groups of this intersection
        lines = {key: chain_line(chain) for key, chain in chains.items()}
        centre = np.mean([lanelet.middle.mean(axis=0) for lanelet in members], axis=0)
        lights_here: list[Lights] = []

        for light in lanelet_map.regulations.lights:
            lanes_naming = [key for key, chain in chains.items() if any(light.id in lanelet.rules for lanelet in chain)]
            is_named_inside = any(light.id in lanelet.rules for lanelet in members) or any(
                light.id in crosswalk.rules for crosswalk in crosswalks
            )
            lines_nearby = [
                line for line in light.lines if np.hypot(*(line.mean(axis=0) - centre)) < MAX_LIGHT_DISTANCE
            ]

            if lanes_naming or is_named_inside or light.walking:
                lanes_crossed = []
            else:
                lanes_crossed = [key for key in chains if stop_position(lines[key], lines_nearby) is not None]

            if lanes_naming or is_named_inside or lanes_crossed:
                lights_here.append(light)

            for key in (lanes_naming or lanes_crossed) if not light.walking else ():
                if self.lanes.setdefault(key, light.id) != light.id:
                    raw.losses.add(
                        Loss(
                            what=LossKind.GUESSED,
                            entity=raw.name,
                            detail=f"lane {key} has several lights: the first is taken",
                        )
                    )

        self.numbers = _group_numbers(lights_here)
        self.heads = {light.id: light.names for light in lights_here}
        self.walking = {light.id for light in lights_here if light.walking}

    def of(self, lane: str, lanelet: Lanelet) -> int:
        """Return the group of a movement from a lane on a lanelet."""
        own_lights = [ref for ref in lanelet.rules if ref in self.numbers and ref not in self.walking]
        if len(own_lights) > 1:
            self.raw.losses.add(
                Loss(
                    what=LossKind.GUESSED,
                    entity=self.raw.name,
                    detail=f"lanelet {lanelet.name} names several lights: the first is taken",
                )
            )

        if not own_lights and lane in self.lanes:
            self.served_lanelets.setdefault(lane, set()).add(lanelet.key)

        return self._number(own_lights[0] if own_lights else self.lanes.get(lane, ""))

    def _number(self, name: str) -> int:
        if name in self.numbers:
            self.used_lights.add(name)
        return self.numbers.get(name, 0)

    def of_walk(self, rules: list[str]) -> int:
        """Return the group of a crosswalk that names regulatory elements."""
        return self._number(next((ref for ref in rules if ref in self.numbers), ""))

    def describe(self) -> None:
        """Report what was made of lights, and which group is which: the numbers are not the map's."""
        if self.used_lights:
            assignments = ", ".join(
                f"{self.numbers[name]} element {name} ({', '.join(self.heads[name]) or 'no head'})"
                for name in sorted(self.used_lights, key=self.numbers.__getitem__)
            )
            self.raw.losses.add(
                Loss(
                    what=LossKind.GUESSED,
                    entity=self.raw.name,
                    detail="the numbers of signal groups are not the map's, but of the names of lights or their order: "
                    f"{assignments}",
                )
            )

        if any(len(lanelets) > 1 for lanelets in self.served_lanelets.values()):
            self.raw.losses.add(
                Loss(
                    what=LossKind.GUESSED,
                    entity=self.raw.name,
                    detail="all movements of a lane share the signal group of its light: the map does not part them",
                )
            )


def _group_numbers(lights: list[Lights]) -> dict[str, int]:
    """Return the group number of each light: that in its name where these are all different, else its place in the
    file."""
    trailing_numbers = [re.search(r"(\d+)\s*$", light.names[0]) if light.names else None for light in lights]
    numbers = [int(match[1]) for match in trailing_numbers if match]
    are_usable = len(set(numbers)) == len(lights) and all(1 <= group_number <= 255 for group_number in numbers)
    return {
        light.id: number
        for light, number in zip(lights, numbers if are_usable else range(1, len(lights) + 1), strict=True)
    }
