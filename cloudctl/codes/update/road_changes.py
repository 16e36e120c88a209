"""What has changed of roads, lanes, paths, stop lines and conflicts, in words."""

from collections.abc import Iterator

from ..compiled.code import local_lines
from ..model import Conflict, StopLine
from .compared import Compared, only_on_side
from .settle import oriented, pair
from .shapes import shape_of
from .words import MAX_PAIRS, MAX_REDRAWN_OFFSET, Names, listed, metres, motion, value

MAX_END_DISTANCE = 0.1  # m from a lane's end at which a stop line is taken to stand there


def road_changes(compared: Compared) -> Iterator[str]:
    """Yield links and lanes that came and went, and how the lanes beside them are numbered now."""
    yield from _came_and_went(compared, compared.names_a, "removed", side=0)
    yield from _came_and_went(compared, compared.names_b, "added", side=1)

    numbered = [
        f"{name} {earlier.number} -> {later.number}"
        for name, (earlier, later) in compared.rows["lanes"].items()
        if earlier and later and earlier.number != later.number and later.link in compared.recounted
    ]
    if numbered:
        yield f"lanes beside are counted anew from the left: {listed(numbered)}"


def _came_and_went(compared: Compared, names: Names, word: str, side: int) -> Iterator[str]:
    """Yield what only the earlier code has (side 0), or only the later one: whole roads first, then single lanes."""
    links = only_on_side(compared.rows["links"], side)
    for link in links:
        lanes = [row[side].id for row in compared.rows["lanes"].values() if row[side] and row[side].link == link]
        yield f"{names.links[link]} {word}: link {link}, lanes {listed(lanes) or 'none'}"

    for lane in only_on_side(compared.rows["lanes"], side):
        if compared.rows["lanes"][lane][side].link not in links:
            yield f"{names.lanes[lane]} {word}{_movements_with(compared, lane, side)}"


def _movements_with(compared: Compared, lane: str, side: int) -> str:
    """Return what came or went with a lane."""
    connections = [
        row[side].id
        for row in compared.rows["connections"].values()
        if row[side] and not row[1 - side] and lane in (row[side].from_lane, row[side].to_lane)
    ]

    return f", with movements {listed(connections)}" if connections else ""


def geometry_changes(compared: Compared) -> Iterator[str]:
    """Yield how lanes have moved, and paths of movements that did not only follow their lanes."""
    redrawn = []
    for name in compared.bent:
        motion_text = motion(compared.names_a.shapes[name], compared.names_b.shapes[name])
        if motion_text:
            yield f"{compared.names_b.lanes[name]} {motion_text}"
        else:
            redrawn.append(name)

    if redrawn:
        yield f"drawn anew within {metres(MAX_REDRAWN_OFFSET)}: lanes {listed(redrawn)}"

    following, redrawn = [], []
    for name in compared.paths:
        earlier, later = compared.rows["connections"][name]
        if {earlier.from_lane, earlier.to_lane} & set(compared.bent):
            following.append(name)
            continue

        motion_text = motion(*(shape_of(xy) for xy in local_lines(compared.origin, [earlier.points, later.points])))
        if motion_text:
            yield f"path of {compared.names_b.moves[name]} {motion_text}"
        else:
            redrawn.append(name)

    if following:
        yield f"paths of movements {listed(following)} follow their lanes"

    if redrawn:
        yield f"drawn anew within {metres(MAX_REDRAWN_OFFSET)}: paths of movements {listed(redrawn)}"


def limit_changes(compared: Compared) -> Iterator[str]:
    """Yield changed limits, the lanes and movements of one change together."""
    speeds: dict[tuple[float, float], tuple[list[str], list[str]]] = {}
    for index, table in enumerate(("lanes", "connections")):
        for name, (earlier, later) in compared.rows[table].items():
            if earlier and later and earlier.speed != later.speed:
                speeds.setdefault((earlier.speed, later.speed), ([], []))[index].append(name)

    for (speed_before, speed_after), (lanes, connections) in sorted(speeds.items()):
        places = [f"{noun} {listed(names)}" for noun, names in (("lanes", lanes), ("movements", connections)) if names]
        yield f"limit {value(speed_before)} -> {value(speed_after)} m/s on {' and '.join(places)}"


def movement_changes(compared: Compared) -> Iterator[str]:
    """Yield movements that came and went: those of single lanes stand with the lane, those of whole roads in one
    line."""
    for names, word, side in ((compared.names_a, "removed", 0), (compared.names_b, "added", 1)):
        lanes, links = set(only_on_side(compared.rows["lanes"], side)), set(only_on_side(compared.rows["links"], side))
        with_roads = []

        for name in only_on_side(compared.rows["connections"], side):
            row = compared.rows["connections"][name][side]
            changed_lanes = {row.from_lane, row.to_lane} & lanes
            if not changed_lanes:
                yield f"{names.moves[name]} {word}: {row.from_lane} -> {row.to_lane}"
            elif all(compared.rows["lanes"][lane][side].link in links for lane in changed_lanes):
                with_roads.append(name)

        if with_roads:
            yield f"movements {word} with these roads: {listed(with_roads)}"


