"""A segment's result in S3: its pickle, and what stands beside it for the gather and the report."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import pandas as pd

from pipeline.errors.places import named
from pipeline.excel import InvalidCell
from pipeline.keys import rejects_key
from pipeline.s3.signed import Objects, signing_key
from pipeline.segments import figures, frames
from pipeline.segments.figures import Figures, Rejects
from pipeline.segments.profile import segment_facts
from pipeline.segments.rules import Fault, refused, rejects
from pipeline.sheet.layout import Layout
from pipeline.sheet.parts import RenderedRows
from pipeline.sheet.sheet_xml import render_rows
from pipeline.sheet.widths import WIDTH_ROWS, first_rows
from pipeline.summaries.contribution import carried
from pipeline.summaries.summary import Summary

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def read_segment(s3: "S3Client", bucket: str, key: str) -> pd.DataFrame:
    return frames.load(Objects(s3, bucket, signing_key()).get(key), key)


def send(
    s3: "S3Client",
    bucket: str,
    key: str,
    df: pd.DataFrame,
    segment: pd.DataFrame,
    faults: Mapping[int, Fault],
    summaries: Sequence[Summary],
    formats: dict[str, str],
    layout: Layout,
) -> None:
    """Write a result and, beside it, its rows rendered for the workbook, the records that it leaves
    out, what it contributes to summaries, and its facts.

    Args:
        segment: the rows that df was made of, with their numbers in the whole table.
        faults: those of them that are not in it.

    Raises:
        InvalidMember: there are faults, and the execution's input does not ask to leave them out.
        InvalidSummary, InvalidCell: a summary, or the workbook, cannot hold the result.
    """
    if faults and "rejects" not in segment.attrs:
        raise refused(segment, faults)
    objects = Objects(s3, bucket, signing_key())
    df = df.copy(deep=False)  # may be a frame that the ETL keeps
    df.attrs = segment.attrs if is_of(df, segment) else {}
    left_out = send_rejects(objects, key, segment, faults)
    check_decimals(df, key)
    fields, blocks = carried(summaries, df, key)
    alone = "sheets" in segment.attrs
    position = start_of(segment)
    with ThreadPoolExecutor(1) as thread:
        pickled = thread.submit(put_pickle, objects, key, plainly_labelled(df))
        if left_out:
            pickled.result()  # meanwhile, others tell what they left out
            position = max(0, position - figures.rejected_before(objects, key))
        if alone:
            rows = no_rows(df, formats)
        else:
            rows = render_rows(df, position, key, formats, made_of_first_rows(df, segment))
        contribution = figures.contribution(objects, key, fields, blocks)
        facts = segment_facts(df, len(segment))
        etag, size = pickled.result()
    source = str(segment.attrs.get("source", ""))
    facts = replace(facts, size=size, partials=len(blocks), rejects=len(faults), source=source)
    told = Figures(
        etag, facts=facts, summaries=contribution, rejects=left_out, layout=layout, alone=alone
    )
    figures.send(objects, key, rows, told)


def no_rows(df: pd.DataFrame, formats: dict[str, str]) -> RenderedRows:
    """Of a table that no sheet holds, however wide it is."""
    names = [str(name) for name in df.columns]
    return RenderedRows(names, widest=[], parts=[], xml=b"", formats=formats, holds=[])


def check_decimals(df: pd.DataFrame, source: str) -> None:
    """Raise InvalidCell, which names the record and the column, of a NaN at which pandas fails."""
    for place in [n for n, dtype in enumerate(df.dtypes) if dtype == object]:
        cells = df.iloc[:, place]
        try:
            cells.isna()
        except InvalidOperation:
            signals = [isinstance(cell, Decimal) and cell.is_snan() for cell in cells]
            row = signals.index(True)
            where = f"{named(df.attrs, df.index[row], source)}, column {cells.name}"
            rule = f"a Decimal must be a number or NaN; found {cells.iloc[row]}"
            raise InvalidCell(f"{where}: {rule}") from None


def plainly_labelled(df: pd.DataFrame) -> pd.DataFrame:
    """With texts for names and an index of numbers: a segment file knows few kinds of labels."""
    named = df.set_axis([str(name) for name in df.columns], axis=1)
    return named if df.index.dtype.kind in "iu" else named.reset_index(drop=True)


def start_of(segment: pd.DataFrame) -> int:
    return int(segment.index[0]) if len(segment) else 0


def made_of_first_rows(df: pd.DataFrame, segment: pd.DataFrame) -> pd.DataFrame:
    """The rows of a result that are made of the whole table's first WIDTH_ROWS, wherever it was cut.

    The index of the result tells, unless an ETL has given it another one: then, their places.
    """
    if is_of(df, segment):
        return df[df.index < WIDTH_ROWS]
    return first_rows(df, start_of(segment))


def is_of(df: pd.DataFrame, segment: pd.DataFrame) -> bool:
    """Whether a result's index tells which records its rows are made of: `merge` makes a new one,
    which looks like that of a table's first records.
    """
    if len(df) != len(segment) and df.index.equals(pd.RangeIndex(len(df))):
        return False
    return df.index.dtype.kind in "iu" and bool(df.index.isin(segment.index).all())


def send_rejects(
    objects: Objects, key: str, segment: pd.DataFrame, faults: Mapping[int, Fault]
) -> Rejects | None:
    """Write the records that are left out of a result; None where nobody asked for them."""
    if "rejects" not in segment.attrs:
        return None
    left_out = rejects(segment, faults)
    etag = first = ""
    if faults:
        etag, _ = put_pickle(objects, rejects_key(key, len(faults)), left_out)
        first, *_ = str(refused(segment, faults)).splitlines()
    columns, most = [str(name) for name in left_out.columns], segment.attrs.get("max_rejects")
    return Rejects(len(faults), columns, most, etag, first)


def put_pickle(objects: Objects, key: str, df: pd.DataFrame) -> tuple[str, int]:
    """Returns its ETag, and its size in bytes."""
    pickled = frames.dump(df)
    return objects.put(key, pickled), len(pickled)
