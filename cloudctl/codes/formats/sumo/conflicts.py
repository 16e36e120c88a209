"""The conflict matrix of a SUMO junction with its points: who meets whom, where, and who yields."""

from collections.abc import Iterator

from ...checks.geometry import MAX_APART
from ...model import Conflict, Connection
from ...polylines import F8, meeting
from .area import Area, Movement
from .network import Net

APART = 4.5  # m; foes whose paths stay further apart than this are worth a look


def conflicts(net: Net, area: Area, conns: tuple[Connection, ...], lines: dict[str, F8]) -> Iterator[Conflict]:
    """Yield a conflict for each pair of foes; pairs of a network without requests meet where their paths cross."""
    inner = [(m, c.id) for m, c in zip(area.movements, conns, strict=True) if m.inner]
    for n, (a, a_id) in enumerate(inner):
        for b, b_id in inner[n + 1 :]:
            if a.junction != b.junction:
                continue
            known = _known(net, a) and _known(net, b)
            if known and not (_bit(net, a, "foes", b.index) or _bit(net, b, "foes", a.index)):
                continue
            if not known and a.from_lane == b.from_lane:
                continue
            kind, s_a, s_b, apart = meeting(lines[a_id], lines[b_id], a.to_lane == b.to_lane)
            if not known and apart > 0.1:
                continue
            _note(net, area, a, b, known, apart)
            if apart > MAX_APART:
                continue
            yield Conflict(
                a_id,
                b_id,
                kind,
                round(s_a, 2),
                round(s_b, 2),
                known and _bit(net, a, "response", b.index),
                known and _bit(net, b, "response", a.index),
            )


def _note(net: Net, area: Area, a: Movement, b: Movement, known: bool, apart: float) -> None:
    pair = f"{a.from_lane}>{a.to_lane} and {b.from_lane}>{b.to_lane}, {apart:.1f} m apart, at {area.name}"
    if not known:
        detail = "of movements without requests, conflicts are where paths cross, and nobody yields"
        net.accounts.enter("guessed", "junction", detail, pair)
    elif apart > MAX_APART:
        net.accounts.enter(
            "dropped",
            "request",
            f"foes whose paths stay more than {MAX_APART:g} m apart: they have no place in common",
            pair,
        )
    elif apart > APART:
        net.accounts.enter("differs", "request", f"foes whose paths stay more than {APART:g} m apart", pair)


def _known(net: Net, m: Movement) -> bool:
    return m.index in net.requests.get(m.junction, {})


def _bit(net: Net, m: Movement, name: str, index: int) -> bool:
    text = net.requests[m.junction][m.index].get(name, "")
    return 0 <= index < len(text) and text[-1 - index] == "1"
