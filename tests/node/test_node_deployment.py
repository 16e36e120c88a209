"""What `cloudctl deploy` writes: a unit that systemd takes and finds well closed, a Dockerfile whose every source
exists, and nothing that was changed by hand is overwritten.
"""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT
from started_folder import StartedFolder

from cloudctl.__main__ import main
from cloudctl.io import broker
from cloudctl.node.deployment import DEPLOY, UNIT, DeployError, program, write_deployment
from cloudctl.node.init_folder import Ports, init_folder

ANALYZE = shutil.which("systemd-analyze")
NO_SYSTEMD = "there is no systemd-analyze here: apt-get install systemd"
HADOLINT = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
MAX_EXPOSURE = 2.0  # of 10: what `systemd-analyze security` calls OK
needs_mosquitto = pytest.mark.skipif(broker.mosquitto() is None, reason="a closed broker needs mosquitto on PATH")


@pytest.fixture
def node_file(tmp_path: Path) -> Path:
    init_folder(tmp_path / "node", None, "127.0.0.1", Ports())
    return tmp_path / "node" / "node.toml"


def deployed(node_file: Path) -> Path:
    out = node_file.parent / "deploy"
    write_deployment(out, node_file)
    return out


# --- the unit ---


@pytest.mark.skipif(ANALYZE is None, reason=NO_SYSTEMD)
def test_systemd_takes_the_unit_without_a_word(node_file: Path) -> None:
    unit = deployed(node_file) / UNIT
    done = subprocess.run([str(ANALYZE), "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.skipif(ANALYZE is None, reason=NO_SYSTEMD)
def test_systemd_finds_the_unit_well_closed(node_file: Path) -> None:
    unit = deployed(node_file) / UNIT
    done = subprocess.run(
        [str(ANALYZE), "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "Unknown" in done.stderr or "unrecognized" in done.stderr:
        pytest.skip("this systemd-analyze cannot judge a file: 250 or newer can")
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert exposure, done.stdout + done.stderr
    assert float(exposure[1]) <= MAX_EXPOSURE


def test_the_unit_runs_this_installation_in_the_nodes_folder(node_file: Path) -> None:
    text = (deployed(node_file) / UNIT).read_text()
    assert "@" not in re.sub(r"(?m)^SystemCallFilter=.*$|^#.*$", "", text)
    unit = configparser.RawConfigParser(strict=False, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    service = dict(unit["Service"])
    command, *words = service["ExecStart"].split()
    assert os.access(command, os.X_OK)
    assert words == ["serve", str(node_file)]
    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")
    assert service["WorkingDirectory"] == service["ReadWritePaths"] == str(node_file.parent)


def test_a_folder_that_systemd_would_read_otherwise_is_refused(tmp_path: Path) -> None:
    for name in ("with space", "100%", 'quo"te', "do$lar"):
        with pytest.raises(DeployError, match="Move it"):
            write_deployment(tmp_path / "out", tmp_path / name / "node.toml")


def test_nothing_that_was_changed_by_hand_is_overwritten(node_file: Path) -> None:
    out = deployed(node_file)
    write_deployment(out, node_file)  # unchanged: it may be written again
    (out / "prometheus.yml").write_text("mine")
    with pytest.raises(DeployError, match=r"prometheus\.yml exists and was changed"):
        write_deployment(out, node_file)
    assert (out / "prometheus.yml").read_text() == "mine"


def test_prometheus_scrapes_each_worker_where_the_nodes_file_says(
    node_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = node_file.read_text().replace("[node]\n", "[node]\nworkers = 3\n")
    node_file.write_text(text.replace("127.0.0.1:8080", "127.0.0.1:9100"))
    out = node_file.parent / "deploy"
    assert main(["deploy", str(out), "--config", str(node_file)]) == 0
    assert 'targets: ["127.0.0.1:9100", "127.0.0.1:9101", "127.0.0.1:9102"]' in (out / "prometheus.yml").read_text()
    printed = capsys.readouterr().out
    assert "cloudctl@.service" in printed
    assert "enable --now cloudctl@1 cloudctl@2 cloudctl@3\n" in printed
    assert "cloudctl broker OUT" in printed


@pytest.mark.parametrize("taken", ["folder", "bytes"])
def test_what_is_no_file_of_text_is_not_overwritten_either(node_file: Path, taken: str) -> None:
    file = node_file.parent / "deploy" / "Dockerfile"
    if taken == "folder":
        file.mkdir(parents=True)
    else:
        file.parent.mkdir()
        file.write_bytes(b"\xff")
    with pytest.raises(DeployError, match="exists and was changed"):
        write_deployment(file.parent, node_file)


def test_every_file_of_the_package_is_written_and_installed(node_file: Path) -> None:
    names = {path.name for path in DEPLOY.iterdir()}
    assert {path.name for path in deployed(node_file).iterdir()} == names
    assert {UNIT, "Dockerfile", "Dockerfile.dockerignore", "prometheus.yml", "grafana-dashboard.json"} <= names
    assert '"cloudctl.node" = ["deploy/*"]' in (ROOT / "pyproject.toml").read_text()
    assert "graft cloudctl/node/deploy" in (ROOT / "MANIFEST.in").read_text()


# --- the Dockerfile: there is no Docker here, so that it is linted and taken apart ---


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments, lines joined."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text()).replace("\\\n", " ")
    return [(line.split()[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


@pytest.mark.skipif(HADOLINT is None, reason="there is no hadolint here: pip install 'cloudctl[lint]'")
def test_hadolint_has_nothing_to_object_to() -> None:
    done = subprocess.run(
        [str(HADOLINT), "--no-color", str(DEPLOY / "Dockerfile")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_image_has_two_stages_a_user_without_rights_and_a_health_check_that_is_a_command() -> None:
    words = [word for word, _ in instructions()]
    assert words.count("FROM") == 2
    last = instructions()[len(words) - 1 - words[::-1].index("FROM") :]
    named = dict(last)
    assert named["USER"] not in ("root", "0", "0:0")
    assert "gcc" not in " ".join(arguments for _, arguments in last)
    check = json.loads(named["HEALTHCHECK"].partition("CMD")[2])
    assert check == ["cloudctl", "health", "/node/node.toml"]
    assert json.loads(named["ENTRYPOINT"]) == ["cloudctl"]


def test_every_source_that_is_copied_exists_and_is_let_into_the_build() -> None:
    let_in = {
        line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")
    }
    stages = {arguments.split()[-1] for word, arguments in instructions() if word == "FROM" and " AS " in arguments}
    copied = set()
    for word, arguments in instructions():
        if word != "COPY":
            continue
        parts = arguments.split()
        options = [part for part in parts if part.startswith("--")]
        origin = next((part.partition("=")[2] for part in options if part.startswith("--from=")), None)
        if origin is not None:
            assert origin in stages
            continue
        sources = [part for part in parts if not part.startswith("--")][:-1]
        copied |= set(sources)
    assert [name for name in sorted(copied) if not (ROOT / name).exists()] == []
    assert copied == let_in


def test_what_is_copied_is_enough_to_build_the_package_from() -> None:
    """setup.py and pyproject.toml name no folder or file that stays outside the build."""
    let_in = {
        line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")
    }
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = set(project["tool"]["setuptools"]["package-dir"].values()) | {"cloudctl", "cext"}
    files = {project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml", "setup.py"}
    assert folders | files <= let_in


# --- the health check ---


@needs_mosquitto
def test_the_health_check_and_the_reload_of_the_unit_work_against_a_node(tmp_path: Path) -> None:
    with StartedFolder(tmp_path / "n") as started:
        healthy = started.run("health")
        assert (healthy.returncode, json.loads(healthy.stdout)["alive"]) == (0, True), healthy.stderr
        ready = started.run("health", "--ready")
        assert (ready.returncode, json.loads(ready.stdout)["ready"]) == (0, True), ready.stderr
        assert started.run("reload", str(tmp_path / "n" / "node.toml")).returncode == 0
    gone = started.run("health")
    assert gone.returncode == 2
    assert "does not answer" in gone.stderr
    assert "Traceback" not in gone.stderr


def test_the_command_is_the_one_of_this_installation() -> None:
    done = subprocess.run([program(), "--version"], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("cloudctl ")
