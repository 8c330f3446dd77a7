from pipeline.facts.column_profile import Column, Histogram
from pipeline.facts.stages import SegmentFacts
from pipeline.segments.figures import Contribution, Figures, Rejects
from pipeline.sheet.layout import Layout
from pipeline.sheet.parts import NUMBER, OTHER, SheetPart

FIGURES = Figures(
    '"etag"',
    '"other"',
    ["会員番号", "ポイント"],
    ["000", "58"],
    [SheetPart(1_048_570, 5, 900, 300, 2**32 - 1), SheetPart(1_048_575, 2, 300, 90, 0)],
    [OTHER, NUMBER],
    SegmentFacts(
        7, 4, [Column("ポイント", {"numbers": 4}, histogram=Histogram(-3, {-2: 4}))], [["1"]]
    ),
    {"ポイント": "#,##0"},
    Contribution([{"scopes": [1]}], etag='"fourth"'),
    Rejects(3, ["record", "会員番号"], 7, '"third"', "x record 1: y"),
    Layout("題", "会員番号", ["ポイント"], {"会員番号": 7.5}),
    True,
)


def test_figures_are_read_as_they_were_written() -> None:
    assert Figures.from_json(FIGURES.to_json()) == FIGURES
