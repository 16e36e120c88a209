"""The command line: `cloudctl --help`. The commands are in `commands`."""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from . import __version__
from .commands.city import add_capacity_command, add_city_commands
from .commands.codes import add_codes_commands
from .commands.node import add_node_commands
from .commands.recording import add_recording_commands
from .commands.setup import add_setup_commands
from .commands.simulation import add_simulation_commands

OUTPUT_CLOSED = 141  # as a shell shows a program that SIGPIPE ended: 128 + 13
EXAMPLES = """examples:
  cloudctl demo --out out/demo                       the whole loop on real traffic, with a report
  cloudctl init here                                 a node's folder: keys, certificates, node.toml, two scripts
  cloudctl keys new keys/node                        a CURVE key pair: keys/node.key, keys/node.pub
  cloudctl serve node.toml                           a node: sockets, keys, broker, codes, recording from one file
  cloudctl keys vehicle car-2                        a certificate for a vehicle; keys revoke withdraws it
  cloudctl reload node.toml                          a node that runs reads its file, keys and codes again
  cloudctl codes import net.net.xml --out codes/     a SUMO network, or another format, to digital codes
  cloudctl codes show codes/0.json --out 0.html      draw a digital code
  cloudctl codes export codes/0.json --to geojson    a digital code in another format
  cloudctl sim run --sumocfg town.sumocfg --in-process --json run.json
  cloudctl eval                                      the tracker against truth, on made-up scenes
  cloudctl replay run.mcap --compare                 prove that the run can be repeated to the byte
  cloudctl recording info run.mcap                   what a recording holds; cut, merge and export it
  cloudctl doctor node.toml                          what stands in the way of a node, and what mends it
  cloudctl deploy out/deploy                         a systemd unit, a Dockerfile, Prometheus and Grafana files
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 0 success, 1 a check failed, 2 error, 130 stopped by Ctrl-C, 141
    where what reads its output has gone."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if not hasattr(args, "run"):
        parser.print_help()
        return 2

    try:
        status = int(args.run(args) or 0)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # What reads this command's output has enough, as `head` has; Python would complain of it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUTPUT_CLOSED
    except ModuleNotFoundError as error:
        print(
            f"cloudctl: {error.name} is not installed. Simulation needs: pip install 'cloudctl[sim]'", file=sys.stderr
        )
        return 2
    except (ValueError, RuntimeError, OSError) as error:
        if args.traceback:
            traceback.print_exc()
        print(f"cloudctl: {error}", file=sys.stderr)
        return 2


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    parser = argparse.ArgumentParser(
        "cloudctl",
        description="Vehicle-road cloud control: RSU streams in, advisories out.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cloudctl {__version__}")
    parser.add_argument("--debug", dest="traceback", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    add_setup_commands(commands)
    add_node_commands(commands)
    add_recording_commands(commands)
    add_city_commands(commands)
    add_capacity_command(commands)
    add_codes_commands(commands)
    add_simulation_commands(commands)

    return parser


if __name__ == "__main__":
    sys.exit(main())
