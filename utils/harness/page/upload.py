"""Put a dropped table into the bucket, once its first bytes are looked at."""

import codecs
import shutil
import zlib
from collections.abc import AsyncIterator
from typing import Any

from anyio import CancelScope
from starlette.concurrency import run_in_threadpool

from harness import bucket, cost, run
from harness.fault import Fault
from harness.settings import FOLDERS
from harness.target import Target
from pipeline import endings
from pipeline.keys import GATHER, REFERENCE, SCATTER, is_key

HEAD_BYTES = 64 * 1024
PART_BYTES = 8 << 20
MOST_BYTES = 10_000 * PART_BYTES  # S3 takes so many parts
BEGINNINGS = {".json": "[", ".jsonl": "{", ".ndjson": "{", "": "[{"}
ENCODINGS = ("utf-8", "cp932")
DENSE = ("csv", "xlsx")  # a byte of it holds what four of JSON do, which names each key


def check(
    target: Target, key: str, size: int, head: bytes, encoding: str, language: str = "en"
) -> list[str]:
    """What the user must agree to before a table is sent, in words.

    Args:
        head: its first HEAD_BYTES.

    Raises:
        Fault: it can be no input.
    """
    check_key(target, key)
    check_size(target, key, size)
    given = input_of(key, encoding)
    check_head(key, head, given.get("encoding", ENCODINGS[0]))
    asks, which = [], language == "ja"
    if bucket.head(target, key):
        text = ("{} is there, and is replaced.", "{} は既にあり、置き換えられます。")[which]
        asks.append(text.format(f"s3://{target.bucket}/{key}"))
    if old := run.replaced(target, given):
        text = (
            "It replaces {}, which was made from {}.",
            "ワークブック {}（{} から作成）を置き換えます。",
        )[which]
        asks.append(text.format(*old))
    if target.name == "aws":
        dollars = cost.estimate(size * (4 if endings.NAMES[endings.ends(key)[0]] in DENSE else 1))
        text = (
            "It costs about ${:.2g} on AWS, at list price.",
            "AWS の定価で約 ${:.2g} かかります。",
        )[which]
        asks.append(text.format(dollars))
    return asks


def check_key(target: Target, key: str) -> None:
    own = (SCATTER, GATHER, REFERENCE, endings.OUTBOX)
    inbox = run.variables(target, "scatter").get("INBOX", "")
    if not is_key(key) or not endings.is_read(key):
        raise Fault(f"{key}: {endings.RULE}, and no step that is empty or climbs")
    if key.startswith(own) or (inbox and key.startswith(inbox)):
        raise Fault(f"{key}: must be in no folder of the pipeline's own; found one")
    run.check_key(endings.workbook_key(key))


def check_size(target: Target, key: str, size: int) -> None:
    if not 0 < size <= MOST_BYTES:
        raise Fault(f"{key}: must have 1 to {MOST_BYTES:,} bytes; found {size:,}")
    free = shutil.disk_usage(FOLDERS).free
    if target.emulated and size > free:
        raise Fault(f"{key}: must fit on the emulator's disk, {free:,} bytes; found {size:,}")


def input_of(key: str, encoding: str) -> dict[str, Any]:
    """What of an execution's input a table asks for: JSON is UTF-8, and no workbook replaces its input."""
    given = {"input_obj": key}
    if encoding in ENCODINGS[1:] and endings.is_csv(key):
        given["encoding"] = encoding
    if endings.workbook_key(key) == key:
        given["workbook"] = f"{endings.stem(key)}-result.xlsx"
    return given


def check_head(key: str, head: bytes, encoding: str) -> None:
    end, packed = endings.ends(key)
    if packed or (not end and head.startswith(b"\x1f\x8b")):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
        except zlib.error:
            raise Fault(
                f"{key}: must be packed by gzip, as its name says; found other bytes"
            ) from None
    if endings.is_workbook(key):
        if not head.startswith(b"PK"):
            raise Fault(f"{key}: must be a workbook as Excel saves it today; found other bytes")
        return
    if b"\0" in head:
        raise Fault(f"{key}: must be {encoding.upper()} text; found UTF-16, or no text")
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head).lstrip("\ufeff \t\r\n")
    except UnicodeDecodeError as error:
        found = f"byte 0x{head[error.start]:02x} at {error.start}"
        raise Fault(f"{key}: must be {encoding.upper()}; found {found}") from None
    if not endings.is_csv(key) and text[:1] not in [*BEGINNINGS[end]]:
        raise Fault(f"{key}: must begin with {' or '.join(BEGINNINGS[end])}; found {text[:1]!r}")


async def put(target: Target, key: str, chunks: AsyncIterator[bytes], replace: bool) -> None:
    """Write an object in parts, of which one at a time is in memory; it is there whole or not at all.

    Args:
        replace: whether an object of that name may be there.
    """
    s3, at = target.client("s3"), {"Bucket": target.bucket, "Key": key}
    at["UploadId"] = (await run_in_threadpool(s3.create_multipart_upload, **at))["UploadId"]
    parts: list[dict[str, Any]] = []
    try:
        async for body in pieces(chunks):
            number = len(parts) + 1
            told = await run_in_threadpool(s3.upload_part, **at, PartNumber=number, Body=body)
            parts.append({"PartNumber": number, "ETag": told["ETag"]})
        at |= {} if replace else {"IfNoneMatch": "*"}
        whole = {"Parts": parts}
        await run_in_threadpool(s3.complete_multipart_upload, **at, MultipartUpload=whole)
    except BaseException as error:
        at.pop("IfNoneMatch", None)
        with CancelScope(shield=True):
            await run_in_threadpool(s3.abort_multipart_upload, **at)
        if "PreconditionFailed" in str(error):
            raise Fault(f"{key}: must not be there yet; found one, of a moment ago") from None
        raise


async def pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        if len(held) >= PART_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)
