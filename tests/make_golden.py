"""Makes tests/golden/run.mcap anew: `PYTHONPATH=. python tests/make_golden.py`. Do so only in a commit that says why
what the node says has changed.
"""

from paths import GOLDEN

from bench.bench_replay import record

FILE = GOLDEN

if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.unlink(missing_ok=True)  # a recorder never writes over a recording
    record(FILE, 6.0, 12)
    print(f"wrote {FILE}, {FILE.stat().st_size} bytes")
