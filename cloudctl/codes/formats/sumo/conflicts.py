"""The conflict matrix of a SUMO junction with its points: which paths meet, where, and which movement yields."""

from collections.abc import Iterator

from ...checks.geometry import MAX_CONFLICT_GAP
from ...findings import LossKind
from ...model import Conflict, Connection
from ...polylines import F8, meeting_point
from .area import IntersectionArea, Movement
from .network import Net

MAX_USUAL_GAP = 4.5  # m; foes whose paths stay further apart than this are worth a look


def conflicts(
    net: Net, area: IntersectionArea, connections: tuple[Connection, ...], lines: dict[str, F8]
) -> Iterator[Conflict]:
    """Yield a conflict for each pair of foes; pairs of a network without requests meet where their paths cross."""
    movements_through = [
        (movement, connection.id)
        for movement, connection in zip(area.movements, connections, strict=True)
        if movement.inner
    ]
    for number, (first, a_id) in enumerate(movements_through):
        for second, b_id in movements_through[number + 1 :]:
            if first.junction != second.junction:
                continue

            has_requests = _has_requests(net, first) and _has_requests(net, second)
            if has_requests and not (
                _request_bit(net, first, "foes", second.index) or _request_bit(net, second, "foes", first.index)
            ):
                continue

            # From one lane they diverge: nothing to yield
            if not has_requests and first.from_lane == second.from_lane:
                continue

            kind, s_a, s_b, gap = meeting_point(lines[a_id], lines[b_id], first.to_lane == second.to_lane)
            if not has_requests and gap > 0.1:
                continue

            _report_pair(net=net, area=area, a=first, b=second, has_requests=has_requests, gap=gap)
            if gap > MAX_CONFLICT_GAP:
                continue

            yield Conflict(
                a=a_id,
                b=b_id,
                kind=kind,
                s_a=round(s_a, 2),
                s_b=round(s_b, 2),
                a_yields=has_requests and _request_bit(net, first, "response", second.index),
                b_yields=has_requests and _request_bit(net, second, "response", first.index),
            )


def _report_pair(net: Net, area: IntersectionArea, a: Movement, b: Movement, has_requests: bool, gap: float) -> None:
    pair = f"{a.from_lane}>{a.to_lane} and {b.from_lane}>{b.to_lane}, {gap:.1f} m apart, at {area.name}"
    if not has_requests:
        detail = "of movements without requests, conflicts are where paths cross, and nobody yields"
        net.accounts.enter(LossKind.GUESSED, "junction", detail, pair)
    elif gap > MAX_CONFLICT_GAP:
        net.accounts.enter(
            LossKind.DROPPED,
            "request",
            f"foes whose paths stay more than {MAX_CONFLICT_GAP:g} m apart: they have no place in common",
            pair,
        )
    elif gap > MAX_USUAL_GAP:
        net.accounts.enter(
            LossKind.DIFFERS, "request", f"foes whose paths stay more than {MAX_USUAL_GAP:g} m apart", pair
        )


def _has_requests(net: Net, movement: Movement) -> bool:
    return movement.index in net.requests.get(movement.junction, {})


def _request_bit(net: Net, movement: Movement, name: str, index: int) -> bool:
    text = net.requests[movement.junction][movement.index].get(name, "")
    return 0 <= index < len(text) and text[-1 - index] == "1"
