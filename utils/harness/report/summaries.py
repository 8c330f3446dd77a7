"""The summaries of a workbook, as the page shows them; its script draws their charts of these tables."""

from typing import Any

from shared.facts import SummaryFacts, WorkbookFacts


def summaries(workbook: WorkbookFacts | None) -> list[dict[str, Any]]:
    return [shown(each) for each in workbook.summaries] if workbook else []


def shown(summary: SummaryFacts) -> dict[str, Any]:
    """A chart needs all rows and a column of numbers, as that of the workbook does."""
    columns = [*zip(*summary.first_rows)] or [()] * len(summary.columns)
    numeric = [n >= summary.keys and are_numbers(column) for n, column in enumerate(columns)]
    whole = len(summary.first_rows) == summary.rows
    return {
        "name": summary.name,
        "columns": [*zip(summary.columns, numeric, strict=True)],
        "keys": summary.keys,
        "count": summary.rows,
        "rows": summary.first_rows,
        "total": summary.total,
        "chart": summary.chart if whole and any(numeric) else None,
    }


def are_numbers(values: tuple[Any, ...]) -> bool:
    return {type(value) for value in values if value is not None} in ({int}, {float}, {int, float})
