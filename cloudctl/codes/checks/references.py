"""Checks that what an entity names is there, once."""

from collections.abc import Iterator

from ..findings import Finding
from ..model import IntersectionCode


def references(code: IntersectionCode) -> Iterator[Finding]:
    """Yield ids that stand twice, and names of what is not there."""
    known: dict[str, set[object]] = {}
    for kind, items in _tables(code).items():
        seen = known.setdefault(kind, set())
        for item in items:
            if item in seen:
                yield Finding(
                    str(item), "id", str(item), f"stands twice among {kind}s", "error", "give each an id of its own"
                )
            seen.add(item)
    known["group"].add(0)
    known["node"].add("")
    known["entity"] = {"code"}.union(*(known[kind] for kind in ("link", "lane", "connection", "zone", "crosswalk")))
    for entity, field, value, kind in _wanted(code):
        if value not in known[kind]:
            yield Finding(
                str(entity),
                field,
                str(value),
                f"there is no such {kind}",
                "error",
                "name one of the code's links, lanes, connections or zones, or `code`"
                if kind == "entity"
                else f"name one of the code's {kind}s, or add it",
            )
    for name in sorted(map(str, known["rule"] & known["entity"])):
        yield Finding(
            name,
            "id",
            name,
            "is the name of a part of the intersection too",
            "error",
            "give the rule an id of its own, as R20",
        )
    pairs: set[tuple[str, str]] = set()
    for c in code.conflicts:
        pair = (min(c.a, c.b), max(c.a, c.b))
        if c.a == c.b or pair in pairs:
            rule = (
                "a connection does not conflict with itself" if c.a == c.b else "the pair stands twice among conflicts"
            )
            yield Finding(f"{c.a}/{c.b}", "b", c.b, rule, "error", "keep one conflict for each pair")
        pairs.add(pair)


def _tables(code: IntersectionCode) -> dict[str, list[object]]:
    return {
        "node": [n.id for n in code.nodes],
        "link": [n.id for n in code.links],
        "lane": [n.id for n in code.lanes],
        "connection": [n.id for n in code.connections],
        "group": [n.id for n in code.signal_groups],
        "crosswalk": [n.id for n in code.crosswalks],
        "zone": [n.id for n in code.zones],
        "device": [n.id for n in code.devices],
        "rule": [n.id for n in code.rules],
        "plan": [n.id for n in code.plans],
        "stop line": [n.lane for n in code.stop_lines],
    }


def _wanted(code: IntersectionCode) -> Iterator[tuple[object, str, object, str]]:
    for link in code.links:
        yield link.id, "upstream", link.upstream, "node"
        yield link.id, "downstream", link.downstream, "node"
    for lane in code.lanes:
        yield lane.id, "link", lane.link, "link"
    for c in code.connections:
        yield c.id, "from_lane", c.from_lane, "lane"
        yield c.id, "to_lane", c.to_lane, "lane"
        yield c.id, "group", c.group, "group"
    for walk in code.crosswalks:
        yield walk.id, "group", walk.group, "group"
    for line in code.stop_lines:
        yield f"stop line {line.lane}", "lane", line.lane, "lane"
    for met in code.conflicts:
        yield f"{met.a}/{met.b}", "a", met.a, "connection"
        yield f"{met.a}/{met.b}", "b", met.b, "connection"
    for excepted in code.signal_exceptions:
        yield f"exception {excepted.a}/{excepted.b}", "a", excepted.a or "0", "group"
        yield f"exception {excepted.a}/{excepted.b}", "b", excepted.b or "0", "group"
    for rule in code.rules:
        for target in rule.targets:
            yield rule.id, "targets", target.entity, "entity"
