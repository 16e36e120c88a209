"""Commands of the simulator, the demo, the benches and the evaluation of the tracker."""

import argparse
from pathlib import Path
from typing import Any

from .parsers import add_command


def add_simulation_commands(commands: Any) -> None:
    """Add them."""
    simulation = add_command(commands, "sim", "run SUMO scenarios through the loop")
    _sim_parsers(simulation.add_subparsers(metavar="COMMAND", required=True))
    _demo_parser(commands)
    _bench_parser(commands)
    _eval_parser(commands)


def _demo_parser(commands: Any) -> None:
    demo = add_command(commands, "demo", "the whole loop on real traffic, in some minutes, with a report", _demo)
    demo.add_argument("--out", type=Path, default=Path("out/demo"))
    demo.add_argument("--seconds", type=float, default=12.0, help="real time over sockets, a scenario (default 12)")
    demo.add_argument(
        "--study", type=float, default=240.0, help="simulated seconds with and without advice, a seed (default 240)"
    )
    demo.add_argument("--seeds", type=int, default=1, help="seeds of the study with and without advice (default 1)")


def _bench_parser(commands: Any) -> None:
    bench = add_command(
        commands, "bench", "measure decode, fusion, plan, egress and the whole loop against their floors", _bench
    )
    bench.add_argument(
        "names",
        nargs="*",
        help=(
            "some of: decode fusion plan egress loop replay start codes (default: all these); by name only, for they "
            "take minutes: peers (other trackers), lying (signals), round_trips and networks (codes), fuzz, soak, "
            "recovery, signing, view (the live page), metrics, recording, engine, failover and city (hundreds of "
            "intersections), digest (hashes of what scenes give)"
        ),
    )


def _sim_parsers(commands: Any) -> None:
    _run_parser(commands)
    _study_parser(commands)
    _warnings_parser(commands)
    _priority_parser(commands)


def _run_parser(commands: Any) -> None:
    run = add_command(
        commands, "run", "run a SUMO scenario through the loop; in real time over sockets, or --in-process", _sim_run
    )
    run.add_argument("--sumocfg", type=Path, required=True)
    run.add_argument("--penetration", type=float, default=1.0, help="share of connected vehicles, 0..1 (default 1)")
    run.add_argument("--seed", type=int, default=1)
    run.add_argument("--advice", choices=("on", "off"), default="on")
    run.add_argument("--json", type=Path, help="file for the figures")
    run.add_argument("--in-process", action="store_true", help="no sockets, faster than real time")
    run.add_argument("--seconds", type=float, help="simulated seconds (default: the scenario's span)")
    run.add_argument("--warm-up", type=float, default=0.0, help="seconds of traffic before anything is observed")
    run.add_argument("--step", type=float, default=0.1, help="SUMO's step, s (default 0.1)")
    run.add_argument("--extra-delay", type=float, default=0.0, help="ms added to every sensor and advisory (default 0)")
    run.add_argument("--miss", type=float, help="share of missed detections (default 0.08)")
    run.add_argument(
        "--view",
        action="store_true",
        help="serve the live page while it runs, and print the address to open (over sockets only)",
    )
    run.add_argument("--record", type=Path, help="MCAP file for the run")
    run.add_argument(
        "--out",
        type=Path,
        default=Path("out/sim"),
        help="folder for keys, configuration and logs of a run over sockets",
    )


STUDY = """examples:
  cloudctl sim study --sumocfg town.sumocfg --out out/town       5 seeds, all and 30 % connected, against SUMO's device
  cloudctl sim study --sumocfg corridor --seeds 1 --penetration 1.0 --seconds 600 --against none --out out/quick
  cloudctl sim study --sumocfg town.sumocfg --delay-ms 500 --miss 0.2 --out out/town-worse
Stopped half-way it goes on where it was: runs already in --out are not run again. docs/study.md says how to read it.
"""


def _study_parser(commands: Any) -> None:
    study = add_command(
        commands, "study", "what the advice changes, against no advice and against SUMO's own GLOSA device", _sim_study
    )
    study.formatter_class, study.epilog = argparse.RawDescriptionHelpFormatter, STUDY
    study.add_argument("--sumocfg", required=True, help="a SUMO scenario, or `corridor`: ours, of five signals")
    study.add_argument("--seeds", default="1..5", help="such as 1..5 or 1,2,9 (default 1..5)")
    study.add_argument("--penetration", default="1.0,0.3", help="shares of connected vehicles (default 1.0,0.3)")
    study.add_argument(
        "--against",
        default="none,glosa-default,glosa-best",
        help="some of none, glosa-default, glosa-best, glosa-best-queue (default: the first three)",
    )
    study.add_argument(
        "--baselines",
        action="store_true",
        help="leave ours out: once, before tuning, for later studies to find in --out",
    )
    study.add_argument("--seconds", type=float, help="departures of so many seconds (default: the scenario's span)")
    study.add_argument("--step", type=float, default=0.1, help="SUMO's step, s (default 0.1)")
    study.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    study.add_argument(
        "--delay-ms",
        type=float,
        default=0.0,
        help="ms added between sensor and vehicle: half on the way to our node, half on the way from it",
    )
    study.add_argument("--miss", type=float, help="share of detections our roadside units miss (default 0.08)")
    study.add_argument("--out", type=Path, required=True, help="folder for runs, figures and plots")


