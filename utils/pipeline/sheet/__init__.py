"""Sheets and workbooks: rows rendered as XML, and deflated parts joined into one .xlsx file."""

__all__ = [
    "chunks",
    "duplicate_columns",
    "layout",
    "parts",
    "rendered_table",
    "sheet_xml",
    "table",
    "widths",
    "workbook",
]
