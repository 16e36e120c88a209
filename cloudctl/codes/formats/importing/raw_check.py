"""What no digital code can be made of, refused before anything is computed from it."""

import numpy as np

from ...findings import refuse
from .raw import RawCode

MAX_REACH = 5000.0  # m from the reference point


def check_raw(raw: RawCode) -> None:
    """Refuse what no code can be made of, before anything is computed from it."""
    if not raw.moves:
        raise refuse(
            where=raw.name,
            entity=raw.name,
            field="movements",
            value="none",
            rule="an intersection has movements from lane to lane",
            remedy="give a source whose lanes are connected",
        )

    if not (abs(raw.ref[0]) < 88 * 10**7 and abs(raw.ref[1]) <= 180 * 10**7):
        raise refuse(
            where=raw.name,
            entity=raw.name,
            field="reference point",
            value=f"{raw.ref[0] / 1e7}, {raw.ref[1] / 1e7}",
            rule="must lie within 88 degrees of latitude and 180 of longitude",
            remedy="correct it",
        )

    lines = [(f"lane {lane.key}", lane.xy) for lane in raw.lanes] + [
        (f"crosswalk {number}", walk[0]) for number, walk in enumerate(raw.walks, 1)
    ]
    lines += [(f"movement {move.start} > {move.end}", move.xy) for move in raw.moves if move.xy is not None]
    for name, line in lines:
        if len(line) < 2 or not np.isfinite(line).all():
            raise refuse(
                where=raw.name,
                entity=name,
                field="points",
                value=f"{len(line)} points",
                rule="a line has two points at least, all of them numbers",
                remedy="correct the source",
            )

        if float(np.abs(line).max()) > MAX_REACH:
            raise refuse(
                where=raw.name,
                entity=name,
                field="points",
                value=f"{float(np.abs(line).max()):.0f} m away",
                rule=f"must lie within {MAX_REACH:.0f} m of the reference point",
                remedy="check the order of coordinates, and the datum",
            )

        if float(np.hypot(*(line - line[0]).T).max()) < 0.01:
            raise refuse(
                where=raw.name,
                entity=name,
                field="points",
                value="all at one place",
                rule="a line has a length",
                remedy="correct the source",
            )
