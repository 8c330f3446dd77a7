"""What this package mends in LocalStack and speeds up."""

import io
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import jsonpath_ng
import jsonpath_ng.ext
from localstack import config
from localstack.aws.connect import ClientFactory
from localstack.runtime import hooks
from localstack.runtime.server.twisted import TwistedRuntimeServer
from localstack.services.s3 import constants
from rolo.gateway import wsgi
from twisted.internet import endpoints
from twisted.internet.abstract import FileDescriptor
from twisted.web.http import HTTPFactory, Request
from werkzeug.wrappers import Request as Asked

from process_executor.callers import awaiting
from process_executor.workspace import scratch_folder

FIRST = 1  # of the hooks, whose priority is 0
SENT_BYTES = 1 << 20
RECEIVED_BYTES = 1 << 18
IN_MEMORY_BYTES = 16 << 20  # of a request; twisted takes 100 KB, and writes longer ones to disk
IDLE_S = 24 * 3600
ROLE_S = 900  # assumed credentials last an hour
# LocalStack starts an execution whose name is not ASCII, as AWS does, but does not find it again.
ANY_NAME = re.compile(
    r"arn:aws[a-z-]*:states:[a-z0-9-]+:\d{12}:(stateMachine|execution|express):\S+$"
)

_register = TwistedRuntimeServer.register
_endpoint = endpoints.TCP4ServerEndpoint
_build_protocol = HTTPFactory.buildProtocol
_assume = ClientFactory.with_assumed_role


@hooks.on_infra_start(  # type: ignore[untyped-decorator]
    should_load=lambda: config.LAMBDA_RUNTIME_EXECUTOR == "process", priority=FIRST
)
def mend_localstack() -> None:
    """LocalStack runs this before it opens a port and loads a service, which imports what is set here."""
    setattr(TwistedRuntimeServer, "register", listen_where_told)
    setattr(HTTPFactory, "buildProtocol", let_connections_idle)
    move_large_pieces()
    forget_what_was_answered()
    keep_what_s3_stores()
    choose_environments_safely()
    store_the_whole_log()
    reuse_what_is_parsed()
    tell_whose_calls_they_are()
    delete_what_never_started()
    page_through_histories()
    setattr(ClientFactory, "with_assumed_role", with_assumed_role)


def listen_where_told(
    server: Any, gateway: Any, listen: list[config.HostAndPort], ssl_creds: Any = None
) -> None:
    """Bind each address of GATEWAY_LISTEN; LocalStack binds every interface for an IPv4 one."""
    for address in listen:
        setattr(endpoints, "TCP4ServerEndpoint", partial(_endpoint, interface=address.host))
        _register(server, gateway, [address], ssl_creds)
    setattr(endpoints, "TCP4ServerEndpoint", _endpoint)


def let_connections_idle(factory: Any, address: Any) -> Any:
    """Let a connection idle for long: one that twisted closes after a minute, just as LocalStack's
    own client sends the next request on it, fails that request, which nobody retries.
    """
    factory.timeOut = IDLE_S
    return _build_protocol(factory, address)


def move_large_pieces() -> None:
    """Fewer thread switches for S3's objects, and fewer of them on disk."""
    constants.S3_CHUNK_SIZE = SENT_BYTES
    FileDescriptor.SEND_LIMIT = SENT_BYTES
    FileDescriptor.bufferSize = RECEIVED_BYTES
    setattr(Request, "gotLength", got_length)


def got_length(request: Any, length: int | None) -> None:
    in_memory = length is not None and length <= IN_MEMORY_BYTES
    request.content = io.BytesIO() if in_memory else tempfile.TemporaryFile()  # noqa: SIM115  # twisted closes it


def forget_what_was_answered() -> None:
    """A request that its environment knows stays, with its body, until the collector's next full round."""
    setattr(wsgi, "Request", partial(Asked, populate_request=False))


