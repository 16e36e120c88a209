"""How far the conflict matrices of imported SUMO networks are SUMO's own: `python -m bench.foes [NETWORK ...]`, read
again with sumolib."""

import gzip
import sys
import tempfile
from itertools import combinations
from pathlib import Path
from typing import Any

import sumolib
from cloudctl.sim.common.terminal import table

from cloudctl import codes, maps
from cloudctl.codes import IntersectionCode

SHIPPED = ("intersection.net.xml.gz", "corridor.net.xml.gz")


def main(names: list[str]) -> int:
    """Print a row an intersection; 1 when a pair differs."""
    rows, wrong_count = [], 0
    for name in names or [str(maps.path(name)) for name in SHIPPED]:
        imported = codes.import_sumo(Path(name))
        net = sumolib.net.readNet(_plain(Path(name)), withInternal=True)
        reported = [loss for loss in imported.losses if loss.what in ("differs", "guessed")]

        for code in imported:
            pairs, agreeing, foes = compare(net, code)
            wrong_count += pairs - agreeing

            rows.append(
                [
                    f"{Path(name).name.split('.')[0]} {code.name[:24]}",
                    pairs,
                    foes,
                    agreeing,
                    100.0 * agreeing / pairs if pairs else 100.0,
                ]
            )

        for loss in reported:
            print(loss)

    print(table(["intersection", "pairs of movements", "foes", "equal", "% equal"], rows))
    return int(wrong_count > 0)


def _plain(path: Path) -> str:
    """Return a file that sumolib can read."""
    if path.suffix != ".gz":
        return str(path)
    base_path = Path(tempfile.mkdtemp()) / path.stem
    base_path.write_bytes(gzip.decompress(path.read_bytes()))
    return str(base_path)


def compare(net: Any, code: IntersectionCode) -> tuple[int, int, int]:
    """Return (pairs of movements of one junction, those where matrix and SUMO agree on foes and right of way, foes)."""
    links = {}
    for connection in (connection for connection in code.connections if connection.inner):
        start, _, end = next(first.value for first in connection.alias if first.kind == "sumo").partition(">")
        lane = net.getLane(start)
        target = next(x for x in lane.getOutgoing() if x.getToLane().getID() == end)
        links[connection.id] = (lane.getEdge().getToNode(), target)

    yields_of_pair = {
        frozenset((connection.a, connection.b)): {connection.a: connection.a_yields, connection.b: connection.b_yields}
        for connection in code.conflicts
    }
    pairs = agreeing = foes = 0

    for first, second in combinations(links, 2):
        node, link = links[first]
        other_link, further = links[second]
        if node != other_link:
            continue

        index, other_index = node.getLinkIndex(link), node.getLinkIndex(further)
        # No link of the junction's request matrix
        if index < 0 or other_index < 0:
            continue

        pairs += 1
        meet = node.areFoes(index, other_index) or node.areFoes(other_index, index)
        foes += meet
        yields = {first: node.forbids(further, link), second: node.forbids(link, further)}
        target = yields_of_pair.get(frozenset((first, second)))
        agreeing += (target is not None) == meet and (target is None or target == yields)

    return pairs, agreeing, foes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
