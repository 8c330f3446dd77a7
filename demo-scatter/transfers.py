"""S3 transfers that overlap the caller's work."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

AT_ONCE = 4


def read_ahead(chunks: Iterator[bytes], depth: int = AT_ONCE) -> Iterator[bytes]:
    """The same chunks, fetched by a thread while the caller works on earlier ones."""
    with ThreadPoolExecutor(1) as thread:
        pending = deque(thread.submit(next, chunks, None) for _ in range(depth))
        while (chunk := pending.popleft().result()) is not None:
            pending.append(thread.submit(next, chunks, None))
            yield chunk


class Uploads:
    """Puts, a few at a time; leaving the block waits for all of them."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self.s3 = s3
        self.bucket = bucket
        self.pool = ThreadPoolExecutor(AT_ONCE)
        self.pending: deque[Future[Any]] = deque()

    def __enter__(self) -> Self:
        return self

    def put(self, key: str, body: bytes) -> None:
        if len(self.pending) == AT_ONCE:
            self.pending.popleft().result()
        self.pending.append(
            self.pool.submit(self.s3.put_object, Bucket=self.bucket, Key=key, Body=body)
        )

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self.pool.shutdown(wait=True, cancel_futures=error is not None)
        if error is None:
            for upload in self.pending:
                upload.result()
