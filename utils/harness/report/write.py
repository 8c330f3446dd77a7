"""Write an execution's report: one HTML file in result/ that needs no network."""

import base64
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).resolve().parent
from harness import cost, history
from harness.fault import Fault
from harness.report import sources
from harness.report.model import Run, graph, histogram
from harness.report.view import Facts, View, plain
from harness.target import Target, emulator, endpoint, target_of

RESULT = HERE.parents[2] / "result"
LANGUAGES = ("en", "ja")


def report(execution: str = "", language: str = "") -> None:
    """Write result/<execution>.html.

    Args:
        execution: a name or an ARN; an ARN of another account than the emulator's is looked up on AWS,
            with your own credentials. Default: the last execution.
        language: en or ja; default: that of LANG.
    """
    arn = find(execution)
    print(os.path.relpath(write(arn, language)))


def write(arn: str, language: str = "", folder: Path = RESULT) -> Path:
    """Write the report of an execution, and its workbook, into a folder; returns where it is."""
    language = language or ("ja" if os.environ.get("LANG", "").startswith("ja") else "en")
    if language not in LANGUAGES:
        raise Fault(f"language: must be one of {', '.join(LANGUAGES)}; found {language!r}")
    run, facts = collect(arn, folder)
    target = folder / f"{facts.name}.html"
    partial = target.with_suffix(".part")
    partial.write_text(page(View(run, facts, language)), encoding="utf-8")
    os.replace(partial, target)
    return target


def find(execution: str) -> str:
    """The ARN of an execution given by its name or ARN, or of the last one."""
    if execution.startswith("arn:"):
        return execution
    states = emulator().client("stepfunctions")
    found = [
        each
        for machine in states.list_state_machines()["stateMachines"]
        for each in states.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
        if execution in ("", each["name"])
    ]
    if not found and execution:
        raise Fault(f"{execution}: there is no execution of that name")
    if not found:
        raise Fault("nothing was executed yet: make stepfunctions")
    return str(max(found, key=lambda each: each["startDate"])["executionArn"])


def collect(arn: str, folder: Path) -> tuple[Run, Facts]:
    clients = target_of(arn)
    states = clients.client("stepfunctions")
    try:
        described = states.describe_execution(executionArn=arn)
    except states.exceptions.ExecutionDoesNotExist:
        raise Fault(f"{arn}: there is no such execution") from None
    definition = states.describe_state_machine_for_execution(executionArn=arn)["definition"]
    events = history.read(states, arn)
    if not all("previousEventId" in event for event in events[1:]):
        raise Fault(f"no report of {arn}: its history does not say which event follows which")
    run = Run.from_history(described["status"], events)
    nodes = graph(json.loads(definition))
    sources.add_reports(clients.client("logs"), run)
    sources.add_map_runs(states, clients.client("logs"), run, nodes)
    facts = Facts(
        name=described["name"],
        arn=arn,
        where=f"LocalStack ({endpoint()})"
        if clients.emulated
        else f"AWS {clients.region} ({clients.account})",
        input=described.get("input", "{}"),
        input_obj=input_obj(run),
        nodes=nodes,
    )
    add_settings(clients.client("lambda"), run, facts)
    add_objects(clients.client("s3"), run, facts, folder)
    add_failure(clients, run, facts)
    facts.cost_usd = cost_usd(run, facts, clients)
    return run, facts


def input_obj(run: Run) -> str:
    """As the first call was told it: in its overrides, else in its event."""
    event = json_object(run.attempts[0].input) if run.attempts else {}
    overrides = event.get("overrides") or {}
    return str(overrides.get("input_obj") or event.get("input_obj") or "")


