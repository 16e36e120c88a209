"""To which node each roadside unit's messages go. A node that does not serve the unit's intersection names the one that
does (`moved`); what it did not take in is sent there, in order, while it is fresh.

The addresses of the gateway's own list are asked in their order: another one where one is away, and the first one again
as soon as it is back, unless a node has named the owner since.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..clock import MS, SECOND, stopwatch
from ..io.zeromq import ZeroMqError
from ..ownership_messages import Moved
from .link import Link
from .outbox import Kept, Outbox, stream_of

RETRY_INTERVAL = 200 * MS  # between two questions for an intersection that no node serves at present
CONNECT_PATIENCE = SECOND  # for a first connection, before the next address is tried
MAX_LINKS = 64  # connections of one gateway
IDLE_TIMEOUT = 10 * SECOND  # of a connection that no unit uses any more
# of messages that a node may refuse yet, however slow it is to: those that no node would take any more by then are
# counted as dropped
MAX_RECENT_AGE = 10 * SECOND
MAX_RECENT = 100  # of a stream, in that time


log = logging.getLogger("cloudctl.client")


@dataclass(eq=False)
class Sent:
    """A message that was sent lately, and by which links, as long as they have not refused it."""

    kept: Kept
    link: Link
    also: Link | None = None  # besides


@dataclass(eq=False)
class UnitRoute:
    """Where one roadside unit's messages go."""

    rsu: str
    link: Link
    also: Link | None = None  # the next owner, which gets them beside the present one
    held_until: int = 0  # ns by the stopwatch: nothing is sent before
    is_fallback: bool = False  # it goes there because an address before it is away
    outbox: Outbox = field(default_factory=Outbox)
    recent: dict[tuple[str, ...], deque[Sent]] = field(default_factory=dict)  # by stream, the newest last

    @property
    def is_ready(self) -> bool:
        return self.link.is_connected and stopwatch() >= self.held_until


