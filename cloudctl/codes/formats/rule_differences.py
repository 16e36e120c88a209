"""Rules of a code beside those of its export: which did not come back, and which came in addition."""

from collections.abc import Iterator

from ..model import IntersectionCode
from ..rule import Rule
from ..rules import rule_placements
from .comparison import Comparison
from .differences import Difference
from .messages.speed_limits import SPEED_STEP, narrowing_fields


def rule_differences(compared: Comparison) -> Iterator[Difference]:
    """Yield rules that did not come back at each place, and those that came in addition; plain limits are compared
    by `_limits`."""
    paths = compared.pairing.lanes | {name: connection.id for name, connection in compared.connections.items()}
    before, after = (
        _rule_rows(compared.code, {name: name for name in paths}),
        _rule_rows(compared.back, {path: key for key, path in paths.items()}),
    )
    for rule, rows in before:
        if not any(rows <= others and _same_rule(rule, other) for other, others in after):
            yield Difference(field=f"rules.{rule.kind}", what="lost", entity=rule.id, before=_shown(rule))
        elif rule.priority or rule.authority or rule.sign or rule.text:
            yield Difference(field="rules.notes", what="lost", entity=rule.id)

    for rule, rows in after:
        if not any(rows & others and _same_rule(rule, other) for other, others in before):
            yield Difference(field=f"rules.{rule.kind}", what="added", entity=rule.id, before=_shown(rule))


def _rule_rows(code: IntersectionCode, names: dict[str, str]) -> list[tuple[Rule, set[tuple[str, float, float]]]]:
    """Return each rule but plain limits with the places where it holds, by the other code's names: (lane or connection,
    from, to), whole m."""
    rows: dict[int, set[tuple[str, float, float]]] = {}
    for path, placements in rule_placements(code).items():
        for placement in placements:
            if path in names:
                rows.setdefault(placement.rule, set()).add(
                    (
                        names[path],
                        round(placement.s_from),
                        min(placement.s_to, 1e6) if placement.s_to == float("inf") else round(placement.s_to),
                    )
                )

    return [(rule, rows.get(index, set())) for index, rule in enumerate(code.rules) if not _is_compared(rule)]


def _is_compared(rule: Rule) -> bool:
    """Return whether a rule is a limit whose effect is compared place by place, whatever rule carries it."""
    return rule.kind == "speed_max" and not (
        rule.classes or rule.except_classes or rule.calendar or narrowing_fields(rule)
    )


def _same_rule(first: Rule, second: Rule) -> bool:
    """Return whether two rules ask for the same of the same at the same times."""
    values = first.value == second.value or (
        first.value is not None and second.value is not None and abs(first.value - second.value) <= SPEED_STEP
    )
    return values and _asked(first) == _asked(second)


def _asked(rule: Rule) -> list[object]:
    """Return the fields of a rule, but for its value, its place, its rank, and its notes."""
    rows = [
        getattr(rule, field)
        for field in rule.__struct_fields__
        if field not in ("id", "targets", "value", "priority", "authority", "sign", "text")
    ]

    return [frozenset(row) if isinstance(row, tuple) else row for row in rows]


def _shown(rule: Rule) -> str:
    value = "" if rule.value is None else f" {rule.value:g}"
    return f"{rule.kind}{value}{' for ' + ', '.join(rule.classes) if rule.classes else ''}{' at times' if rule.calendar else ''}"  # noqa: E501
