"""A signal controller that lies: 2,000 runs of ten drivers that do exactly as advised; passes of a red that could have
been stopped for."""

import os
from concurrent.futures import ProcessPoolExecutor
from random import Random

from bench.lying import Case
from cloudctl import codes, maps
from cloudctl.codes import compile_code

RUNS = 2_000
PART = 50  # runs of one task
FIRST = 1_000  # seed; those below were used while the planner was made


def part(first: int) -> tuple[int, int, list[str]]:
    """Return the numbers of drivers and of those that passed their line, and the violations, of PART runs."""
    code = compile_code(codes.load(maps.path("intersection.json")))
    drivers = passed = 0
    violations: list[str] = []

    for seed in range(first, first + PART):
        case = Case(code, Random(seed))
        violations += [f"seed {seed}: {text}" for text in case.run()]
        drivers += len(case.drives)
        passed += sum(drive.passed for drive in case.drives)

    return drivers, passed, violations


def run() -> str:
    """Return the report: passes of a red that could have been avoided, of all runs."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        parts = list(pool.map(part, range(FIRST, FIRST + RUNS, PART)))
    violations = [text for _, _, violations_of in parts for text in violations_of]
    drivers, passed = sum(row[0] for row in parts), sum(row[1] for row in parts)

    return "\n".join(
        [
            f"{drivers:,} drivers, {passed:,} passed their line, {len(violations)} violations (must be 0)",
            *violations[:20],
        ]
    )
