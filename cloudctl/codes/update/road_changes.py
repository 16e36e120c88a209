"""What has changed of roads, lanes, paths, stop lines and conflicts, in words."""

from collections.abc import Iterator

from ..compiled.code import local_lines
from ..model import Conflict, StopLine
from .compared import Compared, gone
from .settle import oriented, pair
from .shapes import shape
from .words import DRAWN, MAX_PAIRS, Names, listed, metres, motion, value

AT_END = 0.1  # m from a lane's end at which a stop line is taken to stand there


def roads(two: Compared) -> Iterator[str]:
    """Yield links and lanes that came and went, and how the lanes beside them are numbered now."""
    yield from _came_and_went(two, two.names_a, "removed", 0)
    yield from _came_and_went(two, two.names_b, "added", 1)
    numbered = [
        f"{name} {x.number} -> {y.number}"
        for name, (x, y) in two.rows["lanes"].items()
        if x and y and x.number != y.number and y.link in two.recounted
    ]
    if numbered:
        yield f"lanes beside are counted anew from the left: {listed(numbered)}"


def _came_and_went(two: Compared, names: Names, word: str, side: int) -> Iterator[str]:
    """Yield what only the earlier code has (side 0), or only the later one: whole roads first, then single lanes."""
    links = gone(two.rows["links"], side)
    for link in links:
        lanes = [row[side].id for row in two.rows["lanes"].values() if row[side] and row[side].link == link]
        yield f"{names.links[link]} {word}: link {link}, lanes {listed(lanes) or 'none'}"
    for lane in gone(two.rows["lanes"], side):
        if two.rows["lanes"][lane][side].link not in links:
            yield f"{names.lanes[lane]} {word}{_with(two, lane, side)}"


def _with(two: Compared, lane: str, side: int) -> str:
    """Return what came or went with a lane."""
    moves = [
        row[side].id
        for row in two.rows["connections"].values()
        if row[side] and not row[1 - side] and lane in (row[side].from_lane, row[side].to_lane)
    ]
    return f", with movements {listed(moves)}" if moves else ""


def geometry(two: Compared) -> Iterator[str]:
    """Yield how lanes have moved, and paths of movements that did not only follow their lanes."""
    drawn = []
    for name in two.bent:
        moved = motion(two.names_a.shapes[name], two.names_b.shapes[name])
        if moved:
            yield f"{two.names_b.lanes[name]} {moved}"
        else:
            drawn.append(name)
    if drawn:
        yield f"drawn anew within {metres(DRAWN)}: lanes {listed(drawn)}"

    follow, drawn = [], []
    for name in two.paths:
        x, y = two.rows["connections"][name]
        if {x.from_lane, x.to_lane} & set(two.bent):
            follow.append(name)
            continue
        moved = motion(*(shape(xy) for xy in local_lines(two.origin, [x.points, y.points])))
        if moved:
            yield f"path of {two.names_b.moves[name]} {moved}"
        else:
            drawn.append(name)
    if follow:
        yield f"paths of movements {listed(follow)} follow their lanes"
    if drawn:
        yield f"drawn anew within {metres(DRAWN)}: paths of movements {listed(drawn)}"


def limits(two: Compared) -> Iterator[str]:
    """Yield changed limits, the lanes and movements of one change together."""
    speeds: dict[tuple[float, float], tuple[list[str], list[str]]] = {}
    for k, table in enumerate(("lanes", "connections")):
        for name, (x, y) in two.rows[table].items():
            if x and y and x.speed != y.speed:
                speeds.setdefault((x.speed, y.speed), ([], []))[k].append(name)
    for (was, now), (lanes, moves) in sorted(speeds.items()):
        where = [f"{what} {listed(names)}" for what, names in (("lanes", lanes), ("movements", moves)) if names]
        yield f"limit {value(was)} -> {value(now)} m/s on {' and '.join(where)}"


def movements(two: Compared) -> Iterator[str]:
    """Yield movements that came and went: those of single lanes stand with the lane, those of whole roads in one line."""
    for names, word, side in ((two.names_a, "removed", 0), (two.names_b, "added", 1)):
        lanes, links = set(gone(two.rows["lanes"], side)), set(gone(two.rows["links"], side))
        with_roads = []
        for name in gone(two.rows["connections"], side):
            row = two.rows["connections"][name][side]
            ends = {row.from_lane, row.to_lane} & lanes
            if not ends:
                yield f"{names.moves[name]} {word}: {row.from_lane} -> {row.to_lane}"
            elif all(two.rows["lanes"][lane][side].link in links for lane in ends):
                with_roads.append(name)
        if with_roads:
            yield f"movements {word} with these roads: {listed(with_roads)}"


