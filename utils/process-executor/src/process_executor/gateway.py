"""Larger S3 chunks in LocalStack, for fewer thread switches."""

import io
import tempfile
from typing import Any

from localstack import config
from localstack.runtime import hooks
from localstack.services.s3 import constants
from twisted.internet.abstract import FileDescriptor
from twisted.web.http import HTTPFactory, Request

FIRST = 1  # of the executor's hooks, whose priority is 0; the others may load S3
SENT_BYTES = 1 << 20
RECEIVED_BYTES = 1 << 18
IDLE_S = 24 * 3600
IN_MEMORY_BYTES = 16 << 20  # of a request; twisted takes 100 KB, and writes longer ones to disk

_build_protocol = HTTPFactory.buildProtocol


@hooks.on_infra_start(  # type: ignore[untyped-decorator]
    should_load=lambda: config.LAMBDA_RUNTIME_EXECUTOR == "process", priority=FIRST
)
def move_large_pieces() -> None:
    """LocalStack runs this before it loads S3, which imports what is set here."""
    constants.S3_CHUNK_SIZE = SENT_BYTES
    FileDescriptor.SEND_LIMIT = SENT_BYTES
    FileDescriptor.bufferSize = RECEIVED_BYTES
    setattr(Request, "gotLength", got_length)
    setattr(HTTPFactory, "buildProtocol", build_protocol)


def build_protocol(factory: Any, address: Any) -> Any:
    """Let a connection idle for long: one that twisted closes after a minute, just as LocalStack's
    own client sends the next request on it, fails that request, which nobody retries.
    """
    factory.timeOut = IDLE_S
    return _build_protocol(factory, address)


def got_length(request: Any, length: int | None) -> None:
    in_memory = length is not None and length <= IN_MEMORY_BYTES
    request.content = io.BytesIO() if in_memory else tempfile.TemporaryFile()  # noqa: SIM115  # twisted closes it
