"""Signal priority: requests of buses, emergency, sanitation and logistics vehicles, and what is asked of the signal
controller for them.

The states are J2735's (PrioritizationResponseStatus): processing, granted, rejected, maxPresence, reserviceLocked; a
request ends as served, cancelled, or rejected. One request of an intersection is granted at a time, the highest class
first, then the first to arrive. The least that helps is asked for (`priority_need`): nothing where its green comes by
itself, else a longer green, else an earlier one. The controller decides: what is asked bounds nothing it does of its
own. Sources: SAE J2735 SSM; NTCIP 1211 (priority control).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from ..clock import SECOND
from ..codes import CompiledCode
from ..driving import SATURATION_HEADWAY
from ..forecast.stop_line import StopLineForecast, earliest
from ..schema import (
    VERSION,
    AdvisoryKind,
    Priority,
    PriorityAction,
    PriorityStatus,
    Severity,
    VehicleRequest,
    vehicle_target,
)
from ..settings import PrioritySettings
from ..world import World
from .candidate import Candidate
from .class_evidence import contradicted
from .priority_need import GreenTimes, Help, Need

LEVEL = {"emergency": 4, "bus": 3, "sanitation": 2, "truck": 1, "logistics_robot": 1}  # of the classes with priority
EMERGENCY_LEVEL = LEVEL["emergency"]
EXTENSION = {4: 30.0, 3: 12.0, 2: 8.0, 1: 8.0}  # s of green more than it would have, at the most, by level
HORIZON = 40.0  # s before arrival from which anything is asked for
MAX_DELAY = 30 * SECOND  # after the time of arrival it gave; a vehicle that has not come by then has lost its place
RESERVICE_INTERVAL = 60 * SECOND  # between two services of an intersection, for all but emergency vehicles
RESEND_INTERVAL = SECOND  # between two messages to the controller with the same content
END_NOTICE = 5 * SECOND  # for which the vehicle is advised of a request that ended
MAX_REQUESTS = 64  # per intersection at a time
MAX_OPEN = 4  # of one vehicle, of those
MAX_CONTRADICTION = SECOND  # a class that sensors contradict for so long is rejected
UNKNOWN_LIMIT = 10.0  # m/s; speed limit of a vehicle that is on no lane

Status = PriorityStatus
BEGINS_ANEW = (Status.CANCELLED, Status.MAX_PRESENCE)  # ends after which the same id begins another request


def _uncounted(_name: str, _source: str) -> None: ...


@dataclass(kw_only=True)
class Request:
    """One request, and how far it has come. Times are ns."""

    vehicle: str
    id: str
    connection: int
    eta: int
    begun: int
    level: int = 0  # of its class, as last known
    status: Status = Status.PROCESSING
    why: str = "it was received"
    ended: int | None = None
    asked: Priority | None = None  # what the controller was last asked

    def set_status(self, status: Status, why: str) -> None:
        """Set how far the request has come, and the reason."""
        self.status, self.why = status, why

    def end(self, t: int, status: Status, why: str) -> None:
        """End the request at `t` ns."""
        self.set_status(status, why)
        self.ended = t

    def is_open(self) -> bool:
        """Return whether it has not ended."""
        return self.ended is None

    def is_over(self, t: int) -> bool:
        """Return whether the vehicle has been advised of its end for long enough, at `t` ns."""
        return self.ended is not None and t - self.ended > END_NOTICE


class Decision(NamedTuple):
    """What becomes of a request now."""

    status: Status
    why: str
    ends: bool = False


@dataclass
class PriorityRequestServer:
    """The requests of one intersection. `take` what vehicles send, `work` every snapshot."""

    requests: dict[tuple[str, str], Request] = field(default_factory=dict)
    served: int | None = None  # ns; when the last one was
    settings: PrioritySettings = field(default_factory=lambda: PrioritySettings(trust_declared=True))
    count: Callable[[str, str], None] = _uncounted  # (what, vehicle)

    def __post_init__(self) -> None:
        self._green_times = GreenTimes()
        self._replaced: list[Request] = []  # whose controller is to be asked to release them
        self._turned_away: dict[str, Request] = {}  # by vehicle: its newest request for which there was no room
        self._contradicted: dict[str, int] = {}  # by vehicle: since when (ns) sensors contradict its class

    @property
    def busy(self) -> bool:
        """Whether there is anything to work on."""
        return bool(self.requests or self._turned_away or self._replaced)

    def proven(self, vehicle: str, declared: str | None) -> str | None:
        """Return the class that is believed of a vehicle; None where neither the operator nor the settings vouch for
        it."""
        return self.settings.listed(vehicle) or (declared if self.settings.trust_declared else None)

    # --- what vehicles send ---

    def take(self, t: int, vehicle: str, body: VehicleRequest, code: CompiledCode, declared: str | None = None) -> None:
        """Take in a request or a cancellation, at `t` ns, of a vehicle that declares class `declared` (None: not known
        yet)."""
        key = (vehicle, body.id)
        known = self.requests.get(key)
        if body.action == "cancel":
            if known is not None and known.is_open():
                known.end(t, Status.CANCELLED, "you took it back")
            return
        connection = code.connection(body.movement)
        if known is not None and known.connection == connection and known.status not in BEGINS_ANEW:
            known.eta = body.eta
            return
        if known is not None:
            self._replace(key)

        level = LEVEL.get(self.proven(vehicle, declared) or "", 0)
        request = Request(vehicle=vehicle, id=body.id, connection=connection, eta=body.eta, begun=t, level=level)
        if self._open_of(vehicle) >= MAX_OPEN:
            self._turn_away(t, request, f"you have {MAX_OPEN} requests open already: take one back first")
            return
        if len(self.requests) >= MAX_REQUESTS and not self._make_room(t, request):
            self._turn_away(t, request, f"{MAX_REQUESTS} of your class or a higher one are open already: ask later")
            return

        self.requests[key] = request
        if connection < 0 or not code.conn_inner[connection]:
            why = f"movement {body.movement!r} is none of this intersection: see its digital code"
            request.end(t, Status.REJECTED, why)
        elif code.conn_group[connection] < 0:
            request.end(t, Status.REJECTED, f"movement {body.movement} has no signal")

    def _replace(self, key: tuple[str, str]) -> None:
        """Drop a request whose id begins another one: for another movement, or after it was taken back."""
        request = self.requests.pop(key)
        request.set_status(Status.CANCELLED, "another request took its place")
        if request.asked is not None:
            self._replaced.append(request)

    def _open_of(self, vehicle: str) -> int:
        return sum(request.vehicle == vehicle and request.is_open() for request in self.requests.values())

    def _make_room(self, t: int, new: Request) -> bool:
        """Drop a request for a new one: the one that ended first, else the lowest class below the new one's, the last
        come of those not granted."""
        ended = [key for key, request in self.requests.items() if not request.is_open()]
        if ended:
            key = min(ended, key=lambda key: self.requests[key].ended or 0)
            if self.requests[key].asked is None:
                del self.requests[key]
                return True

        key = min(self.requests, key=lambda key: _rank(self.requests[key]))
        if self.requests[key].level >= new.level:
            return False
        self._turn_away(t, self.requests.pop(key), "vehicles of a higher class ask: there is no room for yours")
        return True

    def _turn_away(self, t: int, request: Request, why: str) -> None:
        self.count("priority.turned_away", request.vehicle)
        last = self._turned_away.get(request.vehicle)
        if last is not None and last.asked is not None:
            return  # the controller is to be asked first to release this one
        if request.vehicle in self._turned_away or len(self._turned_away) < MAX_REQUESTS:
            request.end(t, Status.REJECTED, why)
            self._turned_away[request.vehicle] = request

    # --- every snapshot ---

    def watch_signals(self, world: World) -> None:
        """Take in since when each group shows green, or not: minimum greens count from that."""
        self._green_times.observe(world)

    def serve(
        self, world: World, forecast: StopLineForecast, trouble: str | None
    ) -> tuple[list[Candidate], list[Priority]]:
        """Return the advice to the vehicles, and what the controller is asked. `trouble`: why signal states are not to
        be trusted."""
        self.watch_signals(world)
        rows = {vehicle.id: row for vehicle, row in zip(world.vehicles, world.rows.tolist(), strict=True)}
        kinds = {vehicle.id: vehicle.state.kind for vehicle in world.vehicles}
        open_requests = [request for request in self.requests.values() if request.is_open()]
        self._note_contradictions(world, rows, kinds, {request.vehicle for request in open_requests})
        for request in open_requests:
            if request.vehicle in kinds:
                request.level = LEVEL.get(self.proven(request.vehicle, kinds[request.vehicle]) or "", 0)

        # One request is granted at a time.
        is_taken = False
        for request in sorted(open_requests, key=lambda request: (-request.level, request.eta, request.begun)):
            row, kind = rows.get(request.vehicle, -1), kinds.get(request.vehicle)
            decision = self._decide(world, forecast, request, row, kind, trouble, is_taken)
            request.set_status(decision.status, decision.why)
            if decision.ends:
                request.ended = world.t
            elif decision.status is Status.GRANTED:
                is_taken = True

        requests = [*self.requests.values(), *self._turned_away.values()]
        asked_of = [*self._replaced, *requests]  # a release before what is asked anew
        self._replaced.clear()
        messages = [message for request in asked_of if (message := _message(world, request)) is not None]
        candidates = [_candidate(request) for request in requests]
        self._forget(world.t)
        return candidates, messages

    def _forget(self, t: int) -> None:
        for key in [key for key, request in self.requests.items() if request.is_over(t)]:
            del self.requests[key]
        for vehicle in [vehicle for vehicle, request in self._turned_away.items() if request.is_over(t)]:
            del self._turned_away[vehicle]

    def _note_contradictions(
        self, world: World, rows: dict[str, int], kinds: dict[str, str], vehicles: Iterable[str]
    ) -> None:
        """Note which vehicles' classes are contradicted by what sensors see, and since when."""
        before, self._contradicted = self._contradicted, {}
        for vehicle in sorted(vehicles):
            kind = self.proven(vehicle, kinds.get(vehicle))
            if kind is None or vehicle not in rows:
                continue
            if contradicted(world, rows[vehicle], kind, self.settings.listed(vehicle) is not None):
                if vehicle not in before:
                    self.count("priority.contradicted", vehicle)
                self._contradicted[vehicle] = before.get(vehicle, world.t)

    # --- one request ---

    def _decide(
        self,
        world: World,
        forecast: StopLineForecast,
        request: Request,
        row: int,
        kind: str | None,
        trouble: str | None,
        is_taken: bool,
    ) -> Decision:
        """Return what becomes of a request: the first of these that applies."""
        return (
            self._unqualified(world, request, row, kind)
            or self._passed(world, request, row)
            or self._postponed(world, request, trouble, is_taken)
            or self._grant(world, forecast, request, row, kind)
        )

    def _unqualified(self, world: World, request: Request, row: int, kind: str | None) -> Decision | None:
        """Return why the vehicle has no priority, or none yet; None where it has."""
        t, vehicle = world.t, request.vehicle
        if t > request.eta + MAX_DELAY:
            return Decision(Status.MAX_PRESENCE, "you did not come by the time you gave", ends=True)
        if row < 0:
            return Decision(Status.PROCESSING, "your position is not known here yet: send your state")

        proven = self.proven(vehicle, kind)
        if proven is None and LEVEL.get(kind or "", 0):
            why = f"your class {kind} is not proven: have the node's operator list you under [priority] vehicles"
            return Decision(Status.REJECTED, why, ends=True)
        if request.level == 0:
            return Decision(Status.REJECTED, f"vehicles of class {proven or kind} have no priority", ends=True)

        if vehicle in self._contradicted:
            seen = contradicted(world, row, proven or "", self.settings.listed(vehicle) is not None)
            why = f"sensors see a {seen} where you declare class {proven}"
            if t - self._contradicted[vehicle] >= MAX_CONTRADICTION:
                return Decision(Status.REJECTED, why, ends=True)
            return Decision(Status.PROCESSING, why)
        return None

    def _passed(self, world: World, request: Request, row: int) -> Decision | None:
        """Return what becomes of a request whose vehicle is not before its stop line; None where it is."""
        if float(world.to_stop[row]) > 0.0:
            return None
        is_inside = world.path[row] >= world.code.n_lanes
        if not is_inside and request.status is not Status.GRANTED:
            return Decision(Status.PROCESSING, "you are on no approach of this intersection")
        if request.asked is not None:
            self.served = world.t
        return Decision(Status.SERVED, "you are through", ends=True)

    def _postponed(self, world: World, request: Request, trouble: str | None, is_taken: bool) -> Decision | None:
        """Return why a request cannot be granted yet; None where it can."""
        if trouble is not None:
            return Decision(Status.PROCESSING, trouble)
        rest = 0 if self.served is None else RESERVICE_INTERVAL - (world.t - self.served)
        if request.level < EMERGENCY_LEVEL and rest > 0 and request.status is not Status.GRANTED:
            why = f"another vehicle was served; for {rest / SECOND:.0f} s more it is the turn of the others"
            return Decision(Status.RESERVICE_LOCKED, why)
        if is_taken:
            return Decision(Status.PROCESSING, "another vehicle is served first")
        return None

    def _grant(
        self, world: World, forecast: StopLineForecast, request: Request, row: int, kind: str | None
    ) -> Decision:
        """Grant a request where something helps, and note what the controller is to be asked for."""
        t, code, ahead = world.t, world.code, int(forecast.ahead[row])
        is_on_lane = world.path[row] < code.n_lanes
        limit = max(float(code.lane_speed[world.path[row]]), 1.0) if is_on_lane else UNKNOWN_LIMIT
        unhindered = earliest(float(world.to_stop[row]), max(float(world.speed[row]), 0.0), limit)
        eta = max(unhindered, ahead * SATURATION_HEADWAY)
        if eta > HORIZON:
            why = f"you arrive in {eta:.0f} s; nothing is asked for more than {HORIZON:.0f} s ahead"
            return Decision(Status.PROCESSING, why)

        need = self.need(world, forecast, request.connection, eta, ahead, EXTENSION[request.level])
        if need.action is Help.IMPOSSIBLE:
            return Decision(Status.PROCESSING, need.why)
        if need.action is not Help.NONE:
            message = Priority(
                version=VERSION,
                intersection=code.code.id,
                t=t,
                request=request.id,
                kind=self.proven(request.vehicle, kind) or "",
                group=int(code.group_ids[code.conn_group[request.connection]]),
                action=PriorityAction(need.action.value),
                at=t + int(need.at * SECOND),
            )
            if _is_news(request.asked, message):
                request.asked = message
        return Decision(Status.GRANTED, need.why)

    def need(
        self, world: World, forecast: StopLineForecast, connection: int, eta: float, ahead: int, extension: float
    ) -> Need:
        """Return what helps a vehicle that arrives in `eta` s with `ahead` vehicles before it; an extension is at most
        `extension` s."""
        return self._green_times.need(world, forecast, connection, eta, ahead, extension)

    def soonest(self, world: World, connection: int) -> float:
        """Return s until a movement's green can begin at the soonest."""
        return self._green_times.soonest(world, connection)


