"""One CloudFormation stack: change it, watch it, and say why it failed."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

from harness.fault import Fault

Event = dict[str, Any]

NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
POLL_S = {"aws": 2.0, "localstack": 0.1}
SETTLED_S = 3.0

# States in which CloudFormation takes no change, and what brings the stack out of each.
STUCK = {
    "ROLLBACK_COMPLETE": "its creation failed: make destroy {flags}, then make deploy {flags}",
    "ROLLBACK_FAILED": "its creation failed: make destroy {flags}, then make deploy {flags}",
    "CREATE_FAILED": "its creation failed: make destroy {flags}, then make deploy {flags}",
    "DELETE_FAILED": "something holds it: remove that, and make destroy {flags}",
    "UPDATE_FAILED": "aws cloudformation rollback-stack --stack-name {stack}, then make deploy {flags}",
    "UPDATE_ROLLBACK_FAILED": (
        "correct what is below, then "
        "aws cloudformation continue-update-rollback --stack-name {stack}, and make deploy {flags}"
    ),
}


class Stack:
    """A stack by its name, which need not exist."""

    def __init__(self, cfn: Any, name: str, target: str) -> None:
        self.cfn = cfn
        self.name = name
        self.target = target

    def describe(self) -> dict[str, Any] | None:
        try:
            [found] = self.cfn.describe_stacks(StackName=self.name)["Stacks"]
        except self.cfn.exceptions.ClientError as error:
            if "does not exist" not in str(error):
                raise
            return None
        # A deleted one is kept for a while, and one under review has no resources yet.
        gone = found["StackStatus"] in ("DELETE_COMPLETE", "REVIEW_IN_PROGRESS")
        return None if gone else dict(found)

    def outputs(self) -> dict[str, str]:
        found = self.describe()
        if found is None:
            raise Fault(f"the stack {self.name} does not exist: make deploy {self.flags}")
        return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}

    def bucket(self) -> str | None:
        """The bucket's name; None if it was not made or is deleted."""
        try:
            found = self.cfn.describe_stack_resource(
                StackName=self.name, LogicalResourceId="Bucket"
            )["StackResourceDetail"]
        except self.cfn.exceptions.ClientError as error:
            if "does not exist" not in str(error):
                raise
            return None
        return found.get("PhysicalResourceId") if is_there(found["ResourceStatus"]) else None

    @property
    def flags(self) -> str:
        return f"TARGET={self.target} STACK={self.name}"

    def check_can_change(self) -> None:
        """Raise a Fault that says what to do unless CloudFormation would take a change."""
        found = self.describe()
        status = found["StackStatus"] if found else ""
        if status.endswith("_IN_PROGRESS"):
            raise Fault(
                f"the stack {self.name} is {status}: something else changes it\n"
                f"to do: aws cloudformation describe-stack-events --stack-name {self.name} shows what; "
                "try again when it is done"
            )
        if status in STUCK:
            raise self.failed(status, failures(self.events()))

    def deploy(self, template: str, parameters: dict[str, str]) -> list[str]:
        """Create or update the stack.

        Returns:
            What changed, such as "Modify SegmentFunction"; [] where nothing had to.

        Raises:
            Fault: CloudFormation refuses the change or fails in it; with the resources' own words.
        """
        self.check_can_change()
        kind = "UPDATE" if self.describe() else "CREATE"
        change_set = self.cfn.create_change_set(
            StackName=self.name,
            ChangeSetName=f"deploy-{uuid.uuid4()}",
            ChangeSetType=kind,
            TemplateBody=template,
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
            ],
            Capabilities=["CAPABILITY_IAM"],
        )["Id"]
        try:
            changes = self.planned(change_set)
        except Fault:
            self.forget(change_set, kind)
            raise
        if changes:
            since = self.last_event()
            self.cfn.execute_change_set(ChangeSetName=change_set)
            self.follow(f"{kind}_COMPLETE", since)
        else:
            self.forget(change_set, kind)
        return changes

    def forget(self, change_set: str, kind: str) -> None:
        """Take back a change set, and the stack that it alone would have made."""
        self.cfn.delete_change_set(ChangeSetName=change_set)
        if kind == "CREATE":
            self.cfn.delete_stack(StackName=self.name)

    def planned(self, change_set: str) -> list[str]:
        """What a change set will do, once CloudFormation knows."""
        while True:
            found = self.cfn.describe_change_set(ChangeSetName=change_set)
            if found["Status"] == "FAILED":
                reason = found.get("StatusReason", "")
                if any(words in reason for words in NO_CHANGES):
                    return []
                raise Fault(f"CloudFormation refuses the change: {reason}")
            if found["Status"] == "CREATE_COMPLETE":
                changes = [each["ResourceChange"] for each in found["Changes"]]
                return [f"{each['Action']} {each['LogicalResourceId']}" for each in changes]
            time.sleep(POLL_S[self.target])

    def delete(self) -> None:
        """Delete the stack, if it is there."""
        found = self.describe()
        if found is None:
            return
        since = self.last_event()
        self.cfn.delete_stack(StackName=self.name)
        # By its name a deleted stack is no longer found.
        self.follow("DELETE_COMPLETE", since, found["StackId"])

    def follow(self, wanted: str, since: str, stack_id: str = "") -> None:
        """Print each resource that is done until the stack is.

        Raises:
            Fault: it ends in another state than `wanted`.
        """
        seen = {since}
        moved = time.monotonic()
        while True:
            # The state before the events: those of a final state are all there.
            [found] = self.cfn.describe_stacks(StackName=stack_id or self.name)["Stacks"]
            status = found["StackStatus"]
            events = list(self.events(stack_id, since))
            for event in reversed(events):
                if event["EventId"] not in seen:
                    show(event)
                    seen.add(event["EventId"])
                    moved = time.monotonic()
            if status == wanted:
                return
            # LocalStack calls a stack failed at the first failure, and goes on.
            settled = time.monotonic() - moved > SETTLED_S
            if settled and not status.endswith("_IN_PROGRESS"):
                raise self.failed(status, failures(events))
            time.sleep(POLL_S[self.target])

    def failed(self, status: str, reasons: list[str]) -> Fault:
        to_do = STUCK.get(status, "correct that, and make deploy {flags}")
        advice = to_do.format(stack=self.name, flags=self.flags)
        return Fault("\n".join([f"the stack {self.name} is {status}", *reasons, f"to do: {advice}"]))

    def last_event(self) -> str:
        return next((str(event["EventId"]) for event in self.events()), "")

    def events(self, stack_id: str = "", since: str = "") -> Iterator[Event]:
        """The stack's events, newest first, back to but without the one with the id `since`."""
        pages = self.cfn.get_paginator("describe_stack_events").paginate(
            StackName=stack_id or self.name
        )
        try:
            for page in pages:
                for event in page["StackEvents"]:
                    if event["EventId"] == since:
                        return
                    yield event
        except self.cfn.exceptions.ClientError as error:
            if "does not exist" not in str(error):
                raise


def is_there(status: str) -> bool:
    return status not in ("DELETE_COMPLETE", "CREATE_FAILED", "CREATE_IN_PROGRESS")


def show(event: Event) -> None:
    if not event["ResourceStatus"].endswith("_IN_PROGRESS"):
        print(f"  {event['ResourceStatus']:<18} {event['LogicalResourceId']}", flush=True)


def failures(events: Iterator[Event] | list[Event]) -> list[str]:
    """The resources that failed, first the one that failed first, in AWS's words."""
    failed = [
        f"  {event['LogicalResourceId']}: {event['ResourceStatusReason']}"
        for event in events
        if event["ResourceStatus"].endswith("_FAILED")
        and "cancelled" not in event.get("ResourceStatusReason", "cancelled")
    ]
    return failed[::-1]
