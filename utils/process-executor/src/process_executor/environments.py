"""Mend LocalStack's execution environments: many may start at once, and INIT_START is stored."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from localstack import config
from localstack.runtime import hooks


@hooks.on_infra_start(should_load=lambda: config.LAMBDA_RUNTIME_EXECUTOR == "process")  # type: ignore[untyped-decorator]
def mend_environments() -> None:
    """LocalStack runs this before it loads Lambda."""
    choose_environments_safely()
    store_the_whole_log()


class Environments(dict[str, Any]):
    """Environments by id. LocalStack goes through them while other threads add and remove some."""

    def values(self) -> Any:
        return list(super().values())


def choose_environments_safely() -> None:
    """A 200-wide Map asks for 200 at once: one request in thousands failed, for two reasons."""
    from localstack.services.lambda_.invocation.assignment import AssignmentService
    from localstack.services.lambda_.invocation.execution_environment import (
        InvalidStatusException,
    )

    initialise: Any = AssignmentService.__init__
    choose = AssignmentService.get_environment

    def with_environments(service: Any) -> None:
        initialise(service)
        service.environments = defaultdict(Environments)

    @contextmanager
    def get_environment(service: Any, *version: Any) -> Iterator[Any]:
        with ExitStack() as stack:
            yield enter(stack, service, *version)

    def enter(stack: ExitStack, *version: Any) -> Any:
        while True:
            try:
                return stack.enter_context(choose(*version))
            except InvalidStatusException:
                # Another thread has taken the environment that this one had just started.
                continue

    setattr(AssignmentService, "__init__", with_environments)
    setattr(AssignmentService, "get_environment", get_environment)


def store_the_whole_log() -> None:
    """CloudWatch Logs gets lines of the init phase that LogType=Tail does not show."""
    from localstack.services.lambda_.invocation.version_manager import LambdaVersionManager

    store = LambdaVersionManager.store_logs

    def store_logs(manager: Any, invocation_result: Any, execution_env: Any) -> None:
        whole = replace(invocation_result, logs=execution_env.runtime_executor.get_logs())
        store(manager, whole, execution_env)

    setattr(LambdaVersionManager, "store_logs", store_logs)
