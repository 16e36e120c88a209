"""Several workers of one machine: each a process with a port, a status file and a recording of its own, from one file.

Worker k listens where the node's file says, k - 1 ports further on; its files have its number in their names; its
name at a closed broker is `node-k` (of the first one: `node`), so that no worker takes another's session over."""

from pathlib import Path

from msgspec.structs import replace

from ..city.fixed import Worker
from ..io.addresses import bracketed, reachable
from .config import ConfigError, NodeConfig
from .credentials import Authority, node_name

MAX_PORT = 65_535


def parse_worker(text: str, config: NodeConfig) -> Worker:
    """Return the worker that "number/count" names, or "number" of as many as [node] workers says. Raises
    ConfigError."""
    number, _, count = text.partition("/") if "/" in text else (text, "", str(config.node.workers))
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ConfigError(f"--worker {text!r} must be NUMBER/COUNT, or a number up to [node] workers, such as 2/4")
    return Worker(number=int(number), total=int(count), port=_port(config.node.bind, "[node] bind", int(count)))


def for_worker(config: NodeConfig, worker: Worker) -> NodeConfig:
    """Return a node's configuration as one of its workers runs with it. Raises ConfigError."""
    node, broker, http, number = config.node, config.broker, config.http, worker.number
    node = replace(
        node,
        workers=worker.total,
        bind=_further(node.bind, "[node] bind", worker),
        status=numbered(node.status, number),
        trace=numbered(node.trace, number),
    )

    if broker.embedded:
        # the supervisor has started it
        broker = replace(broker, embedded=False, host=reachable(broker.host))

    if broker.tls_cert and number > 1:
        broker = replace(broker, **{key: str(path) for key, path in _certificate(config, number).items()})

    if http.bind:
        http = replace(http, bind=_further(http.bind, "[http] bind", worker))

    record = replace(config.record, path=numbered(config.record.path, number))
    city = config.city
    if city.etcd:
        address = _further(city.address, "[city] address", worker)
        city = replace(city, node=f"{city.node}-{number}", address=address)

    return replace(config, city=city, node=node, broker=broker, http=http, record=record)


def check_workers(config: NodeConfig, count: int) -> None:
    """Raise ConfigError where a node cannot have so many workers."""
    if count < 1:
        raise ConfigError(f"--workers {count} must be 1 or more: about one for each core")

    _port(config.node.bind, "[node] bind", count)
    if config.http.bind:
        _port(config.http.bind, "[http] bind", count)

    if config.broker.embedded and config.broker.port == 0:
        raise ConfigError(
            "[broker] port = 0 picks a free port, which the workers would not know. Write one, such as 8883"
        )


def issue_certificates(config: NodeConfig, count: int) -> None:
    """Make the certificates by which the workers of a closed broker's folder log in, where they are missing. Raises
    CredentialError."""
    if config.broker.tls_cert is None:
        return

    for number in range(2, count + 1):
        files = _certificate(config, number)
        if not files["tls_cert"].exists():
            authority = Authority(files["tls_cert"].parent)
            if not authority.key_file.exists():
                raise ConfigError(
                    f"worker {number} needs a certificate of the name {node_name(number)!r}: {files['tls_cert']} does "
                    "not exist, and there is no authority beside it that could make one. Have your own issue it, and "
                    "give that name the rights of the node at the broker"
                )

            authority.issue_client(node_name(number), files["tls_cert"])


def pages(config: NodeConfig) -> list[str]:
    """Return where each worker of a node serves its page and metrics, "HOST:PORT" as this machine reaches it; nothing
    where it serves none."""
    if not config.http.bind:
        return []

    host, _, port = config.http.bind.rpartition(":")
    shown = bracketed(reachable(host))

    return [f"{shown}:{int(port) + number}" for number in range(config.node.workers)]


def numbered(path: str | None, number: int) -> str | None:
    """Return the name of a worker's own file: "status.json" is "status-2.json" of the second."""
    if path is None:
        return None
    file = Path(path)
    return str(file.with_name(f"{file.stem}-{number}{file.suffix}"))


def worker_file(file: Path, number: int) -> Path:
    """Return the name beside which a worker's process number and answers lie: of the node's file, with its number."""
    return Path(numbered(str(file), number) or file)


def own_file(file: Path, worker: Worker | None) -> Path:
    """Return the name beside which a node's process number lies; `worker`: that it is, of several."""
    return file if worker is None else worker_file(file, worker.number)


def _certificate(config: NodeConfig, number: int) -> dict[str, Path]:
    assert config.broker.tls_cert is not None
    own = Path(config.broker.tls_cert).with_name(f"{node_name(number)}.pem")
    return {"tls_cert": own, "tls_key": own.with_suffix(".key")}


def _further(address: str, where: str, worker: Worker) -> str:
    return f"{address.rpartition(':')[0]}:{_port(address, where, worker.total) + worker.number - 1}"


def _port(address: str, where: str, count: int) -> int:
    port = address.rpartition(":")[2]
    if not port.isdecimal() or not 0 < int(port) <= MAX_PORT - count + 1:
        raise ConfigError(
            f"{where} = {address!r}: {count} workers need a port each, from a written one on. Write one with "
            f"{count - 1} free ports after it, such as 7788"
        )
    return int(port)
