"""Everything that is read from outside, fuzzed: nothing may crash, hang or eat memory.

python -m benchmarks.fuzz
python -m benchmarks.fuzz packets configs --count 20000 --seed 7
"""

import argparse
import faulthandler
import sys
import time
from collections.abc import Callable

from benchmarks import fuzz_files, fuzz_profiles
from benchmarks.fuzzed import TAKEN, Fuzzed

_HANG_S = 120.0
_MOST_MB = 300.0
"""A file is at most some MB; what the readers keep of it must not be a multiple of that."""


KINDS: dict[str, tuple[Callable[[int, int], Fuzzed], int]] = {
    "payloads": (fuzz_profiles.payloads, 800_000),
    "packets": (fuzz_files.packets, 200_000),
    "configs": (fuzz_files.configs, 10_000),
    "plugins": (fuzz_files.plugins, 20_000),
    "profiles": (fuzz_files.profiles, 5_000),
    "cameras": (fuzz_files.cameras, 20_000),
}
"""By name: what fuzzes, and how many inputs; a YAML file takes 1,000 times as long as a payload."""


def main() -> int:
    """Print what became of the inputs; the exit code is 1 if anything is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--count", type=int, default=0, help="inputs of each kind")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if unknown := set(given.kinds) - set(KINDS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(KINDS)}")
    faulthandler.enable()
    wrong = 0
    print("kind          inputs   taken  refused   time  slowest  memory  wrong")
    for kind in given.kinds or KINDS:
        wrong += _run(kind, given.count, given.seed)
    return int(wrong > 0)


def _run(kind: str, count: int, seed: int) -> int:
    """Fuzz one kind, print a line, and return how much was wrong."""
    fuzz, usual = KINDS[kind]
    began = time.perf_counter()
    faulthandler.dump_traceback_later(_HANG_S + (count or usual) / 50, exit=True)
    fuzzed = fuzz(count or usual, seed)
    faulthandler.cancel_dump_traceback_later()
    if fuzzed.grown_mb > _MOST_MB:
        fuzzed.wrong.append(f"memory grew by {fuzzed.grown_mb:.0f} MB")
    total = fuzzed.ended.total() + len(fuzzed.wrong)
    taken = fuzzed.ended[TAKEN]
    print(
        f"{kind:10}{total:10,}{taken:8,}{fuzzed.ended.total() - taken:9,}"
        f"{time.perf_counter() - began:5.0f} s{1000 * fuzzed.slowest_s:6.0f} ms"
        f"{fuzzed.grown_mb:5.0f} MB{len(fuzzed.wrong):7}",
        flush=True,
    )
    for line in fuzzed.wrong[:10]:
        print(f"  {line}")
    return len(fuzzed.wrong)


if __name__ == "__main__":
    sys.exit(main())
