"""Make members to try the pipeline on: `python utils/utils.py 1000`."""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import fire
from mimesis import Locale, Person

from harness.bucket import check_bucket
from harness.fault import Fault
from harness.signals import exit_on_signals
from harness.target import connect

SAMPLE = Path(__file__).resolve().parent / "data" / "sample_data.json"
FIRST_DAY = date(2021, 1, 1)


def members(count: int, seed: int | None = None) -> Iterator[dict[str, Any]]:
    """Members numbered from 000, the same ones for the same seed."""
    person = Person(locale=Locale.JA, seed=seed) if seed is not None else Person(locale=Locale.JA)
    random = person.random
    for number in range(count):
        yield {
            "会員番号": f"{number:03d}",
            "名前": f"{person.surname()} {person.first_name()}",
            "会員ランク": random.randint(1, 5),
            "ポイント": random.randint(50, 100),
            "タイムスタンプ": str(FIRST_DAY + timedelta(random.randrange(365))),
        }


def write(count: int, seed: int | None, path: Path) -> None:
    """Write a JSON array, a record a line, whole or not at all; many with a bar on a terminal."""
    partial = path.with_suffix(".part")
    shown: Iterable[dict[str, Any]] = members(count, seed)
    if count >= 10_000 and sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track

        shown = track(shown, "members", count, console=Console(stderr=True), transient=True)
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write("[")
            for number, member in enumerate(shown):
                file.write(",\n" if number else "\n")
                json.dump(member, file, ensure_ascii=False)
            file.write("\n]\n")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def main(
    count: int = 1000,
    seed: int | None = None,
    key: str = "test.json",
    target: str = "localstack",
    stack: str = "aggregate",
    region: str = "",
) -> None:
    """Write `count` members to utils/data/sample_data.json and to `key` in the bucket."""
    if type(count) is not int or count < 0:
        raise Fault(f"ROWS: must be a whole number from 0; found {count!r}")
    place = connect(target, stack, region)
    check_bucket(place)
    write(count, seed, SAMPLE)
    place.client("s3").upload_file(str(SAMPLE), place.bucket, key)
    print(f"{count} members in s3://{place.bucket}/{key} and {os.path.relpath(SAMPLE)}")


if __name__ == "__main__":
    exit_on_signals()
    try:
        fire.Fire(main)
    except KeyboardInterrupt:
        sys.exit(130)
    except Fault as fault:
        sys.exit(f"error: {fault}")
