"""The command line: a verb for each make target.

A verb's module is imported when it is called, so that no verb waits for what another needs.
"""

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from harness.fault import Fault
from harness.signals import exit_on_signals


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m harness", description=__doc__)
    verbs = top.add_subparsers(dest="verb", required=True)

    def verb(name: str, function: str, says: str) -> argparse.ArgumentParser:
        """
        Args:
            function: `module.function` of this package, called with the verb's arguments.
        """
        made = verbs.add_parser(name, help=says, description=says)
        made.set_defaults(function=function)
        return made

    for name, says in (
        ("up", "start the emulator at ENDPOINT, unless one answers there"),
        ("ensure", "the same, without a word if one answers"),
        ("down", "stop the emulator that `up` started"),
    ):
        verb(name, f"emulator.{name}", says)
    command = verb("with-emulator", "emulator.run", "run a command with an emulator of its own")
    command.add_argument("command", nargs=argparse.REMAINDER)

    verb("bucket", "bucket.bucket", "create the bucket")
    upload = verb("upload", "bucket.upload", "copy a file into the bucket")
    upload.add_argument("file")
    upload.add_argument("key", nargs="?", default="")
    for function, says in (
        ("bucket.download", "copy a workbook from the bucket to result/"),
        ("show.show", "print a downloaded workbook's first rows"),
    ):
        workbook = verb(function.split(".")[1], function, says)
        workbook.add_argument("workbook", nargs="?", default="test.xlsx")
    verb("clean-segments", "bucket.clean_segments", "remove the segment files of past executions")

    create = verb("create", "functions.create", "create functions, or bring them up to date")
    create.add_argument("settings", nargs="+", help="stage, memory in MB, timeout in s, in turn")
    create.add_argument("--machines", action="store_true", help="the state machines, too")
    for name, says in (
        ("delete", "delete functions"),
        ("invoke", "call functions, each with its smallest valid event"),
        ("log", "the last log lines of functions"),
    ):
        verb(name, f"functions.{name}", says).add_argument("stages", metavar="stage", nargs="+")

    states = verb("stepfunctions", "run.run", "run a state machine, and wait for its end")
    states.add_argument("given", metavar="input", nargs="?", type=json_value, default=None)
    states.add_argument("--definition", default="parallel")
    stop = verb("stop", "machines.stop", "end a running execution")
    stop.add_argument("execution", nargs="?", default="")

    deploy = verb("deploy", "deploy.deploy", "create or update a stack")
    for option in ("--definition", "--parameters", "--tags"):
        deploy.add_argument(option, default="")
    for flag in ("--plan", "--replace-bucket"):
        deploy.add_argument(flag, action="store_true")
    arch = verb(
        "architecture", "deploy.architecture", "the platform of the zips that a stack needs"
    )
    destroy = verb("destroy", "deploy.destroy", "delete a stack")
    for flag in ("--empty", "--yes"):
        destroy.add_argument(flag, action="store_true")
    for each in (deploy, arch):
        each.add_argument("--arch", default="")
    for each in (deploy, arch, destroy):
        each.add_argument("--target", default="localstack")
        each.add_argument("--stack", default="aggregate")
        each.add_argument("--region", default="")

    cost = verb("cost", "cost.last", "what the last execution costs on AWS")
    cost.add_argument("--target", default="localstack")
    cost.add_argument("--machine", default="Aggregate")
    cost.add_argument("--region", default="")

    report = verb("report", "report.write.report", "write the report of an execution")
    report.add_argument("execution", nargs="?", default="")
    report.add_argument("--language", default="")
    verb("watch", "watch.watch", "on each save: the tests, then the pipeline")
    return top


def json_value(text: str) -> Any:
    """An execution's input."""
    try:
        return json.loads(text) if text.strip() else None
    except ValueError as error:
        raise Fault(f"INPUT: must be JSON ({error}); found {text}") from None


def main(arguments: Sequence[str]) -> int | str:
    """The exit code, or the message that the command ends with."""
    exit_on_signals()
    try:
        given = vars(parser().parse_args(arguments))
        del given["verb"]
        return int(find(given.pop("function"))(**given) or 0)
    except Fault as fault:
        return f"error: {fault}"
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read the output has enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return explained(error)


def explained(error: Exception) -> str:
    """The message of an error of boto3's; any other is raised as it is."""
    from botocore.exceptions import BotoCoreError, ClientError

    from harness.target import remedy

    if isinstance(error, (BotoCoreError, ClientError)):
        return f"error: {error}\nto do: {remedy(error)}"
    raise error


def find(name: str) -> Callable[..., Any]:
    module, _, function = name.rpartition(".")
    found: Callable[..., Any] = getattr(importlib.import_module(f"harness.{module}"), function)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
