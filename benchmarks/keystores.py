"""Issue a million API keys in SQLite and in PostgreSQL, and look some up: among a thousand, and among all of them."""

import random
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from flask_securest.keystores.sqlalchemy import SQLAlchemyKeystore

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers.postgresql import postgresql

FEW, MANY = 1_000, 1_000_000

#: How many keys have to be issued in a second, and how much longer a look-up may take among many than among few.
LEAST_PER_SECOND, MOST_TIMES = 5_000, 3.0


@contextmanager
def sqlite_urls() -> Iterator[list[str]]:
    with tempfile.TemporaryDirectory() as directory:
        yield [f"sqlite:///{directory}/{number}.db" for number in (FEW, MANY)]


@contextmanager
def postgresql_urls() -> Iterator[list[str]]:
    with postgresql() as server:
        yield [server.new_database() for _ in range(2)]


def issue(url: str, number: int) -> tuple[SQLAlchemyKeystore, list[str], float]:
    """Return a store with so many keys, some of their ids, and how many were issued in a second."""
    store = SQLAlchemyKeystore(url, timeout=60)
    store.create_schema()
    ids: list[str] = []

    def make() -> Iterator[object]:
        for count in range(number):
            key = store.make(app_name=f"client{count % 100}", scopes=["read"]).key
            if count % (number // 500) == 0:
                ids.append(key.id)
            yield key

    started = perf_counter()
    store.add_keys(make())  # type: ignore[arg-type]
    return store, ids, number / (perf_counter() - started)


def time_look_ups(stores: list[tuple[SQLAlchemyKeystore, list[str]]]) -> list[float]:
    """Return the median microseconds of a look-up in each of the stores, asked in turns."""
    chance = random.Random(1)
    times: list[list[float]] = [[] for _ in stores]
    for store, ids in stores:
        for key_id in ids:
            store.get_key(key_id)
    for _ in range(2000):
        for series, (store, ids) in zip(times, stores, strict=True):
            key_id = chance.choice(ids)
            started = perf_counter()
            assert store.get_key(key_id) is not None
            series.append((perf_counter() - started) * 1e6)
    return [statistics.median(series) for series in times]


def report_keystores() -> Iterator[str]:
    """Print how fast keys are issued and looked up, and yield what has missed its target."""
    print(f"\nAPI keys in a database: {MANY:,} issued in bulk; a look-up among {FEW:,} and among {MANY:,}")
    for name, urls in (("SQLite", sqlite_urls), ("PostgreSQL", postgresql_urls)):
        with urls() as (few_url, many_url):
            few_store, few_ids, _ = issue(few_url, FEW)
            many_store, many_ids, per_second = issue(many_url, MANY)
            few, many = time_look_ups([(few_store, few_ids), (many_store, many_ids)])
        print(f"{name:12} {per_second:8,.0f} keys/s {few:8.0f} µs {many:8.0f} µs {many / few:6.2f} times as long")
        if per_second < LEAST_PER_SECOND:
            yield f"{name}: {per_second:.0f} keys/s, at least {LEAST_PER_SECOND}"
        if many / few > MOST_TIMES:
            yield f"{name}: a look-up among {MANY:,} takes {many / few:.1f} times as long, at most {MOST_TIMES}"


if __name__ == "__main__":
    sys.exit("\n".join(report_keystores()) or 0)
