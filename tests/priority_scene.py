"""Requests for priority at the shipped intersection, for tests."""

from stage import Stage, T, words

from cloudctl.clock import SECOND
from cloudctl.forecast.stop_line import forecast_stop_lines
from cloudctl.planner.priority import PriorityRequestServer
from cloudctl.schema import VehicleRequest
from cloudctl.world import World


def request(stage: Stage, connection: int, id: str = "q1", eta: float = 8.0, action: str = "request") -> VehicleRequest:
    return VehicleRequest(T, id, stage.code.code.id, stage.code.conn_ids[connection], T + int(eta * SECOND), action)


def straight(stage: Stage) -> tuple[int, int]:
    """Return a lane and its movement straight on."""
    code = stage.code
    k = next(
        k
        for k in range(code.n_conns)
        if code.conn_inner[k] and code.conn_turn[k] == 0 and code.lane_use[code.conn_from[k]] == 0
    )
    return int(code.conn_from[k]), k


def work(desk: PriorityRequestServer, world: World, trouble: str | None = None) -> tuple[dict[str, str], list]:
    told, asked = desk.serve(world, forecast_stop_lines(world), trouble)
    return {c.target: f"{c.status}: {words(c)}" for c in told}, asked
