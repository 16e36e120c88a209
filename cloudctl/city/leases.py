"""Ownership by leases in etcd: one lease a node, and a key for each intersection that is attached to it.

A node that dies, hangs or is cut off does not renew its lease: etcd deletes its keys after TTL, and the next node in
line takes them. A node acts on what it owns only until SILENCE after the beginning of its last good renewal, by a clock
that nobody sets, and that is sooner than its lease can end. It also watches its own keys, and lets go of one that is
gone: etcd 3.4.23 can end leases early after its leader froze (etcd issue 15247).

All of it runs on a thread and an event loop of its own, so that a long step of the engine delays no renewal."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping

import msgspec

from .. import __version__
from ..clock import MS, SECOND, stopwatch
from ..settings import CitySection
from .added import AddedRecord
from .etcd import Entry, Etcd, EtcdError
from .moves import Mover
from .ownership import Owner, Ownership
from .records import CityState, NodeRecord

TTL = 2  # s of a lease: the shortest that etcd grants
RENEW_INTERVAL = 0.4  # s
SILENCE = 1600 * MS  # after the beginning of the last good renewal: the lease cannot have ended before
LOOK_INTERVAL = 0.2  # s between two looks at what is to be taken or moved; a change is looked at at once
RETRY_PAUSE = 0.1  # s before another attempt at etcd
JOIN_DELAY = SECOND // 2  # of a node that has just come: the others that are starting come meanwhile
PATIENCE = SECOND  # with each node that is in line before this one and does not take an intersection
MAX_AT_ONCE = 64  # intersections that are taken at once
STOP_TIMEOUT = 2.0  # s for the lease to be ended in peace
log = logging.getLogger("cloudctl.city")


class LeaseEnded(Exception):
    """The lease is gone, and with it every key that was attached to it."""


class Leases(Ownership):
    """What one node of a city owns. `key`: its public key, Z85; None in clear."""

    def __init__(self, section: CitySection, key: str | None) -> None:
        self._section, self._key, self._name = section, key, section.node
        self._on_change: Callable[[], object] = lambda: None
        self._known: tuple[str, ...] = ()
        self._serving: Mapping[str, int | None] = {}

        # Written by the thread; each is replaced whole, so that another thread never reads a half of it.
        self._state = CityState()
        self._has_state = False
        self._owned: Mapping[str, int] = {}
        self._guests: frozenset[str] = frozenset()
        self._valid_until = 0  # ns by the stopwatch
        self._lease = 0
        self._trouble: str | None = "it has not reached etcd yet"

        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._look = asyncio.Event()
        self._stop = asyncio.Event()
        self._unowned_since: dict[str, int] = {}
        self._mover = Mover(self._name, self._changed)

    # --- asked by the node ---

    def start(self, on_change: Callable[[], object]) -> None:
        self._on_change = on_change
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="leases", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        loop, self._on_change = self._loop, lambda: None
        if loop is not None and self._thread is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(STOP_TIMEOUT)
        self._owned = {}

    def know(self, intersection: str) -> None:
        self._known = tuple(sorted({*self._known, intersection}))
        self._look_soon()

    def forget(self, intersection: str) -> None:
        self._known = tuple(name for name in self._known if name != intersection)

    def owned(self) -> Mapping[str, int]:
        return self._owned if self._may_act() else {}

    def guests(self) -> frozenset[str]:
        return self._guests if self._may_act() else frozenset()

    def owner(self, intersection: str) -> Owner | None:
        state = self._state
        name = self._mover.released_to(intersection) or state.owner(intersection)
        record = state.nodes.get(name or "")
        if name is None or record is None or (name == self._name and not self._may_act()):
            return None
        epoch = state.owners[intersection].revision if intersection in state.owners else 0
        return Owner(node=name, address=record.address, key=record.key, epoch=epoch)

    def successor(self, intersection: str) -> Owner | None:
        name = self._mover.successor(intersection)
        record = self._state.nodes.get(name or "")
        return None if name is None or record is None else Owner(name, record.address, record.key, 0)

    def note(self, serving: Mapping[str, int | None]) -> None:
        self._serving = dict(serving)
        self._look_soon()

    def added(self) -> Mapping[str, AddedRecord] | None:
        return dict(self._state.added) if self._has_state else None

    @property
    def trouble(self) -> str | None:
        return self._trouble

    @property
    def state(self) -> CityState:
        """Return what is known of the city."""
        return self._state

    def _may_act(self) -> bool:
        """Return whether no other node can own what this one does."""
        if stopwatch() < self._valid_until:
            return True
        # An operator's choice: go on while etcd does not answer, although another node may be able to reach it.
        return self._section.quorum_lost == "serve" and self._lease != 0

    # --- the thread ---

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        etcd = Etcd(self._section)
        try:
            while not self._stop.is_set():
                try:
                    await self._hold_a_lease(etcd)
                except LeaseEnded:
                    log.warning("the lease of node %s has ended: it owns nothing until it has a new one", self._name)
                except EtcdError as error:
                    self._note_trouble(str(error))
                finally:
                    await self._let_go(etcd)

                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), RETRY_PAUSE)
        finally:
            await etcd.close()

    async def _hold_a_lease(self, etcd: Etcd) -> None:
        """Take part in the city until the lease ends, or the node stops. Raises LeaseEnded, EtcdError."""
        begun = stopwatch()
        self._lease = await etcd.grant(TTL)
        record = NodeRecord(address=self._section.address, key=self._key, lease=self._lease, version=__version__)
        await etcd.put(f"n/{self._name}", msgspec.json.encode(record), self._lease)
        self._valid_until = begun + SILENCE
        self._trouble = None

        tasks = [
            asyncio.create_task(part)
            for part in (self._renew(etcd), self._follow(etcd), self._act(etcd), self._stop.wait())
        ]

        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _let_go(self, etcd: Etcd) -> None:
        """Own nothing from now on, and let others know."""
        self._valid_until = 0
        self._owned, self._guests = {}, frozenset()
        lease, self._lease = self._lease, 0
        self._mover.cancel()
        self._changed()

        if lease:
            with contextlib.suppress(EtcdError):
                await etcd.revoke(lease)

    async def _renew(self, etcd: Etcd) -> None:
        while True:
            begun = stopwatch()
            try:
                if not await etcd.renew(self._lease, timeout=RENEW_INTERVAL):
                    raise LeaseEnded

                was_silent = begun > self._valid_until
                self._valid_until = begun + SILENCE
                self._trouble = None

                if was_silent:
                    self._changed()
            except EtcdError as error:
                if stopwatch() >= self._valid_until and self._trouble is None:
                    self._note_trouble(str(error))
                    self._changed()

            passed = (stopwatch() - begun) / SECOND
            await asyncio.sleep(max(RENEW_INTERVAL - passed, 0.01))

    async def _follow(self, etcd: Etcd) -> None:
        """Keep the state of the city, by a snapshot and every change after it."""
        while True:
            try:
                snapshot = await etcd.snapshot()
                state = CityState()
                for entry in snapshot.entries:
                    state.take(entry)

                self._state, self._has_state = state, True
                self._take_state()
                async for change in etcd.watch(snapshot.revision + 1):
                    if change is not None:
                        self._take_change(change)
            except EtcdError:
                await asyncio.sleep(RETRY_PAUSE)

    def _take_change(self, entry: Entry) -> None:
        self._state.take(entry)
        branch, _, intersection = entry.key.partition("/")
        if branch == "o" and entry.value is None:
            self._unowned_since[intersection] = stopwatch()
        self._take_state()

    def _take_state(self) -> None:
        """Work out what this node owns, by what is stored."""
        state = self._state
        owned = {
            name: entry.revision
            for name, entry in sorted(state.owners.items())
            # a node that was started again under its name does not own what the one before it did
            if state.owner(name) == self._name and entry.lease == self._lease and not self._mover.released_to(name)
        }

        guests = frozenset(
            name for name, move in state.moves.items() if move.to == self._name and state.owner(name) != self._name
        )
        if owned != self._owned or guests != self._guests:
            self._owned, self._guests = owned, guests
            self._on_change()

        self._look.set()

    async def _act(self, etcd: Etcd) -> None:
        """Take what nobody owns, and move what another node is to own."""
        joined = stopwatch()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), LOOK_INTERVAL)

            self._look.clear()
            if stopwatch() >= self._valid_until:
                continue

            if stopwatch() - joined >= JOIN_DELAY:
                wanted = self._to_take()[:MAX_AT_ONCE]
                await asyncio.gather(*(self._take(etcd, name) for name in wanted))
                await self._give_up(etcd)

            await self._mover.look(etcd, self._lease, self._state, self._owned, self._serving)

    def _to_take(self) -> list[str]:
        """Return the intersections that nobody owns and this node is to take now."""
        now, state, wanted = stopwatch(), self._state, []
        for name in self._known:
            if name in state.owners:
                self._unowned_since.pop(name, None)
                continue

            since = self._unowned_since.setdefault(name, now)
            line = state.in_line(name)
            if self._name in line and now - since >= line.index(self._name) * PATIENCE:
                wanted.append(name)

        return wanted

    async def _take(self, etcd: Etcd, name: str) -> None:
        """Take an intersection, unless another node is first; that it is taken is seen in the watch."""
        with contextlib.suppress(EtcdError):
            await etcd.create(f"o/{name}", self._name.encode(), self._lease)

    async def _give_up(self, etcd: Etcd) -> None:
        """Let go of what this node has no digital code of any more."""
        known = set(self._known)
        for name in [name for name in self._owned if name not in known]:
            with contextlib.suppress(EtcdError):
                await etcd.delete(f"o/{name}")

    def _changed(self) -> None:
        if self._lease:
            self._take_state()
        self._on_change()

    def _look_soon(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._look.set)

    def _note_trouble(self, reason: str) -> None:
        if self._trouble is None or not self._owned:
            self._trouble = (
                f"{reason}. Without etcd this node "
                + (
                    "goes on with what it has, as [city] quorum_lost says"
                    if self._section.quorum_lost == "serve"
                    else "serves no intersection"
                )
                + f"; it tries again. etcd: {', '.join(self._section.etcd)}"
            )
