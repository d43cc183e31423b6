"""Measure the overhead per request over the same unprotected one, in time and in instructions.

Time on a shared machine drifts by several microseconds within one process, and differs between processes by where
things happen to lie in memory. So the jobs are interleaved in rounds, each time is taken against the unprotected
request of the same round, and the medians of several processes are pooled. Instructions, counted by valgrind's
callgrind, repeat to half a percent, and know nothing of caches.

Every figure that has a target is held against it; if one is missed, the exit status is 1.

``python benchmarks/run.py [--processes N] [--rounds N] [--no-instructions]``
"""

import argparse
import gc
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import NamedTuple

from jobs import MANY, UNPROTECTED, Job, all_jobs, api_key, call, make_password_jobs

BATCH_SECONDS = 0.02


class Target(NamedTuple):
    """Hold what a job has to reach: a share of another job's overhead, or so many microseconds."""

    most: float
    of: str | None = None


TARGETS = {
    "flask_securest: guards alone (public)": Target(4.0),
    f"flask_securest: {api_key(1)}": Target(0.5, f"Flask-HTTPAuth: {api_key(1)}"),
    "flask_securest: token": Target(0.9, "Flask-HTTPAuth: token"),
    "flask_securest: third of three": Target(0.5, "Flask-HTTPAuth: third of three"),
    "flask_securest: JWT (HS256)": Target(1.0, "Flask-JWT-Extended: JWT (HS256)"),
    "flask_securest: JWT (RS256)": Target(1.0, "Authlib: JWT (RS256)"),
}

#: How many thousand instructions a job may take at most, over the unprotected request.
MOST_INSTRUCTIONS = {"flask_securest: JWT (HS256)": 240}

#: How far the medians of refused passwords may lie apart.
MOST_APART = 0.05


def baseline_of(name: str) -> str:
    """Return the job that is the same without protection."""
    library = name.partition(":")[0]
    return f"{UNPROTECTED.get(library, library)}: unprotected"


def time_jobs(jobs: dict[str, Job], rounds: int) -> dict[str, list[float]]:
    """Return the microseconds per request of each job in each round."""
    sizes = {}
    for name, job in jobs.items():
        call(job)
        started = perf_counter()
        for _ in range(20):
            call(job)
        sizes[name] = max(1, int(BATCH_SECONDS / ((perf_counter() - started) / 20)))
    times: dict[str, list[float]] = {name: [] for name in jobs}
    names = list(jobs)
    for turn in range(rounds):
        gc.collect()
        # Each round begins elsewhere, so that no job always comes behind the same one.
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            job, size = jobs[name], sizes[name]
            started = perf_counter()
            for _ in range(size):
                call(job)
            times[name].append((perf_counter() - started) / size * 1e6)
    return times


def time_in_processes(processes: int, rounds: int) -> dict[str, list[float]]:
    """Return the median overhead of each job in each of several processes, in microseconds."""
    overheads: dict[str, list[float]] = {}
    for number in range(processes):
        print(f"process {number + 1} of {processes} ...", file=sys.stderr)
        command = [sys.executable, __file__, "--child", "time", "--rounds", str(rounds)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        times = json.loads(done.stdout)
        for name, series in times.items():
            if name.endswith(": unprotected"):
                overheads.setdefault(name, []).append(statistics.median(series))
            else:
                over = [mine - base for mine, base in zip(series, times[baseline_of(name)], strict=True)]
                overheads.setdefault(name, []).append(statistics.median(over))
    return overheads


def count_instructions(name: str) -> float:
    """Return the thousand instructions of one request, as the difference of two runs of the same process."""
    counts = []
    for requests in (100, 300):
        with tempfile.TemporaryDirectory() as directory:
            tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/out"]
            command = [*tool, sys.executable, __file__, "--child", "count", "--job", name, "--requests", str(requests)]
            environ = os.environ | {"PYTHONHASHSEED": "0"}
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=environ)
            found = re.search(r"Collected : (\d+)", done.stderr)
            if found is None:
                raise RuntimeError(f"valgrind did not say how many instructions: {done.stderr}")
            counts.append(int(found.group(1)))
    return (counts[1] - counts[0]) / 200 / 1000


