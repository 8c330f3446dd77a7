"""One CloudFormation stack: change it, watch it, and say why it failed."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from typing import Any

from harness.fault import Fault

Event = dict[str, Any]
Change = dict[str, Any]

# A tag of every stack of this project, and an output's value: no other is changed or deleted.
MARK = "scatter-gather"

NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
SETTLED_S = 3.0
NOT_THERE = ("DELETE_COMPLETE", "CREATE_FAILED", "CREATE_IN_PROGRESS")

# States in which CloudFormation takes no change, and what brings the stack out of each.
STUCK = {
    "ROLLBACK_COMPLETE": "its creation failed: make destroy{flags}, then make deploy{flags}",
    "ROLLBACK_FAILED": "its creation failed: make destroy{flags}, then make deploy{flags}",
    "CREATE_FAILED": "its creation failed: make destroy{flags}, then make deploy{flags}",
    "DELETE_FAILED": "something holds it: remove that, and make destroy{flags}",
    "UPDATE_FAILED": (
        "aws cloudformation rollback-stack --stack-name {stack}, then make deploy{flags}"
    ),
    "UPDATE_ROLLBACK_FAILED": (
        "correct what is below, then "
        "aws cloudformation continue-update-rollback --stack-name {stack}, and make deploy{flags}"
    ),
}
# What a change's Replacement means; CloudFormation may know only while it updates.
REPLACED = {"True": " (replaced)", "Conditional": " (perhaps replaced)"}
# What AWS says of more memory than an account has, and what it leaves open.
TOO_MUCH_MEMORY = "less than or equal to 3008"
LESS_MEMORY = (
    "  a new account's functions have at most 3,008 MB: PARAMETERS=ScatterMemory=3008, "
    "or ask AWS Support for more"
)


@dataclass(frozen=True)
class Found:
    """A stack as CloudFormation describes it; by its id it is found when it is deleted, too."""

    id: str
    status: str
    parameters: dict[str, str]
    tags: dict[str, str]
    outputs: dict[str, str]

    @classmethod
    def parse(cls, stack: dict[str, Any]) -> "Found":
        def pairs(field: str, name: str, value: str) -> dict[str, str]:
            return {each[name]: each[value] for each in stack.get(field, [])}

        return cls(
            stack["StackId"],
            stack["StackStatus"],
            pairs("Parameters", "ParameterKey", "ParameterValue"),
            pairs("Tags", "Key", "Value"),
            pairs("Outputs", "OutputKey", "OutputValue"),
        )


class Stack:
    """A stack by its name, which need not exist."""

    def __init__(self, cfn: Any, name: str, flags: str, poll_s: float = 0.0) -> None:
        """
        Args:
            flags: those of a make target that is to act on this stack.
        """
        self.cfn = cfn
        self.name = name
        self.flags = flags
        self.poll_s = poll_s

    def find(self) -> Found | None:
        """The stack, if it is there.

        Raises:
            Fault: it is none of this project's.
        """
        try:
            [stack] = self.cfn.describe_stacks(StackName=self.name)["Stacks"]
        except self.cfn.exceptions.ClientError as error:
            if "does not exist" not in str(error):
                raise
            return None
        found = Found.parse(stack)
        # A deleted one is kept for a while, and one under review has no resources yet.
        if found.status in ("DELETE_COMPLETE", "REVIEW_IN_PROGRESS"):
            return None
        if MARK not in found.tags and MARK not in found.outputs.values():
            raise Fault(
                f"the stack {self.name} is not of this project: it bears no tag {MARK}\n"
                "to do: choose another name, STACK=…"
            )
        return found

    def resources(self) -> dict[str, str]:
        """The physical names of what is there, by the template's names."""
        found = self.cfn.describe_stack_resources(StackName=self.name)["StackResources"]
        return {
            each["LogicalResourceId"]: each["PhysicalResourceId"]
            for each in found
            if each["ResourceStatus"] not in NOT_THERE and each.get("PhysicalResourceId")
        }

    def ready(self) -> Found | None:
        """The stack, if it is there.

        Raises:
            Fault: CloudFormation would take no change of it; with what to do.
        """
        found = self.find()
        status = found.status if found else ""
        if status.endswith("_IN_PROGRESS"):
            raise Fault(
                f"the stack {self.name} is {status}: something else changes it\n"
                f"to do: aws cloudformation describe-stack-events --stack-name {self.name} "
                "shows what; try again when it is done"
            )
        if status in STUCK:
            raise self.failed(status, failures([*self.events(self.name)][::-1]))
        return found

    def change(
        self,
        template: str,
        parameters: Mapping[str, str | None],
        tags: dict[str, str],
        approved: Callable[[list[Change]], bool],
        role: str = "",
    ) -> list[str]:
        """Create or update the stack, if what that will do is approved of.

        Args:
            parameters: None for one whose value the stack is to keep.
            role: CloudFormation acts with, now and later. Default: the one before, else the caller.

        Returns:
            What changed or would, such as "Modify SegmentFunction"; [] where nothing had to.

        Raises:
            Fault: CloudFormation refuses the change or fails in it; with the resources' own words.
        """
        kind = "UPDATE" if self.find() else "CREATE"
        tags = {MARK: "pipeline"} | tags
        made = self.cfn.create_change_set(
            StackName=self.name,
            ChangeSetName=f"deploy-{uuid.uuid4()}",
            ChangeSetType=kind,
            TemplateBody=template,
            Parameters=[given(name, value) for name, value in parameters.items()],
            Tags=[{"Key": k, "Value": v} for k, v in tags.items()],
            Capabilities=["CAPABILITY_IAM"],
            **({"RoleARN": role} if role else {}),
        )
        change_set, stack_id = made["Id"], made["StackId"]
        since = self.last_event()
        with ExitStack() as unless_executed:
            unless_executed.callback(self.forget, change_set, kind)
            changes = self.planned(change_set)
            if changes and approved(changes):
                self.cfn.execute_change_set(ChangeSetName=change_set)
                unless_executed.pop_all()
                self.follow(stack_id, f"{kind}_COMPLETE", since)
        return [described(each) for each in changes]

    def forget(self, change_set: str, kind: str) -> None:
        """Take back a change set, and the stack that it alone would have made."""
        self.cfn.delete_change_set(ChangeSetName=change_set)
        if kind == "CREATE":
            self.cfn.delete_stack(StackName=self.name)

    def planned(self, change_set: str) -> list[Change]:
        """What a change set will do, once CloudFormation knows."""
        while True:
            found = self.cfn.describe_change_set(ChangeSetName=change_set)
            if found["Status"] == "FAILED":
                reason = found.get("StatusReason", "")
                if any(words in reason for words in NO_CHANGES):
                    return []
                said = "\n".join(explained([reason, *self.invalid(change_set, reason)]))
                raise Fault(f"CloudFormation refuses the change: {said}")
            if found["Status"] == "CREATE_COMPLETE":
                return [each["ResourceChange"] for each in found["Changes"]]
            time.sleep(self.poll_s)

    def invalid(self, change_set: str, reason: str) -> list[str]:
        """What CloudFormation's early validation found, which the reason does not name."""
        if "DescribeEvents" not in reason:
            return []
        events = self.cfn.describe_events(ChangeSetName=change_set, Filters={"FailedEvents": True})
        return [
            f"  {event.get('LogicalResourceId', '')}: {event['ValidationStatusReason']}"
            for event in events["OperationEvents"]
            if event.get("ValidationStatus") == "FAILED"
        ]

    def delete(self) -> None:
        """Delete the stack, if it is there."""
        if found := self.find():
            since = self.last_event()
            self.cfn.delete_stack(StackName=self.name)
            self.follow(found.id, "DELETE_COMPLETE", since)

    def follow(self, stack_id: str, wanted: str, since: str) -> None:
        """Print each resource that is done until the stack is.

        Args:
            stack_id: by its name a deleted stack is no longer found.

        Raises:
            Fault: it ends in another state than `wanted`.
        """
        shown, moved = 0, time.monotonic()
        while True:
            events = list(self.events(stack_id, since))[::-1]
            for event in events[shown:]:
                show(event)
                moved = time.monotonic()
            shown = len(events)
            # The stack's own state may still be that of the change before, and an event that of a
            # stack within.
            own = [each for each in events if each.get("PhysicalResourceId") == stack_id]
            status = own[-1]["ResourceStatus"] if own else "_IN_PROGRESS"
            if status == wanted:
                break
            # LocalStack calls a stack failed at the first failure, and goes on.
            settled = time.monotonic() - moved > SETTLED_S
            if settled and not status.endswith("_IN_PROGRESS"):
                raise self.failed(status, failures(events))
            time.sleep(self.poll_s)
        self.cfn.get_waiter(f"stack_{wanted.lower()}").wait(StackName=stack_id)

    def failed(self, status: str, reasons: list[str]) -> Fault:
        to_do = STUCK.get(status, "correct that, and make deploy{flags}")
        advice = to_do.format(stack=self.name, flags=self.flags)
        said = "\n".join([*explained(reasons), f"to do: {advice}"])
        return Fault(f"the stack {self.name} is {status}\n{said}")

    def last_event(self) -> str:
        return next((str(event["EventId"]) for event in self.events(self.name)), "")

    def events(self, stack: str, since: str = "") -> Iterator[Event]:
        """A stack's events, newest first, back to but without the one with the id `since`."""
        pages = self.cfn.get_paginator("describe_stack_events").paginate(StackName=stack)
        for event in chain.from_iterable(page["StackEvents"] for page in pages):
            if event["EventId"] == since:
                return
            yield event


def given(parameter: str, value: str | None) -> dict[str, Any]:
    if value is None:
        return {"ParameterKey": parameter, "UsePreviousValue": True}
    return {"ParameterKey": parameter, "ParameterValue": value}


def described(change: Change) -> str:
    replaced = REPLACED.get(change.get("Replacement", ""), "")
    return f"{change['Action']} {change['LogicalResourceId']}{replaced}"


def explained(reasons: list[str]) -> list[str]:
    """AWS's words, and what to do where they leave it open."""
    return [*reasons, LESS_MEMORY] if TOO_MUCH_MEMORY in "".join(reasons) else reasons


def show(event: Event) -> None:
    if not event["ResourceStatus"].endswith("_IN_PROGRESS"):
        print(f"  {event['ResourceStatus']:<18} {event['LogicalResourceId']}", flush=True)


def failures(events: list[Event]) -> list[str]:
    """The resources that failed, in order, in AWS's words."""
    return [
        f"  {event['LogicalResourceId']}: {event['ResourceStatusReason']}"
        for event in events
        if event["ResourceStatus"].endswith("_FAILED")
        and "cancelled" not in event.get("ResourceStatusReason", "cancelled")
    ]
