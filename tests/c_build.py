"""Builds and runs the C tests."""

import shutil
import subprocess
from pathlib import Path

import pytest
from paths import ROOT

CORE = sorted(str(path) for path in (ROOT / "cext").glob("*.c") if not path.name.startswith("_"))
BASE = ["-std=c11", "-g", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'cext'}"]


def build(compiler: str, out: Path, main: str, flags: list[str], core: list[str] = CORE) -> Path:
    """Compile a programme with the core; skips, saying so, where this compiler cannot. The includes of `flags` come
    before ours.
    """
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    done = subprocess.run(
        [compiler, *flags, *BASE, str(ROOT / "tests/c" / main), *core, "-lm", "-o", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    if (
        done.returncode
        and "sanitize" in done.stderr + " ".join(flags)
        and "error:" not in done.stderr.replace(main, "")
    ):
        pytest.skip(f"{compiler} has no such sanitizer here: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    return out


def run(program: Path, *args: str) -> str:
    done = subprocess.run([str(program), *args], capture_output=True, text=True, check=False, cwd=program.parent)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout
