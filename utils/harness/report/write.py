"""Write an execution's report: one HTML file in result/ that needs no network."""

import base64
import hashlib
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness import calls, cost, definition, facts, history, machines
from harness.execution import Execution, outcome_of
from harness.facts import Facts
from harness.fault import Fault
from harness.report import formats
from harness.report.view import BAR, BAR_HEIGHT, MARKS, View, bars_of, cold_starts, numeric, where
from harness.settings import RESULT
from harness.target import Target
from pipeline.facts.column_profile import BINS

HERE = Path(__file__).resolve().parent
KEPT = 20
LANGUAGES = ("en", "ja")


def report(target: Target, execution: str = "", language: str = "") -> None:
    """Write result/<execution>.html.

    Args:
        execution: a name or an ARN; default: the last execution.
        language: en or ja; default: that of LANG.
    """
    language = spoken(language)
    arn = machines.find(target, execution)
    if arn is None and execution:
        hint = "" if target.stack else "; one of a stack: TARGET=… STACK=…"
        raise Fault(f"{execution}: there is no execution of that name{hint}")
    if arn is None:
        raise Fault(f"nothing was executed yet: make stepfunctions{target.flags}")
    run = history.read(target.client("stepfunctions"), arn)
    print(os.path.relpath(write(collect(target, run, facts.read(target, run), language))))


def spoken(language: str = "") -> str:
    """The language of a page: that which is asked for, or that of LANG."""
    language = language or ("ja" if os.environ.get("LANG", "").startswith("ja") else "en")
    if language not in LANGUAGES:
        raise Fault(f"LANG_: must be {' or '.join(LANGUAGES)}; found {language!r}")
    return language


def write(view: View, page: str = "", folder: Path = RESULT) -> Path:
    """Write a report; returns where it is. Only the last KEPT ones stay in the folder.

    Args:
        page: its name; default: the execution's.
    """
    path = folder / f"{page or view.run.name}.html"
    folder.mkdir(exist_ok=True)
    partial = path.with_suffix(".part")
    text = html(view)
    try:
        # A lone surrogate of the data becomes \ud801, in the page as in the JSON for its script.
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    with suppress(FileNotFoundError):  # another run removes the same pages
        for old in sorted(folder.glob("*.html"), key=lambda each: each.stat().st_mtime)[:-KEPT]:
            old.unlink()
    return path


def collect(target: Target, run: Execution, found: Facts, language: str) -> View:
    """Read the log of an execution, and what else there is to show of it.

    Args:
        found: what its functions wrote.
    """
    calls.add_logs(target, run)
    record = run.failure.record if run.failure else None
    return View(
        target,
        run,
        language,
        found,
        states=definition.read_states(target.client("stepfunctions"), run.arn),
        cost_usd=cost_usd(target, run, found),
        log=calls.failure_lines(target, run),
        broken=facts.broken(target, found.scatter, record),
    )


def cost_usd(target: Target, run: Execution, found: Facts) -> float | None:
    """None where it is not known, as the S3 calls of an execution that has not succeeded."""
    if run.status != "SUCCEEDED" or not run.attempts or run.unreported:
        return None
    try:
        charges = cost.bill(run, found, target.region)
    except Fault:
        return None
    return sum(charge.dollars for charge in charges)


def html(view: View) -> str:
    style, script = (HERE / "page.css").read_text(), (HERE / "page.js").read_text()
    library = (HERE / "vendor" / "d3.min.js").read_text()
    return (
        environment(HERE)
        .get_template("page.html.j2")
        .render(
            names(view),
            style=style,
            library=library,
            script=script,
            policy=(
                f"default-src 'none'; style-src {digest(style)}; "
                f"script-src {digest(library)} {digest(script)}; base-uri 'none'; form-action 'none'"
            ),
        )
    )


@cache
def environment(*folders: Path) -> Environment:
    """Of the templates in some folders."""
    made = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "formats": formats,
        "marks": MARKS,
        "outcome_of": outcome_of,
        "where": where,
        "cold_starts": cold_starts,
        "bars_of": bars_of,
        "bars_width": BAR * BINS,
        "bars_height": BAR_HEIGHT,
        "numeric": numeric,
    }
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    return made


def names(view: View) -> dict[str, Any]:
    """What the templates name of a view."""
    run = view.run
    return {"view": view, "run": run, "facts": view.facts, "failure": run.failure, "t": view.text}


def digest(inlined: str) -> str:
    """The one source that the page's policy lets run, as CSP writes it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(inlined.encode()).digest()).decode()}'"
