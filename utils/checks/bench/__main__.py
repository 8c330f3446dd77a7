"""Time the pipeline, on a fresh emulator at ENDPOINT, beside other writers of workbooks."""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from checks.bench import tables
from checks.bench.compare import SUMMARY, check
from checks.bench.execute import check_workbook, execute, noise_told
from checks.bench.measure import DATA, Run, run_writer
from checks.bench.show import show
from harness.fault import Fault
from harness.target import emulator

WRITERS = {
    "pandas": "pandas `to_excel`",
    "xlsxwriter": "XlsxWriter `constant_memory`",
    "rustypyxl": "Rust: rustypyxl",
    "jetxl": "Rust: jetxl",
}
KEY, WORKBOOK = "members.json", "members.xlsx"
FOLDERS = (100, 10_000)  # objects of a million rows


def main(rows: int, repeat: int) -> None:
    """
    Raises:
        Fault: an execution failed, or its workbook is not the table.
    """
    source = tables.source("members", rows)
    with noise_told():
        runs = dict(write(source, repeat))
        emulator().client("s3").upload_file(str(source), emulator().bucket, KEY)
        runs["the pipeline, first execution"] = run(KEY, WORKBOOK, source, 1)
        runs["the pipeline, warm"] = run(KEY, WORKBOOK, source, repeat)
        for objects in FOLDERS if rows >= 1_000_000 else ():
            folder = put_folder(source, objects)
            label = f"… the table in {objects:,} objects"
            runs[label] = run(f"{folder}/", f"{folder}.xlsx", source, repeat)
        show(f"{rows:,} members, {source.stat().st_size / 1e6:.1f} MB of JSON", runs)


def write(source: Path, repeat: int) -> Iterator[tuple[str, list[Run]]]:
    """Each writer's runs; one that makes no right workbook, perhaps for want of memory, has none."""
    for name, label in WRITERS.items():
        try:
            yield label, [write_checked(name, source) for _ in range(repeat)]
        except Fault as fault:
            print(f"{label}: {fault}")


def write_checked(name: str, source: Path) -> Run:
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        workbook = Path(folder, WORKBOOK)
        run = run_writer(name, f"{name}_writer.py", source, workbook)
        check(workbook, source)
    return run


def run(key: str, workbook: str, source: Path, times: int) -> list[Run]:
    runs = []
    for _ in range(times):
        runs.append(execute(key))
        check_workbook(workbook, source, SUMMARY)
    return runs


def put_folder(source: Path, objects: int) -> str:
    """Cut a file with a record a line into so many objects; returns their folder."""
    s3, folder = emulator().client("s3"), f"of-{objects}"
    records = source.read_text(encoding="utf-8").splitlines()[1:-1]
    for number, part in enumerate(itertools.batched(records, len(records) // objects)):
        body = f"[{''.join(part).rstrip(',')}]".encode()
        s3.put_object(Bucket=emulator().bucket, Key=f"{folder}/{number:05}.json", Body=body)
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m checks.bench", description=__doc__)
    parser.add_argument("rows", type=int)
    parser.add_argument("repeat", type=int, help="runs of each")
    try:
        main(**vars(parser.parse_args()))
    except Fault as fault:
        sys.exit(f"error: {fault}")
