"""What is installed: an sdist holds what a build needs, and the wheel made of it holds the whole product."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from paths import ROOT

BUILD = "import sys; from setuptools import build_meta as b; print(getattr(b, sys.argv[1])(sys.argv[2]))"


def build(what: str, source: Path, out: Path) -> Path:
    """Return the file that setuptools builds of `source`: build_sdist or build_wheel."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD, what, str(out)], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return out / done.stdout.split()[-1]


@pytest.mark.timeout(400)
def test_a_wheel_of_the_sdist_runs_without_the_tree(tmp_path: Path) -> None:
    sdist = build("build_sdist", ROOT, tmp_path)
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    source = next((tmp_path / "source").iterdir())
    wheel = build("build_wheel", source, tmp_path)
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.startswith("cloudctl/_core.") and name.endswith((".so", ".pyd")) for name in names)
    for part in (
        "cloudctl/py.typed",
        "cloudctl/maps/intersection.json",
        "cloudctl/sim/demo.py",
        "cloudctl/codes/model.py",
    ):
        assert part in names
    assert not any(name.startswith(("tests/", "bench/", "cext/")) for name in names)
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import cloudctl, cloudctl._core; from cloudctl import codes, maps;"
        "assert cloudctl.__file__.startswith(sys.argv[1]); print(codes.load(maps.path('intersection.json')).id)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, str(site)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("UST1."), done.stderr[-2000:]
