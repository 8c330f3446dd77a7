"""What an ETL of the user's imports: one line brings all that a rule and its tests need."""

import pandas as pd

from pipeline.segments.rules import InvalidMember as InvalidMember
from pipeline.segments.rules import is_number as is_number
from pipeline.segments.rules import refuse as refuse
from pipeline.summaries.summary import Summary as Summary


def summarize(df: pd.DataFrame, summary: Summary) -> pd.DataFrame:
    """The summary of one frame, for an ETL's tests."""
    from pipeline.summaries import merge as merged  # which the function itself does not load

    return merged.summarize(df, summary)
