"""No message pays for a kernel: after `warm` nothing is compiled any more, whatever comes. In a process of its own,
where no other test compiled.
"""

import dataclasses
import importlib
import os
import pkgutil
import subprocess
import sys

import msgspec
from msgspec.structs import replace
from numba.core.registry import CPUDispatcher
from paths import ROOT, TESTS

import cloudctl
from bench.scene import Scene
from cloudctl import codes, maps, planner
from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode, compile_code
from cloudctl.engine import Engine
from cloudctl.planner.warm import warm
from cloudctl.schema import Hazard, RawMessage
from cloudctl.settings import EngineConfig

PACKAGES = ("cloudctl.planner", "cloudctl.codes", "cloudctl.forecast", "cloudctl.signals")
MODULES = ("cloudctl.matching", "cloudctl.world", "cloudctl.snapshots", "cloudctl.sensor_health", "cloudctl.approaches")
T = 1_767_225_600 * SECOND


def test_nothing_is_compiled_after_warming() -> None:
    env = os.environ | {"PYTHONPATH": f"{TESTS}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, __file__], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def compiled() -> dict[str, int]:
    """Return in how many variants each kernel of a step is compiled."""
    names = [m.name for m in pkgutil.walk_packages(cloudctl.__path__, "cloudctl.") if m.name.startswith(PACKAGES)]
    modules = [importlib.import_module(name) for name in (*names, *MODULES)]
    kernels = {d for module in modules for d in vars(module).values() if isinstance(d, CPUDispatcher)}
    return {f"{d.py_func.__module__}.{d.py_func.__name__}": len(d.signatures) for d in kernels}


def main() -> None:
    """Warm, plan for random worlds, for one vehicle alone, and before a hazard, and run an engine for some seconds;
    print the kernels that were compiled meanwhile.
    """
    from random_worlds import random_world
    from stage import GREEN, Stage

    code = compile_code(
        codes.load(
            maps.path(next(name for name in maps.names() if name.startswith("corridor") and name.endswith(".json")))
        )
    )
    warm(code)
    before = compiled()
    for seed in range(40):
        snapshot = random_world(code, seed, people=bool(seed % 2))
        planner.plan(snapshot)
    alone = Stage(code)
    alone.state, alone.left = GREEN, 30.0
    alone.put(alone.ingress[0], 80.0, 10.0)
    planner.plan(alone.world())
    lanes = [
        Hazard(1, "r0", str(k), "obstacle", snapshot.t, snapshot.t, snapshot.t + 10**10, code.lane_ids[k], (30.0, 40.0))
        for k in alone.ingress
    ]
    for hazard in lanes:
        planner.plan(dataclasses.replace(snapshot, hazards=(hazard,)))
    run_engine(code)
    print("".join(f"{name}\n" for name, n in sorted(compiled().items()) if n != before[name]), end="")


def run_engine(code: CompiledCode) -> None:
    """Run an engine on frames, signals and reports of a connected vehicle, long enough for every check that is made
    now and then."""
    engine = Engine([code.code], EngineConfig({"g": {"r0": code.code.id}}))
    scene = Scene(code, 30)
    for k in range(60):
        t = T + k * 100 * MS
        engine.step(
            t + 20 * MS,
            [
                RawMessage("perception", "g", scene.perception("r0", k, t)),
                RawMessage("signal", "g", scene.signal("r0", k, t)),
                RawMessage("state", "car", msgspec.json.encode(replace(scene.state(t), t=t))),
            ],
        )


if __name__ == "__main__":
    main()
