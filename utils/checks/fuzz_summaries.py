"""Summaries of random tables beside a model of fractions, decimals and Python's own order.

    python fuzz_summaries.py [seconds] [first seed]

Each table is gathered in two cuts, whose workbooks must be the same bytes, and read by calamine. A
table that fails is named by its seed.
"""

import sys
import time

from pipeline.tests.summaries.test_random_summaries import check


def main(seconds: float = 60, seed: int = 1) -> int:
    end, first = time.monotonic() + seconds, seed
    while time.monotonic() < end:
        try:
            check(seed, setattr)
        except Exception:
            print(f"summaries: the table of seed {seed} failed", file=sys.stderr)
            raise
        seed += 1
    print(f"summaries: {seed - first} tables in two cuts are as the model has them")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
