"""SUMO networks for tests, as text: one crossing, or one road, with what a test changes in it."""

from cloudctl import codes
from cloudctl.codes import IntersectionCode
from cloudctl.codes.formats.detect import read_any
from cloudctl.codes.report import Imported

HEAD = (
    '<net version="1.20"><location netOffset="0,0" convBoundary="0,0,400,400" projParameter="+proj=tmerc +lat_0=39.79'
    ' +lon_0=116.5 +k=1 +x_0=0 +y_0=0"/>'
)


def road(access: list[str], speeds: list[float] | None = None, left_hand: bool = False, turn: str = "s") -> bytes:
    """Return a road from west to east of lanes with these permissions (from lane 0 on), and one from the south that
    crosses it at a signal.
    """
    side = 1 if left_hand else -1  # lane 0 is the outermost
    offsets = [200 + side * 3.2 * (len(access) - k) for k in range(len(access))]
    lanes = {
        name: "".join(
            f'<lane id="{name}_{k}" index="{k}" speed="{(speeds or [13.89] * 9)[k]}" length="190" shape="{a},{y:.2f}'
            f' {b},{y:.2f}" {text}/>'
            for k, (text, y) in enumerate(zip(access, offsets, strict=True))
        )
        for name, a, b in (("w", 0, 190), ("e", 210, 400))
    }
    n = len(access)
    foes = "".join(f'<request index="{k}" response="{"0" * (n + 1)}" foes="1{"0" * n}" cont="0"/>' for k in range(n))
    cross = f'<request index="{n}" response="0{"1" * n}" foes="0{"1" * n}" cont="0"/>'
    inner = "".join(
        f'<edge id=":c_{k}" function="internal"><lane id=":c_{k}_0" index="0" speed="13.89" length="20"'
        f' shape="190,{y:.2f} 210,{y:.2f}"/></edge>'
        for k, y in enumerate(offsets)
    )
    inner += (
        f'<edge id=":c_{n}" function="internal"><lane id=":c_{n}_0" index="0" speed="8" length="20" shape="200,180'
        ' 200,220"/></edge>'
    )
    connections = "".join(
        f'<connection from="w" to="e" fromLane="{k}" toLane="{k}" via=":c_{k}_0" tl="c" linkIndex="{k}" dir="{turn}"'
        ' state="O"/>'
        for k in range(n)
    )
    text = (
        f"{HEAD.replace('<net ', '<net lefthand=' + chr(34) + str(left_hand).lower() + chr(34) + ' ')}{inner}"
        f'<edge id="w" from="a" to="c">{lanes["w"]}</edge><edge id="e" from="c" to="b">{lanes["e"]}</edge>'
        '<edge id="s" from="d" to="c"><lane id="s_0" index="0" speed="13.89" length="180" shape="200,0'
        ' 200,180"/></edge>'
        '<edge id="n" from="c" to="f"><lane id="n_0" index="0" speed="13.89" length="180" shape="200,220'
        ' 200,400"/></edge>'
        f'<tlLogic id="c" type="static" programID="0" offset="0"><phase duration="30" state="{"G" * n}r"/><phase'
        f' duration="3" state="{"y" * n}r"/>'
        f'<phase duration="30" state="{"r" * n}G"/><phase duration="3" state="{"r" * n}y"/></tlLogic>'
        f'<junction id="c" type="traffic_light" x="200" y="200" incLanes="{" ".join(f"w_{k}" for k in range(n))}'
        f' s_0">{foes}{cross}</junction>'
        + "".join(
            f'<junction id="{name}" type="dead_end" x="{x}" y="{y}"/>'
            for name, x, y in (("a", 0, 200), ("b", 400, 200), ("d", 200, 0), ("f", 200, 400))
        )
        + connections
        + f'<connection from="s" to="n" fromLane="0" toLane="0" via=":c_{n}_0" tl="c" linkIndex="{n}" dir="s"'
        ' state="o"/></net>'
    )
    return text.encode()


def imported(data: bytes | str) -> Imported:
    return read_any(data if isinstance(data, bytes) else data.encode(), "road.net.xml")


def one(data: bytes | str) -> IntersectionCode:
    (code,) = imported(data)
    assert [finding for finding in codes.validate(code) if finding.severity == "error"] == []
    return code