def count_all(names: list[str]) -> dict[str, float]:
    """Return the thousand instructions of each job over its unprotected request, or nothing without valgrind."""
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: no instructions are counted\n")
        return {}
    print("counting instructions ...", file=sys.stderr)
    # Of what is held against something. Elsewhere most of it is cryptography, or the same; and each takes a while.
    compared = {job for job, target in TARGETS.items() if "JWT" not in job for job in (job, target.of) if job}
    compared |= set(MOST_INSTRUCTIONS)
    counted = [name for name in names if name in compared | {baseline_of(job) for job in compared}]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = dict(zip(counted, pool.map(count_instructions, counted), strict=True))
    return {name: n if name == baseline_of(name) else n - counts[baseline_of(name)] for name, n in counts.items()}


def report(overheads: dict[str, list[float]], instructions: dict[str, float]) -> Iterator[str]:
    """Print the table, and yield what has missed its target."""
    print(f"{'over the unprotected request':40} {'µs: median (range)':>24} {'thousand':>9}   held against")
    print(f"{'':40} {'of the processes':>24} {'instr.':>9}")
    for name, each in overheads.items():
        median = statistics.median(each)
        counted = f"{instructions[name]:9.1f}" if name in instructions else f"{'-':>9}"
        line = f"{name:40} {median:9.1f} ({min(each):.1f}-{max(each):.1f})".ljust(66) + counted
        target = TARGETS.get(name)
        if target is not None and target.of is None:
            verdict = "reached" if median <= target.most else "MISSED"
            line += f"   at most {target.most} µs: {verdict}"
        elif target is not None and target.of is not None:
            # Of the same process, for a process that is slow is slow in all.
            share = statistics.median(mine / other for mine, other in zip(each, overheads[target.of], strict=True))
            verdict = "reached" if share <= target.most else "MISSED"
            line += f"   {share:.2f}"
            if name in instructions and target.of in instructions:
                line += f" ({instructions[name] / instructions[target.of]:.2f} in instructions)"
            line += f" of {target.of.partition(':')[0]}'s, at most {target.most}: {verdict}"
        if name in MOST_INSTRUCTIONS and name in instructions:
            verdict = "reached" if instructions[name] <= MOST_INSTRUCTIONS[name] else "MISSED"
            line += f"; at most {MOST_INSTRUCTIONS[name]} thousand instructions: {verdict}"
        if "MISSED" in line:
            yield line
        print(line)
    one, many = (overheads[f"flask_securest: {api_key(number)}"] for number in (MANY[0], MANY[-1]))
    apart = statistics.median(there - here for here, there in zip(one, many, strict=True))
    noise = max(one) - min(one)
    print(
        "\na refusal is made through the Api's representations, with all challenges; Flask-HTTPAuth's is a line of text"
    )
    print(f"{MANY[-1]:,} keys cost {apart:+.1f} µs more than one, whose own range over the processes is {noise:.1f} µs")
    if apart > noise:
        yield "what an API key costs depends on how many there are"


def report_passwords(rounds: int) -> Iterator[str]:
    """Print how long refused passwords take, and yield what lies too far apart."""
    times = time_jobs(make_password_jobs(), rounds)
    reference = times["wrong password"]
    print("\nBasic, argon2id: refused, interleaved")
    for name, series in times.items():
        # Of the same round, for what disturbs one disturbs both.
        share = statistics.median(mine / other for mine, other in zip(series, reference, strict=True))
        print(f"{name:40} {statistics.median(series) / 1000:9.1f} ms {share:9.3f} of a wrong password's")
        if abs(share - 1) > MOST_APART:
            yield f"{name} takes {share:.3f} of the time of a wrong password"


def all_made() -> dict[str, Callable[[], Job]]:
    """Return how to make each job, by its name."""
    from jwts import jwt_jobs
    from others import other_jobs

    return all_jobs() | jwt_jobs() | other_jobs()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=9)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-instructions", action="store_true")
    parser.add_argument("--child", choices=["time", "count"], help=argparse.SUPPRESS)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--requests", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child == "time":
        jobs = {name: make() for name, make in all_made().items()}
        print(json.dumps(time_jobs(jobs, arguments.rounds)))
        return 0
    if arguments.child == "count":
        job = all_made()[arguments.job]()
        gc.disable()  # when it happens to run would be counted, and says nothing about this request
        for _ in range(arguments.requests):
            call(job)
        return 0
    print(f"Python {sys.version.split()[0]}, {arguments.processes} processes of {arguments.rounds} rounds each\n")
    from keystores import report_keystores
    from others import report_kerberos

    overheads = time_in_processes(arguments.processes, arguments.rounds)
    instructions = {} if arguments.no_instructions else count_all(list(overheads))
    missed = [*report(overheads, instructions), *report_passwords(51), *report_keystores()]
    report_kerberos()
    print("\nmissed:\n  " + "\n  ".join(missed) if missed else "\nall targets are reached")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
