"""The last executions, as the first page lists them."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any

from harness import facts, machines, run
from harness.logs import json_object
from harness.target import Target
from pipeline.facts.stages import ScatterFacts
from pipeline.keys import facts_key, segment_key
from pipeline.s3.signed import Objects, signing_key

LAST = 50
POLL_S = 1.0

Listed = dict[str, Any]  # as ListExecutions names it, and what else a line says


class Listing:
    """Reads the last executions; of one that it knows, nothing again."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.known: dict[tuple[str, str], tuple[str, int | None]] = {}  # input and rows

    def __iter__(self) -> Iterator[list[Listed]]:
        while True:
            yield self.read()
            time.sleep(POLL_S)

    def read(self) -> list[Listed]:
        each = (islice(machines.executions(self.target, m), LAST) for m in self.target.machines)
        found = sorted(chain.from_iterable(each), key=lambda one: one["startDate"], reverse=True)
        last = {(one["executionArn"], one["status"]): one for one in found[:LAST]}
        told = dict(self.known)
        if fresh := [key for key in last if key not in told]:
            secret = signing_key(run.variables(self.target, "scatter"))
            objects = Objects(self.target.client("s3"), self.target.bucket, secret)
            with ThreadPoolExecutor(facts.THREADS) as threads:
                read = threads.map(lambda key: self.look_up(key[0], objects), fresh)
                told |= dict(zip(fresh, read))
        # Those of a running one whose rows are not known yet are looked up again.
        final = [key for key in last if key[1] != "RUNNING" or told[key][1] is not None]
        self.known = {key: told[key] for key in final}
        return [listed(one, *told[key]) for key, one in last.items()]

    def look_up(self, arn: str, objects: Objects) -> tuple[str, int | None]:
        """What the functions of today have signed; figures of another key are not told."""
        key = facts_key(segment_key(arn.rpartition(":")[2], 0))
        if scatter := facts.if_there(lambda: ScatterFacts.from_json(objects.get(key))):
            return scatter.input_obj, scatter.rows
        described = self.target.client("stepfunctions").describe_execution(executionArn=arn)
        return str(json_object(described.get("input")).get("input_obj", "test.json")), None


def listed(one: Listed, input_obj: str, rows: int | None) -> Listed:
    took = one.get("stopDate", datetime.now(UTC)) - one["startDate"]
    machine = one["stateMachineArn"].rpartition(":")[2]
    told = {"input_obj": input_obj, "rows": rows}  # None until they are known
    return {**one, **told, "machine": machine, "took_s": took.total_seconds()}
