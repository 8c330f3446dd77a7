"""The command line: where the pipeline is, and a verb for each make target.

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
from harness.terminal import print_anything

# Verbs of the emulator itself, of its own functions, of any pipeline, and of stacks alone.
EMULATOR, OWN, PIPELINE, STACK = "emulator", "own", "pipeline", "stack"
NOWHERE = "nowhere"  # of no target


# Declares a verb: its name, `module.function` of this package, what it says, and what it is of. The
# function is called with the verb's arguments; one of a pipeline or a stack with the target first.
Verb = Callable[[str, str, str, str], argparse.ArgumentParser]


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m harness", description=__doc__)
    top.add_argument("--target", default="localstack", help="localstack, stack or aws")
    top.add_argument("--stack", default="aggregate", help="the name of the stack")
    top.add_argument("--region", default="", help="of AWS; default: that of your settings")
    verbs = top.add_subparsers(dest="verb", required=True)

    def verb(name: str, function: str, says: str, of: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=says, description=says)
        made.set_defaults(function=function, of=of)
        return made

    for declare in (of_emulator, of_bucket, of_functions, of_executions, of_stacks):
        declare(verb)
    return top


def of_emulator(verb: Verb) -> None:
    for name, says in (
        ("up", "start the emulator at ENDPOINT, unless one answers there"),
        ("ensure", "the same, without a word if one answers"),
        ("down", "stop the emulator that `up` started"),
    ):
        verb(name, f"emulator.{name}", says, EMULATOR)
    run = "run a command with an emulator of its own"
    command = verb("with-emulator", "emulator.run", run, EMULATOR)
    command.add_argument("--at-once", action="store_true", help="do not wait until it has started")
    command.add_argument("command", nargs=argparse.REMAINDER)


def of_bucket(verb: Verb) -> None:
    verb("bucket", "bucket.bucket", "create the bucket", OWN)
    upload = verb("upload", "uploads.upload", "copy files into the bucket", PIPELINE)
    upload.add_argument("file")
    upload.add_argument("key", nargs="?", default="")
    for function, says, of in (
        ("bucket.download", "copy a workbook from the bucket to result/", PIPELINE),
        ("show.show", "print a downloaded workbook's first rows", EMULATOR),
    ):
        workbook = verb(function.split(".")[1], function, says, of)
        workbook.add_argument("workbook", nargs="?", default="test.xlsx")
    past = "remove the segment files of past executions from the bucket"
    verb("clean-segments", "bucket.clean_segments", past, PIPELINE)


def of_functions(verb: Verb) -> None:
    create = verb("create", "functions.create", "create functions, or bring them up to date", OWN)
    create.add_argument("settings", nargs="+", help="stage, memory in MB, timeout in s, in turn")
    create.add_argument("--machines", action="store_true", help="the state machines, too")
    for name, says, of in (
        ("delete", "delete functions", OWN),
        ("invoke", "call functions, each with its smallest valid event", PIPELINE),
        ("log", "the last log lines of functions", PIPELINE),
    ):
        stages = verb(name, f"functions.{name}", says, of)
        stages.add_argument("stages", metavar="stage", nargs="+")


def of_executions(verb: Verb) -> None:
    states = verb("stepfunctions", "run.run", "run a state machine, and wait for its end", PIPELINE)
    states.add_argument("--definition", default="")
    watch = verb("watch", "watch.watch", "on each save: the tests, then the pipeline", OWN)
    for each in (states, watch):
        each.add_argument("given", metavar="input", nargs="?", type=json_value, default=None)
        each.add_argument("--file", default="")
        each.add_argument("--etl", default="")
    states.add_argument("--sheets", default="")
    stop = verb("stop", "machines.stop", "end a running execution", PIPELINE)
    report = verb("report", "report.write.report", "write the report of an execution", PIPELINE)
    report.add_argument("--language", default="")
    again = "run again what failed of an execution on AWS"
    redrive = verb("redrive", "run.redrive", again, PIPELINE)
    for each in (stop, report, redrive):
        each.add_argument("execution", nargs="?", default="")
    page = verb("page", "page.serve.page", "serve a page of executions that lives", PIPELINE)
    page.add_argument("port", nargs="?", default="8480")
    verb("cost", "cost.last", "what the last execution costs on AWS", PIPELINE)


def of_stacks(verb: Verb) -> None:
    deploy = verb("deploy", "deploy.deploy", "create or update a stack", STACK)
    for option in ("--definition", "--parameters", "--tags", "--role"):
        deploy.add_argument(option, default="")
    for flag in ("--plan", "--replace-bucket", "--rotate-key"):
        deploy.add_argument(flag, action="store_true")
    platform = "the platform of the zips that a stack needs"
    arch = verb("architecture", "deploy.architecture", platform, STACK)
    files = verb("package", "package.package", "write a stack as files", NOWHERE)
    files.add_argument("out", nargs="?", default="")
    for option in ("--definition", "--parameters"):
        files.add_argument(option, default="")
    for each in (deploy, arch, files):
        each.add_argument("--arch", default="")
    destroy = verb("destroy", "deploy.destroy", "delete a stack", STACK)
    for flag in ("--empty", "--yes"):
        destroy.add_argument(flag, action="store_true")


def json_value(text: str) -> Any:
    """An execution's input."""
    try:
        return json.loads(text) if text.strip() else None
    except ValueError as error:
        raise Fault(f"INPUT: must be JSON ({error}); found {text}") from None


def main(arguments: Sequence[str]) -> int | str:
    """The exit code, or the message that the command ends with."""
    exit_on_signals()
    print_anything()
    try:
        check_words(arguments)
        given = vars(parser().parse_args(arguments))
        del given["verb"]
        where = (given.pop(name) for name in ("of", "target", "stack", "region"))
        function = find(given.pop("function"))
        return int(function(*targets(*where), **given) or 0)
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


def check_words(arguments: Sequence[str]) -> None:
    """
    Raises:
        Fault: one is not UTF-8, as everything is that AWS takes.
    """
    for word in arguments:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise Fault(f"arguments: must be UTF-8; found {word!r}") from None


def targets(of: str, name: str, stack: str, region: str) -> list[Any]:
    """What a verb acts on: nothing, where that goes without saying, or the target.

    Raises:
        Fault: the verb is of the emulator or its own functions, and the target is not.
    """
    if of in (PIPELINE, STACK):
        from harness.target import connect

        deployed = of == STACK and name == "localstack"
        return [connect("stack" if deployed else name, stack, region)]
    if of == NOWHERE:
        return []
    if name != "localstack" and (of, name) != (EMULATOR, "stack"):
        raise Fault(
            "TARGET: demo, up, down, zip, create, delete, bucket and watch are for localstack, "
            f"a stack has deploy and destroy for all of it; found {name}"
        )
    return []


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
