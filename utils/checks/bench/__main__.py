"""Run the pipeline beside other writers of workbooks, on the same data."""

import argparse
import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import psutil

from checks.bench import tables
from checks.bench.claims import claims
from checks.bench.compare import check, read_members
from checks.bench.figures import (
    DATA,
    HERE,
    MILLION,
    UTILS,
    WRITERS,
    Run,
    Table,
    python,
    run_measured,
    run_stage,
)
from checks.bench.show import console, progress, show, show_claims, show_noise
from harness.fault import Fault
from harness.settings import RESULT

ENOUGH_S = 120  # a competitor that has taken as long is not run again at that size
ENDS = (".json", ".jsonl", ".csv", ".json.gz", ".jsonl.gz", ".csv.gz")  # of the scatter's inputs


def main(sizes: list[int], repeat: int) -> int:
    cpus, load = os.cpu_count() or 1, os.getloadavg()[0]
    show_noise("at the start", load, cpus)
    measured, faults = list[Table](), list[str]()
    for rows in sorted(sizes):
        measured.append(measure(rows, repeat, faults))
        found = {"cpus": cpus, "load": load, "tables": [*map(asdict, measured)], "faults": faults}
        text = json.dumps(found, ensure_ascii=False, indent=2)
        (RESULT / "bench.json").write_text(f"{text}\n", encoding="utf-8")
    for table in measured:
        show(table)
        show_noise(f"{table.rows:,} rows", table.others_cpus, cpus)
    show_claims(claims(measured))
    for fault in faults:
        console.print(f"[red]wrong[/] {fault}")
    console.print("result/bench.json")
    return 1 if faults else 0


def measure(rows: int, repeat: int, faults: list[str]) -> Table:
    """Run everyone on one table; what is wrong goes into `faults`."""
    console.print(f"{rows:,} rows")
    table, source = tables.table("members", rows), tables.source("members", rows)
    began, before_s = time.monotonic(), others_cpu_s()
    try:
        measure_writers(table, source, repeat, faults)
        measure_pipeline(table, source, repeat)
        if rows == MILLION:
            measure_scatters(table, source, repeat)
    except Fault as fault:
        faults.append(f"pipeline, {rows:,} rows: {fault}")
    table.others_cpus = max(0.0, others_cpu_s() - before_s) / (time.monotonic() - began)
    return table


def measure_writers(table: Table, source: Path, repeat: int, faults: list[str]) -> None:
    for name, label in WRITERS.items():
        runs: list[Run] = []
        try:
            while len(runs) < repeat and sum(run.wall_s for run in runs) < ENOUGH_S:
                runs.append(run_checked(name, source, table.rows))
        except Fault as fault:
            faults.append(f"{label}, {table.rows:,} rows: {fault}")
            continue
        table.runs[label] = runs
        progress(label, runs)


def run_checked(name: str, source: Path, rows: int) -> Run:
    """
    Raises:
        Fault: it ended without a workbook, or with a wrong one.
    """
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        workbook = Path(folder, "members.xlsx")
        script = HERE / "writers" / f"{name}_writer.py"
        run = run_measured(python(name), script, source, workbook)
        if fault := check(workbook, source, rows):
            raise Fault(fault)
    return run


def measure_pipeline(table: Table, source: Path, repeat: int) -> None:
    """Run the pipeline on a fresh emulator; no run counts if one of its workbooks was wrong."""
    emulated = [sys.executable, "-m", "harness", "with-emulator", sys.executable, "-m"]
    module = ["checks.bench.executions", str(source), str(table.rows), str(repeat)]
    done = subprocess.run([*emulated, *module], cwd=UTILS, capture_output=True, text=True)
    if done.returncode:
        raise Fault(done.stderr.strip())
    found = json.loads(done.stdout)
    for who, runs in found.items():
        table.runs[who] = [Run(**run) for run in runs]
        progress(who, table.runs[who])


def measure_scatters(table: Table, source: Path, repeat: int) -> None:
    """Scatter the table in each format, in turn, so that other work slows them alike."""
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        files = {end: Path(folder, f"members{end or '-none.json'}") for end in ("", *ENDS)}
        write_formats(source, files)
        for _ in range(repeat):
            for end, file in files.items():
                run = run_stage("scatter", file, Path(folder))
                table.scatters.setdefault(end, []).append(run)
    for end, runs in table.scatters.items():
        progress(f"scatter alone, {end or 'empty'}", runs)


def write_formats(source: Path, files: dict[str, Path]) -> None:
    files[""].write_text("[]")
    shutil.copy(source, files[".json"])
    with files[".jsonl"].open("w") as lines, files[".csv"].open("w", newline="") as table:
        writer = csv.writer(table)
        for number, member in enumerate(read_members(source)):
            json.dump(member, lines, ensure_ascii=False)
            lines.write("\n")
            if not number:
                writer.writerow(member)
            writer.writerow(member.values())
    for end in (".json", ".jsonl", ".csv"):
        with files[end].open("rb") as text, gzip.open(files[f"{end}.gz"], "wb", 6) as packed:
            shutil.copyfileobj(text, packed)


def others_cpu_s() -> float:
    """CPU time so far of all that is not this process or its ended children.

    Time that a hypervisor took away counts.
    """
    times = psutil.cpu_times()._asdict()
    counted_elsewhere = ("idle", "iowait", "guest", "guest_nice")
    busy_s = float(sum(s for kind, s in times.items() if kind not in counted_elsewhere))
    return busy_s - sum(os.times()[:4])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m checks.bench", description=__doc__)
    parser.add_argument("sizes", nargs="+", type=int, help="rows of each table")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each")
    try:
        sys.exit(main(**vars(parser.parse_args())))
    except KeyboardInterrupt:
        sys.exit(130)
