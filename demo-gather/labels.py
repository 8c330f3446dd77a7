"""Columns of several segments as one header; a frame may have several columns of one name."""

import itertools
from collections import Counter
from collections.abc import Iterable

import pandas as pd


def header(segments: Iterable[list[str]]) -> list[str]:
    """The columns of all segments, in first-seen order.

    A name that one segment has twice, the header has twice.
    """
    first, *others = segments
    if all(columns == first for columns in others):
        return first
    labels = itertools.chain.from_iterable(map(numbered, [first, *others]))
    return [name for name, _ in dict.fromkeys(labels)]


def numbered(names: Iterable[str]) -> list[tuple[str, int]]:
    """Tell apart columns of one name: each with how many of that name stand before it."""
    counts: Counter[str] = Counter()
    labels = []
    for name in names:
        labels.append((name, counts[name]))
        counts[name] += 1
    return labels


def arranged(widest: Iterable[str], own: Iterable[str], columns: Iterable[str]) -> list[str]:
    """What stands for each of a frame's own columns, for those of `with_columns`; "" for others."""
    texts = dict(zip(numbered(own), widest))
    return [texts.get(label, "") for label in numbered(columns)]


def with_columns(df: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The frame with these columns, of which its own are some; the others are missing values."""
    places = {label: place for place, label in enumerate(numbered(columns))}
    own = [places[label] for label in numbered(map(str, df.columns))]
    return df.set_axis(own, axis=1).reindex(columns=range(len(columns))).set_axis(columns, axis=1)
