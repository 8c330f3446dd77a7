"""What a worker process is started with: interpreter, environment, folder and limits."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localstack import config
from localstack.services.lambda_.invocation.lambda_models import FunctionVersion

from process_executor.faults import NotRunnable

# Known to LocalStack's Docker image, not to AWS; and what would make awslambdaric serve several
# invocations at once, which is for Lambda Managed Instances.
NOT_IN_LAMBDA = {"AWS_LAMBDA_FUNCTION_TIMEOUT", "AWS_LAMBDA_MAX_CONCURRENCY"}


@dataclass(frozen=True)
class Launch:
    """Attributes:
    interpreter: the Python that runs the function.
    handler: module.function.
    variables: all that the function sees, but for what depends on the worker.
    memory_mb: MemorySize, in MiB as Lambda counts.
    timeout_s: the function's Timeout, for one invocation.
    init_timeout_s: for loading the function.
    writes_bytecode: whether Python may leave __pycache__ beside the code.
    """

    interpreter: Path
    handler: str
    task_root: Path
    variables: Mapping[str, str]
    memory_mb: int
    timeout_s: float
    init_timeout_s: float
    writes_bytecode: bool = True


def launch(
    version: FunctionVersion, interpreter: Path, task_root: Path, env_vars: Mapping[str, object]
) -> Launch:
    """
    Args:
        env_vars: what LocalStack gives every execution environment.
    """
    code = version.config.code
    return Launch(
        interpreter=interpreter,
        handler=str(version.config.handler),
        task_root=task_root,
        variables=variables(version, interpreter, task_root, env_vars),
        memory_mb=version.config.memory_size,
        timeout_s=version.config.timeout,
        init_timeout_s=config.LAMBDA_RUNTIME_ENVIRONMENT_TIMEOUT,
        # A .pyc knows its source by size and second: too coarse for code that is being edited.
        writes_bytecode=not (code and code.is_hot_reloading()),
    )


def find_interpreter(version: FunctionVersion) -> Path:
    """The Python that LAMBDA_PROCESS_RUNTIMES holds for the function's runtime; where that is not
    set, LocalStack's own, when it is of the runtime's version.

    Raises:
        NotRunnable: there is none, or the function is no Python function.
    """
    name, runtime = version.id.function_name, version.config.runtime
    if not runtime:
        raise NotRunnable(
            f"function {name} is a container image; the process executor runs zip packages only."
            " Create it with --package-type Zip, or run LocalStack with the docker executor."
        )
    if not runtime.startswith("python"):
        raise NotRunnable(
            f"function {name} has runtime {runtime}; the process executor runs python only."
            " Run LocalStack with LAMBDA_RUNTIME_EXECUTOR=docker for it."
        )
    return find_python(name, runtime)


def find_python(function_name: str, runtime: str) -> Path:
    own = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folder = os.environ.get("LAMBDA_PROCESS_RUNTIMES")
    if not folder and runtime == own:
        return Path(sys.executable)
    python = Path(folder or "$LAMBDA_PROCESS_RUNTIMES", runtime, "bin", "python")
    if folder and os.access(python, os.X_OK):
        return python
    looked_for = f"{python}, which does not exist" if folder else f"{python}, and that is not set"
    raise NotRunnable(
        f"function {function_name} has runtime {runtime}: its interpreter would be {looked_for}"
        f" (LocalStack itself runs {own}). Make it with `{runtime} -m venv {python.parents[1]}` and"
        f" `{python} -m pip install awslambdaric boto3`."
    )


def variables(
    version: FunctionVersion, interpreter: Path, task_root: Path, env_vars: Mapping[str, object]
) -> dict[str, str]:
    """Lambda's variables, LocalStack's address and the function's own; nothing of the host's.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    lambdas = {name: str(value) for name, value in env_vars.items() if is_lambdas(name)}
    places = {
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{version.config.runtime}",
        "LAMBDA_RUNTIME_DIR": str(interpreter.parents[1]),
        "LAMBDA_TASK_ROOT": str(task_root),
    }
    defaults = {"LANG": "en_US.UTF-8", "PATH": f"{interpreter.parent}:/usr/local/bin:/usr/bin:/bin"}
    return {**defaults, **lambdas, **(version.config.environment or {}), **places}


def is_lambdas(name: str) -> bool:
    if name.startswith("LOCALSTACK_"):
        return name == "LOCALSTACK_HOSTNAME"
    return name not in NOT_IN_LAMBDA
