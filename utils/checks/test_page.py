"""The page that lives, in a real Chromium, on an emulator: `make test-page`."""

import csv
import json
import os
import re
import signal
import socket
import subprocess
import threading
import uuid
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, expect

# The browser, and that no page says anything to its console.
pytest_plugins = ["test_report_page"]

CHECKS = Path(__file__).resolve().parent
TOOLS = CHECKS.parent / "tools" / ".venv" / "bin" / "python"
AXE = CHECKS / "node_modules" / "axe-core" / "axe.min.js"
HEADER = ["会員番号", "名前", "会員ランク", "ポイント", "タイムスタンプ"]
CELL = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}c"
ROW = CELL[:-1] + "row"
PICTURE = os.environ.get("PICTURE", "")  # where to put one of an execution half-way
BELOW_THE_LINKS = {"x": 64, "y": 56, "width": 1152, "height": 844}
END_MS = 120_000  # of an execution, on a busy machine
PAGES = "**/executions/**"

Language = Literal["en", "ja"]


def member(number: int) -> list[Any]:
    rank, points = number % 5 + 1, 50 + number * 7 % 51
    return [f"{number:06d}", f"名前 {number} & <b>", rank, points, f"2021-{number % 12 + 1:02d}-01"]


def table(count: int, **changed: Any) -> bytes:
    """A JSON array of members; with segments of ten rows each, up to a thousand.

    Args:
        changed: fields of the record 37.
    """
    records = [dict(zip(HEADER, member(number))) for number in range(count)]
    if changed:
        records[37] |= changed
    return json.dumps(records, ensure_ascii=False).encode()


def file(body: bytes, name: str = "") -> Any:
    mime = "application/octet-stream"
    return {"name": name or f"{uuid.uuid4()}.json", "mimeType": mime, "buffer": body}


class Server:
    """`make page` on a port of its own."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.start()

    def start(self) -> None:
        command = [TOOLS, "-P", "-m", "harness", "page", "--", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.address = self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.kill()


Open = Callable[..., Page]


@pytest.fixture
def open_list(browser: Browser, server: Server, faults: list[str]) -> Iterator[Open]:
    contexts: list[BrowserContext] = []

    def dismiss(dialog: Dialog) -> None:
        faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open_(width: int = 1280, language: Language = "en", scheme: Any = "light") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, locale=language, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(END_MS)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", dismiss)
        page.goto(server.address)
        return page

    yield open_
    for context in contexts:
        context.close()


def take(page: Page, given: Any) -> None:
    """Choose a file, and come to the page of its execution."""
    page.locator("#files").set_input_files(given)
    page.wait_for_url(PAGES)
    expect(page.locator("#timeline .row").first).to_be_visible()


SEGMENTS = 120  # of four records
START = """async ([key, text]) => {
    await send(`/objects?key=${key}`, new Blob([text]), {});
    const asked = { input_obj: key, encoding: "utf-8", division_number: 4 };
    location.href = await ask("/executions", JSON.stringify(asked));
}"""


def take_slowly(page: Page) -> None:
    """Come to the page of an execution of SEGMENTS, as one that was started elsewhere."""
    page.evaluate(START, [f"{uuid.uuid4()}.json", table(4 * SEGMENTS).decode()])
    page.wait_for_url(PAGES)
    expect(page.locator("#timeline .row").first).to_be_visible()


def ended(page: Page) -> str:
    """How an execution ended, once the whole page of it is there."""
    expect(page.locator("#again")).to_be_visible(timeout=END_MS)
    return str(page.locator("#status strong").text_content())


def sheet(path: Path) -> Iterator[list[str]]:
    """The texts of a workbook's first sheet, row by row, read without a library of workbooks."""
    with zipfile.ZipFile(path) as book:
        assert "xl/sharedStrings.xml" not in book.namelist() or not shared(book)
        with book.open("xl/worksheets/sheet1.xml") as xml:
            for _, row in ElementTree.iterparse(xml):  # noqa: S314  # our own workbook
                if row.tag == ROW:
                    yield ["".join(cell.itertext()) for cell in row.iter(CELL)]
                    row.clear()


def shared(book: zipfile.ZipFile) -> bool:
    return b"<si>" in book.read("xl/sharedStrings.xml")


def test_a_dropped_table_of_100000_rows_is_watched_and_comes_back_in_every_cell(
    open_list: Open, tmp_path: Path
) -> None:
    path, count = tmp_path / f"{uuid.uuid4()}.csv", 100_000
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([HEADER, *map(member, range(count))])
    page = open_list()
    take(page, path)
    assert ended(page) == "succeeded"
    assert page.locator("#card-rows data").all_text_contents() == ["100,000", "100,000"]
    with page.expect_download() as download:
        page.locator("#take").click()
    assert download.value.suggested_filename == f"{path.stem}.xlsx"
    download.value.save_as(tmp_path / "book.xlsx")
    rows = sheet(tmp_path / "book.xlsx")
    assert next(rows) == [*HEADER, "ボーナスポイント"]
    for number, row in enumerate(rows):
        *texts, points, day = member(number)
        bonus = points * 5 / 4 if texts[2] >= 4 else points
        assert row == [str(each) for each in (*texts, points, day)] + [f"{bonus:g}"]
    assert number == count - 1