def stop_line_changes(compared: Compared) -> Iterator[str]:
    """Yield stop lines that moved, came or went otherwise than with their lanes."""
    old, new = ({line.lane: line for line in code.stop_lines} for code in (compared.a, compared.b))
    lanes_gone, lanes_new = only_on_side(compared.rows["lanes"]), only_on_side(compared.rows["lanes"], side=1)
    following = []

    for lane in {**old, **new}:
        earlier, later = old.get(lane), new.get(lane)
        if earlier and later and earlier.s != later.s:
            # A stop line at the end of a lane moves with it, which is listed with the lane
            if lane in compared.bent and _at_end(compared.names_a, earlier) and _at_end(compared.names_b, later):
                following.append(lane)
            else:
                yield (
                    f"stop line on {compared.names_b.lanes.get(lane, lane)} moved from {value(earlier.s)} to "
                    f"{value(later.s)} m along it"
                )
        elif earlier and not later and lane not in lanes_gone:
            yield f"stop line on {compared.names_a.lanes.get(lane, lane)} removed"
        elif later and not earlier and lane not in lanes_new:
            yield f"stop line on {compared.names_b.lanes.get(lane, lane)} added, {value(later.s)} m along it"

    if following:
        yield f"stop lines at the end of lanes {listed(following)} follow them"


def _at_end(names: Names, line: StopLine) -> bool:
    return line.lane in names.shapes and abs(names.shapes[line.lane].size - line.s) < MAX_END_DISTANCE


def conflict_changes(compared: Compared) -> Iterator[str]:
    """Yield conflicts that came or went otherwise than with their movements, and changes of the right of way; points
    that moved with their paths in one line."""
    old, new = ({pair(conflict): conflict for conflict in code.conflicts} for code in (compared.a, compared.b))
    changed_connections = {
        *only_on_side(compared.rows["connections"]),
        *only_on_side(compared.rows["connections"], side=1),
    }
    moved, max_shift = 0, 0.0
    # movement -> the others, and whether it yields to each now
    yielding: dict[str, list[tuple[str, bool]]] = {}

    for key in {**old, **new}:
        earlier, later = old.get(key), new.get(key)
        if earlier is None or later is None:
            kind = (earlier or new[key]).kind
            if not set(key) & changed_connections:
                yield f"conflict {key[0]}/{key[1]} ({kind}) {'removed' if later is None else 'added'}"
            continue

        later = oriented(later, earlier)
        if (earlier.s_a, earlier.s_b) != (later.s_a, later.s_b):
            if set(key) & set(compared.paths):
                moved, max_shift = moved + 1, max(max_shift, abs(earlier.s_a - later.s_a), abs(earlier.s_b - later.s_b))
            else:
                yield (
                    f"conflict {earlier.a}/{earlier.b}: point moved from {value(earlier.s_a)} / {value(earlier.s_b)} "
                    f"to {value(later.s_a)} / {value(later.s_b)} m along"
                )

        if earlier.kind != later.kind:
            yield f"conflict {earlier.a}/{earlier.b}: {earlier.kind} -> {later.kind}"

        for yielding_movement, line in _yielding(earlier, later):
            yielding.setdefault(yielding_movement, []).append(line)

    if moved:
        yield f"{moved} conflict point(s) move with these paths, up to {metres(max_shift)}"

    yield from _right_of_way_lines(yielding)


def _yielding(earlier: Conflict, later: Conflict) -> Iterator[tuple[str, tuple[str, bool]]]:
    """Yield changed right of way: (movement, (the other, whether it yields now))."""
    for movement, other, yielded_before, yields_now in (
        (earlier.a, earlier.b, earlier.a_yields, later.a_yields),
        (earlier.b, earlier.a, earlier.b_yields, later.b_yields),
    ):
        if yielded_before != yields_now:
            yield movement, (other, yields_now)


def _right_of_way_lines(yielding: dict[str, list[tuple[str, bool]]]) -> Iterator[str]:
    """Yield changed right of way: a line for each movement where they are few, else one for all that begin and one
    for all that cease to."""
    is_few = len(yielding) <= MAX_PAIRS
    for yields_now, words in ((True, "yields to"), (False, "no longer yields to")):
        rows = {
            movement: [others for others, state in entries if state is yields_now]
            for movement, entries in yielding.items()
        }
        rows = {movement: others for movement, others in rows.items() if others}

        if is_few:
            yield from (f"{movement} {words} {listed(others)}" for movement, others in rows.items())
        elif rows:
            count = sum(map(len, rows.values()))
            yield (
                f"right of way at {count} conflict(s): "
                f"{listed((f'{movement} {words} {listed(others, MAX_PAIRS)}' for movement, others in rows.items()), MAX_PAIRS)}"  # noqa: E501
            )
