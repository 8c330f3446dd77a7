"""What AWS's APIs answered while a page was written, to compare the page with.

It shares no code with utils/report.
"""

import json
from pathlib import Path
from typing import Any

Event = dict[str, Any]
PAGE_TOKENS = {"nextToken", "ContinuationToken"}


class Answers:
    """The recorded answers, in their order; a time is in seconds since the epoch."""

    def __init__(self, path: Path) -> None:
        self.answers: list[dict[str, Any]] = json.loads(path.read_text())

    def all(self, operation: str, **asked: Any) -> list[dict[str, Any]]:
        """What was asked of an operation with these parameters, and answered."""
        return [
            each
            for each in self.answers
            if each["operation"] == operation and asked.items() <= each["asked"].items()
        ]

    def last(self, operation: str, **asked: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.all(operation, **asked)[-1]["answer"]
        return answer

    def listing(self, operation: str, field: str, **asked: Any) -> list[dict[str, Any]]:
        """All pages of what an operation listed last."""
        found: list[dict[str, Any]] = []
        for each in self.all(operation, **asked):
            if not PAGE_TOKENS & each["asked"].keys():
                found = []
            found += each["answer"].get(field, [])
        return found

    @property
    def events(self) -> list[Event]:
        return self.listing("GetExecutionHistory", "events")

    def reports(self, function: str) -> list[str]:
        """The REPORT lines of a function's calls, as the log was last asked for them."""
        group = f"/aws/lambda/{function}"
        patterns = [each["asked"]["filterPattern"] for each in self.all("FilterLogEvents", logGroupName=group)]
        [pattern] = {pattern for pattern in patterns if not pattern.startswith('"')}  # that is one call's
        listed = self.listing("FilterLogEvents", "events", logGroupName=group, filterPattern=pattern)
        return [event["message"] for event in listed if event["message"].startswith("REPORT ")]
