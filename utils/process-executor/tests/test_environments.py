"""How LocalStack chooses an environment while other threads add, take and remove some."""

import os
import subprocess
import sys

HOOKED = """
from localstack.runtime import hooks

hooks.on_infra_start.manager.load("mend_environments")()

from localstack.services.lambda_.invocation.assignment import AssignmentService
from localstack.services.lambda_.invocation.execution_environment import InvalidStatusException
from localstack.services.lambda_.invocation.lambda_models import InitializationType


class Environment:
    initialization_type = InitializationType.on_demand
    version_manager_id = "version"

    def __init__(self, id, busy=False, meanwhile=lambda: None):
        self.id, self.busy, self.meanwhile = id, busy, meanwhile

    def reserve(self):
        self.meanwhile()
        if self.busy:
            raise InvalidStatusException(f"{self.id} is busy")
        self.busy = True

    def release(self):
        self.busy = False

    def stop(self):
        self.busy = True


def taken(service):
    with service.get_environment("version", None, InitializationType.on_demand) as environment:
        assert environment.busy
        return environment.id


def add(service, environment):
    service.environments["version"][environment.id] = environment


def test_one_is_added_while_a_thread_looks_for_a_free_one():
    service = AssignmentService()
    late = Environment("late", busy=True)
    add(service, Environment("first", busy=True, meanwhile=lambda: add(service, late)))
    add(service, Environment("second"))
    assert taken(service) == "second"
    assert late in service.environments["version"].values()


def test_another_thread_takes_the_one_that_was_just_started():
    service, started = AssignmentService(), []

    def start(version_manager_id, function_version):
        started.append(Environment(f"started {len(started)}", busy=not started))
        return started[-1]

    service.start_environment = start
    assert taken(service) == "started 1"
    assert [environment.busy for environment in started] == [True, False]


def test_a_failed_invocation_still_stops_its_environment():
    service = AssignmentService()
    add(service, Environment("first"))
    try:
        with service.get_environment("version", None, InitializationType.on_demand):
            raise LookupError
    except LookupError:
        assert not service.environments["version"].values()
    else:
        raise AssertionError("the error was lost")


test_one_is_added_while_a_thread_looks_for_a_free_one()
test_another_thread_takes_the_one_that_was_just_started()
test_a_failed_invocation_still_stops_its_environment()
"""


def test_environments_come_and_go_while_a_thread_looks_for_a_free_one() -> None:
    env = {**os.environ, "LAMBDA_RUNTIME_EXECUTOR": "process"}
    subprocess.run([sys.executable, "-c", HOOKED], env=env, check=True)
