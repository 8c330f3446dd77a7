"""An execution's history: how long each stage took."""

from typing import Any

STATES = {"ScatterLambda": "scatter", "ProcessAllSegments": "segment", "GatherLambda": "gather"}


def stage_seconds(events: list[dict[str, Any]]) -> dict[str, float]:
    """Seconds between entering and leaving each stage's state; for segment, the whole Map."""
    entered, exited = times(events, "Entered"), times(events, "Exited")
    return {
        stage: (exited[state] - entered[state]).total_seconds() for state, stage in STATES.items()
    }


def times(events: list[dict[str, Any]], edge: str) -> dict[str, Any]:
    details = f"state{edge}EventDetails"
    return {event[details]["name"]: event["timestamp"] for event in events if details in event}


def segments(events: list[dict[str, Any]]) -> int:
    [started] = [event for event in events if event["type"] == "MapStateStarted"]
    return int(started["mapStateStartedEventDetails"]["length"])
