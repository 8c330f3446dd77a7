"""What an ETL of the user's imports: one line brings all that a rule and its tests need."""

import pandas as pd

from refused import InvalidMember as InvalidMember
from refused import is_number as is_number
from refused import refuse as refuse
from summary import Summary as Summary


def summarize(df: pd.DataFrame, summary: Summary) -> pd.DataFrame:
    """The summary of one frame, for an ETL's tests."""
    import merged  # which the function itself does not load

    return merged.summarize(df, summary)
