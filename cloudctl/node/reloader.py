"""Takes another configuration over into the parts of a running node: all of it, or nothing where the file cannot be
used.
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..city.fixed import Worker
from ..clock import Clock
from ..engine import Engine
from ..io.addresses import reachable
from ..io.broker import Broker
from ..io.egress import Egress
from ..io.recording.reader import Recorder
from ..io.zeromq import KeyPair, Server
from ..settings import BrokerSection
from .added import AddedIntersections
from .broker_files import revoked_names, write_broker_files
from .config import NodeConfig
from .operator_inputs import operator_input
from .peers import Peers
from .pid_file import ReloadAnswer, write_answer
from .publish import Publisher
from .reload import Credentials, Reread, read_again
from .share import Share
from .workers import own_file

log = logging.getLogger("cloudctl.node")


@dataclass(frozen=True, kw_only=True)
class RunningParts:
    """The parts of a node that another configuration reaches."""

    engine: Engine
    publisher: Publisher
    share: Share
    peers: Peers
    server: Server
    egress: Egress
    broker: Broker | None
    recorder: Recorder | None


class Reloader:
    """Reads a node's file again. `keys` and `section`: the key pair and the broker's settings that the node has begun
    with.
    """

    def __init__(
        self,
        file: Path,
        parts: RunningParts,
        keys: KeyPair | None,
        section: BrokerSection,
        clock: Clock,
        worker: Worker | None = None,
        added: str = "added",
    ) -> None:
        self._file, self._parts, self._clock, self._worker = file, parts, clock, worker
        self._answer_file = own_file(file, worker)
        self._added = AddedIntersections(file.resolve().parent / added, parts.egress, parts.engine.metrics)
        self._keys = keys
        self._credentials = Credentials(section)
        self._revoked = frozenset(revoked_names(section))
        self._number = 0  # of the reload

    def take_added(self, running: NodeConfig) -> NodeConfig:
        """Take in what was added to the city, or taken out of it; return the configuration that is in force now."""
        added = self._parts.share.ownership.added()
        if added is None or not self._added.look(added):
            return running
        return self.reload(running)

    def reload(self, running: NodeConfig) -> NodeConfig:
        """Return the configuration that is in force now: the file's, or `running` where the file cannot be used."""
        publisher = self._parts.publisher
        try:
            reread = read_again(running, self._file, publisher.known_files, self._worker)
            days = publisher.wanted_days(reread.config, self._clock.now())
        except (ValueError, RuntimeError, OSError) as error:
            return self._refuse(running, str(error))

        # An intersection must be there before a roadside unit is bound to it, and until none is any more.
        publisher.take_in(reread.files, self._clock.now())
        engine_config = msgspec.structs.replace(reread.config.engine, days=days.days)
        answer = publisher.submit(operator_input("config", engine_config), self._clock.now())

        if answer.refusal is not None:
            return self._refuse(running, f"{self._file}: {answer.refusal}")

        self._take_over(reread)
        publisher.publish_days(self._clock.now())
        publisher.notice_days(days.notice)
        self._parts.engine.metrics.count("reload.done")

        for line in reread.waiting:
            log.warning("%s", line)

        gateways = ", ".join(gateway.name for gateway in reread.config.gateway) or "none"
        revoked = ", ".join(self._newly_revoked(reread.config.broker)) or "none"
        log.info("%s was read again; gateways: %s; vehicles newly revoked: %s", self._file, gateways, revoked)
        self._answer(None, reread.waiting)

        return reread.config

    def _refuse(self, running: NodeConfig, reason: str) -> NodeConfig:
        self._parts.engine.metrics.count("reload.refused")
        log.warning("configuration not taken over, what runs stays: %s", reason)
        self._answer(reason, [])
        return running

    def _newly_revoked(self, section: BrokerSection) -> list[str]:
        """Return the vehicles that were revoked since this was last asked."""
        before, self._revoked = self._revoked, frozenset(revoked_names(section))
        return sorted(self._revoked - before)

    def _answer(self, refusal: str | None, notes: list[str]) -> None:
        self._number += 1
        answer = ReloadAnswer(process=os.getpid(), number=self._number, refusal=refusal, notes=notes)
        write_answer(self._answer_file, answer)

    def _take_over(self, reread: Reread) -> None:
        """Put keys, credentials and limits in place, and let go of intersections that are gone."""
        parts, config = self._parts, reread.config
        parts.publisher.config = config
        parts.share.rebind(config.engine.gateways)

        allowed = config.allowed()
        parts.peers.allowed = allowed if config.node.curve else None
        parts.server.allow(allowed)

        if reread.keys is not None and reread.keys != self._keys:
            self._keys = reread.keys
            parts.server.change_keys(reread.keys)
            log.warning("the node's key pair has changed: gateways connect again once they have its new public key")

        if parts.broker:
            write_broker_files(config, parts.broker.folder, parts.broker.port)
            parts.broker.reread()

        if self._credentials.changed(config.broker):
            parts.egress.reconnect(reachable_section(config.broker, parts.broker))

        if parts.recorder:
            parts.recorder.limits = config.record.limits

        for name in parts.publisher.retire(reread.files, self._clock.now()):
            log.info("%s has no digital code any more: what was retained of it is cleared", name)


def reachable_section(section: BrokerSection, broker: Broker | None) -> BrokerSection:
    """Return how the node reaches its broker: an embedded one on the port it was given."""
    if broker is None:
        return section
    return msgspec.structs.replace(section, host=reachable(broker.host), port=broker.port, version=broker.version)
