"""What a gateway sends in tests of a running node."""

from deadlines import until
from node_process import NodeProcess

from cloudctl.client import Gateway
from cloudctl.codes import CompiledCode


def frame(gateway: Gateway, code: CompiledCode, rsu: str | None = None) -> None:
    rsu = rsu or gateway.rsus[0]
    gateway.perception(rsu, "cam", code.origin.lat, code.origin.lon, [{"x": 12.0, "y": -3.5, "class": "car"}])


def accepted(node: NodeProcess, gateway: Gateway, n: int = 1) -> None:
    """Send good frames until `n` more of them were accepted."""
    before = node.count("accept.perception", gateway.rsus[0])

    def more() -> bool:
        frame(gateway, node.code)
        gateway.poll(50)
        return node.count("accept.perception", gateway.rsus[0]) >= before + n

    until(more, what=f"{n} accepted frame(s)")