def keep_what_s3_stores() -> None:
    """LocalStack's own folder, /tmp/localstack-s3-storage, is one for all users of a machine."""
    # Loaded here: it imports the size of S3's pieces.
    from localstack.services.s3.storage.ephemeral import EphemeralS3ObjectStore

    initialise = EphemeralS3ObjectStore.__init__

    def in_own_folder(store: EphemeralS3ObjectStore, root_directory: str | None = None) -> None:
        initialise(store, str(scratch_folder("s3")))

    setattr(EphemeralS3ObjectStore, "__init__", in_own_folder)


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
        if whole := invocation_result.init_log + invocation_result.logs:
            store(manager, replace(invocation_result, logs=whole), execution_env)

    setattr(LambdaVersionManager, "store_logs", store_logs)


def reuse_what_is_parsed() -> None:
    """Step Functions compiles the grammar of each JSONPath, and parses a definition for each execution."""
    jsonpath_ng.parse = lru_cache(jsonpath_ng.parse)
    jsonpath_ng.ext.parse = lru_cache(jsonpath_ng.ext.parse)

    from localstack.services.stepfunctions.asl.parse.asl_parser import AmazonStateLanguageParser
    from localstack.services.stepfunctions.asl.parse.preprocessor import Preprocessor
    from localstack.services.stepfunctions.provider import StepFunctionsProvider

    parse = AmazonStateLanguageParser.parse
    program: Any = Preprocessor

    @lru_cache
    def tree(definition: str) -> Any:
        return parse(definition)[1]

    def parse_once(definition: str) -> tuple[Any, Any]:
        """Each execution still has a program of its own, made from the tree that is kept."""
        return program().visit(tree(definition)), tree(definition)

    setattr(AmazonStateLanguageParser, "parse", staticmethod(parse_once))
    setattr(StepFunctionsProvider, "_STATE_MACHINE_EXECUTION_ARN_REGEX", ANY_NAME)


def page_through_histories() -> None:
    """LocalStack copies and sends all of a history, whatever page is asked for: who follows an
    execution would keep it busy.
    """
    from localstack.services.stepfunctions.asl.eval.event.event_manager import EventManager
    from localstack.services.stepfunctions.provider import StepFunctionsProvider

    whole = StepFunctionsProvider.get_execution_history

    def get_event_history(manager: Any) -> list[Any]:
        return list(manager._history_event_list)  # no event changes once it is in there

    def get_execution_history(provider: Any, context: Any, **asked: Any) -> Any:
        """The token is the number of the last event of the page before."""
        events = whole(provider, context, **asked)["events"]
        if before := int(asked.get("next_token") or 0):
            [at] = [n for n, event in enumerate(events) if event["id"] == before]
            events = events[at + 1 :]
        page = events[: asked.get("max_results") or 100]
        more = {"nextToken": str(page[-1]["id"])} if len(page) < len(events) else {}
        return {"events": page, **more}

    setattr(EventManager, "get_event_history", get_event_history)
    setattr(StepFunctionsProvider, "get_execution_history", get_execution_history)


def tell_whose_calls_they_are() -> None:
    """A Map that has failed leaves the calls of its other iterations in the queue; see `callers`."""
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_task import (
        lambda_eval_utils,
    )

    invoke = lambda_eval_utils.execute_lambda_function_integration

    def invoke_for(env: Any, parameters: dict[str, Any], **where: Any) -> None:
        with awaiting(parameters.get("Payload") or b"", env):
            invoke(env=env, parameters=parameters, **where)

    setattr(lambda_eval_utils, "execute_lambda_function_integration", invoke_for)


def delete_what_never_started() -> None:
    """A function whose creation failed, as on a full disk, has no workers to stop: LocalStack refuses to delete it."""
    from localstack.services.lambda_.invocation.lambda_service import LambdaService

    stop = LambdaService.stop_version

    def stop_version(service: Any, qualified_arn: str) -> None:
        with suppress(ValueError):
            stop(service, qualified_arn)

    setattr(LambdaService, "stop_version", stop_version)


def with_assumed_role(factory: ClientFactory, **role: Any) -> Any:
    """Step Functions assumes its role for every task."""
    return assumed(factory, time.monotonic() // ROLE_S, **role)


@lru_cache
def assumed(factory: ClientFactory, period: float, **role: Any) -> Any:
    return _assume(factory, **role)