def stops(two: Compared) -> Iterator[str]:
    """Yield stop lines that moved, came or went otherwise than with their lanes."""
    old, new = ({line.lane: line for line in code.stop_lines} for code in (two.a, two.b))
    lanes_gone, lanes_new = gone(two.rows["lanes"]), gone(two.rows["lanes"], 1)
    follow = []
    for lane in {**old, **new}:
        x, y = old.get(lane), new.get(lane)
        if x and y and x.s != y.s:
            if lane in two.bent and _at_end(two.names_a, x) and _at_end(two.names_b, y):
                follow.append(lane)
            else:
                yield f"stop line on {two.names_b.lanes.get(lane, lane)} moved from {value(x.s)} to {value(y.s)} m along it"
        elif x and not y and lane not in lanes_gone:
            yield f"stop line on {two.names_a.lanes.get(lane, lane)} removed"
        elif y and not x and lane not in lanes_new:
            yield f"stop line on {two.names_b.lanes.get(lane, lane)} added, {value(y.s)} m along it"
    if follow:
        yield f"stop lines at the end of lanes {listed(follow)} follow them"


def _at_end(names: Names, line: StopLine) -> bool:
    return line.lane in names.shapes and abs(names.shapes[line.lane].size - line.s) < AT_END


def conflicts(two: Compared) -> Iterator[str]:
    """Yield conflicts that came or went otherwise than with their movements, and who yields; points that moved with their paths in one line."""
    old, new = ({pair(c): c for c in code.conflicts} for code in (two.a, two.b))
    come_or_gone = {*gone(two.rows["connections"]), *gone(two.rows["connections"], 1)}
    moved, far = 0, 0.0
    yielding: dict[str, list[tuple[str, bool]]] = {}  # by who yields: to whom, and whether it does now
    for key in {**old, **new}:
        x, y = old.get(key), new.get(key)
        if x is None or y is None:
            kind = (x or new[key]).kind
            if not set(key) & come_or_gone:
                yield f"conflict {key[0]}/{key[1]} ({kind}) {'removed' if y is None else 'added'}"
            continue
        y = oriented(y, x)
        if (x.s_a, x.s_b) != (y.s_a, y.s_b):
            if set(key) & set(two.paths):
                moved, far = moved + 1, max(far, abs(x.s_a - y.s_a), abs(x.s_b - y.s_b))
            else:
                yield f"conflict {x.a}/{x.b}: point moved from {value(x.s_a)} / {value(x.s_b)} to {value(y.s_a)} / {value(y.s_b)} m along"
        if x.kind != y.kind:
            yield f"conflict {x.a}/{x.b}: {x.kind} -> {y.kind}"
        for who, line in _yielding(x, y):
            yielding.setdefault(who, []).append(line)
    if moved:
        yield f"{moved} conflict point(s) move with these paths, up to {metres(far)}"
    yield from _summed_up(yielding)


def _yielding(x: Conflict, y: Conflict) -> Iterator[tuple[str, tuple[str, bool]]]:
    """Yield who gives way otherwise: (who, (to whom, whether it does now))."""
    for who, whom, was, now in ((x.a, x.b, x.a_yields, y.a_yields), (x.b, x.a, x.b_yields, y.b_yields)):
        if was != now:
            yield who, (whom, now)


def _summed_up(yielding: dict[str, list[tuple[str, bool]]]) -> Iterator[str]:
    """Yield who gives way otherwise: a line for each movement where they are few, else one for all that begin and one for all that cease to."""
    few = len(yielding) <= MAX_PAIRS
    for now, words in ((True, "yields to"), (False, "no longer yields to")):
        rows = {who: [whom for whom, state in found if state is now] for who, found in yielding.items()}
        rows = {who: whom for who, whom in rows.items() if whom}
        if few:
            yield from (f"{who} {words} {listed(whom)}" for who, whom in rows.items())
        elif rows:
            count = sum(map(len, rows.values()))
            yield f"right of way at {count} conflict(s): {listed((f'{who} {words} {listed(whom, MAX_PAIRS)}' for who, whom in rows.items()), MAX_PAIRS)}"
