"""How S3's bodies pass through LocalStack."""

import os
import subprocess
import sys

import pytest

from emulator import Emulator
from process_executor.gateway import IDLE_S, IN_MEMORY_BYTES, SENT_BYTES

HOOKED = f"""
from localstack.runtime import hooks
hooks.on_infra_start.manager.load("move_large_pieces")()

import io
from localstack.services.s3.storage import ephemeral
from twisted.web.http import Request

assert ephemeral.S3_CHUNK_SIZE == {SENT_BYTES}
for length, in_memory in [(0, True), ({IN_MEMORY_BYTES}, True), ({IN_MEMORY_BYTES} + 1, False), (None, False)]:
    request = Request.__new__(Request)
    request.gotLength(length)
    assert isinstance(request.content, io.BytesIO) == in_memory

from twisted.web.server import Site
from twisted.web.resource import Resource
assert Site(Resource()).buildProtocol(None).timeOut == {IDLE_S}
"""


def test_s3_takes_the_size_of_its_pieces_from_the_hook() -> None:
    env = {**os.environ, "LAMBDA_RUNTIME_EXECUTOR": "process"}
    subprocess.run([sys.executable, "-c", HOOKED], env=env, check=True)


@pytest.mark.parametrize("size", [0, IN_MEMORY_BYTES + SENT_BYTES // 2])
def test_an_object_comes_back_as_it_was_sent(emulator: Emulator, size: int) -> None:
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="pieces")
    body = os.urandom(size)
    s3.put_object(Bucket="pieces", Key="object", Body=body)
    assert s3.get_object(Bucket="pieces", Key="object")["Body"].read() == body
