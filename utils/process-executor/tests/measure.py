"""Prints what the README claims: python tests/measure.py."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from emulator import Emulator

NOTHING = "def handler(event, context): pass"


def milliseconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def measure(emulator: Emulator, folder: Path) -> None:
    client = emulator.client("lambda")

    def times(name: str, count: int) -> list[float]:
        return [milliseconds(lambda: client.invoke(FunctionName=name)) for _ in range(count)]

    warm = emulator.create(NOTHING)
    times(warm, 50)
    cold = [times(emulator.create(NOTHING), 1)[0] for _ in range(10)]
    print(f"cold invocation of a function that does nothing: {statistics.median(cold):.0f} ms")
    print(f"warm, median of 500: {statistics.median(times(warm, 500)):.1f} ms")

    with ThreadPoolExecutor(200) as threads:
        calls = [client.invoke] * 200
        all_s = milliseconds(lambda: list(threads.map(lambda call: call(FunctionName=warm), calls)))
    print(f"200 concurrent: {all_s:.0f} ms, {len(emulator.workers(warm))} workers")

    (folder / "main.py").write_text(NOTHING)
    files = sum(len(names) for _, _, names in os.walk(folder))
    hot = emulator.create(Code={"S3Bucket": "hot-reload", "S3Key": str(folder)})
    times(hot, 10)
    print(f"warm, hot-reloading {files} files: {statistics.median(times(hot, 100)):.1f} ms")


def with_pandas(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), "pandas"]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as state, tempfile.TemporaryDirectory() as code:
        with_pandas(Path(code))
        with Emulator(Path(state), LAMBDA_PROCESS_POOL_SIZE="") as started:
            measure(started, Path(code))
