"""What every writer does before it writes: read the members, know their bonus and Excel's rows."""

import gc
import sys
from pathlib import Path
from typing import Any

import orjson

DATA_ROWS = 1_048_575  # a sheet's rows but for the header
BONUS = "ボーナスポイント"


def arguments() -> tuple[Path, str]:
    """The JSON file to read and the workbook to write."""
    source, workbook = sys.argv[1:]
    return Path(source), workbook


def read(source: Path) -> list[dict[str, Any]]:
    gc.disable()  # looking for cycles among the members would take a tenth of a fast writer's time
    members: list[dict[str, Any]] = orjson.loads(source.read_bytes())
    return members


def bonus(member: dict[str, Any]) -> float:
    points: int = member["ポイント"]
    return points * 1.25 if member["会員ランク"] > 3 else points


def sheets(rows: int) -> list[tuple[str, int, int]]:
    """The name of each sheet, and the half-open range of the rows on it."""
    starts = range(0, max(rows, 1), DATA_ROWS)
    return [
        (f"Sheet{number}", start, min(start + DATA_ROWS, rows))
        for number, start in enumerate(starts, 1)
    ]
