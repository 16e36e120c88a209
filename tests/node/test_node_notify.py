"""A node under systemd: what it tells the manager, over a real datagram socket, and its lines in the journal."""

import io
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deadlines import stays, until
from hypothesis import given
from hypothesis import strategies as st
from node_process import NodeProcess

from cloudctl.codes import CompiledCode
from cloudctl.io.notify import Notifier
from cloudctl.logs import PRIORITIES, JournalFormatter, TextFormatter, is_journal


class Manager:
    """The end of the socket that systemd holds."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)
        self.messages: list[dict[str, str]] = []

    def read(self) -> list[dict[str, str]]:
        """Take in what has come; return all of it."""
        while True:
            try:
                text = self.socket.recv(4096).decode()
            except BlockingIOError:
                return self.messages
            self.messages.append(dict(line.split("=", 1) for line in text.split("\n")))

    def count(self, word: str) -> int:
        return sum(word in message for message in self.read())


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    started = Manager(str(tmp_path / "notify"))
    yield started
    started.socket.close()


def test_a_node_says_when_it_is_ready_reloads_lives_and_stops(
    tmp_path: Path, code: CompiledCode, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    node = NodeProcess(tmp_path, code)
    with node:
        assert node.process is not None
        (ready,) = [message for message in manager.read() if "READY" in message]
        assert ready["MAINPID"] == str(node.process.pid)
        assert f":{node.port}" in ready["STATUS"]
        until(lambda: manager.count("WATCHDOG") >= 3, what="three signs of life")

        node.process.send_signal(signal.SIGHUP)
        until(lambda: manager.count("READY") == 2, what="the end of the reload")
        words = [next(iter(message)) for message in manager.read() if "WATCHDOG" not in message]
        assert words == ["READY", "RELOADING", "READY"]
        (reloading,) = [message for message in manager.messages if "RELOADING" in message]
        assert int(reloading["MONOTONIC_USEC"]) > 0
    assert "STOPPING" in manager.read()[-1]


def test_a_node_that_hangs_gives_no_sign_of_life(
    tmp_path: Path, code: CompiledCode, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    with NodeProcess(tmp_path, code) as node:
        assert node.process is not None
        until(lambda: manager.count("WATCHDOG") >= 1, what="a sign of life")
        node.process.send_signal(signal.SIGSTOP)
        until(lambda: stopped(node.process.pid), what="the stop")
        before = manager.count("WATCHDOG")
        stays(lambda: manager.count("WATCHDOG") == before, 2.0, "that it gives no sign of life")
        node.process.send_signal(signal.SIGCONT)
        until(lambda: manager.count("WATCHDOG") > before, what="a sign of life again")


def stopped(process: int) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_programs_that_a_node_starts_cannot_speak_for_it(tmp_path: Path) -> None:
    environment = {
        "NOTIFY_SOCKET": str(tmp_path / "x"),
        "WATCHDOG_USEC": "1",
        "WATCHDOG_PID": str(os.getpid()),
        "A": "b",
    }
    notifier = Notifier(environment)
    assert environment == {"A": "b"}
    assert notifier.is_watched


@pytest.mark.parametrize(
    ("environment", "watched"),
    [
        ({}, False),
        ({"WATCHDOG_USEC": "x"}, False),
        ({"WATCHDOG_USEC": "9"}, True),
        ({"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"}, False),
    ],
)
def test_signs_of_life_are_given_only_where_they_are_asked_of_this_process(
    environment: dict[str, str], watched: bool
) -> None:
    assert Notifier(environment).is_watched is watched


def test_an_abstract_socket_and_one_that_is_gone_are_both_met(tmp_path: Path) -> None:
    name = f"cloudctl-test-{os.getpid()}"
    manager = Manager("\0" + name)
    notifier = Notifier({"NOTIFY_SOCKET": f"@{name}", "WATCHDOG_USEC": "1"})
    notifier.ready("one\nline")
    notifier.alive()
    assert manager.read() == [{"READY": "1", "STATUS": "one line", "MAINPID": str(os.getpid())}, {"WATCHDOG": "1"}]
    manager.socket.close()
    for address in (f"@{name}", str(tmp_path / "gone"), "not/there", ""):
        Notifier({"NOTIFY_SOCKET": address}).ready("nobody hears it")


def test_a_manager_that_does_not_read_holds_nothing_up(manager: Manager, tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1"})
    for _ in range(5000):
        notifier.alive()
    assert 0 < len(manager.read()) < 5000


@given(st.text(), st.sampled_from([10, 20, 25, 30, 40, 50]))
def test_every_line_in_the_journal_has_the_priority_of_its_event(text: str, level: int) -> None:
    record = logging.LogRecord("cloudctl.node", level, "file.py", 1, "%s", (text,), None)
    plain, journal = (
        TextFormatter().format(record).split("\n"),
        JournalFormatter(TextFormatter()).format(record).split("\n"),
    )
    expected = {10: 7, 20: 6, 25: 6, 30: 4, 40: 3, 50: 2}[level]
    assert journal == [f"<{expected}>{line}" for line in plain]
    assert PRIORITIES[-1][0] == 0


def test_priorities_are_written_only_where_standard_error_is_the_journal_itself(tmp_path: Path) -> None:
    code = (
        "import logging; from cloudctl.logs import set_up; set_up(); logging.getLogger('cloudctl.x').error('it failed')"
    )
    with (tmp_path / "journal").open("wb") as stream:
        status = os.fstat(stream.fileno())
        environment = os.environ | {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        subprocess.run([sys.executable, "-c", code], stderr=stream, env=environment, check=True)
        (tmp_path / "file").write_bytes(b"")
        with (tmp_path / "file").open("wb") as other:
            subprocess.run([sys.executable, "-c", code], stderr=other, env=environment, check=True)
    assert (tmp_path / "journal").read_text().startswith("<3>")
    assert "ERROR cloudctl.x: it failed" in (tmp_path / "journal").read_text()
    assert not (tmp_path / "file").read_text().startswith("<")
    assert is_journal(io.StringIO(), {"JOURNAL_STREAM": "1:1"}) is False
