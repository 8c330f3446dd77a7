"""The command line: where the pipeline is, and a verb for each make target.

A verb's arguments are the parameters of its function, whose module is imported when it is called:
no verb waits for what another needs.
"""

import argparse
import inspect
import json
import os
import pkgutil
import sys
from collections.abc import Callable, Sequence
from typing import Any

from harness.fault import Fault
from harness.signals import exit_on_signals
from harness.terminal import print_anything

# Verbs of the emulator itself, of its own functions, of any pipeline, and of stacks alone.
EMULATOR, OWN, PIPELINE, STACK = "emulator", "own", "pipeline", "stack"
NOWHERE = "nowhere"  # of no target

# Each verb's function, what it is of, and those of its parameters that are typed without a name.
VERBS = {
    "up": ("emulator:up", EMULATOR),
    "ensure": ("emulator:ensure", EMULATOR),
    "down": ("emulator:down", EMULATOR),
    "with-emulator": ("emulator:run", EMULATOR, "command"),
    "bucket": ("bucket:bucket", OWN),
    "upload": ("uploads:upload", PIPELINE, "file", "key"),
    "download": ("bucket:download", PIPELINE, "workbook"),
    "show": ("show:show", EMULATOR, "workbook"),
    "clean-segments": ("bucket:clean_segments", PIPELINE),
    "create": ("functions:create", OWN, "settings"),
    "delete": ("functions:delete", OWN, "stages"),
    "invoke": ("functions:invoke", PIPELINE, "stages"),
    "log": ("functions:log", PIPELINE, "stages"),
    "stepfunctions": ("run:run", PIPELINE, "given"),
    "watch": ("watch:watch", OWN, "given"),
    "stop": ("machines:stop", PIPELINE, "execution"),
    "redrive": ("run:redrive", PIPELINE, "execution"),
    "report": ("report.write:report", PIPELINE, "execution"),
    "page": ("page.serve:page", PIPELINE, "port"),
    "cost": ("cost:last", PIPELINE),
    "deploy": ("deploy:deploy", STACK),
    "architecture": ("deploy:architecture", STACK),
    "package": ("package:package", NOWHERE, "out"),
    "destroy": ("deploy:destroy", STACK),
}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m harness", description=__doc__)
    top.add_argument("--target", default="localstack", help="localstack, stack or aws")
    top.add_argument("--stack", default="aggregate", help="the name of the stack")
    top.add_argument("--region", default="", help="of AWS; default: that of your settings")
    top.add_argument("verb", choices=VERBS)
    top.add_argument("arguments", nargs=argparse.REMAINDER, help="VERB --help says which")
    return top


def parser_of(
    verb: str, function: Callable[..., Any], words: Sequence[str]
) -> argparse.ArgumentParser:
    """A verb's own: its function's parameters, the target apart."""
    made = argparse.ArgumentParser(
        prog=f"python -m harness {verb}",
        description=inspect.getdoc(function),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, parameter in inspect.signature(function).parameters.items():
        option, default = f"--{name.replace('_', '-')}", parameter.default
        if name == "target":
            continue
        if default is False:
            made.add_argument(option, action="store_true")
        elif name not in words:
            made.add_argument(option, default=default, type=type(default))
        elif parameter.annotation == list[str]:
            made.add_argument(name, nargs=argparse.REMAINDER)
        elif default is parameter.empty:
            made.add_argument(name)
        else:
            read = json_value if default is None else str
            made.add_argument(name, nargs="?", default=default, type=read)
    return made


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
        where = parser().parse_args(arguments)
        name, of, *words = VERBS[where.verb]
        function = pkgutil.resolve_name(f"harness.{name}")
        given = parser_of(where.verb, function, words).parse_args(where.arguments)
        acted_on = targets(of, where.target, where.stack, where.region)
        return int(function(*acted_on, **vars(given)) or 0)
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
    """The message of an error of boto3's or the system's; any other is raised as it is."""
    from botocore.exceptions import BotoCoreError, ClientError

    from harness.target import remedy

    if isinstance(error, (BotoCoreError, ClientError)):
        return f"error: {error}\nto do: {remedy(error)}"
    if isinstance(error, OSError):  # such as of a full disk
        return f"error: {error}"
    raise error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
