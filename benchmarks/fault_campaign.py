#!/usr/bin/env python3
"""The long fault campaign: random faults at every point of a run, for four providers, with streams and without.

    python3 benchmarks/fault_campaign.py [--runs 1000] [--seed 1] [--threads 8]

Prints the figures and every run that broke a promise; exits 1 when there is one. tests/support/campaign.py says what is
drawn and how it is judged. Everything happens on loopback; times are compressed, so 1,000 runs take about a minute.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.campaign import campaign, figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=8)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        reports = campaign(options.runs, options.seed, Path(folder), options.threads)
    for name, value in figures(reports).items():
        print(f"{name:32} {value}")
    print(f"{'took, s':32} {time.monotonic() - began:.0f}")
    broken = [report for report in reports if report.wrong]
    for report in broken:
        print(report.scenario, *(f"    {text[:500]}" for text in report.wrong), sep="\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
