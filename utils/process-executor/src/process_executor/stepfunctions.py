"""Have LocalStack's Step Functions do once what it does for every execution and state."""

import re
import time
from functools import lru_cache
from typing import Any

import jsonpath_ng
import jsonpath_ng.ext
from localstack import config
from localstack.aws.connect import ClientFactory
from localstack.runtime import hooks

ROLE_S = 900  # assumed credentials last an hour

_assume = ClientFactory.with_assumed_role


@hooks.on_infra_start(should_load=lambda: config.LAMBDA_RUNTIME_EXECUTOR == "process")  # type: ignore[untyped-decorator]
def reuse_what_is_parsed_and_assumed() -> None:
    """Keep JSONPaths, whose grammar is compiled for each, definitions and assumed roles.

    LocalStack runs this before it loads a service, so that all import what is set here.
    """
    jsonpath_ng.parse = lru_cache(jsonpath_ng.parse)
    jsonpath_ng.ext.parse = lru_cache(jsonpath_ng.ext.parse)
    setattr(ClientFactory, "with_assumed_role", with_assumed_role)
    reuse_definitions()
    know_every_name()


def know_every_name() -> None:
    """LocalStack starts an execution whose name is not ASCII, as AWS does, but does not find it again."""
    from localstack.services.stepfunctions.provider import StepFunctionsProvider

    arn = re.compile(
        r"arn:aws[a-z-]*:states:[a-z0-9-]+:\d{12}:(stateMachine|execution|express):\S+$"
    )
    setattr(StepFunctionsProvider, "_STATE_MACHINE_EXECUTION_ARN_REGEX", arn)


def reuse_definitions() -> None:
    """Each execution still has a program of its own, made from the tree that is kept."""
    from localstack.services.stepfunctions.asl.parse.asl_parser import AmazonStateLanguageParser
    from localstack.services.stepfunctions.asl.parse.preprocessor import Preprocessor

    parse = AmazonStateLanguageParser.parse
    program: Any = Preprocessor

    @lru_cache
    def tree(definition: str) -> Any:
        return parse(definition)[1]

    def parse_once(definition: str) -> tuple[Any, Any]:
        return program().visit(tree(definition)), tree(definition)

    setattr(AmazonStateLanguageParser, "parse", staticmethod(parse_once))


def with_assumed_role(factory: ClientFactory, **role: Any) -> Any:
    return assumed(factory, time.monotonic() // ROLE_S, **role)


@lru_cache
def assumed(factory: ClientFactory, period: float, **role: Any) -> Any:
    return _assume(factory, **role)
