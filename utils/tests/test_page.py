"""The page answers its owner alone, takes tables whole, and tells what the executions tell."""

import asyncio
import gzip
import html
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psutil
import pytest
from openpyxl import Workbook

from conftest import ROOT, Pipeline
from harness.emulator import free_port
from harness.fault import Fault
from harness.history import read_events
from harness.page import serve, upload
from harness.page.live import Feeds
from harness.run import variables
from harness.target import emulator
from replay import Replay
from utils import members

MEGABYTE = 1 << 20
TABLE = [dict(member, 会員番号=f"{n:03d}") for n, member in enumerate(members(30, seed=1))]


@dataclass
class Served:
    """A server of its own, and the browser that was given its address."""

    process: subprocess.Popen[str]
    port: int
    token: str
    cookie: str = ""

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    def ask(
        self, path: str, body: Any = None, method: str = "", **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, headers and body; a header's name has _ for -, and "" leaves it out."""
        given = {"Host": self.host, "Cookie": self.cookie, **headers}
        sent = {name.replace("_", "-"): value for name, value in given.items() if value}
        connection = http.client.HTTPConnection("localhost", self.port, timeout=60)
        connection.request(method or ("GET" if body is None else "POST"), path, body, sent)
        answer = connection.getresponse()
        found = answer.status, answer.headers, answer.read()
        connection.close()
        return found

    def text(self, path: str, body: Any = None, **headers: str) -> str:
        return self.ask(path, body, **headers)[2].decode()

    def begin(self, table: list[dict[str, Any]], key: str = "") -> str:
        """The page of an execution on a table that is sent."""
        body = json.dumps(table, ensure_ascii=False).encode()
        return self.send(key or f"{uuid.uuid4()}.json", body)

    def send(self, key: str, body: bytes) -> str:
        status, _, said = self.ask(f"/objects?{urlencode({'key': key})}", body)
        assert status == 201, said
        asked = {"input_obj": key, "etl": "", "rejects": "", "encoding": "utf-8"}
        return str(json.loads(self.text("/executions", json.dumps(asked))))

    def news(self, path: str) -> Iterator[Any]:
        """What a page is told, until there is no more."""
        connection = http.client.HTTPConnection("localhost", self.port, timeout=60)
        connection.request("GET", path, headers={"Host": self.host, "Cookie": self.cookie})
        for line in connection.getresponse():
            if line.startswith(b"data: "):
                yield json.loads(line.removeprefix(b"data: "))
        connection.close()


def started(port: int) -> Served:
    command = [sys.executable, "-P", "-m", "harness", "page", "--", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    address = process.stdout.readline().strip()
    found = re.fullmatch(rf"http://localhost:{port}/\?token=([\w-]{{43}})", address)
    assert found, address
    served = Served(process, port, found[1])
    served.cookie = served.ask(f"/?token={served.token}")[1]["Set-Cookie"].split(";")[0]
    return served


@pytest.fixture(scope="module")
def page(pipeline: Pipeline) -> Iterator[Served]:
    served = started(free_port())
    yield served
    end(served, signal.SIGINT)


def end(served: Served, by: signal.Signals) -> None:
    """End a server by a signal: at once and without a word, whoever listens."""
    listening = served.news("/events")
    assert next(listening)
    served.process.send_signal(by)
    assert served.process.wait(10) == 128 + by
    assert served.process.stderr and served.process.stderr.read() == ""
    assert list(listening) == []


@pytest.fixture(scope="module")
def done(page: Served) -> str:
    """The page of an execution that has succeeded."""
    address = page.begin(TABLE)
    assert [*page.news(f"{address}/events")][-1]["outcome"] == "succeeded"
    return address


FOREIGN = [
    pytest.param({"Host": "evil.example"}, "Host: must be", id="name made to lead here"),
    pytest.param({"Host": "localhost"}, "Host: must be", id="another port"),
    pytest.param({"Origin": "http://evil.example"}, "Origin: must be", id="another page"),
    pytest.param({"Origin": "null"}, "Origin: must be", id="sandboxed page"),
    pytest.param({"Origin": "http://localhost:1"}, "Origin: must be", id="another user's server"),
    pytest.param({"Sec_Fetch_Site": "cross-site"}, "Sec-Fetch-Site: must be", id="image"),
    pytest.param({"Sec_Fetch_Site": "same-site"}, "Sec-Fetch-Site: must be", id="local image"),
    pytest.param({"Cookie": ""}, "token: open", id="no token"),
    pytest.param({"Cookie": "page=x"}, "token: open", id="another cookie"),
]


@pytest.mark.parametrize(("headers", "said"), FOREIGN)
def test_what_is_not_its_own_browser_reads_and_starts_nothing(
    page: Served, done: str, pipeline: Pipeline, headers: dict[str, str], said: str
) -> None:
    before = last_execution(pipeline)
    for path in ("/", "/events", "/assets/page.css", done, f"{done}/workbook", "/nothing"):
        status, _, body = page.ask(path, **headers)
        assert (status, body.decode().startswith(said)) == (403, True)
    for path in (f"{done}/again", "/executions", "/objects?key=stolen.json", "/check"):
        assert page.ask(path, "[]", **headers)[0] == 403
    assert last_execution(pipeline) == before
    assert not is_there(pipeline, "stolen.json")


def last_execution(pipeline: Pipeline) -> str:
    found = pipeline.states.list_executions(stateMachineArn=emulator().machine(), maxResults=1)
    return str(found["executions"][0]["executionArn"])


def is_there(pipeline: Pipeline, key: str) -> bool:
    found = pipeline.s3.list_objects_v2(Bucket=emulator().bucket, Prefix=key)
    return bool(found["KeyCount"])


def test_a_wrong_token_is_none_and_the_right_one_moves_into_a_strict_cookie(page: Served) -> None:
    for wrong in ("", "x", page.token[:-1], page.token.lower(), "é"):
        assert page.ask(f"/?{urlencode({'token': wrong})}", Cookie="")[0] == 403
        assert page.ask("/", Cookie=quote(f"page-{page.port}={wrong}", "="))[0] == 403
    status, headers, _ = page.ask(f"//evil.example/?token={page.token}", Cookie="")
    assert (status, headers["Location"]) == (303, "/")
    name, *rules = headers["Set-Cookie"].split("; ")
    assert name == f"page-{page.port}={page.token}"
    assert {rule.lower() for rule in rules} == {"httponly", "path=/", "samesite=strict"}


@pytest.mark.parametrize("path", ["/", "/assets/page.js", "/nothing", "/executions/Other/x"])
@pytest.mark.parametrize("cookie", [None, ""])
def test_every_answer_tells_the_browser_what_to_keep_to(
    page: Served, path: str, cookie: str | None
) -> None:
    _, headers, _ = page.ask(path, **({} if cookie is None else {"Cookie": cookie}))
    policy = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert set(policy.values()) == {"'none'", "'self'"}
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "server" not in headers


def test_it_listens_on_loopback_alone_at_each_of_its_addresses(page: Served) -> None:
    process = psutil.Process(page.process.pid)
    listening = {each.laddr for each in process.net_connections("tcp") if each.status == "LISTEN"}
    addresses = {"127.0.0.1", "::1"} if has_ipv6() else {"127.0.0.1"}
    assert {(each.ip, each.port) for each in listening} == {(ip, page.port) for ip in addresses}


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_the_token_is_kept_for_the_next_server_where_nobody_else_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "token"
    token = serve.kept_token(path)
    assert len(token) == 43 and path.stat().st_mode & 0o777 == 0o600
    assert serve.kept_token(path) == token
    path.chmod(0o644)
    another = serve.kept_token(path)
    assert another != token and path.stat().st_mode & 0o777 == 0o600
    path.write_text("")
    assert serve.kept_token(path) not in ("", token, another)


@pytest.mark.parametrize("port", ["0", "65536", "x", "-1", ""])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(Fault, match="PAGE: must be a port, 1 to 65535; found"):
        serve.page(emulator(), port)


def test_a_port_that_is_held_is_named_with_its_holder(page: Served) -> None:
    with pytest.raises(
        Fault, match=f"PAGE: must be a free port; found {page.port}, held by python"
    ):
        serve.page(emulator(), str(page.port))


def test_a_port_that_is_the_systems_own_is_not_called_held(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(Fault, match="PAGE: must be a port that you may open, from 1024; found 80"):
        serve.page(emulator(), "80")


def table_of(page: str) -> list[list[str]]:
    """The texts of a table's cells, row by row."""
    return [
        [html.unescape(re.sub("<[^>]*>", "", cell)) for cell in re.split("</t[dh]>", row)[:-1]]
        for row in re.findall("<tr>(.*?)</tr>", page, re.DOTALL)
    ]


def test_the_list_is_whole_without_a_script_and_its_news_are_the_same(
    page: Served, done: str
) -> None:
    broken = [*TABLE[:3], {**TABLE[3], "会員ランク": 9}]
    script = f"<script>alert('{uuid.uuid4()}')<script>.json"
    failed = page.begin(broken, script)
    assert [*page.news(f"{failed}/events")][-1]["ended"]
    listed = page.text("/")
    assert "<script>alert" not in listed
    rows = {row[5]: row[:3] for row in table_of(listed)[1:]}
    assert rows[failed.rpartition("/")[2]] == ["✕ failed", script, "4"]
    assert rows[done.rpartition("/")[2]][::2] == ["✓ succeeded", "30"]
    told = {row[5]: row[:3] for row in table_of(next(page.news("/events")))}
    assert told == rows


def test_an_execution_is_told_to_its_end_and_then_is_its_report(
    page: Served, pipeline: Pipeline
) -> None:
    address = page.begin(TABLE)
    rows: list[Any] = []
    for news in page.news(f"{address}/events"):
        rows = rows[: news["count"]] + [None] * (news["count"] - len(rows))
        for n, row in news["rows"]:
            rows[n] = row
    assert (news["ended"], news["outcome"], news["word"]) == (True, "succeeded", "succeeded")
    assert [row["label"] for row in rows] == ["ScatterLambda", "0", "1", "2", "GatherLambda"]
    assert {row["outcome"] for row in rows} == {"succeeded"}
    assert news["segments"] == "333" and news["outcomes"][3] == "succeeded"
    whole = page.text(address)
    for place in ("card-rows", "first-rows", "summary-1", "profile", "segments", "again", "take"):
        assert f'id="{place}"' in whole
    secret = variables(emulator(), "scatter")["SIGNING_KEY"]
    for text in (whole, json.dumps(news), page.text("/")):
        assert str(ROOT) not in text and secret not in text and page.token not in text
    status, headers, workbook = page.ask(f"{address}/workbook")
    assert status == 200 and headers["Content-Disposition"].startswith("attachment; ")
    [key] = re.findall(r">s3://[^/<]*/([^<]*)</a>", whole)
    stored = pipeline.s3.get_object(Bucket=emulator().bucket, Key=key)["Body"].read()
    assert workbook == stored and workbook.startswith(b"PK")


def test_a_workbook_that_is_dropped_is_not_replaced_by_its_own(page: Served) -> None:
    given, made = Workbook(), io.BytesIO()
    assert given.active
    for row in [[*TABLE[0]], *(list(member.values()) for member in TABLE)]:
        given.active.append(row)
    given.save(made)
    key = f"{uuid.uuid4()}.xlsx"
    asked = urlencode({"key": key, "size": len(made.getvalue()), "encoding": "utf-8"})
    assert json.loads(page.text(f"/check?{asked}", made.getvalue()[: upload.HEAD_BYTES])) == []
    address = page.send(key, made.getvalue())
    [*_, last] = page.news(f"{address}/events")
    assert last["outcome"] == "succeeded"
    assert f"{key.removesuffix('.xlsx')}-result.xlsx" in page.text(address)


def test_a_faulty_record_is_named_with_what_to_do_in_two_languages(page: Served) -> None:
    address = page.begin([*TABLE[:7], {**TABLE[7], "会員ランク": 9}], f"{uuid.uuid4()}.json")
    assert [*page.news(f"{address}/events")][-1]["outcome"] == "failed"
    english, japanese = page.text(address), page.text(address, Accept_Language="ja,en;q=0.5")
    assert "Record 7 of" in english and "correct that record in the input object" in english
    assert "7 番のレコードで失敗しました" in japanese and "もう一度実行" in japanese
    assert str(ROOT) not in english + japanese


def test_a_running_execution_is_stopped_and_another_started_on_the_same_input(
    page: Served, pipeline: Pipeline
) -> None:
    address = page.begin([dict(member) for member in members(200, seed=2)])
    for news in page.news(f"{address}/events"):
        if "1" in news["segments"]:
            break
    assert 'id="stop"' in page.text(address) and 'id="again"' not in page.text(address)
    status, headers, _ = page.ask(f"{address}/stop", "")
    assert (status, headers["Location"]) == (303, address)
    assert [*page.news(f"{address}/events")][-1]["outcome"] == "stopped"
    status, headers, _ = page.ask(f"{address}/again", "")
    assert status == 303 and headers["Location"] != address
    [*_, last] = page.news(f"{headers['Location']}/events")
    assert last["outcome"] == "succeeded" and ">200<" in last["parts"]["cards"]


@pytest.mark.parametrize("path", ["/executions/Other/x", "/executions/Aggregate/none", "/members"])
def test_only_the_targets_own_executions_are_served(page: Served, path: str) -> None:
    for end in ("", "/workbook"):
        assert page.ask(path + end)[0] in (404, 409)


REFUSED = [
    pytest.param("scatter/a.json", b"[]", "must be in no folder of the pipeline's own", id="own"),
    pytest.param("outbox/a.json", b"[]", "must be in no folder of the pipeline's own", id="outbox"),
    pytest.param("a/../b.json", b"[]", "no step that is empty or climbs", id="climbs"),
    pytest.param("a.txt", b"a", "a.txt: must end in .json, .jsonl", id="text"),
    pytest.param(
        "a.xlsx", b"\xd0\xcf\x11\xe0", "must be a workbook as Excel saves", id="old workbook"
    ),
    pytest.param("a.xlsx", b"a,b\n", "must be a workbook as Excel saves", id="no workbook"),
    pytest.param("a.csv", "a,b".encode("utf-16"), "found UTF-16, or no text", id="UTF-16"),
    pytest.param(
        "a.csv", "a,b".encode("utf-16-le"), "found UTF-16, or no text", id="UTF-16 unmarked"
    ),
    pytest.param("a.csv", "名".encode("cp932"), "must be UTF-8; found byte 0x96 at 0", id="CP932"),
    pytest.param("a.json", b'{"a": 1}', "must begin with [; found '{'", id="no array"),
    pytest.param("a.jsonl", b"[]", "must begin with {; found '['", id="no lines"),
    pytest.param("a.csv.gz", b"a,b\n", "must be packed by gzip", id="not packed"),
    pytest.param("a.json", b"", "must have 1 to", id="empty"),
]


@pytest.mark.parametrize(("key", "head", "said"), REFUSED)
def test_a_table_that_can_be_no_input_is_refused_by_its_beginning(
    pipeline: Pipeline, key: str, head: bytes, said: str
) -> None:
    with pytest.raises(Fault, match=re.escape(said)):
        upload.check(emulator(), key, len(head), head, "utf-8")


@pytest.mark.parametrize("key", ["a.csv", "a.csv.gz", "b", "日本 語.jsonl", "f/c.json"])
def test_what_can_be_an_input_asks_for_nothing(pipeline: Pipeline, key: str) -> None:
    text = "名前,数\n" * 9000 if ".csv" in key else ('{"名前": 1}' if ".jsonl" in key else "[]")
    whole = gzip.compress(text.encode()) if key.endswith(".gz") else text.encode()
    head = whole[: upload.HEAD_BYTES]  # which may end within a letter
    assert upload.check(emulator(), key, len(whole), head, "utf-8") == []


def test_a_disk_without_room_and_a_table_too_large_are_sentences() -> None:
    for size in (10**18, upload.MOST_BYTES):
        with pytest.raises(Fault, match=r"a.csv: must (have 1 to|fit on the emulator's disk)"):
            upload.check_size(emulator(), "a.csv", size)


@pytest.mark.parametrize(("key", "size"), [("new.json", 137_000_000), ("new.csv", 34_250_000)])
def test_on_aws_a_table_says_what_it_costs_first(pipeline: Pipeline, key: str, size: int) -> None:
    """A million members cost $0.0030; a byte of CSV holds what four of JSON do."""
    on_aws = replace(emulator(), name="aws")
    assert upload.check(on_aws, key, size, b"[a", "utf-8") == [
        "It costs about $0.0033 on AWS, at list price."
    ]


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", ["replaced", "replaces", "costs"]), ("ja", ["置き換え"] * 2 + ["定価"])],
)
def test_what_must_be_agreed_to_is_in_the_readers_language(
    pipeline: Pipeline, language: str, words: list[str]
) -> None:
    key, at = pipeline.put(b"[]"), f"s3://{emulator().bucket}/"
    workbook = key.replace(".json", ".xlsx")
    pipeline.s3.put_object(Bucket=emulator().bucket, Key=workbook, Metadata={"input": "7.csv"})
    on_aws = replace(emulator(), name="aws")
    asks = upload.check(on_aws, key, 137_000_000, b"[", "utf-8", language)
    for ask, word, names in zip(
        asks, words, [[at + key], [at + workbook, "7.csv"], ["$0.0033"]], strict=True
    ):
        assert [word in ask, *(name in ask for name in names)] == [True] * (1 + len(names))
    assert [ask.startswith("s3://") for ask in asks] == [True, False, False]  # what the page tells


def test_an_object_is_replaced_only_by_who_was_asked(page: Served, pipeline: Pipeline) -> None:
    key = pipeline.put(b"[]")
    asked = urlencode({"key": key, "size": 2, "encoding": "utf-8"})
    assert f"{key} is there, and is replaced" in page.text(f"/check?{asked}", b"[]")
    japanese = json.loads(page.text(f"/check?{asked}", b"[]", Accept_Language="ja"))
    assert japanese == [f"s3://{emulator().bucket}/{key} は既にあり、置き換えられます。"]
    status, _, said = page.ask(f"/check?{asked}", b"{}")
    assert status == 409 and b"must begin with [; found '{'" in said
    status, _, said = page.ask(f"/objects?key={key}", b"[1]")
    assert status == 409 and b"must not be there yet" in said
    stored = {"Bucket": emulator().bucket, "Key": key}
    assert pipeline.s3.get_object(**stored)["Body"].read() == b"[]"
    assert page.ask(f"/objects?key={key}&replace=1", b"[2]")[0] == 201
    assert pipeline.s3.get_object(**stored)["Body"].read() == b"[2]"


def test_a_large_table_passes_through_little_memory(page: Served, pipeline: Pipeline) -> None:
    process, megabytes, peak = psutil.Process(page.process.pid), 80, 0
    before = process.memory_info().rss

    def pieces() -> Iterator[bytes]:
        nonlocal peak
        for number in range(megabytes):
            peak = max(peak, process.memory_info().rss)
            yield bytes([number]) * MEGABYTE

    size = str(megabytes * MEGABYTE)
    status, _, said = page.ask("/objects?key=large.csv", pieces(), Content_Length=size)
    assert status == 201, said
    found = pipeline.s3.get_object(Bucket=emulator().bucket, Key="large.csv")["Body"]
    assert all(found.read(MEGABYTE) == piece for piece in pieces())
    pipeline.s3.delete_object(Bucket=emulator().bucket, Key="large.csv")
    assert peak - before < 60 * MEGABYTE


def test_an_upload_that_is_cut_off_leaves_nothing(page: Served, pipeline: Pipeline) -> None:
    connection = http.client.HTTPConnection("localhost", page.port)
    connection.putrequest("POST", "/objects?key=cut.csv", skip_host=True)
    for name, value in (("Host", page.host), ("Cookie", page.cookie)):
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(20 * MEGABYTE))
    connection.endheaders()
    connection.send(bytes(10 * MEGABYTE))
    wait_for(lambda: uploads(pipeline) == 1)
    connection.close()
    wait_for(lambda: uploads(pipeline) == 0)
    assert not is_there(pipeline, "cut.csv")


def uploads(pipeline: Pipeline) -> int:
    found = pipeline.s3.list_multipart_uploads(Bucket=emulator().bucket, Prefix="cut.csv")
    return len(found.get("Uploads", []))


def wait_for(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until


def test_a_server_that_was_killed_goes_on_for_the_same_browser_and_ends_without_a_word(
    pipeline: Pipeline,
) -> None:
    port = free_port()
    first = started(port)
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    second = started(port)
    assert second.ask("/", Cookie=first.cookie)[0] == 200
    end(second, signal.SIGTERM)


def test_a_source_is_asked_once_however_many_follow_and_not_when_nobody_does() -> None:
    asked: list[int] = []

    def source() -> Iterator[int]:
        for number in range(1000):
            asked.append(number)
            yield number

    async def follow(feeds: Feeds, until: int) -> list[int]:
        seen = []
        followed = feeds.follow("one", source)
        async for number in followed:
            seen.append(number)
            if number >= until:
                break
        await followed.aclose()  # type: ignore[attr-defined]  # a generator
        return seen

    async def all_at_once() -> list[list[int]]:
        feeds = Feeds()
        many = await asyncio.gather(*(follow(feeds, 20 + n) for n in range(20)))
        later = await follow(feeds, 0)
        return [*many, later]

    *many, later = asyncio.run(all_at_once())
    assert [seen[-1] >= 20 + n for n, seen in enumerate(many)] == [True] * 20
    assert all(seen == sorted(set(seen)) for seen in many)
    again = asked.index(0, 1)
    assert asked[:again] == list(range(again)) and again < 1000
    assert later[0] == 0


@pytest.mark.parametrize("known", [0, 1, 37, 41])
def test_news_of_a_history_are_the_events_after_those_that_are_known(known: int) -> None:
    replay = Replay("retried")
    states = replay.target.client("stepfunctions")
    whole = replay.events()
    after = whole[known - 1]["id"] if known else 0
    assert [each["id"] for each in read_events(states, "arn", after)] == [
        each["id"] for each in whole[known:]
    ]
    pages = sum(operation == "GetExecutionHistory" for operation, _ in replay.asked)
    assert pages <= (len(whole) - known) // 40 + 1


@pytest.mark.parametrize("backwards", [False, True])
def test_the_emulator_pages_through_a_history_as_aws_does(
    pipeline: Pipeline, done: str, backwards: bool
) -> None:
    machine = emulator().machine().replace(":stateMachine:", ":execution:")
    arn = f"{machine}:{done.rpartition('/')[2]}"
    asked = {"executionArn": arn, "reverseOrder": backwards}
    numbers: list[int] = []
    while True:
        page = pipeline.states.get_execution_history(**asked, maxResults=7)
        numbers += [event["id"] for event in page["events"]]
        assert len(page["events"]) <= 7
        if "nextToken" not in page:
            break
        asked["nextToken"] = page["nextToken"]
    every = pipeline.states.get_execution_history(executionArn=arn, maxResults=1000)["events"]
    expected = [event["id"] for event in every]
    assert expected == list(range(1, len(expected) + 1)) and len(expected) > 20
    assert numbers == (expected[::-1] if backwards else expected)
