"""What summaries cost: executions without and with one in turn, a cross table, and pandas' own way.

`python -m checks.bench.summaries MEMBERS ORDERS`, on a fresh emulator at ENDPOINT.
"""

import argparse
import io
import os
import sys
import tempfile
import zipfile
from pathlib import Path

from checks.bench import tables
from checks.bench.claims import summary_claims
from checks.bench.compare import SUMMARY
from checks.bench.executions import check_workbook, create, execute
from checks.bench.figures import ACROSS, DATA, HERE, WITH, WITHOUT, Table, python, run_measured
from checks.bench.show import console, progress, show, show_claims, show_noise
from harness.fault import Fault
from harness.functions import RUNTIME, WAIT, read_zip
from harness.machines import DEFINITIONS
from harness.target import emulator

# What a variant of the segment function has in place of the members' ETL's own.
NO_SUMMARY = "summaries=[]"
NO_ETL = "process=lambda df: df, columns=[]"
BY_CUSTOMER = """summaries=[
    Summary(
        "顧客別",
        by="顧客",
        件数=("注文番号", "count"),
        金額=("金額", "sum"),
        商品数=("商品", "nunique"),
        中央=("金額", "median"),
    )
]"""
BY_MONTH = """summaries=[
    Summary(
        "顧客×月",
        by="顧客",
        across={"月": lambda df: df["金額"] % 12 + 1},
        total="合計",
        件数=("注文番号", "count"),
        金額=("金額", "sum"),
    )
]"""
VARIANT = """import importlib
from dataclasses import replace

import segment
from pipeline.etl import Summary

etl = replace(segment.load(segment.ETLS, "members"), {changes})
segment.etl_of = lambda df: etl
lambda_handler = importlib.import_module("lambda").lambda_handler
"""
SETTINGS = ("Role", "MemorySize", "Timeout", "Environment")  # as the segment function's
WARM_UP = 10  # the part of a table that starts the workers


def main(members: int, orders: int, repeat: int) -> int:
    show_noise("at the start", os.getloadavg()[0], os.cpu_count() or 1)
    measured = [tables.table("members", members), tables.table("orders", orders)]
    create()
    try:
        expected = [tables.source("members", members), members, SUMMARY]
        measure(measured[0], {WITHOUT: NO_SUMMARY, WITH: ""}, expected, repeat)
        with tempfile.TemporaryDirectory(dir=DATA) as folder:
            workbook = write_orders(measured[1], Path(folder))
            summaries = {WITHOUT: NO_SUMMARY, ACROSS: BY_MONTH, WITH: BY_CUSTOMER}
            changes = {who: f"{NO_ETL}, {each}" for who, each in summaries.items()}
            measure(measured[1], changes, [workbook], repeat)
    except Fault as fault:
        console.print(f"[red]wrong[/] {fault}")
        return 1
    finally:
        for table in measured:
            show(table)
        show_claims(summary_claims(*measured))
    return 0


def measure(table: Table, changes: dict[str, str], expected: list[object], repeat: int) -> None:
    """
    Args:
        changes: of the segment function, by what its executions are called.
        expected: what `check` takes, of the last one's workbook.

    Raises:
        Fault: an execution failed, or a workbook with a summary is wrong.
    """
    s3, key = emulator().client("s3"), f"{table.name}.json"
    machines = {
        who: create_variant(f"{table.name}-{number}", change)
        for number, (who, change) in enumerate(changes.items())
    }
    for rows, times in ((table.rows // WARM_UP, 1), (table.rows, repeat)):
        s3.upload_file(str(tables.source(table.name, rows)), emulator().bucket, key)
        for _ in range(times):
            found = {who: execute(machine, key) for who, machine in machines.items()}
            if rows == table.rows:
                check_workbook(key, *expected)
                for who, run in found.items():
                    table.runs.setdefault(who, []).append(run)
    for who in machines:
        progress(who, table.runs[who])


def create_variant(name: str, changes: str) -> str:
    """A state machine whose segments run a changed ETL; returns its ARN."""
    functions, states = emulator().client("lambda"), emulator().client("stepfunctions")
    segment = emulator().function("segment")
    found = functions.get_function_configuration(FunctionName=segment)
    archive = io.BytesIO(read_zip("segment"))
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr("variant.py", VARIANT.format(changes=changes))
    functions.create_function(
        FunctionName=name,
        Runtime=RUNTIME,
        Handler="variant.lambda_handler",
        Code={"ZipFile": archive.getvalue()},
        **{field: found[field] for field in SETTINGS},
    )
    functions.get_waiter("function_active").wait(FunctionName=name, WaiterConfig=WAIT)
    definition = (DEFINITIONS / "parallel.json").read_text().replace(segment, name)
    machine = states.create_state_machine(name=name, definition=definition, roleArn=emulator().role)
    arn: str = machine["stateMachineArn"]
    return arn


def write_orders(table: Table, folder: Path) -> Path:
    """Let pandas make its workbook of the same."""
    workbook, source = folder / "pandas.xlsx", tables.source("orders", table.rows)
    script = HERE / "writers" / "pandas_orders.py"
    table.runs["pandas"] = [run_measured(python("pandas"), script, source, workbook)]
    progress("pandas", table.runs["pandas"])
    return workbook


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m checks.bench.summaries", description=__doc__)
    parser.add_argument("members", type=int)
    parser.add_argument("orders", type=int)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each")
    sys.exit(main(**vars(parser.parse_args())))
