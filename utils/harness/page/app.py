"""What the page answers: executions, their pages and workbooks, and what is asked of them."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote

from botocore.exceptions import BotoCoreError, ClientError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from harness import facts, history, run
from harness.bucket import there_or
from harness.fault import Fault
from harness.page import live, upload
from harness.page.listing import Listing
from harness.progress import snapshots
from harness.report import write
from harness.report.view import WORDS
from harness.settings import ROOT, etl_folder
from harness.target import Target, remedy
from pipeline import etl_names

HERE = Path(__file__).resolve().parent
ASSETS = {
    path.name: path
    for folder, names in (
        (write.HERE, ("page.css", "page.js", "vendor/d3.min.js")),
        (HERE, ("live.css", "live.js", "drop.js")),
    )
    for path in (folder / name for name in names)
}
WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class App:
    """Serves one target."""

    def __init__(self, target: Target) -> None:
        self.target = replace(target, client=kept(target.client))
        self.states = self.target.client("stepfunctions")
        self.listing = Listing(self.target)
        self.listing.read()  # the first page does not wait for it
        self.feeds = live.Feeds()
        self.turn = Lock()
        self.ended = lru_cache(8)(self.ended_page)

    def routes(self) -> Starlette:
        one, post = "/executions/{machine}/{name}", ["POST"]
        faults = dict.fromkeys((Fault, BotoCoreError, ClientError, ClientDisconnect), sentence)
        return Starlette(
            routes=[
                Route("/", self.executions),
                Route("/events", self.list_news),
                Route("/language/{language}", self.speak),
                Route("/assets/{name}", self.asset),
                Route(one, self.execution),
                Route(f"{one}/events", self.news),
                Route(f"{one}/workbook", self.workbook),
                Route("/check", self.check, methods=post),
                Route("/objects", self.put, methods=post),
                Route("/executions", self.begin, methods=post),
                Route(f"{one}/{{act}}", self.act, methods=post),
            ],
            exception_handlers=faults,
        )

    def executions(self, request: Request) -> Response:
        language = language_of(request)
        return html("list.html.j2", executions=self.listing.read(), **self.names(language))

    async def list_news(self, request: Request) -> Response:
        language = language_of(request)

        async def news() -> AsyncIterator[str]:
            async for executions in self.feeds.follow("list", lambda: iter(self.listing)):
                yield rendered("rows.html.j2", executions=executions, **self.names(language))

        return events(news())

    def execution(self, request: Request) -> Response:
        arn, language = self.arn(request), language_of(request)
        described = self.describe(arn)
        if described["status"] in history.RUNNING:
            view = live.view_of(self.target, next(snapshots(self.target, arn)), language)
            return html("execution.html.j2", live=True, here=address(arn), **write.names(view))
        with self.turn:  # all who wait for it get what the first one made
            return self.ended(arn, language, described.get("stopDate"))

    def ended_page(self, arn: str, language: str, _: Any) -> Response:
        ran = history.read(self.states, arn)
        view = write.collect(self.target, ran, facts.read(self.target, ran), language)
        names = {"live": False, "here": address(arn), "heals": not self.target.emulated}
        return html("execution.html.j2", **names, **write.names(view))

    async def news(self, request: Request) -> Response:
        arn = self.arn(request)
        followed = self.feeds.follow(arn, lambda: snapshots(self.target, arn))
        return events(live.changes(self.target, followed, language_of(request)))

    def workbook(self, request: Request) -> Response:
        described = self.describe(self.arn(request))
        key = history.parse(described, []).workbook or ""
        with there_or(f"{described['name']}: there is no workbook of it in {self.target.bucket}"):
            found = self.target.client("s3").get_object(Bucket=self.target.bucket, Key=key)
        headers = {
            "Content-Length": str(found["ContentLength"]),
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(key.split('/')[-1])}",
        }
        return StreamingResponse(found["Body"].iter_chunks(1 << 20), 200, headers, WORKBOOK)

    async def check(self, request: Request) -> Response:
        asked = request.query_params
        head = (await request.body())[: upload.HEAD_BYTES]
        given = asked["key"], int(asked["size"]), head, asked["encoding"], language_of(request)
        return JSONResponse(await run_in_threadpool(upload.check, self.target, *given))

    async def put(self, request: Request) -> Response:
        key, size = request.query_params["key"], int(request.headers["content-length"])
        await run_in_threadpool(upload.check_key, self.target, key)
        upload.check_size(self.target, key, size)
        replace = "replace" in request.query_params
        await upload.put(self.target, key, request.stream(), replace)
        return Response(status_code=201)

    async def begin(self, request: Request) -> Response:
        """Start an execution on an object; answers with the address of its page."""
        asked = await request.json()
        own = upload.input_of(asked["input_obj"], asked.pop("encoding"))
        given = {name: value for name, value in asked.items() if value} | own
        return JSONResponse(address(await run_in_threadpool(self.start, given)), 201)

    def act(self, request: Request) -> Response:
        arn = self.arn(request)
        match request.path_params["act"]:
            case "stop":
                self.states.stop_execution(executionArn=arn)
            case "redrive":
                self.states.redrive_execution(executionArn=arn)
            case "again":
                described = self.describe(arn)
                arn = self.start(json.loads(described["input"]), described["stateMachineArn"])
            case _:
                raise HTTPException(404)
        return RedirectResponse(address(arn), 303)

    def start(self, given: dict[str, Any], machine: str = "") -> str:
        """Start an execution, once its input is checked; returns its ARN."""
        run.check_functions(self.target)
        run.check_etl(self.target, given)
        run.check_object(self.target, given)
        return run.start(self.target, machine or self.target.machine(), given)

    def arn(self, request: Request) -> str:
        """Of an execution of the target's own state machines."""
        machine, name = request.path_params["machine"], request.path_params["name"]
        for arn in self.target.machines:
            if arn.rpartition(":")[2] == machine:
                return f"{arn.replace(':stateMachine:', ':execution:')}:{name}"
        raise HTTPException(404)

    def describe(self, arn: str) -> dict[str, Any]:
        try:
            return dict(self.states.describe_execution(executionArn=arn))
        except self.states.exceptions.ExecutionDoesNotExist as error:
            raise HTTPException(404, str(error)) from None

    def speak(self, request: Request) -> Response:
        answer = RedirectResponse("/", 303)
        language = "ja" if request.path_params["language"] == "ja" else "en"
        answer.set_cookie("language", language, samesite="strict")
        return answer

    def asset(self, request: Request) -> Response:
        if path := ASSETS.get(request.path_params["name"]):
            return FileResponse(path)
        raise HTTPException(404)

    def names(self, language: str) -> dict[str, Any]:
        """What the templates of the list name."""
        japanese = language == "ja"
        return {
            "encodings": upload.ENCODINGS,
            "etls": etl_names.names(etl_folder()),
            "language": language,
            "t": lambda *texts: texts[japanese],
            "target": self.target,
            "words": {name: texts[japanese] for name, texts in WORDS.items()},
        }


