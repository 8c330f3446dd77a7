"""What LocalStack finds when LAMBDA_RUNTIME_EXECUTOR is `process`."""

from typing import TYPE_CHECKING, Any

from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin

if TYPE_CHECKING:
    from process_executor.executor import ProcessRuntimeExecutor


class ProcessRuntimeExecutorPlugin(RuntimeExecutorPlugin):
    name = "process"

    def load(self, *args: Any, **kwargs: Any) -> type["ProcessRuntimeExecutor"]:
        from process_executor.executor import ProcessRuntimeExecutor

        return ProcessRuntimeExecutor
