"""Signal priority: requests of buses, emergency, sanitation and logistics vehicles, and what is asked of the signal controller for them.

The states are J2735's (PrioritizationResponseStatus): processing, granted, rejected, maxPresence, reserviceLocked; a request ends as served,
cancelled, or rejected. One request of an intersection is granted at a time, the highest class first, then the first to arrive. Asked for is
the least that helps: nothing where its green comes by itself, else a longer green, else an earlier one. An earlier green never begins before
everything that crosses has shown green for MIN_GREEN (pedestrians MIN_WALK), yellow for CLEARANCE, and the pedestrians last let go have had the length of
their crosswalk at WALK. The controller decides: what is asked bounds nothing it does of its own.
Sources: SAE J2735 SSM; NTCIP 1211 (priority control); walking speed of GB 14886 signals, 1.0 m/s.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ..clock import SECOND
from ..codes import CompiledCode
from ..forecast.stop_line import (
    FAR,
    IS_GREEN,
    IS_YELLOW,
    SATURATION_HEADWAY,
    STARTUP_LOST_TIME,
    StopLineForecast,
    earliest,
)
from ..schema import VERSION, AdvisoryKind, Priority, VehicleRequest
from ..settings import PrioritySettings
from ..world import World
from .candidate import Candidate
from .class_evidence import contradicted

LEVEL = {"emergency": 4, "bus": 3, "sanitation": 2, "truck": 1, "logistics_robot": 1}
EXTENSION = {4: 30.0, 3: 12.0, 2: 8.0, 1: 8.0}  # s of green more than it would have, at the most
MARGIN = 2.0  # s of green kept after the predicted arrival
HORIZON = 40.0  # s before arrival from which anything is asked for
PRESENCE = 30 * SECOND  # after the time it said; who has not come by then has lost his place
RESERVICE = 60 * SECOND  # between two services of an intersection, for all but emergency vehicles
MIN_GREEN, MIN_WALK, CLEARANCE, WALK = 6.0, 7.0, 4.0, 1.0  # s, s, s, m/s
AGAIN = SECOND  # between two messages to the controller that say the same
PEDESTRIAN = 1  # index into codes.GROUP_KINDS
KEPT = 5 * SECOND  # a request that ended is told for so long
MAX_REQUESTS = 64  # that an intersection holds at a time
MAX_OPEN = 4  # of one vehicle, of those
DISBELIEF = SECOND  # a class that sensors contradict for so long is refused


def _uncounted(_name: str, _source: str) -> None:
    return


@dataclass
class Request:
    """One request, and how far it has come."""

    vehicle: str
    id: str
    connection: int
    eta: int
    begun: int
    status: str = "processing"
    why: str = "it was received"
    ended: int | None = None
    asked: Priority | None = None  # what the controller was last told
    level: int = 0  # of its class, as last known

    def set_status(self, status: str, why: str) -> None:
        self.status, self.why = status, why

    def end(self, t: int, status: str, why: str) -> None:
        self.set_status(status, why)
        self.ended = t


@dataclass(frozen=True)
class Need:
    """What helps one vehicle: nothing, extend or early; when its green must last until, or cannot begin before (s from now)."""

    action: Literal["none", "extend", "early", "impossible"]
    at: float
    why: str


@dataclass
class PriorityRequestServer:
    """The requests of one intersection. `take` what vehicles send, `work` every snapshot."""

    requests: dict[tuple[str, str], Request] = field(default_factory=dict)
    served: int | None = None  # when the last one was
    settings: PrioritySettings = field(default_factory=lambda: PrioritySettings(trust_declared=True))
    count: Callable[[str, str], None] = _uncounted  # (what, vehicle)

    def __post_init__(self) -> None:
        self._since: dict[int, tuple[bool, int]] = {}  # by group: whether it shows green, and since when
        self._turned_away: dict[str, Request] = {}  # by vehicle: its newest request for which there was no room
        self._doubted: dict[str, int] = {}  # by vehicle: since when sensors contradict its class

    @property
    def busy(self) -> bool:
        """Whether there is anything to work on."""
        return bool(self.requests or self._turned_away)

    def proven(self, vehicle: str, declared: str | None) -> str | None:
        """Return the class that is believed of a vehicle; None where nobody vouches for it."""
        return self.settings.listed(vehicle) or (declared if self.settings.trust_declared else None)

    def take(self, t: int, vehicle: str, body: VehicleRequest, code: CompiledCode, declared: str | None = None) -> None:
        """Take a request or a cancellation of a vehicle that says it is of class `declared` (None: not known yet)."""
        key = (vehicle, body.id)
        known = self.requests.get(key)
        if body.action == "cancel":
            if known is not None and known.ended is None:
                known.end(t, "cancelled", "you took it back")
            return
        if known is not None:
            known.eta = body.eta
            return
        connection = code.connection(body.movement)
        request = Request(
            vehicle, body.id, connection, body.eta, t, level=LEVEL.get(self.proven(vehicle, declared) or "", 0)
        )
        if sum(r.vehicle == vehicle and r.ended is None for r in self.requests.values()) >= MAX_OPEN:
            self._turn_away(t, request, f"you have {MAX_OPEN} requests open already: take one back first")
            return
        if len(self.requests) >= MAX_REQUESTS and not self._make_room(t, request):
            self._turn_away(
                t, request, f"{MAX_REQUESTS} requests of your class or a higher one are open already: ask again later"
            )
            return
        self.requests[key] = request
        if connection < 0 or not code.conn_inner[connection]:
            request.end(t, "rejected", f"movement {body.movement!r} is none of this intersection: see its digital code")
        elif code.conn_group[connection] < 0:
            request.end(t, "rejected", f"movement {body.movement} has no signal")

    def _make_room(self, t: int, new: Request) -> bool:
        """Drop a request for a new one: the one that ended first, else the lowest class below the new one's, the last come of those not granted."""
        ended = [key for key, r in self.requests.items() if r.ended is not None]
        if ended:
            key = min(ended, key=lambda key: self.requests[key].ended or 0)
            if self.requests[key].asked is None:
                del self.requests[key]
                return True
        key = min(
            self.requests,
            key=lambda key: (
                self.requests[key].level,
                self.requests[key].status == "granted",
                -self.requests[key].begun,
            ),
        )
        if self.requests[key].level >= new.level:
            return False
        self._turn_away(t, self.requests.pop(key), "vehicles of a higher class ask: there is no room for yours")
        return True

    def _turn_away(self, t: int, request: Request, why: str) -> None:
        self.count("priority.turned_away", request.vehicle)
        last = self._turned_away.get(request.vehicle)
        if last is not None and last.asked is not None:
            return  # the controller is to be told first that this one is released
        if request.vehicle in self._turned_away or len(self._turned_away) < MAX_REQUESTS:
            request.end(t, "rejected", why)
            self._turned_away[request.vehicle] = request

    def work(
        self, world: World, passing: StopLineForecast, trouble: str | None
    ) -> tuple[list[Candidate], list[Priority]]:
        """Return what the vehicles are told, and what the controller is asked. `trouble`: why signal states are not to be trusted."""
        self.watch_signals(world)
        rows = {vehicle.id: row for vehicle, row in zip(world.vehicles, world.rows.tolist(), strict=True)}
        kinds = {vehicle.id: vehicle.state.kind for vehicle in world.vehicles}
        told: list[Priority] = []
        holder: Request | None = None
        waiting = [r for r in self.requests.values() if r.ended is None]
        self._doubt(world, rows, kinds, {request.vehicle for request in waiting})
        for request in waiting:
            if request.vehicle in kinds:
                request.level = LEVEL.get(self.proven(request.vehicle, kinds[request.vehicle]) or "", 0)
        for request in sorted(waiting, key=lambda r: (-r.level, r.eta, r.begun)):
            self._advance(
                world, passing, request, rows.get(request.vehicle, -1), kinds.get(request.vehicle), trouble, holder
            )
            if request.status == "granted" and request.ended is None:
                holder = request
        every = [*self.requests.values(), *self._turned_away.values()]
        for request in every:
            told += self._ask(world, request)
        out = [_candidate(world, r) for r in every]
        for key in [k for k, r in self.requests.items() if _over(r, world.t)]:
            del self.requests[key]
        for vehicle in [k for k, r in self._turned_away.items() if _over(r, world.t)]:
            del self._turned_away[vehicle]
        return out, told

    def _doubt(self, world: World, rows: dict[str, int], kinds: dict[str, str], asking: Iterable[str]) -> None:
        """Note whose class is contradicted by what sensors see, and since when."""
        before, self._doubted = self._doubted, {}
        for vehicle in sorted(asking):
            kind = self.proven(vehicle, kinds.get(vehicle))
            if kind is None or vehicle not in rows:
                continue
            if contradicted(world, rows[vehicle], kind, self.settings.listed(vehicle) is not None):
                if vehicle not in before:
                    self.count("priority.contradicted", vehicle)
                self._doubted[vehicle] = before.get(vehicle, world.t)

    def watch_signals(self, world: World) -> None:
        """Take note of when each group turned green or stopped being green: what minimum greens are counted from."""
        for group, shown in enumerate(IS_GREEN[world.signals.state].tolist()):
            if self._since.get(group, (None, 0))[0] != shown:
                self._since[group] = (shown, world.t)

    def _advance(
        self, world: World, passing: StopLineForecast, request: Request, row: int, kind: str | None, trouble: str | None, holder: Request | None
    ) -> None:  # fmt: skip
        t = world.t
        if t > request.eta + PRESENCE:
            return request.end(t, "maxPresence", "you did not come by the time you said")
        if row < 0:
            return request.set_status("processing", "your position is not known here yet: send your state")
        believed = self.proven(request.vehicle, kind)
        if believed is None and LEVEL.get(kind or "", 0):
            why = f"nobody vouches that you are of class {kind}: have the node's operator list you under [priority] vehicles"
            return request.end(t, "rejected", why)
        level = request.level
        if level == 0:
            return request.end(
                t, "rejected", f"vehicles of class {kind if believed is None else believed} have no priority"
            )
        if request.vehicle in self._doubted:
            seen = contradicted(world, row, believed or "", self.settings.listed(request.vehicle) is not None)
            why = f"sensors see a {seen} where you say you are of class {believed}"
            long = t - self._doubted[request.vehicle] >= DISBELIEF
            return request.end(t, "rejected", why) if long else request.set_status("processing", why)
        distance = float(world.to_stop[row])
        if not distance > 0.0:
            inside = world.path[row] >= world.code.n_lanes
            if inside or request.status == "granted":
                self.served = t if request.asked is not None else self.served
                return request.end(t, "served", "you are through")
            return request.set_status("processing", "you are on no approach of this intersection")
        if trouble is not None:
            return request.set_status("processing", trouble)
        rest = 0 if self.served is None else RESERVICE - (t - self.served)
        if level < LEVEL["emergency"] and rest > 0 and request.status != "granted":
            return request.set_status(
                "reserviceLocked", f"another was served; for {rest / SECOND:.0f} s more everybody else's turn"
            )
        if holder is not None:
            return request.set_status("processing", "another vehicle is served first")
        limit = (
            max(float(world.code.lane_speed[world.path[row]]), 1.0) if world.path[row] < world.code.n_lanes else 10.0
        )
        eta = max(
            earliest(distance, max(float(world.speed[row]), 0.0), limit), int(passing.ahead[row]) * SATURATION_HEADWAY
        )
        if eta > HORIZON:
            return request.set_status(
                "processing", f"you arrive in {eta:.0f} s; nothing is asked for more than {HORIZON:.0f} s ahead"
            )
        need = self.need(world, passing, request.connection, eta, int(passing.ahead[row]), EXTENSION[level])
        if need.action == "impossible":
            return request.set_status("processing", need.why)
        action = need.action
        group = int(world.code.group_ids[world.code.conn_group[request.connection]])
        request.set_status("granted", need.why)
        if action != "none":
            at = t + int(need.at * SECOND)
            last = request.asked
            if last is None or last.action != action or abs(last.at - at) > AGAIN or t - last.t >= AGAIN:
                request.asked = Priority(VERSION, world.code.code.id, t, request.id, believed or "", group, action, at)
        return None

    def need(
        self, world: World, passing: StopLineForecast, connection: int, eta: float, ahead: int, extension: float
    ) -> Need:
        """Return what helps who arrives in `eta` s with `ahead` vehicles before it; an extension is at most `extension` s."""
        code, windows = world.code, passing.windows
        group = int(code.conn_group[connection])
        if windows.green[group]:
            left = float(windows.left[group])
            if eta + MARGIN <= left:
                return Need("none", 0.0, f"your green lasts {left:.0f} s more, you arrive in {eta:.0f} s")
            if left < FAR and eta + MARGIN - left <= extension:
                return Need("extend", eta + MARGIN, f"your green is asked to last until you pass, in {eta:.0f} s")
        opens = float(windows.start[group])
        wanted = max(eta - STARTUP_LOST_TIME - ahead * SATURATION_HEADWAY, 0.0)  # those before it leave first
        if windows.green[group] or opens <= wanted:
            if opens >= FAR:
                return Need("impossible", 0.0, "nobody says when your next green begins")
            return Need("none", opens, f"your next green begins in {opens:.0f} s by itself")
        soonest = self.soonest(world, connection)
        if soonest >= opens:
            return Need("none", opens, f"your green begins in {opens:.0f} s; it cannot begin sooner")
        return Need("early", max(soonest, wanted), f"your green is asked to begin in {max(soonest, wanted):.0f} s")

    def soonest(self, world: World, connection: int) -> float:
        """Return s until a movement's green can begin at the soonest: minimum greens, clearances and the way of pedestrians kept."""
        code, state = world.code, world.signals.state
        out = 0.0
        for group, crosswalk in crossing_groups(code, connection):
            shown, since = self._since.get(group, (False, world.t))
            for_s = (world.t - since) / SECOND
            walkers = code.group_kind[group] == PEDESTRIAN or crosswalk >= 0
            clearance = crosswalk_length(code, crosswalk) / WALK if crosswalk >= 0 else CLEARANCE
            if shown:
                out = max(out, max((MIN_WALK if walkers else MIN_GREEN) - for_s, 0.0) + clearance)
            elif walkers or IS_YELLOW[state[group]]:
                out = max(out, clearance - for_s)
        return out

    def _ask(self, world: World, request: Request) -> list[Priority]:
        """Return what is to be sent to the controller now: what was just asked for, or that a request ended."""
        asked = request.asked
        if asked is None:
            return []
        if request.status != "granted":
            request.asked = None
            return [
                Priority(
                    VERSION, asked.intersection, world.t, asked.request, asked.kind, asked.group, "release", world.t
                )
            ]
        return [asked] if asked.t == world.t else []


def _over(request: Request, t: int) -> bool:
    return request.ended is not None and t - request.ended > KEPT


def crossing_groups(code: CompiledCode, connection: int) -> list[tuple[int, int]]:
    """Return (group, crosswalk) of what crosses a movement: vehicles' groups with crosswalk -1, and crosswalks it runs over."""
    own = int(code.conn_group[connection])
    found = set()
    for c in range(int(code.conf_start[connection]), int(code.conf_start[connection + 1])):
        group = int(code.conn_group[code.conf_other[c]])
        if code.conf_type[c] != 2 and group >= 0 and group != own:
            found.add((group, -1))
    for k in range(int(code.cw_start[connection]), int(code.cw_start[connection + 1])):
        crosswalk = int(code.cw_cross[k])
        if code.cross_group[crosswalk] >= 0:
            found.add((int(code.cross_group[crosswalk]), crosswalk))
    return sorted(found)


def crosswalk_length(code: CompiledCode, crosswalk: int) -> float:
    x0, y0, x1, y1 = code.cross_axis[crosswalk]
    return float(np.hypot(x1 - x0, y1 - y0))


def _candidate(world: World, request: Request) -> Candidate:
    facts: dict[str, object] = {"id": request.id, "status": request.status, "why": request.why}
    return Candidate(
        AdvisoryKind.PRIORITY, f"vehicle:{request.vehicle}", 2, 1.0, "request {id} is {status}: {why}", facts, status=request.status,
        about=request.id,
    )  # fmt: skip
