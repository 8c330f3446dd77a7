from typing import TYPE_CHECKING, Any

from pipeline.facts.column_profile import Column, Histogram
from pipeline.facts.stages import SegmentFacts
from pipeline.keys import rejects_key, xml_key
from pipeline.s3.signed import Objects
from pipeline.segments.figures import Contribution, Figures, Rejects, rejected_before
from pipeline.sheet.layout import Layout
from pipeline.sheet.parts import NUMBER, OTHER, SheetPart

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

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


def test_a_list_of_keys_tells_what_as_many_segments_left_out(s3: "S3Client", bucket: str) -> None:
    """Whatever else these segments wrote."""

    def shorten(params: dict[str, Any], **_: Any) -> None:
        params["MaxKeys"] = 3

    objects = Objects(s3, bucket, None)
    for number, count in enumerate([4, 0, 3, 50]):
        key = f"gather/x/job_{number:03d}.pkl"
        for each in (key, xml_key(key), *([rejects_key(key, count)] if count else [])):
            objects.put(each, b"")
    s3.meta.events.register("before-parameter-build.s3.ListObjectsV2", shorten)
    try:
        assert rejected_before(objects, "gather/x/job_003.pkl") == 7
    finally:
        s3.meta.events.unregister("before-parameter-build.s3.ListObjectsV2", shorten)
