"""What is installed: an sdist holds what a build needs, and the wheel made of it holds the whole product and needs no
compiler.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from paths import GOLDEN, ROOT

from cloudctl import maps

BUILD = "import sys; from setuptools import build_meta as b; print(getattr(b, sys.argv[1])(sys.argv[2]))"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSIONS = [text.rpartition(" ")[2] for text in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", text)]
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


def interpreter(version: str) -> str | None:
    """Return the command of a Python of that version: this one, on PATH, or of pyenv."""
    if version == OWN:
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(pyenv.glob(f"{version}.*/bin/python"))
    return str(found[-1]) if found else shutil.which(f"python{version}")


# Each version takes minutes, most of them for what cloudctl depends on: all of them only where they are asked for
# (`make pythons`).
ASKED = VERSIONS if os.environ.get("CLOUDCTL_TEST_PYTHONS") == "all" else [OWN]


def run(*command: object, cwd: Path, without_compiler: bool = False) -> str:
    """Run a command to its end and return what it printed; fails with the end of its errors."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    if without_compiler:  # whoever calls one gets an error, by whatever name
        env |= {"CC": "/bin/false", "CXX": "/bin/false", "PATH": "/nonexistent"}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def build(what: str, source: Path, out: Path) -> Path:
    """Return the file that setuptools builds of `source`: build_sdist or build_wheel."""
    return out / run(sys.executable, "-c", BUILD, what, out, cwd=source).split()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("build_sdist", ROOT, tmp_path_factory.mktemp("sdist"))


def test_the_license_of_the_project_stands_in_it_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in text
    assert "9. Accepting Warranty or Additional Liability" in text


def test_the_classifiers_are_the_versions_that_are_required_and_built() -> None:
    assert PROJECT["requires-python"] == f">={VERSIONS[0]}"
    wheels = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]["build"]
    assert wheels == [f"cp{version.replace('.', '')}-manylinux_*" for version in VERSIONS]


@pytest.mark.timeout(400)
def test_a_wheel_of_the_sdist_holds_the_whole_product_and_runs_without_the_tree(sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    wheel = build("build_wheel", next((tmp_path / "source").iterdir()), tmp_path)
    names = set(zipfile.ZipFile(wheel).namelist())
    assert any(name.startswith("cloudctl/_core.") and name.endswith((".so", ".pyd")) for name in names)
    # every module and map of the tree, and its types; nothing that only developers need
    folders = {"cloudctl": ROOT / "cloudctl", "cloudctl/sim": ROOT / "sim", "cloudctl/maps": ROOT / "maps"}
    expected = {f"{name}/{path.relative_to(at)}" for name, at in folders.items() for path in at.rglob("*.py")}
    expected |= {f"cloudctl/maps/{name}" for name in maps.names()} | {"cloudctl/py.typed", "cloudctl/_core.pyi"}
    assert expected - names == set()
    assert not any(name.startswith(("tests/", "bench/", "cext/", "examples/")) for name in names)
    assert any(name.endswith("/licenses/LICENSE") for name in names)

    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import cloudctl, cloudctl._core; from cloudctl import codes,"
        " maps;assert cloudctl.__file__.startswith(sys.argv[1]); print(codes.load(maps.path('intersection.json')).id)"
    )
    assert run(sys.executable, "-P", "-c", program, site, cwd=tmp_path).startswith("UST1.")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("version", ASKED)
def test_wheel_and_sdist_install_into_an_empty_environment_and_replay_to_the_byte(
    sdist: Path, tmp_path: Path, version: str
) -> None:
    """The wheel is installed with no compiler at hand; the sdist, built by pip alone, takes its place afterwards."""
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    run(python, "-m", "venv", tmp_path / "env", cwd=tmp_path)
    installed = tmp_path / "env" / "bin" / "python"
    pip = (installed, "-m", "pip", "--disable-pip-version-check", "--quiet")
    try:
        run(*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, sdist, cwd=tmp_path)
    except AssertionError as error:
        if "No matching distribution" in str(error) or "Connection" in str(error):
            pytest.skip("no package index can be reached from here")
        raise
    (wheel,) = tmp_path.glob("*.whl")

    for package, offline in ((wheel, True), (sdist, False)):
        run(*pip, "install", "--force-reinstall", "--no-deps", package, cwd=tmp_path, without_compiler=offline)
        if offline:
            run(*pip, "install", "--only-binary", ":all:", package, cwd=tmp_path, without_compiler=True)
        command = tmp_path / "env" / "bin" / "cloudctl"
        assert run(command, "--version", cwd=tmp_path).split() == ["cloudctl", PROJECT["version"]]
        assert "byte-identical" in run(command, "replay", GOLDEN, "--compare", cwd=tmp_path)