def kept(client: Callable[..., Any]) -> Callable[..., Any]:
    """Clients take a while to make, and no two threads may do so at once."""
    services = ("lambda", "logs", "s3", "stepfunctions")
    made = {service: client(service) for service in services}
    return lambda service, **config: (not config and made.get(service)) or client(service, **config)


def address(arn: str) -> str:
    """Of the page of an execution."""
    machine, name = arn.split(":")[-2:]
    return f"/executions/{machine}/{quote(name)}"


def language_of(request: Request) -> str:
    asked = request.cookies.get("language") or request.headers.get("accept-language", "")
    return "ja" if asked.startswith("ja") else "en"


def rendered(template: str, **names: Any) -> str:
    """No folder of this machine is shown, as a traceback of the data's names them."""
    return live.TEMPLATES.get_template(template).render(names).replace(f"{ROOT}/", "")


def html(template: str, **names: Any) -> Response:
    return HTMLResponse(rendered(template, **names).encode(errors="backslashreplace"))


def events(news: AsyncIterator[Any]) -> Response:
    """Server-sent events, each as JSON, without those that say nothing new."""

    async def lines() -> AsyncIterator[str]:
        before = ""
        async for each in news:
            if (line := f"data: {json.dumps(each)}\n\n") != before:
                before = line
                yield line

    return StreamingResponse(lines(), media_type="text/event-stream")


def sentence(_: Request, error: Exception) -> Response:
    """What went wrong, and what to do about it."""
    if isinstance(error, BotoCoreError | ClientError):
        return PlainTextResponse(f"{error}\nto do: {remedy(error)}", 502)
    return PlainTextResponse(str(error), 409)
