"""Messages of gateways, from the node's socket to its engine: all that wait at once, so that a node which has fallen
behind catches up in one step, with what the engine drops for it being the oldest. A gateway that floods the node ends
the step's share of all before what the others send has become too old.
"""

from collections.abc import Callable

from ..clock import Clock
from ..io.zeromq import Server
from ..ownership_messages import Moved
from ..schema import RawMessage
from .peers import Peers
from .share import Share

# messages that are taken from the socket at once. A node plans each intersection at most once in a step: where fewer
# messages were taken than have come meanwhile, a busy node would plan on ever older ones. To take so many takes some
# 50 ms, in which a flood cannot keep the node from its other work.
MAX_BATCH = 8192
# of those, of one gateway: more than forty intersections send in a second. A step of so many takes some 0.1 s, where
# signal states that wait for 0.5 s are refused.
MAX_OF_GATEWAY = 2048


class Receiver:
    """Takes messages from the socket. `reply(gateway, moved)` answers one of an intersection that another node
    serves."""

    def __init__(
        self, *, server: Server, peers: Peers, share: Share, clock: Clock, reply: Callable[[str, Moved], None]
    ) -> None:
        self._server, self._peers, self._share, self._clock = server, peers, share, clock
        self._reply = reply

    def take(self) -> list[RawMessage]:
        """Return the messages that wait and are of this node's share; answer the others with where to send them."""
        received = [self._peers.message_of(message) for message in self._server.drain(MAX_BATCH, MAX_OF_GATEWAY)]
        if received:
            self._peers.note_contacts(self._clock.now(), received)

        batch, moved = self._share.here(received)
        for gateway, body in (*moved, *self._share.announcements()):
            self._reply(gateway, body)

        return batch

    @property
    def is_behind(self) -> bool:
        """Return whether messages wait."""
        return self._server.readable()
