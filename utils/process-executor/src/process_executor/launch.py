"""What a worker process is started with: interpreter, environment, folder and limits."""

import json
import os
import re
import sys
import sysconfig
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from localstack import config
from localstack.services.lambda_.invocation.lambda_models import FunctionVersion, S3Code

from process_executor.faults import NotRunnable
from process_executor.report import system_log

# Known to LocalStack's Docker image, not to AWS; and what would make awslambdaric serve several
# invocations at once, which is for Lambda Managed Instances.
NOT_IN_LAMBDA = {"AWS_LAMBDA_FUNCTION_TIMEOUT", "AWS_LAMBDA_MAX_CONCURRENCY"}
# /home/me/code is no part of /home/me/code-2, nor of /mnt/home/me/code.
WHOLE_PATH = rb"(?<![\w.\x80-\xff-])%b(?![\w.\x80-\xff-])"
# Holds bootstrap.py and nothing else, as /var/runtime does for the function.
VAR_RUNTIME = Path(__file__).parent / "var_runtime"


class Launch:
    """A function as a worker process runs it.

    Attributes:
        opt: the layers' folder, if there are layers.
        memory_mb: MemorySize, in MiB as Lambda counts.
        timeout_s: for one invocation.
        init_timeout_s: for loading the function.
        variables: all that the function sees, but for what depends on the worker.
        wrapper: a program that starts the interpreter, from AWS_LAMBDA_EXEC_WRAPPER.
        writes_bytecode: whether Python may leave __pycache__ beside the code.
    """

    def __init__(
        self,
        version: FunctionVersion,
        interpreter: Path,
        task_root: Path,
        opt: Path | None,
        env_vars: Mapping[str, object],
    ) -> None:
        """
        Args:
            env_vars: what LocalStack gives every execution environment.
        """
        self.interpreter = interpreter
        self.handler = str(version.config.handler)
        self.task_root = task_root
        self.opt = opt
        self.memory_mb = version.config.memory_size
        self.timeout_s: float = version.config.timeout
        self.init_timeout_s: float = config.LAMBDA_RUNTIME_ENVIRONMENT_TIMEOUT
        self.system_log = system_log(version, str(env_vars["AWS_LAMBDA_INITIALIZATION_TYPE"]))
        self.variables = variables(version, interpreter, task_root, opt, env_vars)
        wrapper = self.variables.get("AWS_LAMBDA_EXEC_WRAPPER")
        self.wrapper = wrapper and real_path(wrapper, task_root, opt)
        # A .pyc knows its source by size and second: too coarse for code that is being edited.
        self.writes_bytecode = isinstance(version.config.code, S3Code)

    def as_in_lambda(self, output: bytes) -> bytes:
        """Name the code's folder /var/task and the layers' /opt, in what the function reports."""
        for path, name in self._names_in_lambda.items():
            if path in output:
                output = re.sub(WHOLE_PATH % re.escape(path), name, output)
        return output

    @cached_property
    def _names_in_lambda(self) -> dict[bytes, bytes]:
        layers = dict.fromkeys(ways_to_write(self.opt), b"/opt") if self.opt else {}
        return dict.fromkeys(ways_to_write(self.task_root), b"/var/task") | layers


def ways_to_write(folder: Path) -> list[bytes]:
    """A path and its real path, as they are and as JSON has them."""
    paths = {str(folder), os.path.realpath(folder)}
    return [os.fsencode(path) for path in paths | {json.dumps(path)[1:-1] for path in paths}]


def find_interpreter(version: FunctionVersion) -> Path:
    """The Python that LAMBDA_PROCESS_RUNTIMES holds for the function's runtime; where that is not
    set, LocalStack's own, when it is of the runtime's version.

    Raises:
        NotRunnable: there is none, or the function is no Python function.
    """
    name, runtime = version.id.function_name, version.config.runtime
    if not runtime or not runtime.startswith("python"):
        found = f"runtime {runtime}" if runtime else "a container image, no zip package"
        raise NotRunnable(
            f"function {name} has {found}; the process executor runs python only."
            " Run LocalStack with LAMBDA_RUNTIME_EXECUTOR=docker for it."
        )
    own = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folder = os.environ.get("LAMBDA_PROCESS_RUNTIMES")
    if not folder and runtime == own:
        return Path(sys.executable)
    python = Path(folder or "$LAMBDA_PROCESS_RUNTIMES", runtime, "bin", "python")
    if folder and os.access(python, os.X_OK):
        return python
    looked_for = f"{python}, which does not exist" if folder else f"{python}, and that is not set"
    raise NotRunnable(
        f"function {name} has runtime {runtime}: its interpreter would be {looked_for}"
        f" (LocalStack itself runs {own}). Make it with `{runtime} -m venv {python.parents[1]}` and"
        f" `{python} -m pip install awslambdaric boto3`."
    )


def real_path(path: str, task_root: Path, opt: Path | None) -> str:
    """Where a file lies here that Lambda has below /var/task or /opt."""
    for name, folder in (("/var/task/", task_root), ("/opt/", opt)):
        if folder and path.startswith(name):
            return str(folder / path.removeprefix(name))
    return path


def variables(
    version: FunctionVersion,
    interpreter: Path,
    task_root: Path,
    opt: Path | None,
    env_vars: Mapping[str, object],
) -> dict[str, str]:
    """Lambda's variables, LocalStack's address and the function's own; nothing of the host's.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    lambdas = {name: str(value) for name, value in env_vars.items() if is_lambdas(name)}
    places = {
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{version.config.runtime}",
        "LAMBDA_RUNTIME_DIR": str(VAR_RUNTIME),
        "LAMBDA_TASK_ROOT": str(task_root),
    }
    programs = [interpreter.parent, "/usr/local/bin", "/usr/bin", "/bin", opt and opt / "bin"]
    libraries = [
        *libraries_before_the_functions(interpreter),
        task_root,
        task_root / "lib",
        opt and opt / "lib",
    ]
    defaults = {
        "LANG": "en_US.UTF-8",
        "LD_LIBRARY_PATH": ":".join(str(folder) for folder in libraries if folder),
        "PATH": ":".join(str(folder) for folder in programs if folder),
        "PWD": str(task_root),
        "PYTHONPATH": str(VAR_RUNTIME),
        "SHLVL": "0",
    }
    return {**defaults, **lambdas, **(version.config.environment or {}), **places}


def libraries_before_the_functions(interpreter: Path) -> list[str]:
    """The interpreter's own, which is /var/lang/lib in Lambda, and the system's."""
    own = str(Path(os.path.realpath(interpreter)).parents[1] / "lib")
    machine = sysconfig.get_config_var("MULTIARCH")
    folders = [own, "/lib64", "/usr/lib64", f"/lib/{machine}", f"/usr/lib/{machine}"]
    return [folder for folder in folders if os.path.isdir(folder)]


def is_lambdas(name: str) -> bool:
    if name.startswith("LOCALSTACK_"):
        return name == "LOCALSTACK_HOSTNAME"
    return name not in NOT_IN_LAMBDA
