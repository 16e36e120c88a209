"""`cloudctl sim run` and `cloudctl bench`: what they do with their arguments."""

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from .common.terminal import Progress, figures_table
from .loop.real_time import LiveLoop
from .loop.run import Loop, Setup
from .loop.sensors import Noise
from .scenario.scenario import load


def run(args: argparse.Namespace) -> None:
    """Run one scenario, print its figures, write them as JSON where asked."""
    if not 0.0 <= args.penetration <= 1.0:
        raise ValueError(f"--penetration {args.penetration}: must be within 0 .. 1")

    in_process = args.in_process or args.advice == "off"
    if args.view and in_process:
        raise ValueError(
            "--view shows a node that runs over sockets in real time. Leave --in-process and --advice off out; "
            "or record the run (--record FILE) and look at it afterwards: cloudctl replay FILE --view"
        )

    progress = Progress(args.sumocfg.stem)
    scenario = load(args.sumocfg, say=progress.say)
    noise = Noise() if args.miss is None else Noise(miss=args.miss)

    setup = Setup(
        seed=args.seed,
        penetration=args.penetration,
        advice=args.advice == "on",
        seconds=args.seconds,
        warm_up=args.warm_up,
        step_s=args.step,
        noise=noise,
        extra_delay_ms=args.extra_delay,
    )
    if in_process:
        result = Loop(scenario=scenario, setup=setup, record=args.record).run(progress.at)
    else:
        loop = LiveLoop(scenario=scenario, setup=setup, folder=args.out, record=args.record, view=args.view)
        if loop.page:
            progress.say(f"watch it live: {loop.page}")
        result = loop.run(progress.at)

    progress.done()
    print(figures_table([result]))

    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
        print(f"wrote {args.json}")


def bench(names: Sequence[str]) -> int:
    """Run the benches of a source tree; returns the exit code."""
    root = Path(__file__).resolve().parent.parent
    if importlib.util.find_spec("bench") is None and not (root / "bench" / "__main__.py").is_file():
        raise ValueError("the benches are not installed with the product. Run them in a clone: make bench")
    return subprocess.run([sys.executable, "-m", "bench", *names], cwd=root, check=False).returncode
