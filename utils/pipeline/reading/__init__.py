"""Reading tables: bytes of JSON or CSV, packed or not, become columns; reference tables, too."""

__all__ = [
    "columns",
    "csv_table",
    "cuts",
    "formats",
    "gunzip",
    "objects",
    "plain_numbers",
    "references",
    "segment_files",
    "source",
]
