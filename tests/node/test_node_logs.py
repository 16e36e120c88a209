"""Log lines: one an event, text or JSON; library code prints nothing; success and absence are both visible."""

import ast
import io
import json
import logging
from pathlib import Path

import pytest
from deadlines import until
from hypothesis import given
from hypothesis import strategies as st
from node_process import NodeProcess
from paths import ROOT

from cloudctl.client import Gateway
from cloudctl.codes import CompiledCode
from cloudctl.io.ports import free_port
from cloudctl.logs import JsonFormatter, LogFormat, TextFormatter, set_up

PROGRAMS = {"__main__.py", "command.py"}  # what a person runs may print; `sim` reports to a terminal


def record(text: str, *values: object, exception: BaseException | None = None) -> logging.LogRecord:
    info = (type(exception), exception, exception.__traceback__) if exception else None
    return logging.LogRecord("cloudctl.node", logging.WARNING, "file.py", 1, text, values, info)


@given(st.text())
def test_every_event_is_one_line_of_json_whatever_it_says(text: str) -> None:
    line = JsonFormatter().format(record("%s", text))
    assert len(line.splitlines()) <= 1 or "\n" not in line
    fields = json.loads(line)
    assert (fields["level"], fields["logger"]) == ("WARNING", "cloudctl.node")
    assert "\n".join(part for part in (fields["event"], fields.get("detail")) if part is not None) == text.rstrip() or (
        fields["event"] == text.partition("\n")[0]
    )


@given(st.text())
def test_in_text_only_an_event_begins_at_the_margin(text: str) -> None:
    first, *rest = TextFormatter().format(record("%s", text)).split("\n")
    assert " WARNING cloudctl.node: " in first
    assert all(line.startswith("  ") for line in rest)


def test_a_traceback_is_in_both() -> None:
    try:
        raise KeyError("made to fail")
    except KeyError as error:
        shown = record("it failed", exception=error)
    assert "made to fail" in json.loads(JsonFormatter().format(shown))["detail"]
    assert "KeyError: 'made to fail'" in TextFormatter().format(shown)


def test_a_full_disk_under_standard_error_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("sys.stderr", Full())
    logger = logging.getLogger("cloudctl")
    handlers, level = logger.handlers, logger.level
    try:
        set_up(LogFormat.JSON, "INFO")
        logging.getLogger("cloudctl.node").warning("lost")
    finally:
        logger.handlers, logger.level = handlers, level


def test_library_code_prints_nothing() -> None:
    """`print` is for the command line, and for programs of the simulator."""
    printing = [
        str(file.relative_to(ROOT))
        for file in (ROOT / "cloudctl").rglob("*.py")
        if file.name not in PROGRAMS and file.parent.name != "commands"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


def test_a_node_logs_json_lines_from_its_first_to_its_last(tmp_path: Path, code: CompiledCode) -> None:
    node = NodeProcess(tmp_path, code, options=("--log-format", "json"))
    with node:
        gateway = node.gateway()
        until(lambda: gateway.poll(20) or "gateway g is connected" in node.said, what="the gateway")
        gateway.close()
    lines = [json.loads(line) for line in node.said.splitlines()]
    assert all({"time", "level", "logger", "event"} <= set(line) for line in lines)
    assert [line["event"] for line in lines if line["event"].startswith("OPEN")] == [
        f"OPEN: [broker] open = true: anyone who reaches 127.0.0.1:{node.mqtt} can follow every vehicle, and advise it."
        " Only for a closed test bench"
    ]


def test_a_gateway_says_that_it_is_connected_what_was_accepted_and_that_there_is_no_node(
    tmp_path: Path, code: CompiledCode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cloudctl.client")
    node = NodeProcess(tmp_path, code)
    with node:
        gateway = node.gateway()

        def accepted() -> bool:
            gateway.perception("rsu-1", "cam", code.origin.lat, code.origin.lon, [{"x": 1.0, "y": 2.0, "class": "car"}])
            gateway.poll(20)
            return "accepted by the node: " in caplog.text

        until(accepted, what="what was accepted")
        assert f"connected to tcp://127.0.0.1:{node.port}" in caplog.text
        assert " perception; refused: 0" in caplog.text
        assert "no node at" not in caplog.text
    until(lambda: gateway.poll(20) or f"no node at tcp://127.0.0.1:{node.port} for 3 s" in caplog.text, what="absence")
    gateway.close()


def test_a_gateway_without_a_node_says_so_once_and_not_at_once(caplog: pytest.LogCaptureFixture) -> None:
    with Gateway(f"tcp://127.0.0.1:{free_port()}", ["r"]) as gateway:
        gateway.poll(20)
        assert "no node" not in caplog.text
        until(lambda: gateway.poll(20) or "no node at" in caplog.text, what="absence")
        for _ in range(20):
            gateway.poll(20)
        assert caplog.text.count("no node at") == 1
