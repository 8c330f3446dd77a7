"""The same table in every format makes the same workbook, and its faulty record is shown."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from conftest import Pipeline
from harness import facts, history
from harness.target import emulator
from test_pipeline import EXAMPLE, expected
from utils import members

Table = list[dict[str, Any]]


def csv_of(table: Table, encoding: str = "utf-8-sig") -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, table[0])
    writer.writeheader()
    writer.writerows(table)
    return file.getvalue().encode(encoding)


def lines_of(table: Table) -> bytes:
    return "\n".join(json.dumps(record, ensure_ascii=False) for record in table).encode()


WRITERS: dict[str, Callable[[Table], bytes]] = {
    ".json": lambda table: json.dumps(table).encode(),
    ".jsonl": lines_of,
    ".csv": csv_of,
}
# The scatter's tests read each format packed and as it is.
ENDS = (".json", ".jsonl.gz", ".csv.gz")


def written(table: Table, end: str) -> bytes:
    data = WRITERS[end.removesuffix(".gz")](table)
    return gzip.compress(data) if end.endswith(".gz") else data


@pytest.mark.parametrize("end", ENDS)
def test_every_format_of_a_table_gives_the_same_cells(pipeline: Pipeline, end: str) -> None:
    table = list(members(100, seed=1))
    key = pipeline.put(written(table, end), end)
    execution = pipeline.run(input_obj=key, division_number=60)
    assert execution["output"] == json.dumps(key.removesuffix(end) + ".xlsx")
    assert pipeline.rows(execution) == expected(table)


def test_a_header_without_rows_is_a_sheet_of_its_columns(pipeline: Pipeline) -> None:
    header, *_ = csv_of([{**EXAMPLE[0], "備考": ""}]).splitlines()
    assert pipeline.rows(pipeline.run(input_obj=pipeline.put(header, ".csv"))) == [
        (*EXAMPLE[0], "備考", "ボーナスポイント")
    ]


def test_shift_jis_is_read_where_the_input_says_so(pipeline: Pipeline) -> None:
    key = pipeline.put(csv_of(EXAMPLE, "cp932"), ".csv")
    assert pipeline.rows(pipeline.run(input_obj=key, encoding="cp932")) == expected(EXAMPLE)
    refused = pipeline.run(input_obj=key)
    assert refused["error"] == "InvalidCSV"
    assert f"{key} line 1: must be UTF-8; found byte 0x89" in refused["cause"]


def csv_with_empty_lines(table: Table) -> bytes:
    header, *lines = csv_of(table).decode("utf-8-sig").split("\r\n")
    return "\n".join([header, *(f"\n{line}" for line in lines)]).encode()


@pytest.mark.parametrize(
    ("end", "write", "begins"),
    [
        (".csv", csv_of, "m"),
        (".csv.gz", csv_with_empty_lines, "m"),
        (".jsonl.gz", lines_of, "{"),
        (".json", lambda table: json.dumps(table, indent=1).encode(), "{"),
        (".json", lambda table: json.dumps(table).encode(), None),
    ],
    ids=["CSV", "packed CSV", "a record a line", "an indented array", "an array of one line"],
)
def test_the_record_that_broke_is_shown_as_the_file_has_it_with_its_line(
    pipeline: Pipeline, end: str, write: Callable[[Table], bytes], begins: str | None
) -> None:
    """A cell that is no number is the fault of its record, and not of its column."""
    table: Table = [{**EXAMPLE[0], "会員番号": f"m{n:03}", "名前": "名\n前"} for n in range(400)]
    table[377]["ポイント"] = "5O"
    text = write(table)
    key = pipeline.put(gzip.compress(text) if end.endswith(".gz") else text, end)
    arn = pipeline.start(input_obj=key, division_number=100)
    message = json.loads(pipeline.wait(arn)["cause"])["errorMessage"]
    assert message == f'{key} record 377: ポイント must be a number; found the text "5O"'
    scatter = facts.read_scatter(emulator(), history.read(pipeline.states, arn))
    found = facts.broken(emulator(), scatter, (key, 377))
    assert found.record and list(map(str, found.record.values())) == list(
        map(str, table[377].values())
    )
    before = text[: text.rindex((begins or "").encode(), 0, text.index(b"m377") + 1)]
    assert found.line == (before.count(b"\n") + 1 if begins else None)
