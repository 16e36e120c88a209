"""The whole of the compiled core, its seam to Python too, built with AddressSanitizer and UBSan and given anything at
all through Python.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from paths import ROOT

LOADER = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("cloudctl._core", sys.argv[1])
core = importlib.util.module_from_spec(spec)
sys.modules["cloudctl._core"] = core
spec.loader.exec_module(core)
import cloudctl
cloudctl._core = core
import face_inputs
from cloudctl import fusion
assert fusion._core.__file__ == sys.argv[1]
for trial in face_inputs.TRIALS:
    trial()
print("clean")
"""


def runtime() -> str:
    """Return the sanitizer's library, which must be in the interpreter before the module is; skips, saying so, without
    one.
    """
    if shutil.which("gcc") is None:
        pytest.skip("no gcc here: the core cannot be built with sanitizers")
    path = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(path).is_absolute():
        pytest.skip("gcc has no AddressSanitizer here")
    return str(Path(path).resolve())


@pytest.mark.timeout(400)
def test_nothing_given_through_python_leaves_the_cores_memory(tmp_path: Path) -> None:
    preload = runtime()
    cython = [
        "cython",
        "-3",
        "-X",
        "boundscheck=False,wraparound=False",
        "-I",
        str(ROOT / "cext"),
        str(ROOT / "cext/_core.pyx"),
        "-o",
        str(tmp_path / "_core.c"),
    ]
    subprocess.run([sys.executable, "-m", *cython], check=True, capture_output=True)
    module = tmp_path / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
    flags = [
        "-std=c11",
        "-O1",
        "-g",
        "-ffp-contract=off",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        "-fno-sanitize=vptr",
        "-shared",
        "-fPIC",
        "-w",
    ]
    sources = [str(tmp_path / "_core.c"), *(str(file) for file in sorted((ROOT / "cext").glob("[a-z]*.c")))]
    include = [f"-I{ROOT / 'cext'}", f"-I{sysconfig.get_paths()['include']}"]
    built = subprocess.run(
        ["gcc", *flags, *include, *sources, "-lm", "-o", str(module)], capture_output=True, text=True, check=False
    )
    if built.returncode and "Python.h" in built.stderr:
        pytest.skip("no headers of Python here")
    assert built.returncode == 0, built.stderr[-3000:]
    env = os.environ | {
        "LD_PRELOAD": preload,
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(ROOT / "tests"),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", LOADER, str(module)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=360,
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-6000:]
    assert "clean" in done.stdout
