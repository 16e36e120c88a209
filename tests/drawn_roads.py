"""OpenDRIVE files drawn for tests: two roads for both directions that cross, with whatever a test adds to them."""

from collections.abc import Mapping
from math import cos, pi, sin

ARMS = {
    1: (-60.0, 0.0, 0.0),
    2: (60.0, 0.0, pi),
    3: (0.0, -60.0, pi / 2),
    4: (0.0, 60.0, -pi / 2),
}  # x, y and heading where each begins; all end at the junction
LENGTH = 45.0  # m of an arm
TURNS = [(a, b) for a in ARMS for b in ARMS if a != b]  # connecting roads, numbered from 11 on
CONNECTING = {pair: 11 + k for k, pair in enumerate(TURNS)}
EVERY_MOVEMENT = dict(CONNECTING)
WIDTH = '<width sOffset="0" a="3.5" b="0" c="0" d="0"/>'
SPEED = '<type s="0" type="town"><speed max="50" unit="km/h"/></type>'
Extra = Mapping[int, str]


def lane(number: int, inner: str = WIDTH, link: str = "", kind: str = "driving", attributes: str = "") -> str:
    return f'<lane id="{number}" type="{kind}"{attributes}><link>{link}</link>{inner}</lane>'


def road(
    number: int,
    length: float,
    geometry: str,
    *,
    link: str,
    left: str = "",
    right: str = "",
    junction: int = -1,
    inside: str = "",
    rule: str = "RHT",
    type_: str = SPEED,
    offset: str = "",
) -> str:
    sides = (
        (f"<left>{left}</left>" if left else "")
        + '<center><lane id="0" type="none"/></center>'
        + (f"<right>{right}</right>" if right else "")
    )
    return (
        f'<road id="{number}" length="{length}" junction="{junction}"'
        f' rule="{rule}"><link>{link}</link>{type_}<planView>{geometry}</planView><lanes>{offset}<laneSection'
        f' s="0">{sides}</laneSection></lanes>{inside}</road>'
    )


def crossing(
    *,
    left_hand: bool = False,
    ingress: Extra | None = None,
    lanes: Extra | None = None,
    inside: Extra | None = None,
    types: Extra | None = None,
    kinds: Extra | None = None,
    both: bool = False,
    header: str = "",
    junction: str = "",
    tail: str = "",
    width: tuple[str, str] = (WIDTH, WIDTH),
    offset: str = "",
    attributes: str = "",
    exits: Extra | None = None,
    links: Extra | None = None,
) -> bytes:
    """Return the map. Per road: `ingress` what stands in its lane to the junction, `lanes` further lanes on that side,
    `inside` signals and objects, `types` its
    types, `kinds` the type of that lane. `exits` are further lanes on the other side, `links` further lane
    links of a connecting road, whose further lanes stand in `lanes`, too. `both`: connecting roads only for one way of
    each pair, with lanes for both; `width` of lanes on the left and right.
    """
    ingress, lanes, inside, types, kinds, exits, links = (
        ingress or {},
        lanes or {},
        inside or {},
        types or {},
        kinds or {},
        exits or {},
        links or {},
    )
    rule, to, away = ("LHT", 1, -1) if left_hand else ("RHT", -1, 1)
    width_of = {1: width[0], -1: width[1]}
    rows = []
    for k, (x, y, h) in ARMS.items():
        view = f'<geometry s="0" x="{x}" y="{y}" hdg="{h}" length="{LENGTH}"><line/></geometry>'
        sides = {
            to: lane(to, width_of[to] + ingress.get(k, ""), kind=kinds.get(k, "driving")) + lanes.get(k, ""),
            away: lane(away, width_of[away]) + exits.get(k, ""),
        }
        rows.append(
            road(
                k,
                LENGTH,
                view,
                link='<successor elementType="junction" elementId="100"/>',
                left=sides[1],
                right=sides[-1],
                inside=inside.get(k, ""),
                rule=rule,
                type_=types.get(k, SPEED),
                offset=offset,
            )
        )
    connections = []
    for (a, b), number in CONNECTING.items():
        if both and a > b:
            continue
        length, view = _path(a, b)
        ways = (
            f'<predecessor elementType="road" elementId="{a}" contactPoint="end"/><successor elementType="road"'
            f' elementId="{b}" contactPoint="end"/>'
        )
        sides = {
            to: lane(to, width_of[to], f'<predecessor id="{to}"/><successor id="{away}"/>') + lanes.get(number, ""),
            away: lane(away, width_of[away], f'<predecessor id="{away}"/><successor id="{to}"/>') if both else "",
        }
        rows.append(
            road(
                number,
                length,
                view,
                link=ways,
                left=sides[1],
                right=sides[-1],
                junction=100,
                inside=inside.get(number, ""),
                rule=rule,
                type_=types.get(number, SPEED),
                offset=offset,
            )
        )
        rows_of = (
            f'<laneLink from="{to}" to="{to}"/>'
            + links.get(number, "")
            + (f'<laneLink from="{away}" to="{away}"/>' if both else "")
        )
        connections.append(
            f'<connection id="{number}" incomingRoad="{a}" connectingRoad="{number}"'
            f' contactPoint="start">{rows_of}</connection>'
        )
    whole = f'<junction id="100" name="X">{"".join(connections)}{junction}</junction>'
    return (
        f'<OpenDRIVE{attributes}><header revMajor="1"'
        f' revMinor="6">{header}</header>{"".join(rows)}{whole}{tail}</OpenDRIVE>'.encode()
    )