# What a page says of itself, in one look.
LOOK = """() => ({
    word: document.querySelector("#status strong").textContent,
    squares: Object.groupBy(document.querySelectorAll("#squares rect"), e => e.classList[1]),
    counts: [...document.querySelectorAll("#counts li")].map(e => e.textContent.trim()),
    heads: [...document.querySelectorAll("#glance, #graph-title, #timeline-title")]
        .map(e => e.getBoundingClientRect().top + scrollY),
    shown: performance.getEntriesByName("first-contentful-paint").length,
})"""


def looks(page: Page) -> list[dict[str, Any]]:
    """What an execution's page says, again and again, until it has ended."""
    found = []
    while not page.locator("#again").count():
        found.append(page.evaluate(LOOK))
        if PICTURE and 60 < len(found[-1]["squares"].get("succeeded", [])) < 200:
            page.screenshot(path=PICTURE, clip=BELOW_THE_LINKS)
        page.wait_for_function(
            "before => document.getElementById('again') || document.getElementById('counts').textContent != before",
            arg=page.locator("#counts").text_content(),
        )
    return found


@pytest.mark.parametrize("width", [1280, 390])
def test_segments_wait_run_and_succeed_before_the_eyes_and_nothing_jumps(
    open_list: Open, width: int
) -> None:
    page = open_list(width)
    take_slowly(page)
    found = [look for look in looks(page) if look["shown"]]
    words = {outcome for look in found for outcome in look["squares"]}
    assert {"running", "succeeded"} <= words
    done = [len(look["squares"].get("succeeded", [])) for look in found]
    assert done == sorted(done) and any(0 < count < SEGMENTS for count in done)
    for look in found:
        said = dict(each.rsplit(" ", 1) for each in look["counts"])
        assert {word: int(count) for word, count in said.items() if count != "0"} == {
            outcome: len(squares) for outcome, squares in look["squares"].items()
        }
    assert len({tuple(look["heads"]) for look in found}) == 1
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("#squares rect.succeeded").count() == SEGMENTS


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_faulty_record_is_said_with_what_to_do(open_list: Open, language: Language) -> None:
    page = open_list(390, language)
    name = f"{uuid.uuid4()}.json"
    take(page, file(table(200, 会員ランク="<script>alert(1)</script>"), name))
    assert ended(page) == {"en": "failed", "ja": "失敗"}[language]
    sentence = {
        "en": f"Record 37 of {name} broke the run.",
        "ja": f"{name} の 37 番のレコードで失敗しました。",
    }
    assert page.locator("#failure .sentence").text_content() == sentence[language]
    assert page.locator("#record .named dd").text_content() == "<script>alert(1)</script>"
    assert page.locator("#todo").text_content()
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_an_execution_is_stopped_and_run_again_by_keyboard_alone(open_list: Open) -> None:
    page = open_list()
    take_slowly(page)
    page.locator("body").press("Tab")
    for _ in range(3):
        if page.evaluate("document.activeElement.id") != "stop":
            page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "stop"
    stopped = page.url
    page.keyboard.press("Enter")
    assert ended(page) == "stopped" and page.url == stopped
    page.locator("#again").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: url != stopped)
    assert ended(page) == "succeeded"


def test_a_reload_in_the_middle_shows_the_same_and_goes_on(open_list: Open) -> None:
    page = open_list()
    take_slowly(page)
    page.wait_for_selector("#squares rect.succeeded")
    before = page.locator("#squares rect.succeeded").count()
    page.reload()
    page.wait_for_selector("#squares rect")
    assert page.locator("#squares rect.succeeded").count() >= before
    assert ended(page) == "succeeded"
    whole = page.locator("main").inner_html()
    page.reload()
    page.wait_for_selector("#timeline .row")
    assert page.locator("main").inner_html() == whole


def test_a_page_that_loses_the_server_says_so_and_goes_on(
    open_list: Open, server: Server, faults: list[str]
) -> None:
    page, listed = open_list(), open_list()
    take_slowly(page)
    page.wait_for_selector("#squares rect.running")
    server.kill()
    for each in (page, listed):
        expect(each.locator("#lost")).to_be_visible()
    server.start()
    for each in (page, listed):
        expect(each.locator("#lost")).to_be_hidden(timeout=END_MS)
    assert ended(page) == "succeeded"
    expect(listed.locator("#rows tr").first).to_contain_text("succeeded")


def test_two_executions_live_side_by_side_and_both_in_the_list(open_list: Open) -> None:
    pages, listed = [open_list(), open_list()], open_list()
    for page in pages:
        take(page, file(table(1000)))
    names = [str(page.locator("h1").text_content()) for page in pages]
    for name in names:
        expect(listed.locator("#rows")).to_contain_text(name)
    for page in pages:
        assert ended(page) == "succeeded"
    for name in names:
        row = listed.locator("#rows tr", has_text=name)
        expect(row).to_contain_text(re.compile("succeeded.*1,000"))


