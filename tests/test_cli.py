"""The command line as a person uses it: help with examples, exit codes, errors with the remedy and no traceback."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deadlines import PATIENCE

from bench.__main__ import MORE, NAMES
from bench.bench_replay import record
from cloudctl import maps
from cloudctl.__main__ import main

COMMANDS = ["init", "serve", "reload", "replay", "keys", "codes", "sim", "demo", "bench", "doctor"]


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Run one command in this process; return its exit code and what it printed."""
    code = main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_help_names_every_command_and_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys)
    assert code == 2
    assert "examples:" in out
    assert all(f"    {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_helps(name: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0


def test_the_help_of_bench_names_every_bench(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    words = set(re.findall(r"\w+", capsys.readouterr().out))
    assert {*NAMES, *MORE} <= words


def test_the_program_is_on_path_and_says_its_version() -> None:
    program = Path(sys.executable).parent / "cloudctl"
    done = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("cloudctl ")


def test_keys_are_made_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "keys", "new", tmp_path / "node")
    assert code == 0
    assert "keep it secret" in out
    code, _, err = run(capsys, "keys", "new", tmp_path / "node")
    assert code == 2
    assert "never overwritten" in err


def test_codes_are_imported_checked_and_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    network = next(maps.path(name) for name in maps.names() if name.startswith("intersection") and "net" in name)
    code, out, _ = run(capsys, "codes", "import", network, "--out", tmp_path)
    assert code == 0
    assert "signal groups" in out
    files = sorted(tmp_path.glob("*.json"))
    assert run(capsys, "codes", "validate", *files)[0] == 0
    assert run(capsys, "codes", "show", files[0], "--out", tmp_path / "drawn.svg")[0] == 0
    assert (tmp_path / "drawn.svg").read_text().startswith("<svg")


def test_a_broken_code_is_refused_line_by_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tree = json.loads(maps.path("intersection.json").read_text())
    tree["lanes"][0]["width_cm" if "width_cm" in tree["lanes"][0] else "width"] = -5
    (tmp_path / "bad.json").write_text(json.dumps(tree))
    code, out, _ = run(capsys, "codes", "validate", tmp_path / "bad.json")
    assert code == 1
    assert "width" in out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[node]\nbnd = 1\n", "Did you mean 'bind'"),
        ("[brokr]\n", "Did you mean 'broker'"),
        ("[node]\nbind = 5\n", "bind"),
        ("[node\n", "is not TOML"),
        ('[node]\nbind = "tcp://127.0.0.1:*"\n[broker]\nopen = true\n', "cloudctl keys new"),
        ('[node]\ncurve = false\ncodes = ["none/*.json"]\n[broker]\nopen = true\n', "nothing matches"),
        ('[[gateway]]\nname = "g"\nkey = "short"\nrsus = {}\n', "not a CURVE key"),
        ('[[gateway]]\nname = "g"\nrsus = {}\n', "has no key"),
        (
            "".join(f'[[gateway]]\nname = "{g}"\nkey = "{g * 40}"\nrsus = {{ "r1" = "X" }}\n' for g in "ab"),
            "RSU 'r1' is of gateway 'a' and of 'b'",
        ),
    ],
)
def test_a_wrong_file_is_explained(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "node.toml").write_text(text)
    code, _, err = run(capsys, "serve", tmp_path / "node.toml")
    assert code == 2
    assert says in err


def test_a_missing_file_names_the_remedy(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for words in (("serve",), ("replay",), ("codes", "show"), ("sim", "run", "--sumocfg")):
        code, _, err = run(capsys, *words, tmp_path / "absent")
        assert code in (1, 2), words
        assert "absent" in err, words


def test_replay_compares_and_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    record(tmp_path / "run.mcap", 5.0, 20)
    code, out, _ = run(capsys, "replay", tmp_path / "run.mcap", "--compare")
    assert code == 0
    assert "byte-identical" in out


def test_sim_run_writes_the_figures(tmp_path: Path) -> None:
    sumo = pytest.importorskip("sumo")
    scenario = Path(sumo.SUMO_HOME) / "tools" / "game" / "fokr_bs_demo.sumocfg"
    words = ["sim", "run", "--sumocfg", str(scenario), "--in-process", "--seconds", "30", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "cloudctl", *words, str(tmp_path / "run.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "run.json").read_text())
    assert {"latency_us", "fusion", "traffic", "advisories"} <= set(figures)
    assert {"stops", "waiting_s", "travel_time_s", "time_loss_s", "fuel_g"} <= set(figures["traffic"])
    assert figures["advisories"]["late"] == 0


def test_doctor_looks_at_everything(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "doctor")
    assert code == 0
    assert all(word in out for word in ("Python", "compiled core", "MQTT broker", "cores"))
    if shutil.which("mosquitto") is None:
        assert "apt-get install mosquitto" in out


def test_a_reader_that_has_enough_ends_a_command_without_a_complaint() -> None:
    command = f"{sys.executable} -m cloudctl plan-capacity --intersections 10 | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
