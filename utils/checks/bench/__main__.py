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

from checks.bench.compare import check, read_members
from checks.bench.figures import (
    DATA,
    ENDS,
    HERE,
    RESULT,
    ROOT,
    UTILS,
    WRITERS,
    Bench,
    Execution,
    Run,
    Sized,
    python,
)
from checks.bench.show import console, show
from checks.bench.tables import members_file, positive
from checks.bench.verdicts import MILLION
from checks.bench.writer import run_writer
from harness.fault import Fault

ENOUGH_S = 120  # a competitor that has taken as long is not run again at that size


def main(sizes: list[int], repeat: int) -> int:
    bench = Bench(os.cpu_count() or 1, os.getloadavg()[0])
    noise = ": a noisy machine, and so will be the times" if bench.noisy else ""
    console.print(f"load average {bench.load:.1f} on {bench.cpus} CPUs{noise}")
    for rows in sorted(sizes):
        bench.sizes.append(measure(rows, repeat, bench.faults))
        keep(bench)
    show(bench)
    figures, picture = RESULT / "bench.json", RESULT / "bench.svg"
    draw = [python("bench"), "-m", "checks.bench.plot", str(figures), str(picture)]
    subprocess.run(draw, cwd=UTILS, check=True)
    console.print("result/bench.json result/bench.svg")
    return 1 if bench.faults else 0


def measure(rows: int, repeat: int, faults: list[str]) -> Sized:
    """Run everyone on one table; what is wrong goes into `faults`."""
    console.print(f"{rows:,} rows")
    source = members_file(rows)
    size = Sized(rows, source.stat().st_size)
    began, before_s = time.monotonic(), others_cpu_s()
    try:
        measure_writers(size, source, repeat, faults)
        measure_pipeline(size, source, repeat)
        if rows == MILLION:
            measure_scatters(size, source, repeat)
    except Fault as fault:
        add_fault(faults, f"pipeline, {rows:,} rows: {fault}")
    cpus = max(0.0, others_cpu_s() - before_s) / (time.monotonic() - began)
    return Sized(**{**vars(size), "others_cpus": cpus})


def measure_writers(size: Sized, source: Path, repeat: int, faults: list[str]) -> None:
    for name, label in WRITERS.items():
        runs: list[Run] = []
        try:
            while len(runs) < repeat and sum(run.wall_s for run in runs) < ENOUGH_S:
                runs.append(run_checked(name, source, size.rows))
        except Fault as fault:
            add_fault(faults, f"{label}, {size.rows:,} rows: {fault}")
            continue
        size.writers[name] = runs
        progress(label, runs)


def run_checked(name: str, source: Path, rows: int) -> Run:
    """
    Raises:
        Fault: it ended without a workbook, or with a wrong one.
    """
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        workbook = Path(folder, "members.xlsx")
        run = run_writer(name, f"{name}_writer.py", source, workbook)
        if fault := check(workbook, source, rows):
            raise Fault(fault)
    return run


def measure_pipeline(size: Sized, source: Path, repeat: int) -> None:
    """Run the pipeline on a fresh emulator; no run counts if one of its workbooks was wrong."""
    emulated = [sys.executable, "-m", "harness", "with-emulator", sys.executable, "-m"]
    module = ["checks.bench.pipeline", str(source), str(size.rows), str(repeat)]
    done = subprocess.run([*emulated, *module], cwd=UTILS, capture_output=True, text=True)
    if done.returncode:
        raise Fault(done.stderr.strip())
    found = json.loads(done.stdout)
    size.cold.extend(Execution(**run) for run in found["cold"])
    size.warm.extend(Execution(**run) for run in found["warm"])
    size.noop_ms.extend(found["noop_ms"])
    progress("pipeline, cold", size.cold)
    progress("pipeline, warm", size.warm)


def measure_scatters(size: Sized, source: Path, repeat: int) -> None:
    """Scatter the table in each format, in turn, so that other work slows them alike."""
    function, shared = ROOT / "demo-scatter", UTILS / "shared"
    environment = {**os.environ, "PYTHONPATH": f"{function}:{shared}"}
    command = [sys.executable, "-I", "-S", str(HERE / "measured.py")]
    command += [str(function / ".venv/bin/python"), str(HERE / "scatter_alone.py")]
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        files = {end: Path(folder, f"members{end or '-none.json'}") for end in ("", *ENDS)}
        write_formats(source, files)
        for _ in range(repeat):
            for end, file in files.items():
                done = subprocess.run(
                    [*command, str(file)], env=environment, capture_output=True, text=True
                )
                if done.returncode:
                    raise Fault(f"scatter of {file.name}: {done.stderr.strip()}")
                size.scatters.setdefault(end, []).append(Run(**json.loads(done.stdout)))
    for end, runs in size.scatters.items():
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
    for end in ENDS:
        if end.endswith(".gz"):
            with (
                files[end.removesuffix(".gz")].open("rb") as text,
                gzip.open(files[end], "wb", 6) as packed,
            ):
                shutil.copyfileobj(text, packed)


def others_cpu_s() -> float:
    """CPU time so far of all that is not this process or its ended children.

    Time that a hypervisor took away counts.
    """
    times = psutil.cpu_times()._asdict()
    counted_elsewhere = ("idle", "iowait", "guest", "guest_nice")
    busy_s = float(sum(s for kind, s in times.items() if kind not in counted_elsewhere))
    return busy_s - sum(os.times()[:4])


def add_fault(faults: list[str], fault: str) -> None:
    faults.append(fault)
    console.print(f"  [red]wrong[/] {fault}")


def progress(label: str, runs: list[Run] | list[Execution]) -> None:
    console.print(f"  {label:28} {' '.join(f'{run.wall_s:.2f}' for run in runs)}")


def keep(bench: Bench) -> None:
    text = json.dumps({**asdict(bench), "noisy": bench.noisy}, ensure_ascii=False, indent=2)
    (RESULT / "bench.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m checks.bench", description=__doc__)
    parser.add_argument("sizes", nargs="+", type=positive, help="rows of each table")
    parser.add_argument("--repeat", type=positive, default=3, help="runs of each")
    try:
        sys.exit(main(**vars(parser.parse_args())))
    except KeyboardInterrupt:
        sys.exit(130)