def _path(a: int, b: int) -> tuple[float, str]:
    """Return length and geometry of a path between two arms: a line, or a cubic curve."""
    x, y, h = _tip(a)
    u, v, g = _tip(b)
    g += pi
    if abs(sin(h - g)) < 0.01:
        return 30.0, f'<geometry s="0" x="{x}" y="{y}" hdg="{h}" length="30"><line/></geometry>'
    dx, dy = (u - x) * cos(h) + (v - y) * sin(h), -(u - x) * sin(h) + (v - y) * cos(h)
    ex, ey = 22.5 * cos(g - h), 22.5 * sin(g - h)
    terms = {
        "bU": 22.5,
        "cU": 3 * dx - 45.0 - ex,
        "dU": 22.5 + ex - 2 * dx,
        "bV": 0.0,
        "cV": 3 * dy - ey,
        "dV": ey - 2 * dy,
    }
    shape = " ".join(f'{name}="{value}"' for name, value in {"aU": 0.0, "aV": 0.0, **terms}.items())
    return (
        23.2,
        f'<geometry s="0" x="{x}" y="{y}" hdg="{h}" length="23.2"><paramPoly3 pRange="normalized" {shape}/></geometry>',
    )


def _tip(k: int) -> tuple[float, float, float]:
    x, y, h = ARMS[k]
    return x + LENGTH * cos(h), y + LENGTH * sin(h), h


def light(
    number: int,
    *,
    s: float = 44.0,
    t: float = -4.0,
    lanes: str = "",
    kind: str = "1000001",
    along: str = "+",
    subtype: str = "-1",
) -> str:
    """Return a light; `lanes` as "-1" or "-2 1", "" for no validity."""
    ends = lanes.split()
    validity = f'<validity fromLane="{ends[0]}" toLane="{ends[-1]}"/>' if ends else ""
    return (
        f'<signal s="{s}" t="{t}" id="{number}" name="l{number}" dynamic="yes" orientation="{along}" zOffset="3"'
        f' country="OpenDRIVE" type="{kind}" subtype="{subtype}" value="-1">{validity}</signal>'
    )


def signals(*rows: str) -> str:
    return f"<signals>{''.join(rows)}</signals>"
