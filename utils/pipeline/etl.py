"""What an ETL of the user's imports: one line brings all that a rule and its tests need."""

import pandas as pd

from pipeline.segments.rules import InvalidMember as InvalidMember
from pipeline.segments.rules import is_number as is_number
from pipeline.segments.rules import refuse as refuse
from pipeline.summaries.summary import Summary as Summary


def summarize(df: pd.DataFrame, summary: Summary) -> pd.DataFrame:
    """The rows of a summary's sheet, the total last, made of one frame: for an ETL's tests.

    Args:
        df: as `process` returns it.

    Returns:
        The sheet's columns; of a cross table those for each value across, under pairs of a value
        and a name where several stand under each.

    Raises:
        InvalidSummary, InvalidSheetName: names the summary, the rule and what was found.
    """
    from pipeline.summaries import merge as merged  # which the function itself does not load

    return merged.summarize(df, summary)
