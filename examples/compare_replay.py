"""A recording driven through the same engine again: every advisory must have the bytes of the one that was sent.

python examples/compare_replay.py RECORDING     a file of the run, or its folder
"""

import sys
from collections import Counter
from pathlib import Path

import msgspec

from cloudctl.io.recording.reader import Recording
from cloudctl.replay import replay
from cloudctl.schema import Advisory


def main(path: Path) -> int:
    result = replay(path)

    decode = msgspec.json.Decoder(Advisory).decode
    kinds = Counter(str(decode(payload).kind) for step in Recording(path).steps() for payload in step.advisories)
    print(f"{result.span_s:.1f} s of {result.messages} messages, replayed {result.speed:.0f} times as fast")
    print(f"{result.advisories} advisories: {', '.join(f'{kind} {n}' for kind, n in kinds.most_common())}")
    for note in result.notes:
        print(f"not in the recording: {note}")

    if result.difference is not None:
        print(f"not the same: {result.difference}")
        return 1
    print("byte-identical")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
