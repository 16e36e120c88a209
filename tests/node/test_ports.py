"""Free TCP ports: no outgoing connection takes one before its server listens, and none is given twice."""

import socket
from pathlib import Path

import pytest

from cloudctl.io import ports


def test_a_free_port_is_none_that_the_kernel_gives_to_outgoing_connections_and_is_given_once() -> None:
    given = [ports.free_port() for _ in range(300)]
    assert len(set(given)) == len(given)
    dynamic = int(ports.RANGE_FILE.read_text().split()[0]) if ports.RANGE_FILE.exists() else ports.DYNAMIC_FROM
    assert all(ports.LOWEST <= port < dynamic for port in given)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost", ""])
def test_ports_in_a_row_can_all_be_listened_on(host: str) -> None:
    first = ports.free_port(host, count=4)
    servers = [socket.create_server((host if host != "localhost" else "127.0.0.1", first + k)) for k in range(4)]
    for server in servers:
        server.close()


def test_a_port_that_is_listened_on_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", ports.free_port())) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports.secrets, "randbelow", lambda _: port - ports.LOWEST)
        with pytest.raises(OSError, match="1 TCP port"):
            ports.free_port()


def test_where_every_port_is_dynamic_the_kernel_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "RANGE_FILE", tmp_path / "range")
    ports.RANGE_FILE.write_text("1024\t65535\n")
    assert 0 < ports.free_port() < 65536
    assert 0 < ports.free_port(count=2) < 65536


def test_a_host_that_is_no_address_is_refused() -> None:
    with pytest.raises(socket.gaierror):
        ports.free_port("no.such.host.invalid")
