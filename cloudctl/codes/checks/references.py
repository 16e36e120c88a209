"""Checks that what an entity names is there, once."""

from collections.abc import Iterator

from ..findings import Finding, fault
from ..model import IntersectionCode


def reference_faults(code: IntersectionCode) -> Iterator[Finding]:
    """Yield ids that stand twice, and names of what is not there."""
    ids_by_kind: dict[str, set[object]] = {}
    for kind, items in _ids_by_kind(code).items():
        ids_of_kind = ids_by_kind.setdefault(kind, set())
        for item in items:
            if item in ids_of_kind:
                yield fault(
                    entity=str(item),
                    field="id",
                    value=item,
                    rule=f"stands twice among {kind}s",
                    remedy="give each an id of its own",
                )

            ids_of_kind.add(item)

    ids_by_kind["group"].add(0)
    ids_by_kind["node"].add("")
    ids_by_kind["entity"] = {"code"}.union(
        *(ids_by_kind[kind] for kind in ("link", "lane", "connection", "zone", "crosswalk"))
    )

    for entity, field, value, kind in _named_entities(code):
        if value not in ids_by_kind[kind]:
            yield fault(
                entity=str(entity),
                field=field,
                value=value,
                rule=f"there is no such {kind}",
                remedy="name one of the code's links, lanes, connections or zones, or `code`"
                if kind == "entity"
                else f"name one of the code's {kind}s, or add it",
            )

    for name in sorted(map(str, ids_by_kind["rule"] & ids_by_kind["entity"])):
        yield fault(
            entity=name,
            field="id",
            value=name,
            rule="is the name of a part of the intersection too",
            remedy="give the rule an id of its own, as R20",
        )

    yield from _repeated_conflicts(code)


def _repeated_conflicts(code: IntersectionCode) -> Iterator[Finding]:
    """Yield conflicts of a connection with itself, and pairs of connections that stand twice."""
    pairs: set[tuple[str, str]] = set()
    for conflict in code.conflicts:
        pair = (min(conflict.a, conflict.b), max(conflict.a, conflict.b))
        if conflict.a == conflict.b or pair in pairs:
            if conflict.a == conflict.b:
                rule = "a connection does not conflict with itself"
            else:
                rule = "the pair stands twice among conflicts"

            yield fault(
                entity=f"{conflict.a}/{conflict.b}",
                field="b",
                value=conflict.b,
                rule=rule,
                remedy="keep one conflict for each pair",
            )

        pairs.add(pair)


def _ids_by_kind(code: IntersectionCode) -> dict[str, list[object]]:
    return {
        "node": [node.id for node in code.nodes],
        "link": [node.id for node in code.links],
        "lane": [node.id for node in code.lanes],
        "connection": [node.id for node in code.connections],
        "group": [node.id for node in code.signal_groups],
        "crosswalk": [node.id for node in code.crosswalks],
        "zone": [node.id for node in code.zones],
        "device": [node.id for node in code.devices],
        "rule": [node.id for node in code.rules],
        "plan": [node.id for node in code.plans],
        "stop line": [node.lane for node in code.stop_lines],
    }


def _named_entities(code: IntersectionCode) -> Iterator[tuple[object, str, object, str]]:
    for link in code.links:
        yield link.id, "upstream", link.upstream, "node"
        yield link.id, "downstream", link.downstream, "node"

    for lane in code.lanes:
        yield lane.id, "link", lane.link, "link"

    for connection in code.connections:
        yield connection.id, "from_lane", connection.from_lane, "lane"
        yield connection.id, "to_lane", connection.to_lane, "lane"
        yield connection.id, "group", connection.group, "group"

    for crosswalk in code.crosswalks:
        yield crosswalk.id, "group", crosswalk.group, "group"

    for stop_line in code.stop_lines:
        yield f"stop line {stop_line.lane}", "lane", stop_line.lane, "lane"

    for conflict in code.conflicts:
        yield f"{conflict.a}/{conflict.b}", "a", conflict.a, "connection"
        yield f"{conflict.a}/{conflict.b}", "b", conflict.b, "connection"

    for exception in code.signal_exceptions:
        yield f"exception {exception.a}/{exception.b}", "a", exception.a or "0", "group"
        yield f"exception {exception.a}/{exception.b}", "b", exception.b or "0", "group"

    for rule in code.rules:
        for target in rule.targets:
            yield rule.id, "targets", target.entity, "entity"