def test_several_files_and_a_folder_are_sent_and_started_by_their_paths(
    open_list: Open, tmp_path: Path
) -> None:
    folder = tmp_path / f"folder-{uuid.uuid4()}"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.json", "deep/b.json"):
        (folder / name).write_bytes(table(50))
    page = open_list()
    page.locator("#folder").set_input_files(folder)
    for name in ("a.json", "deep/b.json"):
        row = page.locator("#rows tr", has_text=f"{folder.name}/{name}")
        expect(row).to_contain_text("succeeded", timeout=END_MS)
    drop = """body => {
        const data = new DataTransfer();
        for (const name of ["notes.txt", "scatter.json"]) data.items.add(new File([body], name));
        dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
    }"""
    page.evaluate(drop, "{}")
    expect(page.locator("#sent")).to_contain_text("notes.txt: must end in .json")
    expect(page.locator("#sent")).to_contain_text("scatter.json: must begin with [; found '{'")


def test_what_would_replace_an_object_asks_first(open_list: Open, faults: list[str]) -> None:
    page, given = open_list(), file(table(20))
    take(page, given)
    page.goto(page.url.partition("/executions")[0])
    page.locator("#files").set_input_files(given)
    page.wait_for_function("() => !document.querySelector('#sent li')")
    assert "is there, and is replaced." in faults.pop()  # the dialog, which was dismissed
    assert page.url.endswith("/")


def test_a_hidden_tab_has_no_stream(open_list: Open) -> None:
    page = open_list()
    closed, hide = (
        "stream.readyState === EventSource.CLOSED",
        "document.dispatchEvent(new Event('visibilitychange'))",
    )
    page.wait_for_function("() => stream.readyState === EventSource.OPEN")
    page.evaluate(
        f"Object.defineProperty(document, 'hidden', {{ value: true, configurable: true }}), {hide}"
    )
    assert page.evaluate(closed)
    page.evaluate(f"delete document.hidden, {hide}")
    page.wait_for_function("() => stream.readyState === EventSource.OPEN")


def axe(page: Page) -> list[str]:
    """What axe finds that is serious."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run()")["violations"]
    return [
        f"{each['id']}: {each['nodes'][0]['html'][:120]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_serious(open_list: Open, width: int, scheme: str) -> None:
    page = open_list(width, "en", scheme)
    assert axe(page) == []
    take(page, file(table(300)))
    assert axe(page) == []
    assert ended(page) == "succeeded"
    assert axe(page) == []


def test_the_language_is_chosen_on_the_page_and_kept(open_list: Open) -> None:
    page = open_list()
    page.get_by_role("link", name="日本語").click()
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    page.wait_for_load_state()
    take(page, file(table(20)))
    assert ended(page) == "成功"
    page.get_by_role("link", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")


FOREIGN = """<!DOCTYPE html><title>foreign</title><body>
<iframe src="{0}/"></iframe><img src="{0}/assets/page.css"><script src="{0}/assets/live.js"></script>
<form method="post" action="{0}{1}/again" target="sent"></form><iframe name="sent"></iframe>
<script>
window.read = [];
const tell = (promise) => promise.then((answer) => read.push(answer.status || answer.type), (error) => read.push("refused"));
Promise.all([
  tell(fetch("{0}/", {{ credentials: "include" }})),
  tell(fetch("{0}{1}/workbook", {{ credentials: "include" }})),
  tell(fetch("{0}{1}/again", {{ method: "POST", credentials: "include" }})),
]).then(() => document.forms[0].submit());
document.getElementsByName("sent")[0].onload = () => (window.framed = true);
</script>"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_another_site_in_the_same_browser_neither_reads_nor_starts_nor_frames(
    open_list: Open, server: Server, host: str
) -> None:
    """The first is another site, the second the same by name: another user's server here."""
    page = open_list()
    take(page, file(table(20)))
    assert ended(page) == "succeeded"
    own, _, path = page.url.partition("/executions")
    body = FOREIGN.format(own, f"/executions{path}").encode()

    class Foreign(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Foreign) as foreign:
        threading.Thread(target=foreign.serve_forever, daemon=True).start()
        listed = page.context.new_page()
        listed.goto(own)
        count = listed.locator("#rows tr").count()
        another = page.context.new_page()
        refused: list[int] = []
        another.on(
            "response",
            lambda answer: refused.append(answer.status) if answer.url.startswith(own) else None,
        )
        another.goto(f"http://{host}:{foreign.server_port}/")
        another.wait_for_function("() => window.read.length === 3")
        assert another.evaluate("window.read") == ["refused"] * 3
        another.wait_for_function("() => window.framed")
        assert refused and set(refused) == {403}
        assert [frame.locator(".top").count() for frame in another.frames[1:]] == [0, 0]
        listed.reload()
        assert listed.locator("#rows tr").count() == count
        foreign.shutdown()
