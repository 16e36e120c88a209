"""What runs a node elsewhere: a systemd unit, a Dockerfile, configurations of Prometheus and Grafana. They are in the
package, and written out with the paths of one machine.
"""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import CloudctlError

DEPLOY = Path(__file__).resolve().parent / "deploy"
PROGRAM, FOLDER = "@CLOUDCTL@", "@FOLDER@"  # in the files: the command, and the node's folder
UNIT, WORKER_UNIT = "cloudctl.service", "cloudctl@.service"
DEFAULT_PAGE = "127.0.0.1:8080"  # in the configuration of Prometheus, as it is shipped


class DeployError(CloudctlError, RuntimeError):
    """Files that cannot be written; the text says what to do."""


def write_deployment(out: Path, node_file: Path, pages: Sequence[str] = (DEFAULT_PAGE,)) -> list[Path]:
    """Write every file into `out`, for the node of `node_file`, whose workers' metrics are served at `pages`,
    "HOST:PORT"; return the files. Raises DeployError where one exists with
    other contents: nothing that was changed by hand is overwritten.
    """
    folder = str(node_file.resolve().parent)
    if any(character.isspace() or character in "%\\\"'$" for character in folder):
        raise DeployError(
            f"the node's folder {folder!r} has a character that systemd reads as something else. Move it to a path of "
            "letters, digits, '/', '-', '_' and '.'"
        )

    texts = {
        out / source.name: source.read_text()
        .replace(PROGRAM, program())
        .replace(FOLDER, folder)
        .replace(json.dumps(DEFAULT_PAGE), ", ".join(map(json.dumps, pages)))
        for source in sorted(DEPLOY.iterdir())
    }

    for path, text in texts.items():
        if path.exists() and not (path.is_file() and path.read_bytes() == text.encode()):
            raise DeployError(f"{path} exists and was changed. Choose another folder, or remove it first")

    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text)
    except OSError as error:
        raise DeployError(f"{out} cannot be written to: {error.strerror}. Choose another folder") from None

    return list(texts)


def program() -> str:
    """Return the whole path of this installation's command."""
    beside = Path(sys.executable).parent / "cloudctl"
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("cloudctl") or str(beside)
