"""What summaries cost: executions with and without them in turn, and pandas' own way, once.

`python -m checks.bench.summaries MEMBERS ORDERS REPEAT`, on a fresh emulator at ENDPOINT.
"""

import sys
import tempfile
from pathlib import Path

from checks.bench import tables
from checks.bench.compare import SUMMARY
from checks.bench.execute import check_workbook, execute, noise_told
from checks.bench.measure import DATA, Run, run_writer
from checks.bench.show import show
from harness.fault import Fault
from harness.target import emulator

# The ETLs of a table, in etl/; the last one's workbook is compared.
MEMBERS = {"no summary": "members_alone", "the summary shipped": "members"}
ORDERS = {
    "no summary": "orders",
    "by customer and month": "orders_by_month",
    "by customer": "orders_by_customer",
}


def main(members: int, orders: int, repeat: int) -> None:
    """
    Raises:
        Fault: an execution failed, or a workbook with a summary is wrong.
    """
    source = tables.source("members", members)
    with noise_told():
        show(f"{members:,} members", in_turn("members", members, MEMBERS, repeat, source, SUMMARY))
    source = tables.source("orders", orders)
    with noise_told(), tempfile.TemporaryDirectory(dir=DATA) as folder:
        workbook = Path(folder, "pandas.xlsx")
        pandas = run_writer("pandas", "pandas_orders.py", source, workbook)
        runs = in_turn("orders", orders, ORDERS, repeat, workbook)
        show(f"{orders:,} orders", {**runs, "pandas, alone": [pandas]})


def in_turn(
    name: str, rows: int, etls: dict[str, str], repeat: int, *expected: object
) -> dict[str, list[Run]]:
    """The runs of each ETL on warm workers, which a tenth of the table starts."""
    runs: dict[str, list[Run]] = {label: [] for label in etls}
    for size, times in ((rows // 10, 1), (rows, repeat)):
        key, source = f"{name}-{size}.json", tables.source(name, size)
        emulator().client("s3").upload_file(str(source), emulator().bucket, key)
        for _ in range(times):
            for label, etl in etls.items():
                runs[label].append(execute(key, etl))
    check_workbook(f"{name}-{rows}.xlsx", *expected)
    return {label: found[1:] for label, found in runs.items()}


if __name__ == "__main__":
    try:
        main(*map(int, sys.argv[1:]))
    except Fault as fault:
        sys.exit(f"error: {fault}")
