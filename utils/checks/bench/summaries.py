"""What summaries cost: executions without and with one in turn, and two libraries' own way.

`python -m checks.bench.summaries MEMBERS ORDERS`, on a fresh emulator at ENDPOINT.
"""

import argparse
import io
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from checks.bench.compare import SUMMARY, check
from checks.bench.figures import DATA, Bench, Summed
from checks.bench.pipeline import check_workbook, create, create_function, execute
from checks.bench.show import console, judged, summed
from checks.bench.tables import members_file, orders_file, positive
from checks.bench.verdicts import summary_verdicts
from checks.bench.writer import run_writer
from harness.fault import Fault
from harness.functions import read_zip
from harness.machines import DEFINITIONS
from harness.target import emulator

# What a variant of the segment function changes before its handler is loaded.
NO_SUMMARY = "segment.SUMMARIES.clear()"
NO_ETL = "segment.SegmentHandler.process = lambda self, df: df"
BY_CUSTOMER = """segment.SUMMARIES[:] = [
    segment.Summary(
        "顧客別",
        by="顧客",
        件数=("注文番号", "count"),
        金額=("金額", "sum"),
        商品数=("商品", "nunique"),
        中央=("金額", "median"),
    )
]"""
VARIANT = """import importlib
import segment
{changes}
lambda_handler = importlib.import_module("lambda").lambda_handler
"""
SETTINGS = ("Role", "MemorySize", "Timeout", "Environment")  # as the segment function's
WARM_UP = 10  # the part of a table that starts the workers


def main(members: int, orders: int, repeat: int) -> int:
    bench = Bench(os.cpu_count() or 1, os.getloadavg()[0])
    sources = members_file(members), orders_file(orders)
    sizes = [
        Summed(label, rows, source.stat().st_size)
        for label, rows, source in zip(("members", "orders"), (members, orders), sources)
    ]
    create()
    fault = None
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        try:
            expected = [sources[0], members, SUMMARY]
            measure(sizes[0], members_file, [NO_SUMMARY, ""], expected, repeat)
            workbook = write_orders(sizes[1], sources[1], Path(folder))
            changes = [f"{NO_ETL}\n{NO_SUMMARY}", f"{NO_ETL}\n{BY_CUSTOMER}"]
            measure(sizes[1], orders_file, changes, [workbook], repeat)
        except Fault as found:
            fault = found
    console.print(*map(summed, sizes), judged(summary_verdicts(*sizes), bench.noisy))
    if fault:
        console.print(f"[red]wrong[/] {fault}")
    return 1 if fault else 0


def measure(
    size: Summed,
    source_of: Callable[[int], Path],
    changes: list[str],
    expected: list[object],
    repeat: int,
) -> None:
    """
    Args:
        source_of: the table of so many rows.
        changes: of the segment function, without a summary and with one.
        expected: what `check` takes, of the workbook with one.

    Raises:
        Fault: an execution failed, or a workbook with a summary is wrong.
    """
    s3, key = emulator().client("s3"), f"{size.label}.json"
    machines = [
        create_variant(f"{size.label}-{name}", change)
        for name, change in zip(("without", "with"), changes, strict=True)
    ]
    for rows, times in ((size.rows // WARM_UP, 1), (size.rows, repeat)):
        s3.upload_file(str(source_of(rows)), emulator().bucket, key)
        for _ in range(times):
            without, with_summary = (execute(machine, key) for machine in machines)
            if rows == size.rows:
                check_workbook(key, *expected)
                size.without.append(without)
                size.summed.append(with_summary)
                console.print(f"  {size.label}: {without.wall_s:.2f}, {with_summary.wall_s:.2f}")


def create_variant(name: str, changes: str) -> str:
    """A state machine whose segments run a changed ETL; returns its ARN."""
    functions, states = emulator().client("lambda"), emulator().client("stepfunctions")
    segment = emulator().function("segment")
    found = functions.get_function_configuration(FunctionName=segment)
    archive = io.BytesIO(read_zip("segment"))
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr("variant.py", VARIANT.format(changes=changes))
    settings = {field: found[field] for field in SETTINGS}
    create_function(name, archive.getvalue(), {**settings, "Handler": "variant.lambda_handler"})
    definition = (DEFINITIONS / "parallel.json").read_text().replace(segment, name)
    machine = states.create_state_machine(name=name, definition=definition, roleArn=emulator().role)
    arn: str = machine["stateMachineArn"]
    return arn


def write_orders(size: Summed, source: Path, folder: Path) -> Path:
    """Let pandas and polars make their workbooks; returns polars', which pandas' must equal."""
    polars, pandas = folder / "polars.xlsx", folder / "pandas.xlsx"
    for name, workbook in (("polars", polars), ("pandas", pandas)):
        size.writers[name] = run_writer(name, f"{name}_orders.py", source, workbook)
        console.print(f"  {name:28} {size.writers[name].wall_s:.2f}")
    if fault := check(pandas, polars):
        raise Fault(f"pandas, by polars' workbook: {fault}")
    pandas.unlink()
    return polars


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m checks.bench.summaries", description=__doc__)
    parser.add_argument("members", type=positive)
    parser.add_argument("orders", type=positive)
    parser.add_argument("--repeat", type=positive, default=3, help="runs of each")
    sys.exit(main(**vars(parser.parse_args())))
