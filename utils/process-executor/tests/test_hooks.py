"""What is mended and sped up in LocalStack, in this process and in one of its own."""

import gc
import io
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from localstack import config
from localstack.aws.connect import ClientFactory
from localstack.runtime import hooks
from localstack.services.lambda_.invocation.assignment import AssignmentService
from localstack.services.lambda_.invocation.execution_environment import InvalidStatusException
from localstack.services.lambda_.invocation.lambda_models import InitializationType
from plux import PluginDisabled, PluginManager
from rolo.gateway import Gateway
from rolo.gateway.wsgi import WsgiGateway
from werkzeug.test import EnvironBuilder

from emulator import Emulator
from process_executor.hooks import IDLE_S, IN_MEMORY_BYTES, SENT_BYTES


@pytest.fixture(scope="module", autouse=True)
def mended() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "LAMBDA_RUNTIME_EXECUTOR", "process")
        hooks.on_infra_start.manager.load("mend_localstack")()
        yield


def test_the_docker_executor_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "LAMBDA_RUNTIME_EXECUTOR", "docker")
    own = distribution("localstack-process-executor").entry_points
    (hook,) = own.select(group="localstack.hooks.on_infra_start")
    with pytest.raises(PluginDisabled):
        PluginManager(hook.group).load(hook.name)


