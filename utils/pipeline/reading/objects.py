"""Which objects of a bucket a table is made of: one, those of a list, of a folder or of a pattern."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NotRequired, TypedDict

from botocore.exceptions import ClientError

from pipeline import endings
from pipeline.errors.wording import quoted
from pipeline.facts.stages import MADE_BY
from pipeline.keys import GATHER, REFERENCE, SCATTER, InvalidEvent
from pipeline.s3.client import ABSENT, status
from pipeline.s3.overlap import map_ahead

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MOST_OBJECTS = 100_000
AT_ONCE = 16
OWN = (SCATTER, GATHER, REFERENCE, endings.OUTBOX)  # folders that hold no input


class NoObjects(ValueError):
    """There is nothing to read."""


class NoInputBucket(ValueError):
    """The input's bucket is not there, or not for the pipeline to read."""


class TooManyObjects(ValueError):
    """A folder or a pattern holds more objects than an execution reads."""


class At(TypedDict):
    """A bucket, and the account that must own it, as S3's calls take them."""

    Bucket: str
    ExpectedBucketOwner: NotRequired[str]


@dataclass(frozen=True)
class Listed:
    """An object; its ETag and its size in bytes are not known before it is listed or opened."""

    key: str
    etag: str = ""
    size: int = 0


@dataclass(frozen=True)
class Inputs:
    """The objects of a table, in its order.

    Attributes:
        written: the input is the key of the only one.
        passed_over: how many others there are that are no tables.
    """

    objects: list[Listed]
    written: bool
    passed_over: int = 0


def input_bucket(s3: "S3Client", own: str, given: str) -> At:
    """Where the input is, as each call names it: in our `own` bucket without a `given` one."""
    if not given:
        return {"Bucket": own}
    at: At = {"Bucket": given}
    if owner := os.environ.get("INPUT_BUCKET_OWNER"):
        at["ExpectedBucketOwner"] = owner
    try:
        s3.head_bucket(**at)
    except ClientError as error:
        found = ABSENT.get(status(error), "another region's")
        rule = "must be a bucket that the stack's InputBucket names and its InputBucketOwner owns"
        raise NoInputBucket(f"input_bucket: {given} {rule}; found {found}") from None
    return at


def find_objects(s3: "S3Client", at: At, input_obj: str | list[str]) -> Inputs:
    """
    Raises:
        NoObjects, TooManyObjects: names what the input names.
        InvalidEvent: it is no pattern.
    """
    if isinstance(input_obj, list):
        heads = map_ahead(lambda key: head(s3, at, key), input_obj, AT_ONCE)
        return Inputs([found or _fail_absent(key) for key, found in zip(input_obj, heads)], False)
    if not endings.is_folder(input_obj):
        if not endings.is_pattern(input_obj):
            return Inputs([Listed(input_obj)], True)
        if endings.is_read(input_obj) and (there := head(s3, at, input_obj)):
            return Inputs([there], True)
    return _list(s3, at, input_obj)


def head(s3: "S3Client", at: At, key: str, ours: bool = True) -> Listed | None:
    """An object; None where it is not there, or is a workbook of `ours` that is not wanted."""
    try:
        answer = s3.head_object(**at, Key=key)
    except ClientError as error:
        if status(error) not in ABSENT:
            raise
        return None
    if MADE_BY in answer["Metadata"] and not ours:
        return None
    return Listed(key, answer["ETag"], answer["ContentLength"])


def _fail_absent(key: str) -> Listed:
    raise NoObjects(f"{key}: must be there, as a list of keys names it; found nothing")


def _list(s3: "S3Client", at: At, pattern: str) -> Inputs:
    if any("**" in step and step != "**" for step in pattern.split("/")):
        rule = "a pattern has ** for whole steps alone"
        raise InvalidEvent(f"input_obj: {rule}; found {quoted(pattern)}")
    prefix, matches = pattern.partition("*")[0], endings.regex(pattern)
    is_own = at["Bucket"] == os.environ.get("BUCKET", "test-bucket")
    found: list[Listed] = []
    passed_over = 0
    for page in s3.get_paginator("list_objects_v2").paginate(**at, Prefix=prefix):
        for each in page.get("Contents", []):
            key = each["Key"]
            if not matches.match(key) or endings.is_folder(key):  # as consoles mark a folder
                continue
            if endings.is_table(key, prefix) and not (is_own and key.startswith(OWN)):
                found.append(Listed(key, each["ETag"], each["Size"]))
            else:
                passed_over += 1
        if len(found) > MOST_OBJECTS:
            rule = f"an execution reads at most {MOST_OBJECTS:,} objects"
            raise TooManyObjects(f"{pattern}: {rule}; found more")
    books = [each.key for each in found if endings.is_workbook(each.key)]
    kept = map_ahead(lambda key: head(s3, at, key, ours=False), books, AT_ONCE)
    results = {key for key, there in zip(books, kept) if not there}  # of earlier runs
    tables = [each for each in found if each.key not in results]
    passed_over += len(found) - len(tables)
    if not tables:
        others = f"{passed_over:,} objects that are none" if passed_over else "nothing"
        raise NoObjects(f"{pattern}: must hold a table; found {others}")
    return Inputs(sorted(tables, key=lambda each: each.key), False, passed_over)
