"""LocalStack's runtime executor: one per execution environment, all sharing pools of workers."""

import os
import threading
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from localstack import config
from localstack.runtime.shutdown import SHUTDOWN_HANDLERS
from localstack.services.lambda_.invocation.lambda_models import (
    FunctionVersion,
    HotReloadingCode,
    InitializationType,
)
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor
from localstack.utils.threads import TMP_THREADS

from process_executor.code import ChangeDetector, CodeStore, archive_of
from process_executor.faults import Dropped, Fault, NotRunnable
from process_executor.launch import Launch, find_interpreter
from process_executor.pool import WorkerPool
from process_executor.report import Report, system_log
from process_executor.runtime_process import end_all
from process_executor.worker import Invocation, Outcome, Worker

LOOPBACK = "127.0.0.1"

_code = CodeStore()
_pools: WeakValueDictionary[str, WorkerPool] = WeakValueDictionary()
_pools_lock = threading.Lock()
_prepared: dict[str, ExitStack] = {}


def pool_size() -> int:
    """Worker processes per function version: LAMBDA_PROCESS_POOL_SIZE, else the CPUs we may use.

    Raises:
        ValueError: the variable is no whole number of at least 1.
    """
    text = os.environ.get("LAMBDA_PROCESS_POOL_SIZE") or str(os.process_cpu_count() or 1)
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(
            f"LAMBDA_PROCESS_POOL_SIZE must be a whole number of at least 1; found {text!r}"
        )
    return int(text)


def pool_of(version: FunctionVersion) -> WorkerPool:
    with _pools_lock:
        return _pools.setdefault(revision(version), new_pool(version))


def revision(version: FunctionVersion) -> str:
    """What changes with every update of a function, and for nothing else."""
    return f"{version.qualified_arn}/{version.config.internal_revision}"


def new_pool(version: FunctionVersion) -> WorkerPool:
    code = version.config.code
    if isinstance(code, HotReloadingCode):
        return WorkerPool(pool_size(), ChangeDetector(code.get_unzipped_code_location()).generation)
    return WorkerPool(pool_size())


def start_worker(version: FunctionVersion, env_vars: dict[str, str], generation: int) -> Worker:
    interpreter = find_interpreter(version)
    with ExitStack() as holder:
        task_root, opt = hold_files(version, holder)
        launch = Launch(version, interpreter, task_root, opt, env_vars)
        return Worker(launch, generation, holder.pop_all().close)


def hold_files(version: FunctionVersion, holder: ExitStack) -> tuple[Path, Path | None]:
    """The folders of the code and, where there are any, of the layers, which are /var/task and /opt
    in Lambda; they stay until `holder` closes.

    Raises:
        NotRunnable: a layer cannot be unpacked.
    """
    code: Any = version.config.code
    layers = [archive_of(layer) for layer in version.config.layers]
    opt = _code.hold(layers, holder) if layers else None
    if isinstance(code, HotReloadingCode):
        return code.get_unzipped_code_location(), opt
    return _code.hold([code], holder), opt


# LocalStack's exit would wait for the invocations that are running.
SHUTDOWN_HANDLERS.register(end_all)


class ProcessRuntimeExecutor(RuntimeExecutor):
    def __init__(self, id: str, function_version: FunctionVersion) -> None:
        super().__init__(id, function_version)
        self._pool = pool_of(function_version)

    def start(self, env_vars: dict[str, str]) -> None:
        """Start nothing, as LocalStack makes an environment for every concurrent invocation, unless
        the environment is provisioned.

        Raises:
            Fault: a provisioned environment cannot load the function.
        """
        self._start_worker = partial(start_worker, self.function_version, env_vars)
        self._pool.attach(self.id)
        if env_vars["AWS_LAMBDA_INITIALIZATION_TYPE"] == InitializationType.provisioned_concurrency:
            self._pool.initialise(self._start_worker)

    def stop(self) -> None:
        """Leave the pool; an invocation that runs may finish, as in Lambda."""
        self._pool.detach(self.id)

    def invoke(self, payload: dict[str, str]) -> Outcome:
        invocation = Invocation(
            request_id=payload["invoke-id"],
            payload=payload["payload"].encode(),
            function_arn=payload["invoked-function-arn"],
            trace_id=payload["trace-id"],
        )
        try:
            return self._pool.run(invocation, self._start_worker)
        except (Dropped, NotRunnable) as caught:
            fault: Fault = caught
        except OSError as error:
            name = self.function_version.id.function_name
            fault = NotRunnable(f"function {name} cannot be started: {error}")
        finally:
            forget_finished_threads()
        return not_run(invocation, fault, self.function_version)

    def get_address(self) -> str:
        return LOOPBACK

    def get_endpoint_from_executor(self) -> str:
        host = config.GATEWAY_LISTEN[0].host
        return LOOPBACK if host in ("", "0.0.0.0", "::") else str(host)

    def get_runtime_endpoint(self) -> str:
        return ""  # for LocalStack's Docker init; workers have a Runtime API of their own

    def get_logs(self) -> str:
        return ""  # of a container; an invocation's are in its outcome

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        """Unzip the code and the layers. LocalStack sets the function to Failed on an error."""
        pool_size()
        if function_version.config.code:  # an image has none
            with ExitStack() as holder:
                hold_files(function_version, holder)
                _prepared[revision(function_version)] = holder.pop_all()

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """Forget the code. LocalStack stops the environments, and so the workers, before this."""
        if held := _prepared.pop(revision(function_version), None):
            held.close()


def forget_finished_threads() -> None:
    """LocalStack keeps each thread of a Map it has started, and Python the stack of each one kept.

    That is 400 memory mappings for each execution of a 200-wide Map; Linux allows a process 65,530.
    """
    for thread in list(TMP_THREADS):
        if isinstance(thread, threading.Thread) and thread.ident and not thread.is_alive():
            with suppress(ValueError):
                TMP_THREADS.remove(thread)


def not_run(invocation: Invocation, fault: Fault, version: FunctionVersion) -> Outcome:
    request_id, arn = invocation.request_id, invocation.function_arn
    report = Report(request_id, arn, 0, None, version.config.memory_size, 0, True, fault)
    system = system_log(version)
    # Nothing is logged of a call that nobody awaits.
    logs = "" if isinstance(fault, Dropped) else system.start(report) + system.end(report)
    return Outcome(request_id, fault.payload(request_id), True, logs)


class ProcessRuntimeExecutorPlugin(RuntimeExecutorPlugin):
    """What LocalStack finds when LAMBDA_RUNTIME_EXECUTOR is `process`."""

    name = "process"

    def load(self, *args: object, **kwargs: object) -> type[ProcessRuntimeExecutor]:
        return ProcessRuntimeExecutor
