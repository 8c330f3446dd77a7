"""Columns of cells as NumPy arrays."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def plain_array(series: "pd.Series[Any]") -> NDArray[Any]:
    """Its values in a NumPy array, where a missing one does not make floats of integers."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        categories = np.array([*series.cat.categories.tolist(), None], dtype=object)
        return categories.take(series.cat.codes)  # the code of a missing one is -1
    return series.to_numpy(dtype=series.dtype if isinstance(series.dtype, np.dtype) else object)


def only_texts(cells: Any) -> bool:
    """Whether they are Python's texts, none of them missing: much faster than a look at each."""
    return cells.dtype == object and pd.api.types.infer_dtype(cells, skipna=False) == "string"