class UnitRoutes:
    """The routes of one gateway. `open_link(address, node_key)` makes a connection."""

    def __init__(
        self, addresses: Sequence[str], rsus: Iterable[str], open_link: Callable[[str, str | None], Link]
    ) -> None:
        self._addresses = tuple(addresses)
        self._open_link = open_link
        self.links: dict[str, Link] = {}
        self._used: dict[str, int] = {}  # by address: when a unit last used it
        self.dropped = 0
        self._sent_by_closed = 0
        first = self._link(self._addresses[0], None)
        self.routes = {rsu: UnitRoute(rsu, first) for rsu in rsus}
        # what is sent of a unit that is not this gateway's is refused by the node
        self._of_no_unit = UnitRoute("", first)

    @property
    def waiting(self) -> bool:
        """Return whether anything waits for a connection."""
        return any(route.outbox for route in self.routes.values()) or bool(self._of_no_unit.outbox)

    @property
    def sent(self) -> int:
        """Return how many messages were sent."""
        return self._sent_by_closed + sum(link.sent for link in self.links.values())

    @property
    def state(self) -> str:
        """Return "connected" where every unit is, else the state of the first connection in use that is not."""
        in_use = [route.link for route in self.routes.values()] or [self._of_no_unit.link]
        return next((link.state for link in in_use if not link.is_connected), "connected")

    def send(self, kind: str, body: Any) -> bool:
        """Send a message, or keep it until it can be; False where an older one was dropped for it."""
        route = self.routes.get(getattr(body, "rsu", ""), self._of_no_unit)
        if not route.is_ready or route.outbox:
            route.link.look()
            self.flush(route)
        kept = Kept(stopwatch(), kind, body)
        if route.is_ready and not route.outbox and self._put(route, kept):
            return True
        dropped = route.outbox.put(kind, body, kept.at)
        self.dropped += dropped
        return dropped == 0

    def flush(self, route: UnitRoute) -> None:
        """Send what was kept of a unit."""
        if not route.outbox or not route.is_ready:
            return
        kept, outdated = route.outbox.take(stopwatch() + self._allowance(route.link))
        self.dropped += outdated
        for item in kept:
            if route.outbox or not self._put(route, item):
                self.dropped += route.outbox.put(item.kind, item.body, item.at)

    def look(self) -> None:
        """Take in which connections there are, and send what was kept."""
        for link in list(self.links.values()):
            link.look()
        for route in (*self.routes.values(), self._of_no_unit):
            if not route.link.is_connected and len(self._addresses) + len(self.links) > 2:
                self._leave_absent(route)
            if route.held_until and route.is_ready:
                route.held_until = 0
                route.link.hello([route.rsu])
            self.flush(route)
        self._close_idle()

    def on_changed(self, link: Link) -> None:
        """Take in that a connection was made, or lost."""
        if not link.is_connected:
            for route in self.routes.values():
                if route.also is link:
                    route.also = None
            return
        if link.address == self._addresses[0]:
            for route in self.routes.values():
                if route.is_fallback:
                    self._reroute(route, link)
        rsus = [route.rsu for route in self.routes.values() if link in (route.link, route.also)]
        link.hello(rsus)

    def on_moved(self, link: Link, moved: Moved) -> None:
        """Take in that the node of a link does not serve a unit's intersection, or soon will not."""
        route = self.routes.get(moved.rsu)
        if route is None:
            return
        target = self._named(link, moved)
        if moved.also:
            if target is not None and target is not route.link and target is not route.also:
                route.also = target
                if target.is_connected:
                    target.hello([route.rsu])
            return

        refused = self._taken_back(route, link, moved)
        if route.link is not link:
            pass  # it goes elsewhere by now: only what was refused is sent again
        elif target is None or target.state in ("disconnected", "refused"):
            # no node serves it, or that one has just gone: asked again in a moment, and not always the same node
            self._reroute(route, self._next_listed(link) if target is None else link)
            route.held_until = stopwatch() + RETRY_INTERVAL
        elif target is link:
            route.held_until = stopwatch() + RETRY_INTERVAL  # it owns the intersection, and is about to serve it
        elif target is route.also:
            route.link, route.also, route.is_fallback = target, None, False
            refused = self._not_sent_to(target, route, refused)
        else:
            self._reroute(route, target)
            route.is_fallback = False
        for item in refused:
            kept = item.kept
            self.dropped += route.outbox.put(kept.kind, kept.body, kept.at)
        self.flush(route)

    # --- connections ---

    def _named(self, link: Link, moved: Moved) -> Link | None:
        """Return the link to the node that a `moved` names; None where it names none, or none that can be reached."""
        if moved.address is None:
            return None
        address = _resolved(moved.address, link.address)
        if address not in self.links and len(self.links) >= MAX_LINKS:
            log.warning("%s is not asked: there are %d connections already", address, MAX_LINKS)
            return None
        try:
            return self._link(address, moved.node_key)
        except ZeroMqError as error:
            log.warning("the node at %s names another that cannot be reached: %s", link.address, error)
            return None

    def _link(self, address: str, node_key: str | None) -> Link:
        link = self.links.get(address)
        if link is not None and node_key is not None and link.node_key not in (None, node_key):
            self._close(link)
            link = None  # another node listens there now
        if link is None:
            link = self.links[address] = self._open_link(address, node_key)
        self._used[address] = stopwatch()
        return link

    def _reroute(self, route: UnitRoute, link: Link) -> None:
        if route.link is link:
            return
        route.link, route.held_until = link, 0
        if route.also is link:
            route.also = None
        if link.is_connected:
            link.hello([route.rsu])

    def _leave_absent(self, route: UnitRoute) -> None:
        """Leave a link that is not connected for the next address of the list."""
        link = route.link
        if link.state == "connecting" and stopwatch() - link.opened < CONNECT_PATIENCE:
            return
        following = self._next_listed(link)
        if following is not link:
            self._reroute(route, following)
            route.is_fallback = True

    def _next_listed(self, link: Link) -> Link:
        """Return the link to ask after another one: a listed address that is connected, else the one that follows."""
        place = self._addresses.index(link.address) if link.address in self._addresses else -1
        order = [*self._addresses[place + 1 :], *self._addresses[: place + 1]]
        others = [address for address in order if address != link.address]
        for address in others:
            known = self.links.get(address)
            if known is not None and known.is_connected:
                return known
        for address in others:
            if address not in self.links:
                return self._link(address, None)
        return min((self.links[address] for address in others), key=lambda other: other.opened, default=link)

    def _close_idle(self) -> None:
        now = stopwatch()
        in_use = {id(link) for route in self.routes.values() for link in (route.link, route.also) if link is not None}
        for address, link in list(self.links.items()):
            if id(link) in in_use or address == self._addresses[0]:
                self._used[address] = now
            elif now - self._used[address] > IDLE_TIMEOUT:
                self._close(link)

    def _close(self, link: Link) -> None:
        link.close()
        del self.links[link.address]
        self._sent_by_closed += link.sent

    # --- messages ---

    def _allowance(self, link: Link) -> int:
        """Return how much older a message is by when the node takes it, ns: half a round trip, and as much for what
        varies; to a node that was not asked yet, that of the farthest of the others."""
        return link.round_trip or max(other.round_trip for other in self.links.values())

    def _put(self, route: UnitRoute, kept: Kept) -> bool:
        if not route.link.send(kept.kind, kept.body):
            return False
        also = route.also
        if also is not None and not also.send(kept.kind, kept.body):
            also = None  # it is not connected yet
        stream = stream_of(kept.kind, kept.body)
        recent = route.recent.get(stream)
        if recent is None:
            recent = route.recent[stream] = deque(maxlen=MAX_RECENT)
        while recent and kept.at - recent[0].kept.at > MAX_RECENT_AGE:
            recent.popleft()
        recent.append(Sent(kept, route.link, also))
        return True

    def _taken_back(self, route: UnitRoute, link: Link, moved: Moved) -> list[Sent]:
        """Return, in order, what a node refused with a message and after it, and no other node has got: it is no longer
        taken as sent."""
        sent = sorted((item for stream in route.recent.values() for item in stream), key=lambda item: item.kept.at)
        sent = [item for item in sent if link in (item.link, item.also)]
        first = next((place for place, item in enumerate(sent) if _is_refused(item.kept, moved)), None)
        if first is None:
            return []

        refused = []
        for item in sent[first:]:
            if item.also is link:
                item.also = None  # the other one has it, as far as is known
            else:
                route.recent[stream_of(item.kept.kind, item.kept.body)].remove(item)
                refused.append(item)
        return refused

    def _not_sent_to(self, link: Link, route: UnitRoute, refused: Iterable[Sent]) -> list[Sent]:
        """Return those of some refused messages that a link has not been sent besides, in order; the others are now
        that link's, which may refuse them yet."""
        missing = []
        for item in refused:
            if item.also is not link:
                missing.append(item)
                continue
            route.recent[stream_of(item.kept.kind, item.kept.body)].append(Sent(item.kept, link))
        return missing


def _is_refused(kept: Kept, moved: Moved) -> bool:
    """Return whether a message is the one that a `moved` names."""
    if kept.kind != moved.kind or getattr(kept.body, "seq", None) != moved.seq:
        return False
    return getattr(kept.body, "sensor", "") == moved.sensor


def _resolved(address: str, known: str) -> str:
    """Return an address with the host of another one, where it names none of its own ("tcp://*:PORT")."""
    scheme, _, rest = address.partition("://")
    host, _, port = rest.rpartition(":")
    if host != "*":
        return address
    return f"{scheme}://{known.partition('://')[2].rpartition(':')[0]}:{port}"
