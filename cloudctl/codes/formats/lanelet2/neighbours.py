"""Which lanelets follow which: by the ends of both bounds, also where bounds are exchanged."""

from collections.abc import Iterable

import numpy as np

from ...findings import Loss, LossKind
from ...polylines import F8
from .lanelet import Lanelet, LaneletMap

MAX_JOINT_GAP = 0.8  # m between the ends of two lanelets that follow each other


def turn_exchanged(lanelet_map: LaneletMap) -> None:
    """Turn lanelets whose bounds are exchanged: they join nothing as they are, and something the other way about.

    Its neighbours may join nothing either, because of it: those that join something at both ends when they are turned
    go first, and the others are tested again after each one."""
    isolated = [
        lanelet for lanelet in lanelet_map.lanelets if not lanelet.before and not lanelet.after and not lanelet.backward
    ]
    if not isolated:
        return

    begins, ends = (
        _Ends((lanelet, lanelet.left[0], lanelet.right[0]) for lanelet in lanelet_map.lanelets),
        _Ends((lanelet, lanelet.left[-1], lanelet.right[-1]) for lanelet in lanelet_map.lanelets),
    )

    def joins(lanelet: Lanelet, first: tuple[F8, F8], last: tuple[F8, F8]) -> int:
        """Return at how many of its ends, each given by its left and right point, a lanelet joins others."""
        return any(other is not lanelet for other in ends.at(*first)) + any(
            other is not lanelet for other in begins.at(*last)
        )

    def joins_turned(lanelet: Lanelet) -> int:
        return joins(lanelet, (lanelet.right[-1], lanelet.left[-1]), (lanelet.right[0], lanelet.left[0]))

    any_turned = False
    pending = [(joins_turned(lanelet), lanelet) for lanelet in isolated]

    for joined_ends in (2, 1):
        for lanelet in [lanelet for number, lanelet in pending if number == joined_ends]:
            if joins(
                lanelet, (lanelet.left[0], lanelet.right[0]), (lanelet.left[-1], lanelet.right[-1])
            ) or not joins_turned(lanelet):
                continue

            # Its neighbours are tested against it as it lies now
            begins.drop(lanelet, lanelet.left[0])
            ends.drop(lanelet, lanelet.left[-1])
            lanelet.left, lanelet.right, lanelet.middle = lanelet.right[::-1], lanelet.left[::-1], lanelet.middle[::-1]
            begins.add(lanelet, lanelet.left[0], lanelet.right[0])
            ends.add(lanelet, lanelet.left[-1], lanelet.right[-1])
            any_turned = True

            lanelet_map.losses.add(
                Loss(
                    what=LossKind.REPAIRED,
                    entity=f"lanelet {lanelet.name}",
                    detail="left and right bound were exchanged: it joins its neighbours the other way about",
                )
            )

    if any_turned:
        find_neighbours(lanelet_map.lanelets)


class _Ends:
    """Lanelets by where one of their ends lies: its left and its right point."""

    def __init__(self, rows: Iterable[tuple[Lanelet, F8, F8]]) -> None:
        self.cells: dict[tuple[int, int], list[tuple[Lanelet, F8, F8]]] = {}
        for row in rows:
            self.add(*row)

    def add(self, lanelet: Lanelet, left: F8, right: F8) -> None:
        """Add a lanelet by its end."""
        self.cells.setdefault(_cell(left), []).append((lanelet, left, right))

    def drop(self, lanelet: Lanelet, left: F8) -> None:
        """Take a lanelet out that was added with this left point."""
        cell = _cell(left)
        self.cells[cell] = [row for row in self.cells[cell] if row[0] is not lanelet]

    def at(self, left: F8, right: F8) -> list[Lanelet]:
        """Return the lanelets with this end, within `MAX_JOINT_GAP`."""
        column, row = _cell(left)
        nearby = [
            entry
            for near_column in (column - 1, column, column + 1)
            for near_row in (row - 1, row, row + 1)
            for entry in self.cells.get((near_column, near_row), ())
        ]

        return [
            lanelet
            for lanelet, left_end, right_end in nearby
            if np.hypot(*(left - left_end)) < MAX_JOINT_GAP and np.hypot(*(right - right_end)) < MAX_JOINT_GAP
        ]


def _cell(point: F8) -> tuple[int, int]:
    return int(point[0] // MAX_JOINT_GAP), int(point[1] // MAX_JOINT_GAP)


def find_neighbours(lanelets: list[Lanelet]) -> None:
    """Find which lanelets follow which: both bounds end where both bounds begin."""
    index_of = {id(lanelet): index for index, lanelet in enumerate(lanelets)}
    begins = _Ends((lanelet, lanelet.left[0], lanelet.right[0]) for lanelet in lanelets)
    for lanelet in lanelets:
        lanelet.before, lanelet.after = [], []

    for lanelet_before in lanelets:
        lanelet_before.after = sorted(
            (
                lanelet_after
                for lanelet_after in begins.at(lanelet_before.left[-1], lanelet_before.right[-1])
                if lanelet_after is not lanelet_before
            ),
            key=lambda lanelet_after: index_of[id(lanelet_after)],
        )
        for lanelet_after in lanelet_before.after:
            lanelet_after.before.append(lanelet_before)
