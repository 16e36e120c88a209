"""Signal groups of an OpenDRIVE junction: which lights a movement has, and which lights show the same.

The lights of a <controller> are one group. A light without one is a group of its own, and so is each light of a
controller that holds lights of roads that cross: such a controller is the cabinet, not a group."""

import re
from itertools import combinations

from ...findings import Loss, LossKind
from ...polylines import F8
from ...terms import LaneUse
from ..importing.clusters import lines_cross, unit_vector
from .junction import Junction
from .movement import Movement
from .signals import Light, Signals

MAX_GROUP = 255
# Cosine between two entries: below, in either sense, they come from the sides of each other, not from ahead
MAX_ENTRY_COSINE = 0.7


class Groups:
    """The group of each movement and each pedestrian light of a junction."""

    def __init__(self, junction: Junction, signals: Signals, losses: set[Loss]) -> None:
        self.junction, self.signals, self.losses = junction, signals, losses
        self.numbers: dict[str, int] = {}  # "controller 900", "light 1" -> group
        self.lights: dict[int, list[Light]] = {index: self._lights(move) for index, move in enumerate(junction.moves)}
        self.cabinets = self._cabinets()

    def group_of_movement(self, movement: int) -> int:
        """Return the group of movement `movement`, 0 for none."""
        lights = self.lights[movement]
        if not lights:
            return 0

        names = list(dict.fromkeys(self._name(light) for light in lights))
        if len(names) > 1:
            move = self.junction.moves[movement]
            self.losses.add(
                Loss(
                    what=LossKind.GUESSED,
                    entity=self.junction.name,
                    detail="movements with several lights of different groups have that of the first: "
                    f"{move.start} {move.turn}",
                )
            )

        self.signals.used.update(light.id for light in lights)
        return self._number(names[0])

    def group_of_light(self, light: Light) -> int:
        """Return the group of a light that is bound to something else than a movement."""
        self.signals.used.add(light.id)
        return self._number(self._name(light))

    def _lights(self, move: Movement) -> list[Light]:
        """Return the lights of a movement: those on its own road, else on the road before; those with a fitting arrow
        go before others."""
        lane_before = self.junction.ends[move.start]
        use = LaneUse.BIKE if lane_before.permit.use == LaneUse.BIKE else LaneUse.VEHICLE

        nearest_first = [
            self.signals.lights_on(piece.road, piece.lane, piece.last_s, piece.beyond)
            for piece in reversed(lane_before.pieces)
        ]

        for lights in (self.signals.lights_on(move.road, move.lane), *nearest_first):
            fitting = [light for light in lights if not light.turns or move.turn in light.turns] or self._unclaimed(
                move, lights
            )
            # A bicycle lane without a light of its own follows the light for vehicles.
            usable = [light for light in fitting if use in light.uses] or [
                light for light in fitting if "vehicle" in light.uses
            ]
            arrows = [light for light in usable if light.turns]

            if usable:
                self.signals.used.update(light.id for light in usable)
                return arrows or usable

        return []

    def _unclaimed(self, move: Movement, lights: list[Light]) -> list[Light]:
        """Return the lights whose arrows fit no movement of the same lane, for a movement that no arrow fits: slight
        bends are arrows to one side."""
        turns = {other.turn for other in self.junction.moves if other.start == move.start}
        unclaimed = [light for light in lights if not turns & set(light.turns)]
        if unclaimed:
            self.losses.add(
                Loss(
                    what=LossKind.GUESSED,
                    entity=self.junction.name,
                    detail=f"a movement that no arrow fits has the light whose arrow fits no other: {move.start} "
                    f"{move.turn}, light {unclaimed[0].id}",
                )
            )

        return unclaimed

    def _cabinets(self) -> set[str]:
        """Return the controllers that hold lights of movements that cross and come from the sides of each other: they
        cannot be green together."""
        movements_with_lights = [(index, move) for index, move in enumerate(self.junction.moves) if self.lights[index]]
        cabinets: set[str] = set()

        for (i, first), (other, second) in combinations(movements_with_lights, 2):
            shared = {self._controller(light) for light in self.lights[i]} & {
                self._controller(other_light) for other_light in self.lights[other]
            } - {""} - cabinets
            if (
                shared
                and first.start != second.start
                and abs(self._entry(first) @ self._entry(second)) < MAX_ENTRY_COSINE
                and lines_cross(first.line, second.line)
            ):
                cabinets |= shared

        for name in sorted(cabinets):
            self.losses.add(
                Loss(
                    what=LossKind.DIFFERS,
                    entity=self.junction.name,
                    detail=f"controller {name} holds lights of roads that cross: it is taken for the cabinet, "
                    "and each of "
                    "its lights for a group",
                )
            )

        return cabinets

    def _entry(self, move: Movement) -> F8:
        """Return the direction in which a movement enters the junction."""
        line = self.junction.ends[move.start].line
        return unit_vector(line[-1] - line[-2])

    def _controller(self, light: Light) -> str:
        rows = self.signals.controllers.get(light.id, [])
        return rows[0][0] if rows else ""

    def _name(self, light: Light) -> str:
        rows = self.signals.controllers.get(light.id, [])
        if rows and rows[0][0] not in self.cabinets:
            if len(rows) > 1:
                self.losses.add(
                    Loss(
                        what=LossKind.GUESSED,
                        entity=self.junction.name,
                        detail=f"light {light.id} has several controllers: the first is taken",
                    )
                )

            return f"controller {rows[0][0]}"

        self.losses.add(
            Loss(
                what=LossKind.GUESSED,
                entity=self.junction.name,
                detail="lights without a controller are a signal group each: the map does not say which always "
                "show the same",
            )
        )

        return f"light {light.id}"

    def _number(self, name: str) -> int:
        """Return the number of a group: the one its light's id ends with, plus one, as SUMO writes them; else the next
        that is free."""
        if name not in self.numbers:
            trailing_number = re.search(r"(\d+)\s*$", name) if name.startswith("light") else None
            preferred = int(trailing_number[1]) + 1 if trailing_number and int(trailing_number[1]) < MAX_GROUP else 0
            taken_numbers = set(self.numbers.values())

            self.numbers[name] = (
                preferred
                if preferred and preferred not in taken_numbers
                else next(index for index in range(1, 10 * MAX_GROUP) if index not in taken_numbers)
            )

        return self.numbers[name]

    def describe(self) -> None:
        """Report which group is which controller or light: the numbers are not the map's."""
        titles = {
            f"controller {row[0]}": row[1] for controllers in self.signals.controllers.values() for row in controllers
        }
        assignments = ", ".join(
            f"{number} {name} {titles.get(name, '')}".strip()
            for name, number in sorted(self.numbers.items(), key=lambda row: row[1])
        )
        if assignments:
            self.losses.add(
                Loss(
                    what=LossKind.GUESSED,
                    entity=self.junction.name,
                    detail=f"the numbers of signal groups are not the map's: {assignments}",
                )
            )