class Environment:
    """A free execution environment; `meanwhile` is what other threads do as it is reserved."""

    version_manager_id = "version"
    initialization_type = InitializationType.on_demand

    def __init__(
        self, id: str, busy: bool = False, meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        self.id, self.busy, self.meanwhile = id, busy, meanwhile

    def reserve(self) -> None:
        self.meanwhile()
        if self.busy:
            raise InvalidStatusException(f"{self.id} is busy")
        self.busy = True

    def release(self) -> None:
        self.busy = False

    def stop(self) -> None:
        self.busy = True


@pytest.fixture
def service() -> Any:
    """LocalStack's, which chooses an environment."""
    make: Any = AssignmentService
    return make()


def reserved(service: Any) -> AbstractContextManager[Environment]:
    found: AbstractContextManager[Environment] = service.get_environment(
        "version", None, InitializationType.on_demand
    )
    return found


def test_an_environment_is_added_while_a_thread_looks_for_a_free_one(service: Any) -> None:
    environments, late = service.environments["version"], Environment("late", busy=True)
    add_late = partial(environments.__setitem__, "late", late)
    environments["first"] = Environment("first", busy=True, meanwhile=add_late)
    environments["second"] = Environment("second")
    with reserved(service) as environment:
        assert environment.id == "second" and environment.busy
    assert list(environments) == ["first", "second", "late"]


def test_another_thread_takes_the_environment_that_was_just_started(service: Any) -> None:
    started = [Environment("taken", busy=True), Environment("free")]
    service.start_environment = lambda *version: started.pop(0)
    with reserved(service) as environment:
        assert environment.id == "free" and environment.busy
    assert not environment.busy


def test_a_failed_invocation_still_stops_its_environment(service: Any) -> None:
    service.environments["version"]["first"] = Environment("first")
    with pytest.raises(LookupError), reserved(service):
        raise LookupError
    assert not service.environments["version"]


def test_s3_and_the_gateway_take_their_limits_from_the_hook() -> None:
    from localstack.services.s3.storage import ephemeral
    from twisted.web.http import HTTPFactory, Request

    storage: Any = ephemeral
    assert storage.S3_CHUNK_SIZE == SENT_BYTES
    factory: Any = HTTPFactory
    assert factory().buildProtocol(None).timeOut == IDLE_S
    lengths = {0: True, IN_MEMORY_BYTES: True, IN_MEMORY_BYTES + 1: False, None: False}
    for length, in_memory in lengths.items():
        request: Any = Request.__new__(Request)
        request.gotLength(length)
        assert isinstance(request.content, io.BytesIO) == in_memory


def test_a_request_goes_with_its_answer_whatever_the_collector_does() -> None:
    asked: list[Any] = []

    def answer(chain: Any, context: Any, response: Any) -> None:
        response.set_response(context.request.get_data())
        asked.append(weakref.ref(context.request))

    call = WsgiGateway(Gateway(request_handlers=[answer]))
    environ = EnvironBuilder(method="POST", data=b"a zip").get_environ()
    gc.disable()
    try:
        assert b"".join(call(environ, lambda *_: lambda _: None)) == b"a zip"
        del environ
        assert [request() for request in asked] == [None]
    finally:
        gc.enable()


def test_paths_and_definitions_are_parsed_once() -> None:
    from localstack.services.stepfunctions.asl.component.common.path import result_path
    from localstack.services.stepfunctions.asl.parse.asl_parser import (
        AmazonStateLanguageParser,
        ASLParserException,
    )
    from localstack.services.stepfunctions.asl.utils import json_path

    for module in (result_path, json_path):
        assert module.parse("$.a") is module.parse("$.a")
        assert module.parse("$.a") is not module.parse("$.b")
    assert json_path.extract_json("$.a[1]", {"a": [1, 2]}) == 2

    definition = '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}'
    (program, tree), (other, again) = map(AmazonStateLanguageParser.parse, [definition] * 2)
    assert tree is again
    assert program is not other
    for _ in range(2):
        with pytest.raises(ASLParserException):
            AmazonStateLanguageParser.parse("{")


def test_step_functions_loads_no_models_of_ec2() -> None:
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service import (
        state_task_service_batch as batch,
    )

    module: Any = batch
    assert module.JobStatus.SUCCEEDED
    assert "moto.ec2" not in sys.modules


def test_an_execution_of_any_name_is_found() -> None:
    from localstack.services.stepfunctions.provider import StepFunctionsProvider

    arn = "arn:aws:states:us-east-1:000000000000:execution:Aggregate:夜間集計"
    StepFunctionsProvider._validate_state_machine_execution_arn(arn)


def test_roles_are_assumed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from process_executor import services

    assumed: list[str] = []

    def assume(factory: object, *, role_arn: str, region_name: str) -> object:
        assumed.append(f"{role_arn} {region_name}")
        return object()

    monkeypatch.setattr(services, "_assume", assume)
    factory: Any = "factory"
    one, again, *_ = [
        ClientFactory.with_assumed_role(factory, role_arn=role, region_name=region)
        for role, region in [("a", "x"), ("a", "x"), ("b", "x"), ("a", "y")]
    ]
    assert assumed == ["a x", "b x", "a y"]
    assert one is again


def test_an_object_comes_back_as_it_was_sent_and_lies_in_the_emulators_own_folder(
    emulator: Emulator,
) -> None:
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="pieces")
    for body in (b"", os.urandom(IN_MEMORY_BYTES + SENT_BYTES // 2)):
        s3.put_object(Bucket="pieces", Key="object", Body=body)
        assert s3.get_object(Bucket="pieces", Key="object")["Body"].read() == body
    assert list(emulator.tmp.glob("lambda-process-*/s3-*/pieces"))
    assert not Path("/tmp/localstack-s3-storage/pieces").exists()


def test_pages_of_objects_hold_each_name_once_in_order_whatever_its_letters(
    emulator: Emulator,
) -> None:
    s3, names = emulator.client("s3"), ["a", "a b", "b%", "é", "売上/1", "売上/2", "𠮷"]
    s3.create_bucket(Bucket="letters")
    for name in names:
        s3.put_object(Bucket="letters", Key=name, Body=b"")
    pages = s3.get_paginator("list_objects_v2")
    for size in range(1, len(names) + 1):
        asked: dict[str, Any] = {"Bucket": "letters", "PaginationConfig": {"PageSize": size}}
        assert [
            each["Key"] for page in pages.paginate(**asked) for each in page["Contents"]
        ] == names
        folders = pages.paginate(**asked, Prefix="売", Delimiter="/")
        assert {each["Prefix"] for page in folders for each in page["CommonPrefixes"]} == {"売上/"}


def test_localstack_and_its_workers_listen_on_loopback_only(emulator: Emulator) -> None:
    emulator.invoke(emulator.create("def handler(event, context): pass"))
    assert emulator.listens_on() == {"127.0.0.1"}
