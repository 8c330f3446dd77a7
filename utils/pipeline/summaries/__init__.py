"""Summaries of the whole table: declared, counted for each segment, merged exactly."""

__all__ = ["combine", "contribution", "merge", "summary"]
