"""The examples of docs/perception.md run as they stand, against a node in a folder of `cloudctl init`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from deadlines import PATIENCE, until
from paths import ROOT
from started_folder import StartedFolder

EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs/perception.md").read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    with StartedFolder(tmp_path_factory.mktemp("examples") / "here") as started:
        yield started


@pytest.mark.parametrize("example", EXAMPLES, ids=["cpm", "rsm", "sdsm"])
def test_an_example_of_the_docs_is_accepted_by_a_node(tmp_path: Path, folder: StartedFolder, example: str) -> None:
    accepted = folder.count("accept.perception")
    script = tmp_path / "example.py"
    script.write_text(example)
    run = subprocess.run(
        [sys.executable, str(script)], cwd=folder.folder, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    until(lambda: folder.count("accept.perception") >= accepted + 10, what="the frames")
    assert folder.count("reject.row") == 0
