"""What the definition of a state machine says of its states."""

import json
from typing import Any

State = dict[str, Any]


def read_states(states: Any, arn: str) -> dict[str, State]:
    """The states of the definition that an execution ran, in its order."""
    found = states.describe_state_machine_for_execution(executionArn=arn)
    return dict(json.loads(found["definition"])["States"])


def followers(state: State) -> list[str]:
    rules = [*state.get("Choices", []), *state.get("Catch", [])]
    names = [state.get("Next"), state.get("Default"), *(rule.get("Next") for rule in rules)]
    return list(dict.fromkeys(name for name in names if name))


def inner_functions(state: State) -> dict[str, str]:
    """The functions of a Map's states."""
    inner = state.get("ItemProcessor", {}).get("States", {})
    return {name: function_of(each.get("Resource", "")) for name, each in inner.items()}


def function_of(arn: str) -> str:
    """`arn:aws:lambda:…:function:scatter-lambda:$LATEST` → `scatter-lambda`."""
    parts = arn.split(":")
    return parts[6] if len(parts) > 6 else arn
