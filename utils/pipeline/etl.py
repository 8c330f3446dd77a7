"""What a table's ETL is written with; one import brings it all."""

from pipeline.reading.references import References
from pipeline.segments.refused import InvalidMember, is_number, refuse, source_of
from pipeline.summaries.summary import Summary

__all__ = ["InvalidMember", "References", "Summary", "is_number", "refuse", "source_of"]
