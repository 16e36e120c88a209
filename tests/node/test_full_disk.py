"""A node whose own folder has no room: it starts and serves all the same, and says what it cannot write."""

from pathlib import Path

from deadlines import until
from gateway_frames import accepted
from node_process import NodeProcess

from cloudctl.codes import CompiledCode


def test_a_node_starts_and_serves_in_a_folder_without_room_and_says_what_is_not_written(
    small_disk: Path, code: CompiledCode
) -> None:
    node = NodeProcess(small_disk, code)
    (small_disk / "node.err").touch()
    ballast = small_disk / "ballast"
    with node:
        pass  # what is written of the code at its first start is there
    for name in ("node.pid", "status.json"):
        (small_disk / name).unlink(missing_ok=True)
    log = small_disk.parent / "log"
    (small_disk / "node.err").unlink()
    (small_disk / "node.err").symlink_to(log)  # what it says has room
    with ballast.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(b"x" * 4096)
            except OSError:
                break

    with node:
        until(lambda: "node.pid is not written" in node.said, what="the line on node.pid")
        until(lambda: "status.json cannot be written (No space left" in node.said, what="the line on status.json")
        ballast.unlink()
        gateway = node.gateway()
        accepted(node, gateway)  # by what status.json holds
        gateway.close()
        until(lambda: "status file: all is well again" in node.said, what="that it is well again")
        assert "Traceback" not in node.said
        assert node.said.count("status.json cannot be written") == 1
