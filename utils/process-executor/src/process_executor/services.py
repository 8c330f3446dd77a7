"""What is mended and sped up in LocalStack's Lambda, S3 and Step Functions."""

import base64
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from localstack.aws.connect import ClientFactory
from localstack.services.lambda_.invocation.assignment import AssignmentService
from localstack.services.lambda_.invocation.execution_environment import InvalidStatusException
from localstack.services.lambda_.invocation.lambda_service import LambdaService
from localstack.services.lambda_.invocation.version_manager import LambdaVersionManager
from localstack.services.s3 import provider as s3
from localstack.services.stepfunctions.asl.component.state.state_execution.state_task import (
    lambda_eval_utils,
)
from localstack.services.stepfunctions.asl.eval.event.event_manager import EventManager
from localstack.services.stepfunctions.asl.parse.asl_parser import AmazonStateLanguageParser
from localstack.services.stepfunctions.asl.parse.preprocessor import Preprocessor
from localstack.services.stepfunctions.provider import StepFunctionsProvider

from process_executor.callers import awaiting
from process_executor.workspace import scratch_folder

ROLE_S = 900  # assumed credentials last an hour
PAGE_EVENTS = 100  # of a history, where nothing else is asked for
# LocalStack starts an execution whose name is not ASCII, as AWS does, but does not find it again.
ANY_NAME = re.compile(
    r"arn:aws[a-z-]*:states:[a-z0-9-]+:\d{12}:(stateMachine|execution|express):\S+$"
)

_list: Any = s3.S3Provider.list_objects_v2
_choose = AssignmentService.get_environment
_store_logs = LambdaVersionManager.store_logs
_stop_version = LambdaService.stop_version
_invoke = lambda_eval_utils.execute_lambda_function_integration
_history = StepFunctionsProvider.get_execution_history
_parse = AmazonStateLanguageParser.parse
_assume = ClientFactory.with_assumed_role
_program: Any = Preprocessor


def mend() -> None:
    """Put what is below in the place of LocalStack's own."""
    # LocalStack's own folder, /tmp/localstack-s3-storage, is one for all users of a machine.
    s3.DEFAULT_S3_TMP_DIR = str(scratch_folder("s3"))
    setattr(s3, "decode_continuation_token", next_key)
    setattr(s3.S3Provider, "list_objects_v2", list_in_one_order)
    setattr(StepFunctionsProvider, "_STATE_MACHINE_EXECUTION_ARN_REGEX", ANY_NAME)
    setattr(AssignmentService, "get_environment", choose_environments_safely)
    setattr(LambdaVersionManager, "store_logs", store_the_whole_log)
    setattr(LambdaService, "stop_version", delete_what_never_started)
    setattr(lambda_eval_utils, "execute_lambda_function_integration", tell_whose_calls_they_are)
    setattr(EventManager, "get_event_history", events_so_far)
    setattr(StepFunctionsProvider, "get_execution_history", page_through_histories)
    setattr(AmazonStateLanguageParser, "parse", staticmethod(parse_once))
    setattr(ClientFactory, "with_assumed_role", assume_once)


def next_key(token: str | None) -> str:
    """The key that the next page begins with, of any letters: LocalStack reads it as ASCII."""
    return base64.b64decode(token or "", altchars=b"._").decode()


def list_in_one_order(provider: Any, context: Any, **asked: Any) -> Any:
    """LocalStack sorts keys as they are, and finds the next page by comparing how a URL spells them:
    `é` comes after `z`, but `%C3%A9` before it.
    """
    if asked.get("encoding_type") != "url":
        return _list(provider, context, **asked)
    found = _list(provider, context, **{**asked, "encoding_type": None}) | {"EncodingType": "url"}
    for each in (found, *found.get("Contents", []), *found.get("CommonPrefixes", [])):
        for name in {"Key", "Prefix", "Delimiter", "StartAfter"} & each.keys():
            each[name] = quote(each[name])
    return found


@contextmanager
def choose_environments_safely(service: Any, *version: Any) -> Iterator[Any]:
    """A 200-wide Map asks for 200 at once: another thread adds one while this one looks for a free
    one, or takes the one that this one has just started.
    """
    with ExitStack() as stack:
        environment = None
        while not environment:
            with suppress(InvalidStatusException, RuntimeError):
                environment = stack.enter_context(_choose(service, *version))
        yield environment


def store_the_whole_log(manager: Any, invocation_result: Any, execution_env: Any) -> None:
    """CloudWatch Logs gets lines of the init phase that LogType=Tail does not show."""
    if whole := invocation_result.init_log + invocation_result.logs:
        _store_logs(manager, replace(invocation_result, logs=whole), execution_env)


def delete_what_never_started(service: Any, qualified_arn: str) -> None:
    """A function whose creation failed, as on a full disk, has no workers to stop: LocalStack refuses to delete it."""
    with suppress(ValueError):
        _stop_version(service, qualified_arn)


def tell_whose_calls_they_are(env: Any, parameters: dict[str, Any], **where: Any) -> None:
    """A Map that has failed leaves the calls of its other iterations in the queue; see `callers`."""
    with awaiting(parameters.get("Payload") or b"", env):
        _invoke(env=env, parameters=parameters, **where)


def events_so_far(manager: Any) -> list[Any]:
    """Not copies of them: no event changes once it is in there."""
    return list(manager._history_event_list)


def page_through_histories(provider: Any, context: Any, **asked: Any) -> Any:
    """LocalStack sends all of a history, whatever page is asked for: who follows an execution would
    keep it busy. The token is the number of the last event of the page before.
    """
    events, token = _history(provider, context, **asked)["events"], asked.get("next_token")
    first = 1 + next((n for n, event in enumerate(events) if str(event["id"]) == token), -1)
    last = first + (asked.get("max_results") or PAGE_EVENTS)
    more = {"nextToken": str(events[last - 1]["id"])} if last < len(events) else {}
    return {"events": events[first:last], **more}


def parse_once(definition: str) -> tuple[Any, Any]:
    """Each execution still has a program of its own, made from the tree that is kept."""
    return _program().visit(tree(definition)), tree(definition)


@lru_cache
def tree(definition: str) -> Any:
    return _parse(definition)[1]


def assume_once(factory: ClientFactory, **role: Any) -> Any:
    """Step Functions assumes its role for every task."""
    return assumed(factory, time.monotonic() // ROLE_S, **role)


@lru_cache
def assumed(factory: ClientFactory, period: float, **role: Any) -> Any:
    return _assume(factory, **role)