def _rank(request: Request) -> tuple[int, bool, int]:
    """Return what orders requests when one must make room, the first to go first."""
    return request.level, request.status is Status.GRANTED, -request.begun


def _is_news(last: Priority | None, message: Priority) -> bool:
    """Return whether a message to the controller differs from the last one, or that is long enough ago."""
    if last is None or last.action != message.action or abs(last.at - message.at) > RESEND_INTERVAL:
        return True
    return message.t - last.t >= RESEND_INTERVAL


def _message(world: World, request: Request) -> Priority | None:
    """Return what is to be sent to the controller now: what was just asked for, or that a request ended."""
    asked = request.asked
    if asked is None:
        return None
    if request.status is Status.GRANTED:
        return asked if asked.t == world.t else None
    request.asked = None
    return Priority(
        version=VERSION,
        intersection=asked.intersection,
        t=world.t,
        request=asked.request,
        kind=asked.kind,
        group=asked.group,
        action=PriorityAction.RELEASE,
        at=world.t,
    )


def _candidate(request: Request) -> Candidate:
    return Candidate(
        kind=AdvisoryKind.PRIORITY,
        target=vehicle_target(request.vehicle),
        severity=Severity.INFORMATION,
        confidence=1.0,
        reason="request {id} is {status}: {why}",
        facts={"id": request.id, "status": request.status, "why": request.why},
        status=request.status,
        about=request.id,
    )
