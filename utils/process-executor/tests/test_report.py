"""The platform's lines where LogFormat is JSON."""

import json
from typing import Any

from conftest import version
from process_executor.faults import Exited
from process_executor.report import Report, system_log

COLD = Report("id-1", "arn:of:f", 1.5, 80.25, 256, 31, is_error=False, fault=None)
CRASHED = Report("id-2", "arn:of:f", 1.5, None, 256, 31, is_error=True, fault=Exited(3))


def lines(level: str, report: Report) -> dict[str, dict[str, Any]]:
    """The records by their types."""
    settings = {"LogFormat": "JSON", "SystemLogLevel": level}
    log = system_log(version(logging_config=settings, runtime="python3.13"), "on-demand")
    text = log.init_start() + log.start(report) + log.end(report)
    return {line["type"]: line["record"] for line in map(json.loads, text.splitlines())}


def test_an_invocation_is_three_objects() -> None:
    found = lines("INFO", COLD)
    assert list(found) == ["platform.initStart", "platform.start", "platform.report"]
    assert found["platform.initStart"]["runtimeVersion"] == "python:3.13.v0"
    started = {"requestId": "id-1", "functionArn": "arn:of:f", "version": "$LATEST"}
    assert found["platform.start"] == started
    assert found["platform.report"] == {
        "requestId": "id-1",
        "status": "success",
        "metrics": {
            "durationMs": 1.5,
            "billedDurationMs": 82,
            "memorySizeMB": 256,
            "maxMemoryUsedMB": 31,
            "initDurationMs": 80.25,
        },
    }


def test_the_level_decides_what_is_written() -> None:
    assert "platform.runtimeDone" in lines("DEBUG", COLD)
    assert not lines("WARN", COLD)
    faults = lines("WARN", CRASHED)
    assert list(faults) == ["platform.runtimeDone", "platform.report"]
    for fault in faults.values():
        assert (fault["status"], fault["errorType"]) == ("error", "Runtime.ExitError")
