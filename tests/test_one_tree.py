"""Two copies of cloudctl in one process are refused: a copy in a folder, and this one, which the interpreter has
installed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

import cloudctl

CORE = next(Path(cloudctl.__file__).parent.glob("_core.*.so"), None)


def run(program: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder, which Python looks in first."""
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def copy_of(tree: Path, folder: Path, *parts: str) -> Path:
    for part in parts:
        shutil.copytree(tree / part, folder / part, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    return folder


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another copy of the sources, without a compiled core."""
    return copy_of(ROOT, tmp_path / "other", "cloudctl", "sim", "maps")


@pytest.mark.parametrize(
    ("module", "there"),
    [("cloudctl._core", "_core"), ("cloudctl.sim", "sim"), ("cloudctl.maps", "maps"), ("cloudctl.sim.loop.run", "sim")],
)
def test_a_part_of_another_copy_is_refused_with_both_paths_and_the_remedy(module: str, there: str, other: Path) -> None:
    done = run(f"import {module}", other)
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("cloudctl.one_tree.TwoTreesError: two copies of cloudctl are mixed")
    assert str((other / "cloudctl").resolve()) in line
    assert str(ROOT / there) in line or str(ROOT / "cloudctl" / there) in line
    assert "pip install --editable" in line
    assert "PYTHONPATH" in line


def test_a_module_that_only_the_installed_copy_has_is_refused(other: Path) -> None:
    (other / "cloudctl" / "geo.py").unlink()
    done = run("import cloudctl.geo", other)
    assert "TwoTreesError" in done.stderr
    assert "geo.py" in done.stderr


def test_the_path_variable_is_noticed_as_the_working_directory_is(other: Path, tmp_path: Path) -> None:
    done = run("import cloudctl.fusion", tmp_path, PYTHONPATH=str(other))
    assert "TwoTreesError" in done.stderr


def test_one_copy_runs_from_any_folder(tmp_path: Path) -> None:
    program = "import cloudctl._core, cloudctl.sim, cloudctl.maps, cloudctl.engine; print('one')"
    for folder in (tmp_path, ROOT, ROOT / "tests"):
        assert run(program, folder).stdout == "one\n"


@pytest.mark.skipif(CORE is None, reason="the core is not beside its Python here")
def test_a_whole_copy_with_its_own_core_runs_beside_an_installed_one(tmp_path: Path) -> None:
    """The layout of an installation: all of it in one folder."""
    folder = copy_of(ROOT, tmp_path / "site", "cloudctl")
    copy_of(ROOT, folder / "cloudctl", "sim", "maps")
    assert CORE is not None
    shutil.copy(CORE, folder / "cloudctl")
    program = "import cloudctl._core, cloudctl.sim, cloudctl.maps, cloudctl.engine; print(cloudctl.__file__)"
    done = run(program, folder)
    assert done.stdout.strip() == str(folder / "cloudctl" / "__init__.py"), done.stderr


def test_a_link_to_the_tree_is_the_tree(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(ROOT)
    assert run("import cloudctl._core, cloudctl.sim; print('one')", link).stdout == "one\n"
