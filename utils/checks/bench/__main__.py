"""Run the bench: `python -m bench "10000 100000" 3`, as `make bench` does."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from harness.fault import Fault
from checks.bench.competitors import WRITERS, WriterFailed, run_writer
from checks.bench.figures import Bench, PipelineRun, Sized, WriterRun
from checks.bench.others import Others
from checks.bench.places import DATA, EMULATOR, RESULT, UTILS, python
from checks.bench.show import show
from checks.bench.tables import check, members_file

ENOUGH_S = 120  # a competitor that has taken as long is not run again at that size

WIDTH = 120  # what the tables need

console = Console(highlight=False)
if console.width < WIDTH and not console.is_terminal:
    console.width = WIDTH


def main(sizes: str, repeat: str) -> int:
    rows = sorted(parse_counts("SIZES", sizes))
    [times] = parse_counts("REPEAT", repeat)
    bench = Bench(os.cpu_count() or 1, os.getloadavg()[0], [], [], [])
    noise = ": a noisy machine, and so will be the times" if bench.noisy else ""
    console.print(f"load average {bench.load:.1f} on {bench.cpus} CPUs{noise}")
    bench.noop_ms.extend(on_emulator("checks.bench.noop"))
    for count in rows:
        bench.sizes.append(measure(count, times, bench.faults))
        keep(bench)
    show(bench, console)
    draw()
    return 1 if bench.faults else 0


def parse_counts(name: str, text: str) -> list[int]:
    words = text.replace(",", " ").split()
    if not words or not all(word.isdecimal() and int(word) for word in words):
        raise Fault(f"{name}: must be whole numbers from 1; found {text!r}")
    return [int(word) for word in words]


def measure(rows: int, repeat: int, faults: list[str]) -> Sized:
    console.print(f"{rows:,} rows")
    source = members_file(rows)
    with Others() as others:
        writers = {name: measure_writer(name, source, rows, repeat, faults) for name in WRITERS}
        cold, warm, sheets = measure_pipeline(source, rows, repeat, faults)
    size = source.stat().st_size
    return Sized(rows, size, writers, cold, warm, sheets, others.cpus)


def measure_pipeline(
    source: Path, rows: int, repeat: int, faults: list[str]
) -> tuple[list[PipelineRun], list[PipelineRun], int]:
    """The cold run, the warm ones and the sheets; none if one of its workbooks was wrong."""
    try:
        found = on_emulator("checks.bench.pipeline", str(source), str(rows), str(repeat))
        if found["fault"]:
            raise Fault(found["fault"])
    except Fault as fault:
        add_fault(faults, f"pipeline, {rows:,} rows: {fault}")
        return [], [], 0
    cold, warm = ([PipelineRun(**run) for run in found[kind]] for kind in ("cold", "warm"))
    progress("pipeline, cold", [run.wall_s for run in cold])
    progress("pipeline, warm", [run.wall_s for run in warm])
    return cold, warm, found["sheets"]


def measure_writer(
    name: str, source: Path, rows: int, repeat: int, faults: list[str]
) -> list[WriterRun]:
    """Its runs; none if one of its workbooks was wrong."""
    runs: list[WriterRun] = []
    while len(runs) < repeat and sum(run.wall_s for run in runs) < ENOUGH_S:
        run, fault = checked_run(name, source, rows)
        if run is None:
            add_fault(faults, f"{WRITERS[name]}, {rows:,} rows: {fault}")
            return []
        runs.append(run)
    progress(WRITERS[name], [run.wall_s for run in runs])
    return runs


def checked_run(name: str, source: Path, rows: int) -> tuple[WriterRun | None, str | None]:
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        workbook = Path(folder, "members.xlsx")
        try:
            run = run_writer(name, source, workbook)
        except WriterFailed as error:
            return None, str(error)
        fault = check(source, rows, workbook)["fault"]
        return (None, fault) if fault else (run, None)


def on_emulator(module: str, *arguments: str) -> Any:
    """Run a module on a fresh emulator; returns what it prints, from JSON."""
    command = [*EMULATOR, module, *arguments]
    done = subprocess.run(command, cwd=UTILS, capture_output=True, text=True)
    if done.returncode:
        raise Fault(f"{module} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout)


def add_fault(faults: list[str], fault: str) -> None:
    faults.append(fault)
    console.print(f"  [red]wrong[/] {fault}")


def progress(label: str, walls: list[float]) -> None:
    console.print(f"  {label:28} {' '.join(f'{wall_s:.2f}' for wall_s in walls)}")


def keep(bench: Bench) -> None:
    text = json.dumps(bench.to_json(), ensure_ascii=False, indent=2)
    (RESULT / "bench.json").write_text(text + "\n", encoding="utf-8")


def draw() -> None:
    figures, picture = RESULT / "bench.json", RESULT / "bench.svg"
    subprocess.run(
        [python("bench"), "-m", "checks.bench.plot", str(figures), str(picture)], cwd=UTILS, check=True
    )
    console.print("result/bench.json result/bench.svg")


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except Fault as fault:
        sys.exit(f"error: {fault}")
    except KeyboardInterrupt:
        sys.exit(130)
