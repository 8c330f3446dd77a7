"""Where a function runs, an invocation at a time: Lambda's execution environment."""

import json
import math
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus

from localstack import config
from localstack.services.lambda_.invocation.lambda_models import InvocationResult

from process_executor.faults import Fault, InitFailed, ResponseTooLarge, TimedOut
from process_executor.launch import Launch
from process_executor.report import Report, text
from process_executor.runtime_api import Request
from process_executor.runtime_process import MIB, RuntimeProcess, taken
from process_executor.workspace import scratch_folder

NEXT = "/2018-06-01/runtime/invocation/next"
INIT_ERROR = "/2018-06-01/runtime/init/error"


@dataclass(frozen=True)
class Invocation:
    """`payload` is the event, as JSON."""

    request_id: str
    payload: bytes
    function_arn: str
    trace_id: str


@dataclass
class Outcome(InvocationResult):
    """What an invocation came to.

    Attributes:
        logs: what LogType=Tail shows.
        init_log: the line before it that only CloudWatch Logs gets.
    """

    payload: bytes
    logs: str
    init_log: str = ""


class Worker:
    """A process that has loaded the function or is loading it, and a /tmp that outlives it.

    Life: the init phase ends when the process asks for its first invocation (NEXT). That request
    waits, "parked", until an invocation comes; answering it hands the event over. The process
    posts the answer, asks for the next invocation, and is parked again. After a fault the process
    is gone; the next invocation gets a new one in the same /tmp, as Lambda's warm sandbox does.

    The thread that runs an invocation serves the process meanwhile; nobody does between two.
    """

    def __init__(
        self,
        launch: Launch,
        generation: int = 0,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            generation: of the code.
            on_end: called when the worker has been killed, or cannot be started.
        """
        self.launch = launch
        self.generation = generation
        self._output = bytearray()
        with ExitStack() as stack:
            stack.callback(on_end)
            self._tmp = scratch_folder("tmp")
            stack.callback(shutil.rmtree, self._tmp, ignore_errors=True)
            self._start_process()
            self._resources = stack.pop_all()

    def _start_process(self) -> None:
        self._parked: Request | None = None
        self._initialised = False
        self._init_log = self.launch.system_log.init_start()
        self._init_ms: float | None = None
        self._process = RuntimeProcess(self.launch, self._tmp, self._output)

    @property
    def pid(self) -> int:
        """Of its latest process."""
        return self._process.pid

    @property
    def has_process(self) -> bool:
        return not self._process.ended

    def ready(self) -> bool:
        """Whether the process is loading the function, or can take another invocation."""
        if self._process.ended or not self._initialised:
            return not self._process.ended
        try:
            return self._init_phase()
        except Fault:
            return False

    def _restart(self) -> None:
        self._process.end()
        self._start_process()

    def initialise(self) -> None:
        """Load the function before there is an invocation, as provisioned concurrency does.

        Raises:
            Fault: it cannot be loaded, or not in time.
        """
        if not self.ready():
            self._restart()
        if not self._init_phase():
            raise TimedOut(self.launch.init_timeout_s, "Init phase")

    def run(self, invocation: Invocation) -> Outcome:
        """Invoke the function, in a new process where that of the invocation before has ended.

        Raises:
            OSError: the new process cannot be started.
        """
        if not self.ready():
            self._restart()
        system = self.launch.system_log
        before, began, fault = "", None, None
        try:
            in_time = self._init_phase()
            before = text(self._take_output())
            began = time.monotonic()
            if not in_time:
                # Lambda repeats the init phase then, as a part of the first invocation.
                before += system.init_timed_out(self.launch.init_timeout_s)
                self._restart()
            payload, is_error = self._handle(invocation, began + self.launch.timeout_s)
        except Fault as caught:
            fault, payload, is_error = caught, caught.payload(invocation.request_id), True
            self._process.end()
        if is_error:
            payload = self.launch.as_in_lambda(payload)
        report = self._report(invocation, began, is_error, fault)
        logs = before + system.start(report) + text(self._take_output()) + system.end(report)
        outcome = Outcome(invocation.request_id, payload, is_error, logs, init_log=self._init_log)
        self._init_ms, self._init_log = None, ""
        return outcome

    def _report(
        self, invocation: Invocation, began: float | None, is_error: bool, fault: Fault | None
    ) -> Report:
        duration_ms = milliseconds_since(began) if began else 0.0
        return Report(
            request_id=invocation.request_id,
            function_arn=invocation.function_arn,
            duration_ms=min(duration_ms, self.launch.timeout_s * 1000),
            init_ms=self._init_ms,
            memory_mb=self.launch.memory_mb,
            peak_mb=math.ceil(self._process.peak_bytes / MIB),
            is_error=is_error,
            fault=fault,
        )

    def kill(self) -> None:
        """End the process and all that it has started, and free what they held."""
        self._process.end()
        self._resources.close()

    def _init_phase(self) -> bool:
        """Await that the process asks for an invocation; False if that takes too long."""
        began = time.monotonic() if self._initialised else self._process.began
        try:
            self._await_next(began + self.launch.init_timeout_s)
        except TimeoutError:
            return False
        self._process.raise_if_ended()
        if not self._initialised:
            self._init_ms = milliseconds_since(began)
        self._initialised = True
        return True

    def _await_next(self, deadline: float) -> Request:
        if not self._parked:
            request = self._await(deadline, NEXT, INIT_ERROR)
            if request.path == INIT_ERROR:
                request.reply(HTTPStatus.ACCEPTED)
                raise InitFailed(request.body, json.loads(request.body)["errorType"])
            self._parked = request
        return self._parked

    def _await(self, deadline: float, *paths: str) -> Request:
        """The next request to one of these paths; there is nothing at others."""
        while (request := self._process.next_request(deadline)).path not in paths:
            request.reply(HTTPStatus.NOT_FOUND)
        return request

    def _handle(self, invocation: Invocation, deadline: float) -> tuple[bytes, bool]:
        """The function's answer, and whether it is an error."""
        path = f"/2018-06-01/runtime/invocation/{invocation.request_id}"
        try:
            parked, self._parked = self._await_next(deadline), None
            deliver(invocation, parked, deadline)
            request = self._await(deadline, f"{path}/response", f"{path}/error")
        except TimeoutError:
            raise TimedOut(self.launch.timeout_s) from None
        request.reply(HTTPStatus.ACCEPTED)
        self._initialised = True
        self._process.check_memory()
        limit = config.LAMBDA_LIMITS_MAX_FUNCTION_PAYLOAD_SIZE_BYTES
        if len(request.body) > limit:
            raise ResponseTooLarge(limit)
        return request.body, request.path.endswith("/error")

    def _take_output(self) -> bytes:
        if not self._process.ended:
            self._process.read_output()
        return self.launch.as_in_lambda(taken(self._output))


def deliver(invocation: Invocation, parked: Request, deadline: float) -> None:
    """Hand the event over; a TimeoutError where the process does not take it in time."""
    left_s = deadline - time.monotonic()
    headers = {
        "Content-Type": "application/json",
        "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
        "Lambda-Runtime-Deadline-Ms": str(int((time.time() + left_s) * 1000)),
        "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
        "Lambda-Runtime-Trace-Id": invocation.trace_id,
    }
    parked.reply(HTTPStatus.OK, invocation.payload, headers, max(left_s, 0.001))


def milliseconds_since(began: float) -> float:
    return (time.monotonic() - began) * 1000