WARNINGS = """examples:
  cloudctl sim warnings --out out/warnings               Braunschweig: cars, bicycles, pedestrians, some reckless
  cloudctl sim warnings --scenario corridor --seeds 11..15 --train 1..3 --out out/corridor
  cloudctl sim warnings --scenario town.sumocfg --seconds 1800 --out out/town
  cloudctl sim warnings --sensing perfect --out out/perfect   what better roadside units could gain at the most
  cloudctl sim warnings --signals actuated --violators 0.6 --out out/many signals that traffic drives, many who run reds
Nobody reacts to a warning here, so that what it warns of happens. docs/study.md says how to read it.
"""


def _warnings_parser(commands: Any) -> None:
    bench = add_command(
        commands, "warnings", "how often warnings are right, how many conflicts they find, how early", _sim_warnings
    )
    bench.formatter_class, bench.epilog = argparse.RawDescriptionHelpFormatter, WARNINGS
    bench.add_argument(
        "--scenario",
        default="braunschweig",
        help="braunschweig, corridor, drt (Berlin), or a .sumocfg (default braunschweig)",
    )
    bench.add_argument("--train", default="1..2", help="seeds on which thresholds are chosen (default 1..2)")
    bench.add_argument("--seeds", default="11..14", help="seeds of which figures are shown (default 11..14)")
    bench.add_argument("--seconds", type=float, default=300.0, help="simulated seconds a seed (default 300)")
    bench.add_argument("--warm-up", type=float, default=150.0, help="seconds of traffic before (default 150)")
    bench.add_argument("--penetration", type=float, default=1.0, help="share of connected vehicles (default 1)")
    bench.add_argument(
        "--signals",
        default="fixed,actuated,delay_based",
        help="the scenario's own programmes (fixed), the same phases under SUMO's actuated or delay_based control, "
        "or nema where a network has it; "
        "several with commas between them (default fixed,actuated,delay_based)",
    )
    bench.add_argument("--violators", type=float, default=0.22, help="share of drivers that run reds (default 0.22)")
    bench.add_argument(
        "--sensing",
        choices=("noisy", "perfect"),
        default="noisy",
        help="roadside units as they are, or without noise, misses and delay (default noisy)",
    )
    bench.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    bench.add_argument("--out", type=Path, required=True, help="folder for runs, figures and plots")


PRIORITY = """examples:
  cloudctl sim priority --out out/priority                                our corridor: buses ask, its signals heed them
  cloudctl sim priority --sumocfg town.sumocfg --seeds 1,2 --seconds 1800 --out out/town
"""


def _priority_parser(commands: Any) -> None:
    bench = add_command(
        commands, "priority", "what signal priority gives buses, and costs everybody else", _sim_priority
    )
    bench.formatter_class, bench.epilog = argparse.RawDescriptionHelpFormatter, PRIORITY
    bench.add_argument(
        "--sumocfg", default="corridor", help="a SUMO scenario, or `corridor`: ours, of five signals (default)"
    )
    bench.add_argument("--seeds", default="1..3", help="such as 1..5 or 1,2,9 (default 1..3)")
    bench.add_argument("--seconds", type=float, default=900.0, help="departures of so many seconds (default 900)")
    bench.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    bench.add_argument("--out", type=Path, required=True, help="folder for the figures")


EVAL_EXAMPLES = """examples:
  cloudctl eval                                      the made-up scenes, medians over seeds no parameter was chosen on
  cloudctl eval --scene crowd --seeds 1 2 3 --plot out/crowd.png
  cloudctl eval --ablate --scene one three           what each feature of the tracker is worth
  cloudctl eval --mcity FOLDER                       real roadside units against RTK; FOLDER holds dets/ and gts/
  cloudctl eval --trajectories FILE.csv              made-up detections of recorded road users (SinD's *_tracks.csv)
  cloudctl eval --recording run.mcap --truth run.truth.mcap
"""


def _eval_parser(commands: Any) -> None:
    score = add_command(
        commands, "eval", "score tracks against truth: CLEAR MOT, IDF1, HOTA, GOSPA, OSPA(2), RMSE", _eval
    )
    score.formatter_class, score.epilog = argparse.RawDescriptionHelpFormatter, EVAL_EXAMPLES
    score.add_argument("--scene", nargs="+", metavar="NAME", help="made-up scenes, by name (default: all)")
    score.add_argument(
        "--ablate", action="store_true", help="the scenes again with each feature of the tracker left out"
    )
    score.add_argument("--seeds", type=int, nargs="+", help="seeds of the scenes (default: 101 .. 105)")
    score.add_argument("--mcity", type=Path, metavar="FOLDER", help="the folder of Mcity's trials")
    score.add_argument(
        "--trajectories", type=Path, metavar="FILE", help="recorded road users: a CSV with track_id, timestamp_ms, x, y"
    )
    score.add_argument("--recording", type=Path, metavar="FILE", help="a recording of ours (MCAP)")
    score.add_argument("--truth", type=Path, metavar="FILE", help="the truth written beside it")
    score.add_argument("--plot", type=Path, metavar="PNG", help="draw tracks, truth and error over time")


def _eval(args: argparse.Namespace) -> None:
    from ..sim.tracking import evaluate

    evaluate.run(args)


def _sim_run(args: argparse.Namespace) -> None:
    from ..sim import command

    command.run(args)


def _sim_study(args: argparse.Namespace) -> None:
    from ..sim.study import bench

    bench.run(args)


def _sim_warnings(args: argparse.Namespace) -> None:
    from ..sim.warnings import bench

    bench.run(args)


def _sim_priority(args: argparse.Namespace) -> None:
    from ..sim.study import priority

    priority.run(args)


def _demo(args: argparse.Namespace) -> int:
    from ..sim import demo

    return int(demo.run(args.out, args.seconds, args.study, args.seeds))


def _bench(args: argparse.Namespace) -> int:
    from ..sim.command import bench

    return int(bench(args.names))
