"""Runs the benches by name, and prints the machine they run on."""

import importlib
import platform
import sys
from pathlib import Path

NAMES = ("decode", "fusion", "plan", "egress", "loop", "replay", "start", "codes")
MORE = {  # only by name: they take minutes; peers also the `peers` extra
    "peers": "bench_fusion",
    "lying": "bench_lying",
    "round_trips": "bench_round_trips",
    "fuzz": "bench_fuzz",
    "soak": "bench_soak",
    "recovery": "bench_recovery",
    "signing": "bench_signing",
    "networks": "bench_networks",
    "view": "bench_view",
    "metrics": "bench_metrics",
    "city": "bench_city",
    "failover": "bench_failover",
    "recording": "bench_recording",
    "engine": "bench_engine",
    "digest": "bench_digest",
}


def machine() -> str:
    """Return the processor, the version of Python and the operating system."""
    processor = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        processor = models[0].split(":")[1].strip() if models else processor

    return f"{processor}, Python {platform.python_version()}, {platform.system()}"


def main(names: list[str]) -> int:
    """Run the benches of the given names, in turn; return the exit status."""
    unknown = [name for name in names if name not in NAMES and name not in MORE]
    if unknown:
        print(f"no bench {', '.join(unknown)}; there are {', '.join((*NAMES, *MORE))}", file=sys.stderr)
        return 2

    print(f"machine: {machine()}\n", flush=True)
    for name in names or NAMES:
        file = MORE.get(name, "bench_hop_fusion" if name == "fusion" else f"bench_{name}")
        module = importlib.import_module(f"bench.{file}")
        print(f"== {name}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
        print(module.run() + "\n", flush=True)

    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
