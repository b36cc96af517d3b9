#!/usr/bin/env python3
"""The whole kill campaign: SIGKILL at every write, fsync, rename and send of a run, and at random moments.

    python3 benchmarks/kill_campaign.py [--random 200] [--seed 1]

For a provider that is polled (ark) and one that streams (skills-video): a real create_and_wait.py is killed before each
operation and in the middle of each write; every artifact is read; the same command is run again. It must reach the same
paid task, or, when the kill fell between the first byte sent and the id on disk, end with exit 3 and no second POST.
Prints the figures and what broke; exits 1 when something did. Takes about four minutes on two cores. POSIX only.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.kills import campaign, every_kill, operations, random_kills


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--random", type=int, default=200, help="kills at random moments (200)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    broken = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        caches = folder / "caches"
        warm_up = folder / "warm-up"
        caches.mkdir()
        warm_up.mkdir()
        for provider in ("ark", "skills-video"):
            operations(provider, warm_up, caches)  # fills the caches
            began = time.monotonic()
            names = operations(provider, folder, caches)
            took_s = time.monotonic() - began
            every = every_kill(provider, names)
            chance = random_kills(provider, options.random // 2, took_s, rng)
            for what, kills in ((f"each of {len(names)} operations", every), ("random moments", chance)):
                place = folder / f"{provider}-{what.split()[0]}"
                place.mkdir()
                results = campaign(kills, place, caches)
                ends = Counter(result.end for result in results)
                print(
                    f"{provider}, {what}: {len(kills)} kills, unreadable {sum(r.unreadable for r in results)}, "
                    f"most paid {max(r.paid for r in results)}, same task {ends['paid']}, exit 3 {ends['unknown']}, "
                    f"not hit {ends['unkilled']}, broken {sum(bool(r.wrong) for r in results)}"
                )
                for result in results:
                    if result.wrong:
                        broken += 1
                        print("   ", result.kill, result.wrong)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
