"""The results of all segments, as the gather splices them into the workbook's own table."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import pandas as pd

from pipeline.events.gather import MissingSegment
from pipeline.facts.table import TableFacts
from pipeline.keys import segment_facts_key, xml_key
from pipeline.s3.overlap import map_ahead
from pipeline.s3.signed import Objects
from pipeline.segments import figures
from pipeline.segments.figures import Contribution, Figures, Rejects
from pipeline.sheet.duplicate_columns import arranged, header, with_columns
from pipeline.sheet.layout import Layout
from pipeline.sheet.parts import SheetPart, merged
from pipeline.sheet.sheet_xml import render_rows
from pipeline.sheet.table import SHEET, Table
from pipeline.sheet.widths import widest

TRANSFERS = 4
# Of 100,000 segments, too much to hold.
NOT_HELD: Any = dict(facts=None, summaries=Contribution(), rejects=None, layout=Layout())

# What a segment contributes to summaries, as `figures.contributed` gives it.
Contributed = tuple[list[Any], bytes]


class Results:
    """What the segments wrote, in the order of the table.

    Args:
        keys: of their results.
        load: reads the frame at a key, of that ETag.

    Attributes:
        figures: of the rendered rows, by the key of the result, once they are read.
        first: those of the first segment that tells any; its formats and layout are the workbook's.
        told: what the segments tell the report.

    Raises:
        MissingSegment: a result is not there.
    """

    def __init__(
        self, objects: Objects, keys: Sequence[str], load: Callable[[str, str], pd.DataFrame]
    ) -> None:
        self.figures: dict[str, Figures] = {}
        self.told = TableFacts()
        self.first = Figures("")
        self._objects = objects
        self._keys = keys
        self._load = load
        self._etags = list_etags(objects, keys)

    def read(self) -> Iterator[tuple[str, Rejects | None, Contributed]]:
        """Read the figures of all segments, and render what cannot be spliced as it is.

        Rows are rendered here if the segment wrote only a pickle, if the ETL changed the number of
        rows or the columns, or if its number formats are not the first ones.

        Yields:
            for each segment the key of its result, what it left out, and what it contributes.
        """
        position = 0
        ahead = map_ahead(self._segment, self._keys, TRANSFERS)
        for key, (found, contributed) in zip(self._keys, ahead, strict=True):
            self.told.add(found.facts if found else None)
            if found and not self.first.pickle_etag:
                self.first = found
            rendered = found or self._render(key, position, Figures(self._etags[key]))
            yield key, rendered.rejects, contributed
            self.figures[key] = replace(rendered, **NOT_HELD)
            position += rendered.rows
        if not self.first.alone:
            self._align(self.columns)

    @property
    def columns(self) -> list[str]:
        return header(each.columns for each in self.figures.values())

    @property
    def rows(self) -> int:
        """Of the table, whether the workbook has it or not."""
        return (
            self.told.rows if self.first.alone else sum(each.rows for each in self.figures.values())
        )

    @property
    def parts(self) -> list[SheetPart]:
        return [part for each in self.figures.values() for part in each.parts]

    def tables(self) -> Iterator[Table]:
        """The segments' rows, which are read when the workbook takes them; nothing without the table."""
        if not self.first.alone:
            held, formats = self.figures, self.first.formats
            bodies = map_ahead(lambda each: self._xml(*each), held.items(), TRANSFERS)
            yield Table(
                SHEET,
                self.columns,
                widest(each.widest for each in held.values()),
                self.parts,
                bodies,
                holds=reduce(merged, (each.holds for each in held.values())),
                formats=formats,
            )

    def _align(self, columns: list[str]) -> None:
        """Render again what does not stand at its place, with these columns, in the formats of all."""
        position = 0
        for key, each in self.figures.items():
            as_others = (each.columns, each.formats) == (columns, self.first.formats)
            if not as_others or not each.starts_at(position):
                before = self._figures(key) or Figures(self._etags[key])
                self.figures[key] = self._render(key, position, before, columns)
            position += each.rows

    def _segment(self, key: str) -> tuple[Figures | None, Contributed]:
        found = self._figures(key)
        told = found.summaries if found else Contribution()
        return found, figures.contributed(self._objects, key, told)

    def _figures(self, key: str) -> Figures | None:
        """The figures beside a pickle; None where there are none or they are of an older one.

        Raises:
            MissingSegment: there are none, or of another one, and the deployment has a key: they
                say what else belongs to the result.
        """
        at = segment_facts_key(key)
        found = Figures.from_json(self._objects.get(at)) if at in self._etags else None
        if found and found.pickle_etag == self._etags[key]:
            return found
        if self._objects.secret:
            self._objects.get(key)  # refuses a stranger's
            what = "those of another" if found else "none"
            raise MissingSegment(f"{at}: must be the figures of the result {key}; found {what}")
        return None

    def _render(
        self, key: str, position: int, before: Figures, columns: list[str] | None = None
    ) -> Figures:
        """Render the rows of a result at a position, with these columns or its own.

        Args:
            before: its figures so far.
        """
        df = self._load(key, before.pickle_etag)
        if columns:
            df = with_columns(df, columns)
        rows = render_rows(df, position, key, self.first.formats)
        if before.columns:  # its segment knew which rows are the input's first
            rows = replace(rows, widest=arranged(before.widest, before.columns, rows.columns))
        return figures.send(self._objects, key, rows, before)

    def _xml(self, key: str, told: Figures) -> bytes:
        return figures.get_told(self._objects, xml_key(key), told.xml_etag)


def list_etags(objects: Objects, keys: Sequence[str]) -> dict[str, str]:
    """The ETags of the segments' results and of what stands beside them.

    Raises:
        MissingSegment: a key is not there.
    """
    prefix = os.path.commonprefix(keys).removesuffix(".pkl")  # of a single key, all of it
    pages = objects.s3.get_paginator("list_objects_v2").paginate(
        Bucket=objects.bucket, Prefix=prefix
    )
    etags = {obj["Key"]: obj["ETag"] for page in pages for obj in page.get("Contents", [])}
    missing = [key for key in keys if key not in etags]
    if missing:
        raise MissingSegment(
            f"{missing[0]}: each segment must have a result; "
            f"found none for {len(missing)} of {len(keys)}"
        )
    return etags
