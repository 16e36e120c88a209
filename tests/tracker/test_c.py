"""The C core by itself: its unit tests under sanitizers and with a counting allocator, its fuzz target for a moment."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from paths import ROOT

CORE = sorted(str(path) for path in (ROOT / "cext").glob("*.c") if not path.name.startswith("_"))
BASE = ["-std=c11", "-g", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'cext'}"]


def build(compiler: str, out: Path, main: str, flags: list[str], core: list[str] = CORE) -> Path:
    """Compile a programme with the core; skips, saying so, where this compiler cannot. The includes of `flags` come before ours."""
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


def test_the_core_under_address_and_undefined_behaviour_sanitizers(tmp_path: Path) -> None:
    flags = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    assert "passed" in run(build("gcc", tmp_path / "sane", "test_track.c", flags))


def test_nothing_is_allocated_per_scan(tmp_path: Path) -> None:
    flags = ["-O2", "-DCOUNT_ALLOCATIONS", "-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc"]
    assert "passed" in run(build("gcc", tmp_path / "counted", "test_track.c", flags))


def test_the_core_names_no_allocator(tmp_path: Path) -> None:
    if shutil.which("gcc") is None or shutil.which("nm") is None:
        pytest.skip("no gcc or nm here")
    for source in CORE:
        out = tmp_path / "one.o"
        subprocess.run(["gcc", *BASE, "-O2", "-c", source, "-o", str(out)], check=True)
        names = subprocess.run(["nm", "-u", str(out)], capture_output=True, text=True, check=True).stdout
        assert not {"malloc", "calloc", "realloc", "free"} & set(names.split()), source


@pytest.mark.parametrize("target", ["fuzz_fusion.c", "fuzz_decode.c", "fuzz_state.c"])
def test_the_fuzz_targets_run(target: str, tmp_path: Path) -> None:
    clang = next((name for name in ("clang", "clang-14", "clang-16") if shutil.which(name)), "clang")
    flags = ["-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
    program = build(clang, tmp_path / "fuzz", target, flags)
    run(program, "-runs=3000", "-max_len=4096", "-seed=1", f"-artifact_prefix={tmp_path}{os.sep}")
