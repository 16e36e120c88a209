"""Planned moves: an intersection goes to another node without a frame lost or an advisory said twice.

The owner writes that it is to be moved; the other node serves it as a guest and says so; gateways send to both for
WARMUP, so that the new tracker knows the traffic; the owner lets go, and then hands its key over. In between, some
milliseconds, nobody owns it, and the guest goes on taking messages in."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from ..clock import SECOND, stopwatch
from .etcd import Etcd, EtcdError
from .records import CityState, MoveRecord

WARMUP = 2.0  # s: a tracker has all of its tracks within 1.5 s of live frames
STABLE = 5 * SECOND  # that another node must have been first in line before an intersection is moved there by itself
MAX_MOVES = 16  # under way at once, of one node
GUEST_TIMEOUT = 10 * SECOND  # for the other node to serve it as a guest
RELEASE_TIMEOUT = 2 * SECOND  # for this node's engine to let go
BACKOFF = 10 * SECOND  # after a move that failed
POLL = 0.02  # s between two looks at what another part has done


class Mover:
    """The moves of one node's intersections. `changed` is called when `successor` or `released_to` change."""

    def __init__(self, node: str, changed: Callable[[], None]) -> None:
        self._node, self._changed = node, changed
        self._successors: dict[str, str] = {}
        self._released: dict[str, str] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._since: dict[str, tuple[str, int]] = {}  # which other node is first in line, and since when
        self._failed: dict[str, int] = {}  # when a move last failed
        self._ready: set[str] = set()  # guests that their owners know of

        self._state = CityState()
        self._owned: Mapping[str, int] = {}
        self._serving: Mapping[str, int | None] = {}

    def successor(self, intersection: str) -> str | None:
        """Return the node that gateways are to send to besides this one."""
        return self._successors.get(intersection)

    def released_to(self, intersection: str) -> str | None:
        """Return the node that this one has let go of an intersection for."""
        return self._released.get(intersection)

    def cancel(self) -> None:
        """End every move: the lease is gone."""
        for task in self._tasks.values():
            task.cancel()

        self._tasks.clear()
        self._successors.clear()
        self._released.clear()
        self._since.clear()
        self._ready.clear()

    async def look(
        self,
        etcd: Etcd,
        lease: int,
        state: CityState,
        owned: Mapping[str, int],
        serving: Mapping[str, int | None],
    ) -> None:
        """Begin the moves that are due, and let owners know of guests that are served here."""
        self._state, self._owned, self._serving = state, owned, serving
        await self._report_guests(etcd, lease)
        for intersection in owned:
            target = self._due(intersection)
            if target is not None and len(self._tasks) < MAX_MOVES:
                task = asyncio.create_task(self._move(etcd, lease, intersection, target))
                self._tasks[intersection] = task
                task.add_done_callback(partial(self._end, intersection))

    def _end(self, intersection: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(intersection) is task:
            del self._tasks[intersection]

    def _due(self, intersection: str) -> str | None:
        """Return the node that an intersection is to be moved to now, None where it stays."""
        now, state = stopwatch(), self._state
        line = state.in_line(intersection)
        if not line or line[0] == self._node or intersection in self._tasks:
            self._since.pop(intersection, None)
            return None

        target = line[0]
        known, since = self._since.get(intersection, ("", now))
        if known != target:
            self._since[intersection] = (target, now)
            since = now

        if now - self._failed.get(intersection, -BACKOFF) < BACKOFF:
            return None

        is_ordered = self._node in state.drained or state.pins.get(intersection) == target
        return target if is_ordered or now - since >= STABLE else None

    async def _report_guests(self, etcd: Etcd, lease: int) -> None:
        moves = self._state.moves
        self._ready &= moves.keys()
        for intersection, move in list(moves.items()):
            is_guest = intersection in self._serving and self._serving[intersection] is None
            if move.to == self._node and not move.ready and is_guest and intersection not in self._ready:
                with contextlib.suppress(EtcdError):
                    # attached to this node's lease: where it dies, the owner sees that the move has ended
                    await etcd.put(f"m/{intersection}", msgspec.json.encode(MoveRecord(self._node, True)), lease)
                    self._ready.add(intersection)

    async def _move(self, etcd: Etcd, lease: int, intersection: str, target: str) -> None:
        try:
            if not await self._hand_over(etcd, lease, intersection, target):
                self._failed[intersection] = stopwatch()
        except EtcdError:
            self._failed[intersection] = stopwatch()
        finally:
            self._successors.pop(intersection, None)
            self._released.pop(intersection, None)
            self._changed()

    async def _hand_over(self, etcd: Etcd, lease: int, intersection: str, target: str) -> bool:
        """Move an intersection; return False where it stays."""
        key, epoch = f"m/{intersection}", self._owned.get(intersection)
        if epoch is None:
            return False

        await etcd.put(key, msgspec.json.encode(MoveRecord(target)), lease)
        try:
            if not await self._until(lambda: self._is_ready(intersection, target), GUEST_TIMEOUT):
                return False

            self._successors[intersection] = target
            self._changed()
            await asyncio.sleep(WARMUP)

            if not self._is_ready(intersection, target) or self._owned.get(intersection) != epoch:
                return False

            self._released[intersection] = target
            self._changed()
            if not await self._until(lambda: intersection not in self._serving, RELEASE_TIMEOUT):
                return False

            record = self._state.nodes.get(target)
            if record is None:
                return False  # it has stopped meanwhile: this node goes on serving

            revision = await etcd.hand_over(f"o/{intersection}", epoch, target.encode(), record.lease, key)
            if revision is None:
                return False

            await self._until(lambda: self._state.owner(intersection) != self._node, RELEASE_TIMEOUT)
            return True
        finally:
            if intersection in self._state.moves:
                with contextlib.suppress(EtcdError):
                    await etcd.delete(key)

    def _is_ready(self, intersection: str, target: str) -> bool:
        move = self._state.moves.get(intersection)
        return move is not None and move.to == target and move.ready and target in self._state.nodes

    async def _until(self, done: Callable[[], bool], timeout: int) -> bool:
        """Return whether something was done within `timeout` ns."""
        begun = stopwatch()
        while not done():
            if stopwatch() - begun > timeout:
                return False
            await asyncio.sleep(POLL)
        return True
