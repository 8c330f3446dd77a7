"""The report's page in a real Chromium: `make test-report-page`."""

import json
import os
import re
import shutil
import subprocess
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from answers import Answers

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "utils" / "tools" / ".venv" / "bin" / "python"
NAMES = ("succeeded", "retried", "wide", "failed")
WIDTHS = (1280, 390)
PAGE_BYTES = 2_000_000
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]

Open = Callable[..., Page]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of the scenarios, each beside the answers that it was made from."""
    pages = tmp_path_factory.mktemp("pages")
    subprocess.run([TOOLS, ROOT / "utils" / "compat" / "report_scenarios.py", pages], check=True)
    return pages


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.fail("these tests need Chromium: apt-get install chromium, or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Browser, folder: Path) -> Iterator[Open]:
    """Open a scenario's page; at the end, nothing it did may have been an error or a request."""
    faults: list[str] = []
    context = browser.new_context()

    def open_(name: str, width: int = 1280) -> Page:
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": 900})
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: None if request.url.startswith("file:") else faults.append(request.url))
        page.goto((folder / f"{name}.html").as_uri())
        page.wait_for_selector("#timeline .row")
        return page

    yield open_
    context.close()
    assert not faults


@pytest.fixture(scope="session")
def answers(folder: Path) -> dict[str, Answers]:
    return {name: Answers(folder / f"{name}.json") for name in NAMES}


def exact(page: Page, selector: str) -> list[float]:
    values = page.locator(f"{selector} data").evaluate_all("all => all.map(each => each.value)")
    return [float(value) for value in values]


def kinds(told: Answers) -> Counter[str]:
    return Counter(event["type"] for event in told.events)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_one_small_file(folder: Path, name: str) -> None:
    page = (folder / f"{name}.html").read_bytes()
    assert len(page) < PAGE_BYTES
    assert not re.search(rb"<(?:link|img|iframe|script)[^>]+(?:src|href)=", page)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NAMES)
