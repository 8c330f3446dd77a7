"""Segment files and what a segment makes of one: its result, its rejects and what it tells the gather."""

__all__ = ["figures", "frames", "rejects_sheet", "result", "results", "rules"]
