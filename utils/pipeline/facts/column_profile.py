"""Profiles of columns, whose counts and histograms add up to those of the whole table."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

DISTINCT = 20  # values that a profile counts one by one; a column with more has `many`
BINS = 40  # of a histogram, at most
SMALLEST = -1074  # exponent of the least float


@dataclass(frozen=True)
class Histogram:
    """Counts of numbers in bins of 2**exponent, so that any two can be merged exactly.

    Attributes:
        counts: bin number → count; bin n holds n * 2**exponent up to (n + 1) * 2**exponent.
    """

    exponent: int
    counts: dict[int, int]

    def coarser(self, exponent: int) -> "Histogram":
        counts: Counter[int] = Counter()
        for number, count in self.counts.items():
            counts[number >> (exponent - self.exponent)] += count
        return Histogram(exponent, dict(counts))

    def fitted(self) -> "Histogram":
        """Of at most BINS bins."""
        found = self
        while found.counts and max(found.counts) - min(found.counts) >= BINS:
            found = found.coarser(found.exponent + 1)
        return found

    def merged(self, other: "Histogram") -> "Histogram":
        exponent = max(self.exponent, other.exponent)
        counts = added(self.coarser(exponent).counts, other.coarser(exponent).counts)
        return Histogram(exponent, dict(sorted(counts.items()))).fitted()


@dataclass(frozen=True)
class Column:
    """The profile of one column of a result.

    Attributes:
        kinds: numbers, texts, dates, booleans → how many cells of that kind.
        missing: empty cells.
        low, high: of the numbers; None without any.
        histogram: of the numbers; None without any.
        values: the distinct values as the workbook shows them → how many cells have them;
            empty where there are more than DISTINCT, and then `many` is True.
    """

    name: str
    kinds: dict[str, int] = field(default_factory=dict)
    missing: int = 0
    low: float | None = None
    high: float | None = None
    histogram: Histogram | None = None
    values: dict[str, int] = field(default_factory=dict)
    many: bool = False

    def merged(self, other: "Column") -> "Column":
        one, two = self.histogram, other.histogram
        lows = [each.low for each in (self, other) if each.low is not None]
        highs = [each.high for each in (self, other) if each.high is not None]
        values = added(self.values, other.values)
        many = self.many or other.many or len(values) > DISTINCT
        return Column(
            name=self.name,
            kinds=added(self.kinds, other.kinds),
            missing=self.missing + other.missing,
            low=min(lows, default=None),
            high=max(highs, default=None),
            histogram=one.merged(two) if one and two else one or two,
            values={} if many else values,
            many=many,
        )


def added[K](one: Mapping[K, int], two: Mapping[K, int]) -> dict[K, int]:
    return dict(Counter(one) + Counter(two))


def exponent_of(low: float, high: float) -> int:
    """Of the bins of a histogram from low to high, so that BINS take them all."""
    step = high / (BINS - 1) - low / (BINS - 1)
    return math.frexp(step)[1] if step else SMALLEST if high > low else 0