def test_a_page_fits_its_width(open_page: Open, name: str, width: int) -> None:
    page = open_page(name, width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    too_small = "all => all.filter(e => parseFloat(getComputedStyle(e).fontSize) < 12).length"
    assert page.locator("main :is(p, dt, dd, th, td, li, pre, button, label, text)").evaluate_all(too_small) == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_glance_is_that_of_the_history(open_page: Open, answers: dict[str, Answers], name: str) -> None:
    page, counts, events = open_page(name), kinds(answers[name]), answers[name].events
    [ended] = [e["timestamp"] for e in events if e["type"] in ("ExecutionSucceeded", "ExecutionFailed")]
    assert exact(page, "#card-time") == [pytest.approx(ended - events[0]["timestamp"], abs=1e-5)]
    [length] = [e["mapStateStartedEventDetails"]["length"] for e in events if e["type"] == "MapStateStarted"]
    assert exact(page, "#card-segments") == [counts["MapIterationSucceeded"], length]
    assert exact(page, "#card-calls") == [counts["LambdaFunctionScheduled"]]


@pytest.mark.parametrize("name", NAMES)
def test_every_segment_has_the_times_of_its_iteration(open_page: Open, answers: dict[str, Answers], name: str) -> None:
    page, events = open_page(name), answers[name].events
    begin = events[0]["timestamp"]
    entered = {
        json.loads(e["stateEnteredEventDetails"]["input"]): e["timestamp"] - begin
        for e in events
        if e["type"] == "TaskStateEntered" and e["stateEnteredEventDetails"]["name"] == "SegmentLambda"
    }
    keys = page.locator("#segments tbody th").evaluate_all("all => all.map(each => each.title)")
    assert sorted(keys) == sorted(entered)
    assert exact(page, "#segments .start") == pytest.approx([entered[key] for key in keys], abs=1e-5)
    assert page.locator("#timeline .row").count() == len(entered) + kinds(answers[name])["TaskStateEntered"] - len(entered)


@pytest.mark.parametrize("name", NAMES)
def test_functions_have_the_peaks_of_their_report_lines(open_page: Open, answers: dict[str, Answers], name: str) -> None:
    page = open_page(name)
    for article in page.locator(".functions article").all():
        function = str(article.locator("h3").text_content())
        lines = answers[name].reports(function)
        numbers = {
            key: [float(found[1]) for line in lines if (found := re.search(rf"\t{key}: ([\d.]+)", line))]
            for key in ("Duration", "Max Memory Used", "Memory Size", "Init Duration")
        }
        at = f"#function-{function}"
        assert exact(page, f"{at} .calls") == [len(lines)]
        assert exact(page, f"{at} .cold-calls") == [len(numbers["Init Duration"])]
        assert exact(page, f"{at} .longest") == [pytest.approx(max(numbers["Duration"]) / 1000), 900]
        assert exact(page, f"{at} .peak") == [max(numbers["Max Memory Used"]), numbers["Memory Size"][0]]


def test_a_succeeded_page_shows_what_came_out(open_page: Open, folder: Path) -> None:
    page = open_page("succeeded")
    assert exact(page, "#card-rows") == [30, 30]
    href = page.locator("#workbook").get_attribute("href")
    assert href and (folder / urllib.parse.unquote(href)).stat().st_size == exact(page, "#card-bytes")[1]
    first = page.locator("#first-rows tbody tr").first.locator("td").all_text_contents()
    assert first == ["000", "<script>alert('x')</script> 0", "1", "50", "2021-05-16", "50"]
    bins = page.locator("#histogram-table td").all_text_contents()
    assert sum(map(int, bins)) == 30
    assert page.locator("#failure").count() == 0


def test_a_failed_page_says_which_record_of_which_input_broke_and_why(open_page: Open) -> None:
    page = open_page("failed")
    shown = page.locator("#failure").inner_text()
    assert "Record 37 of failed.json broke the run." in shown
    assert "InvalidMember failed.json record 37: 会員ランク must be 1 to 5" in shown
    assert page.locator("#record .named dd").text_content() == "<script>alert(1)</script>"
    assert page.locator("#record dd").first.text_content() == "037"
    assert "SegmentLambda (segment-lambda)" in shown and "3 of 4" in shown
    assert "correct that record in the input object" in str(page.locator("#todo").text_content())
    assert "[ERROR] InvalidMember" in str(page.locator("#failure .log").text_content())


def test_a_retried_page_shows_the_failed_calls(open_page: Open) -> None:
    page = open_page("retried")
    assert exact(page, "#segments tr[data-index='1'] .calls") == [2]
    assert exact(page, "#segments tr[data-index='2'] .calls") == [1]
    assert page.locator("#timeline rect.bad").count() == 2
    page.locator("#order").select_option("trouble")
    assert page.locator("#timeline .row text").all_text_contents()[:2] == ["↻ 1", "↻ 3"]


@pytest.mark.parametrize("name", NAMES)
def test_texts_from_data_run_nothing(open_page: Open, name: str) -> None:
    page = open_page(name)
    assert page.locator("script").count() == 3
    assert page.locator("main script").count() == 0


def test_200_segments_are_readable_and_zoom_by_keyboard(open_page: Open) -> None:
    page = open_page("wide")
    assert page.locator("#timeline .row").count() == 202
    row = page.locator("#timeline .row").nth(1).bounding_box()
    assert row and row["height"] >= 20
    page.locator("#timeline").focus()
    for key in ("ArrowDown", "ArrowDown", "+", "+", "+"):
        page.keyboard.press(key)
    assert "セグメント 0" in str(page.locator("#detail").text_content())
    zoomed = page.locator("#timeline .axis .tick text").all_text_contents()
    page.keyboard.press("0")
    assert page.locator("#timeline .axis .tick text").all_text_contents() != zoomed
    assert page.locator("#timeline .axis .tick text").first.text_content() == "0 s"


def test_a_japanese_page_is_japanese(open_page: Open) -> None:
    page = open_page("wide")
    assert page.locator("html").get_attribute("lang") == "ja"
    assert "成功" in str(page.locator("#status").text_content())
