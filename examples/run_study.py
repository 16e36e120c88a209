"""A short study in closed loop: the same trips of the shipped corridor without and with advice, in SUMO.

python examples/run_study.py OUT     about a minute; `cloudctl sim study --help` has what a real study needs: seeds,
time, comparisons
"""

import sys
from pathlib import Path

import msgspec

from cloudctl.__main__ import main as cloudctl


def main(out: Path) -> int:
    scenario = ["--sumocfg", "corridor", "--seeds", "1", "--seconds", "120"]
    compared = ["--penetration", "1.0", "--against", "none"]  # every vehicle advised, against nobody
    status = cloudctl(["sim", "study", *scenario, *compared, "--out", str(out)])
    if status == 0:
        study = msgspec.json.decode((out / "study.json").read_bytes())
        print(f"every figure of the table, and those of each run: {out / 'study.json'} ({', '.join(study)})")
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
