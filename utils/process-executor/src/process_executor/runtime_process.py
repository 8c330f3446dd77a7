"""One OS process that runs AWS's runtime client, the Runtime API it talks to and what it prints."""

import os
import signal
import subprocess
import threading
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from process_executor import processes
from process_executor.faults import Exited, OutOfMemory
from process_executor.launch import Launch
from process_executor.runtime_api import CHUNK_BYTES, Request, RuntimeApi

BOOTSTRAP = Path(__file__).parent / "var_runtime" / "bootstrap.py"
# Every worker watches the one end. Only LocalStack holds the other, so workers see EOF however it dies.
LIFELINE, HELD_END = os.pipe()
STOPPING = threading.Event()
# As in Lambda, the shell ends with 127 where there is no such wrapper, 126 where it may not be run.
RUN_WRAPPER = ("/bin/sh", "-c", 'exec "$0" "$@"')
MIB = 1 << 20
SAMPLE_S = 0.05
# Wait at least so many times as long as the last sample took: with forks that is milliseconds.
SAMPLE_SHARE = 30
# A function that prints for ever must not take LocalStack's memory.
LOG_BYTES = 64 * MIB


def taken(output: bytearray) -> bytes:
    """What a function has printed since it was taken last."""
    found = bytes(output)
    output.clear()
    if len(found) > LOG_BYTES:
        return found[:LOG_BYTES] + b"\n[cut: more than %d bytes]\n" % LOG_BYTES
    return found


class RuntimeProcess:
    """Starts at once. It has no thread: whoever waits for it serves and watches it.

    Attributes:
        began: when it was started, on the monotonic clock.
        ended: True once `end` has been called.
        peak_bytes: the most memory that it and its descendants were seen to hold.
    """

    def __init__(self, launch: Launch, tmp: Path, output: bytearray) -> None:
        """
        Args:
            tmp: the function's $TMPDIR.
            output: takes what the function prints, up to a byte more than LOG_BYTES.

        Raises:
            OSError: it cannot be started. Whatever was opened for it is closed.
        """
        if STOPPING.is_set():
            raise OSError("LocalStack is stopping")
        self.began = time.monotonic()
        self.ended = False
        self.peak_bytes = 0
        self._memory_mb = launch.memory_mb
        self._output = output
        self._next_sample = 0.0
        with ExitStack() as ours, ExitStack() as its:
            self._api = ours.enter_context(closing(RuntimeApi()))
            self._pipe, output_end = os.pipe()
            ours.callback(os.close, self._pipe)
            its.callback(os.close, output_end)
            os.set_blocking(self._pipe, False)
            self._api.watch(self._pipe, self.read_output)
            self._process = self._start(launch, tmp, output_end)
            self._resources = ours.pop_all()

    def _start(self, launch: Launch, tmp: Path, output: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                *((*RUN_WRAPPER, launch.wrapper) if launch.wrapper else ()),
                launch.interpreter,
                *(() if launch.writes_bytecode else ("-B",)),
                BOOTSTRAP,
                str(LIFELINE),
                launch.opt or "",
                launch.handler,
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=launch.task_root,
            env={
                "TMPDIR": str(tmp),
                **launch.variables,
                "AWS_LAMBDA_RUNTIME_API": self._api.address,
            },
            pass_fds=(LIFELINE,),
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def next_request(self, deadline: float) -> Request:
        """
        Raises:
            Exited: the process has ended, and what it had sent before is dealt with.
            OutOfMemory: it has outgrown MemorySize.
            TimeoutError: the deadline has passed.
        """
        while not self._api.requests:
            exited = self._process.poll()
            patience_s = min(SAMPLE_S, max(0, deadline - time.monotonic()))
            active = self._api.pump(0 if exited is not None else patience_s)
            if self._api.requests:
                break
            if exited is not None and not active:
                raise Exited(exited)
            self._sample_memory()
            if time.monotonic() >= deadline:
                raise TimeoutError
        return self._api.requests.popleft()

    def raise_if_ended(self) -> None:
        """Raise Exited where the process has ended, or was killed and is just ending."""
        if processes.is_dying(self.pid):
            self._process.wait()
        if (returncode := self._process.poll()) is not None:
            raise Exited(returncode)

    def _sample_memory(self) -> None:
        began = time.monotonic()
        if began >= self._next_sample:
            self.check_memory()
            ended = time.monotonic()
            self._next_sample = ended + max(SAMPLE_S, SAMPLE_SHARE * (ended - began))

    def check_memory(self) -> None:
        """Raise OutOfMemory where it holds, or has held, more than MemorySize."""
        used = processes.resident_bytes(self.pid)
        self.peak_bytes = max(self.peak_bytes, used)
        if used > self._memory_mb * MIB:
            raise OutOfMemory

    def read_output(self) -> None:
        """Take what the function has printed; a pipe holds less than one read asks for."""
        with suppress(BlockingIOError):
            chunk = os.read(self._pipe, CHUNK_BYTES)
            self._output += chunk[: LOG_BYTES + 1 - len(self._output)]
            if not chunk:
                self._api.unwatch(self._pipe)

    def end(self) -> None:
        """Kill it with all that it has started, and close what was opened for it."""
        if self.ended:
            return
        self.ended = True
        if self._process.returncode is None:
            for pid in processes.descendants(self.pid):
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        # macOS answers EPERM for a group of zombies.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self.read_output()
        self._resources.close()


def end_all() -> None:
    """Kill every worker, and start no other."""
    STOPPING.set()
    os.close(HELD_END)
