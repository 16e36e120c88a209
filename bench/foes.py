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
    rows, wrong = [], 0
    for name in names or [str(maps.path(name)) for name in SHIPPED]:
        imported = codes.import_sumo(Path(name))
        net = sumolib.net.readNet(_plain(Path(name)), withInternal=True)
        told = [loss for loss in imported.losses if loss.what in ("differs", "guessed")]
        for code in imported:
            pairs, same, foes = compare(net, code)
            wrong += pairs - same
            rows.append(
                [
                    f"{Path(name).name.split('.')[0]} {code.name[:24]}",
                    pairs,
                    foes,
                    same,
                    100.0 * same / pairs if pairs else 100.0,
                ]
            )
        for loss in told:
            print(loss)
    print(table(["intersection", "pairs of movements", "foes", "equal", "% equal"], rows))
    return int(wrong > 0)


def _plain(path: Path) -> str:
    """Return a file that sumolib can read."""
    if path.suffix != ".gz":
        return str(path)
    out = Path(tempfile.mkdtemp()) / path.stem
    out.write_bytes(gzip.decompress(path.read_bytes()))
    return str(out)


def compare(net: Any, code: IntersectionCode) -> tuple[int, int, int]:
    """Return (pairs of movements of one junction, those where matrix and SUMO agree on foes and who yields, foes)."""
    links = {}
    for c in (c for c in code.connections if c.inner):
        start, _, end = next(a.value for a in c.alias if a.kind == "sumo").partition(">")
        lane = net.getLane(start)
        found = next(x for x in lane.getOutgoing() if x.getToLane().getID() == end)
        links[c.id] = (lane.getEdge().getToNode(), found)
    ours = {frozenset((c.a, c.b)): {c.a: c.a_yields, c.b: c.b_yields} for c in code.conflicts}
    pairs = same = foes = 0
    for a, b in combinations(links, 2):
        node, link = links[a]
        other, further = links[b]
        if node != other:
            continue
        i, j = node.getLinkIndex(link), node.getLinkIndex(further)
        if i < 0 or j < 0:
            continue
        pairs += 1
        meet = node.areFoes(i, j) or node.areFoes(j, i)
        foes += meet
        yields = {a: node.forbids(further, link), b: node.forbids(link, further)}
        found = ours.get(frozenset((a, b)))
        same += (found is not None) == meet and (found is None or found == yields)
    return pairs, same, foes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