def json_object(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def add_settings(functions: Any, run: Run, facts: Facts) -> None:
    for name in {attempt.function for attempt in run.attempts if attempt.function}:
        found = sources.settings(functions, name)
        if found:
            facts.timeouts_s[name], facts.memories_mb[name] = found.timeout_s, found.memory_mb
            facts.bucket = found.bucket


def add_objects(s3: Any, run: Run, facts: Facts, folder: Path) -> None:
    bucket = sources.Bucket(s3, facts.bucket, run)
    if facts.input_obj:
        facts.bytes_in = bucket.input_bytes(facts.input_obj)
    if facts.bytes_in is not None:
        facts.rows_in = bucket.rows(facts.input_obj)
    add_segments(bucket, run, facts)
    facts.workbook = workbook_of(run)
    if facts.workbook:
        facts.bytes_out = bucket.output_bytes(facts.workbook)
    if facts.workbook and facts.bytes_out is not None:
        add_workbook(bucket.download(facts.workbook, folder), facts)


def add_segments(bucket: sources.Bucket, run: Run, facts: Facts) -> None:
    """Sizes from two listings; rows from the figures beside the results."""
    keys = [key for task in run.iterations if (key := plain(task.input))]
    results = [result for task in run.iterations if (result := plain(task.output))]
    facts.segment_bytes_in = bucket.sizes(os.path.commonprefix(keys)) if keys else {}
    facts.segment_bytes_out = bucket.sizes(os.path.commonprefix(results)) if results else {}
    with ThreadPoolExecutor(8) as threads:
        found = threads.map(bucket.segment_rows, results)
    facts.segment_rows_out = {key: rows for key, rows in zip(results, found) if rows is not None}


def workbook_of(run: Run) -> str | None:
    last = max(run.tasks, key=lambda task: task.entered_s, default=None)
    return plain(last.output) or None if last and run.status == "SUCCEEDED" else None


def add_workbook(path: Path, facts: Facts) -> None:
    table = sources.read_table(path)
    facts.workbook_href = path.name
    facts.rows_out, facts.columns, facts.first_rows = table.total, table.columns, table.rows
    facts.histogram = histogram(table.pairs)
    facts.histogram_names = (sources.VALUE, sources.GROUP)


def add_failure(clients: Target, run: Run, facts: Facts) -> None:
    if run.failure is None:
        return
    if run.failure.task:
        attempt = run.failure.task.attempts[-1]
        facts.log = sources.failure_lines(clients.client("logs"), run, attempt)
    bucket = sources.Bucket(clients.client("s3"), facts.bucket, run)
    facts.record = sources.failing_record(bucket, run.failure)


def cost_usd(run: Run, facts: Facts, clients: Target) -> float | None:
    """What the execution costs on AWS.

    None where it is not known: the S3 calls of one that has not succeeded, a line of its log, or
    the region's prices.
    """
    if run.status != "SUCCEEDED":
        return None
    reports = [attempt.report for attempt in run.attempts if attempt.report]
    if not reports or len(reports) < len(run.attempts):
        return None
    try:
        charges = cost.cost(
            [cost.Invocation(report.billed_ms, report.memory_mb) for report in reports],
            run.transitions,
            cost.s3_calls(run.segments or 0, facts.bytes_out or 0),
            clients.region,
        )
    except Fault:
        return None
    return sum(charge.dollars for charge in charges)


def page(view: View) -> str:
    style, script = (HERE / "page.css").read_text(), (HERE / "page.js").read_text()
    library = (HERE / "vendor" / "d3.min.js").read_text()
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        view=view,
        t=view.t,
        style=style,
        library=library,
        script=script,
        data=inline_json(view.data),
        policy=(
            f"default-src 'none'; style-src {digest(style)}; "
            f"script-src {digest(library)} {digest(script)}; base-uri 'none'; form-action 'none'"
        ),
    )


def digest(inlined: str) -> str:
    """The one source that the page's policy lets run, as CSP writes it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(inlined.encode()).digest()).decode()}'"


def inline_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    encoded = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        encoded = encoded.replace(character, f"\\u{ord(character):04x}")
    return encoded
