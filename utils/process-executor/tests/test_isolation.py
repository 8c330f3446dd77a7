"""What a LocalStack shares with the machine it runs on: nothing."""

import os
from pathlib import Path

import psutil

from emulator import Emulator

SHARED_BY_ALL = Path("/tmp/localstack-s3-storage")


def listening(process: psutil.Process) -> set[str]:
    """The addresses that a process and all that it started listen on."""
    family = [process, *process.children(recursive=True)]
    return {
        str(connection.laddr.ip)
        for each in family
        for connection in each.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def test_localstack_and_its_workers_listen_on_loopback_only(emulator: Emulator) -> None:
    emulator.invoke(emulator.create("def handler(event, context): pass"))
    assert listening(psutil.Process(emulator.process.pid)) == {"127.0.0.1"}


def test_what_s3_stores_lies_below_the_emulators_own_folder(emulator: Emulator) -> None:
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="stored-apart")
    # More than LocalStack keeps in memory.
    s3.put_object(Bucket="stored-apart", Key="object", Body=os.urandom(1 << 20))
    assert list(emulator.tmp.glob("lambda-process-*/s3-*/stored-apart"))
    assert not (SHARED_BY_ALL / "stored-apart").exists()


def test_another_localstack_listens_where_it_was_told_to_and_leaves_what_this_one_stores(
    emulator: Emulator, tmp_path: Path
) -> None:
    """With a home, too, that cannot be written."""
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="of-both")
    body = os.urandom(1 << 20)
    s3.put_object(Bucket="of-both", Key="object", Body=body)
    (tmp_path / "home").write_text("no folder")
    nowhere = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with Emulator(tmp_path, host="0.0.0.0", **nowhere) as other:
        assert listening(psutil.Process(other.process.pid)) == {"0.0.0.0"}
        other.client("s3").create_bucket(Bucket="of-both")
        other.client("s3").delete_bucket(Bucket="of-both")
        other.process.terminate()
        other.process.wait(60)
    assert s3.get_object(Bucket="of-both", Key="object")["Body"].read() == body
    assert not list(tmp_path.glob("tmp/lambda-process-*"))
