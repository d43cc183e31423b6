"""Try many random hierarchies: ``make rules``, ``make rules SEED=7 COUNT=2000``."""

import argparse
import functools
import logging
import multiprocessing
import os
import random
import sys
import time
import traceback

from rules_generator import make_case
from rules_runner import find_differences, report
from rules_shrinking import shrink


def try_one(seed, number):
    """Return what is to be told of one hierarchy: nothing, if it gets what the contract says."""
    case = make_case(seed, number)
    try:
        differences = find_differences(case)
        return number, report(*shrink(case, differences)) if differences else ""
    except Exception:
        return number, f"{report(case, [])}{traceback.format_exc()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="a number; another one each time, unless given")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    seed = random.randrange(10**9) if options.seed is None else options.seed
    logging.disable(logging.CRITICAL)
    say(f"{options.count} hierarchies: SEED={seed} COUNT={options.count}")
    begun, found = time.monotonic(), 0
    with multiprocessing.Pool(options.processes) as pool:
        told = pool.imap(functools.partial(try_one, seed), range(options.count), chunksize=20)
        for done, (number, text) in enumerate(told, 1):
            if text:
                found += 1
                say(f"\n# hierarchy {number}\n{text}")
            if done % 2000 == 0:
                say(f"{done} tried, {found} differ, {time.monotonic() - begun:.0f} s")
    say(f"{options.count} tried with SEED={seed}: {found} differ from the contract")
    return 1 if found else 0


def say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
