"""What a whole table's segments tell, merged."""

from dataclasses import replace

from pipeline.facts.column_profile import Column
from pipeline.facts.stages import FIRST_ROWS, SegmentFacts, WorkbookFacts


class TableFacts:
    """What segments tell, in the order of the table, merged as it comes: a reader of the whole
    needs none of their objects.

    Attributes:
        source: the input object; "" where no segment told it.
        whole: whether every segment told something; without, there is no profile.
    """

    def __init__(self) -> None:
        self.whole = True
        self.source = ""
        self.rows = 0
        self.profile: dict[str, Column] = {}
        self.first_rows: list[dict[str, str]] = []
        self.segments: list[SegmentFacts] = []

    def add(self, segment: SegmentFacts | None) -> None:
        if segment is None:
            self.whole = False
            return
        self.source = segment.source
        by_name = {column.name: column for column in segment.columns}
        for name in {**self.profile, **by_name}:
            before = self.profile.get(name) or Column(name, missing=self.rows)
            here = by_name.get(name) or Column(name, missing=segment.rows_out)
            self.profile[name] = before.merged(here)
        for row in segment.first_rows[: FIRST_ROWS - len(self.first_rows)]:
            self.first_rows.append(dict(zip(by_name, row)))
        self.rows += segment.rows_out
        self.segments.append(replace(segment, columns=[], first_rows=[], source=""))

    def facts(
        self, workbook: str, size: int, rows: int, columns: list[str], sheets: list[str]
    ) -> WorkbookFacts:
        if not self.whole:
            return WorkbookFacts(workbook, size, rows, columns, sheets)
        first = [[row.get(name, "") for name in self.profile] for row in self.first_rows]
        profile = list(self.profile.values())
        return WorkbookFacts(workbook, size, rows, columns, sheets, profile, first, self.segments)
