"""The C core by itself: its unit tests under sanitizers and with a counting allocator, its fuzz target for a moment."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from c_build import BASE, CORE, build, run


@pytest.mark.parametrize("tests", ["test_track.c", "test_lanes.c"])
def test_the_core_under_address_and_undefined_behaviour_sanitizers(tests: str, tmp_path: Path) -> None:
    flags = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    assert "passed" in run(build("gcc", tmp_path / "sane", tests, flags))


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
