"""The report's page in a real Chromium: `make test-report-page`."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

UTILS = Path(__file__).resolve().parents[1]
TOOLS = UTILS / "tools" / ".venv" / "bin" / "python"
# What each page must say; the figures by the selectors of their places.
EXPECTED: dict[str, Any] = json.loads((UTILS / "tests/recorded/expected.json").read_text())
FAILED = ("failed", "distributed-failed")
PROFILED = ("succeeded", "retried", "distributed")  # the functions of the wide one kept no figures
WIDTHS = (1280, 390)
PAGE_BYTES = 2_000_000
UNITS = {"": 1, "s": 1, "min": 60, "h": 3600, "B": 1, "kB": 1e3, "MB": 1e6}
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

Open = Callable[..., Page]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of the recorded executions."""
    pages = tmp_path_factory.mktemp("pages")
    subprocess.run([TOOLS, UTILS / "tests" / "replay.py", pages], check=True)
    return pages


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.fail(
            "these tests need Chromium: apt-get install chromium, or set CHROMIUM to its path"
        )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def faults() -> list[str]:
    """What pages did that is an error or a request."""
    return []


@pytest.fixture(autouse=True)
def no_faults(faults: list[str]) -> Iterator[None]:
    yield
    assert not faults


@pytest.fixture(scope="session")
def open_page(browser: Browser, folder: Path, faults: list[str]) -> Open:
    def open_(name: str, width: int = 1280, scheme: Literal["light", "dark"] = "light") -> Page:
        page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda request: None if request.url.startswith("file:") else faults.append(request.url),
        )
        page.goto((folder / f"{name}.html").as_uri())
        page.wait_for_selector("#timeline .row")
        return page

    return open_


@pytest.fixture(scope="session", params=EXPECTED)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def page(open_page: Open, name: str) -> Page:
    """For tests that change nothing on it."""
    return open_page(name)


@pytest.fixture
def told(name: str) -> dict[str, Any]:
    found: dict[str, Any] = EXPECTED[name]
    return found


def of_all(page: Page, place: str, expression: str) -> Any:
    """An expression's value for each `e` of the elements in a place."""
    return page.locator(place).evaluate_all(f"all => all.map(e => {expression})")


CELLS = "[...e.children].map(cell => cell.textContent)"


def numbers(text: str) -> list[int]:
    """The whole numbers in a text, such as 1 and 2000 in `1 failed, retries: 2,000`."""
    return [int(found.replace(",", "")) for found in re.findall(r"\d+(?:,\d{3})*", text)]


def read(shown: str, units: dict[str, float]) -> float:
    """What a figure says to its reader, such as 1.5 for `1.50 s` and 123 for `2 min 03 s`."""
    return sum(
        float(number.replace(",", "")) * units[unit]
        for number, unit in re.findall(r"(-?[\d.,]+) ?([A-Za-z]*)", shown)
    )


def test_a_page_is_one_small_file(folder: Path, name: str) -> None:
    html = (folder / f"{name}.html").read_bytes()
    assert len(html) < PAGE_BYTES
    assert not re.search(rb"<(?:link|img|iframe|script)[^>]+(?:src|href)=", html)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_fits_its_width(open_page: Open, name: str, width: int) -> None:
    page = open_page(name, width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    texts = "main :is(p, dt, dd, th, td, li, pre, button, label, text)"
    assert min(of_all(page, texts, "parseFloat(getComputedStyle(e).fontSize)")) >= 12


# The contrast of each text with what is behind it, as WCAG 2 defines it.
CONTRASTS = """() => {
    const luminance = ([r, g, b]) => [r, g, b].map(c => c / 255)
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
    const behind = element => {
        for (; element; element = element.parentElement) {
            const colour = numbers(getComputedStyle(element).backgroundColor);
            if (colour[3] !== 0) return colour;
        }
        return [255, 255, 255];
    };
    return [...document.querySelectorAll("body :is(p, dt, dd, th, td, li, h1, h2, h3, code, summary, label)")]
        .filter(element => element.offsetParent && element.textContent.trim())
        .map(element => {
            const [text, ground] = [numbers(getComputedStyle(element).color), behind(element)].map(luminance);
            const [dark, light] = [text, ground].sort((a, b) => a - b);
            return [(light + 0.05) / (dark + 0.05), element.outerHTML.slice(0, 80)];
        });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("shown", ["retried", "failed"])
def test_every_text_is_readable_by_day_and_by_night(
    open_page: Open, shown: str, scheme: str
) -> None:
    page = open_page(shown, scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(23, 29, 35)"}[scheme]
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 50
    assert [found for found in contrasts if found[0] < 4.5] == []


def test_every_figure_is_that_of_the_record_and_in_a_place_that_is_compared(
    page: Page, told: dict[str, Any]
) -> None:
    found = {place: of_all(page, f"{place} data", "+e.value") for place in told["figures"]}
    # Times are rounded to microseconds, a cost is not.
    assert found == {
        place: pytest.approx(values, rel=1e-9, abs=0 if place == "#card-cost" else 2e-6)
        for place, values in told["figures"].items()
    }
    compared = ", ".join(f"{place} *" for place in told["figures"])
    assert of_all(page, f"data:not({compared})", "e.outerHTML") == []


def test_every_figure_reads_as_it_is(page: Page) -> None:
    shown = of_all(page, "data", "[e.value, e.textContent, e.closest('.peak') !== null]")
    for value, text, in_megabytes in shown:
        units = {**UNITS, "MB": 1} if in_megabytes else UNITS
        rounded = 0.05 if "$" in text else 0.005 if re.search("[A-Za-z]", text) else 0
        if re.search(r"\.\d{4}$", text):  # a summary's; there are no more decimals
            rounded = 0.00005
        assert read(text, units) == pytest.approx(float(value), rel=rounded, abs=rounded)


def test_notes_count_what_was_recorded(page: Page, told: dict[str, Any]) -> None:
    texts = {place: " ".join(of_all(page, place, "e.textContent")) for place in told["notes"]}
    assert {place: numbers(text) for place, text in texts.items()} == told["notes"]
    started = datetime.fromtimestamp(told["begin"], UTC)
    assert of_all(page, "header time", "[e.dateTime, e.textContent]") == [
        [started.isoformat(), f"{started:%Y-%m-%d %H:%M:%S} UTC"]
    ]


def test_every_segment_is_a_row_with_its_key_outcome_and_environments(
    page: Page, name: str, told: dict[str, Any]
) -> None:
    row = "[e.querySelector('th').title, e.querySelector('.mark').className, e.children[5].textContent]"
    japanese = {"cold": "コールド", "warm": "ウォーム"} if name == "wide" else {}
    assert of_all(page, "#segments tbody tr", row) == [
        [key, f"mark {outcome}", " → ".join(japanese.get(each, each) for each in environments)]
        for key, outcome, environments in told["segments"]
    ]


def test_the_graph_says_what_its_list_says(page: Page, told: dict[str, Any]) -> None:
    items = of_all(page, "#graph + ol li", "e.textContent")
    nodes = page.locator("#graph .node").all()
    assert [node.locator(".name").text_content() for node in nodes] == list(told["graph"])
    for state, node, item in zip(told["graph"].values(), nodes, items, strict=True):
        title, word, more = node.locator("text").all_text_contents()
        assert item.split() == [f"{title}:", *word.split()[1:], *more.replace("·", "").split()]
        assert numbers(" ".join(more.split(" · ")[1:])) == [
            each for each in state["counts"] if each
        ]
        bars = node.locator(".count").evaluate_all("all => all.map(bar => bar.classList[1])")
        assert sorted(bars) == state["outcomes"]


def test_the_bars_of_the_timeline_lie_at_the_recorded_times(
    page: Page, told: dict[str, Any]
) -> None:
    rows = page.locator("#timeline .row").evaluate_all(
        "all => all.map(row => [row.querySelector('text'), row.querySelector('.waiting')])"
        ".map(([label, bar]) => [label.textContent, bar.x.baseVal.value, bar.width.baseVal.value])"
    )
    tick = "[parseFloat(e.textContent), e.transform.baseVal[0].matrix.e]"
    (first_s, first_x), *_, (last_s, last_x) = of_all(page, "#timeline .axis .tick", tick)
    pixels_per_s = (last_x - first_x) / (last_s - first_s)
    assert {label.split()[-1]: (x, width) for label, x, width in rows} == {
        label: pytest.approx(
            (first_x + (start_s - first_s) * pixels_per_s, max(1.5, took_s * pixels_per_s)), abs=1
        )
        for label, (start_s, took_s) in told["bars"].items()
    }
    assert page.locator("#timeline rect.bad").count() == told["failed_calls"]


def test_a_column_of_few_values_has_a_bar_for_each(page: Page, told: dict[str, Any]) -> None:
    for column, values in told.get("values", {}).items():
        chart = page.locator(f"#profile tr[data-column='{column}'] svg")
        said = [f"{value}: {count}" for value, count in values.items()]
        assert chart.get_attribute("aria-label") == ", ".join(said)
        assert chart.locator("title").all_text_contents() == said


def test_the_first_rows_and_summaries_are_those_of_the_workbook(
    page: Page, told: dict[str, Any]
) -> None:
    assert of_all(page, "#first-rows tr", CELLS) == told.get("first_rows", [])
    assert of_all(page, ".summary h3", "e.textContent") == [
        each["name"] for each in told.get("summaries", [])
    ]
    for place, summary in zip(page.locator(".summary").all(), told.get("summaries", [])):
        rows = place.locator("tr").evaluate_all(f"all => all.map(e => {CELLS})")
        assert rows == summary["rows"]


@pytest.mark.parametrize("profiled", PROFILED)
def test_a_page_counts_the_rows_of_its_workbook(open_page: Open, profiled: str) -> None:
    page, (_, rows) = open_page(profiled), EXPECTED[profiled]["figures"]["#card-rows"]
    for column in ("会員ランク", "ポイント", "ボーナスポイント"):
        bars = of_all(page, f"#profile tr[data-column='{column}'] title", "e.textContent")
        assert sum(int(bar.split(": ")[1]) for bar in bars) == rows
    caption = numbers(str(page.locator("#first-rows caption").text_content()))
    assert sorted(caption) == [10, rows]
    assert page.locator("#workbook").get_attribute("href") == f"{profiled}.xlsx"
    assert page.locator("#failure").count() == 0


# How long a mark is that a chart draws for a number.
LENGTHS = {
    "column": "mark => mark.height.baseVal.value",
    "bar": "mark => mark.width.baseVal.value",
    "line": "mark => mark.ownerSVGElement.querySelector('.zero').y1.baseVal.value - mark.cy.baseVal.value",
    "pie": "mark => mark.getTotalLength() - 2 * Math.hypot(mark.getPointAtLength(0).x, mark.getPointAtLength(0).y)",
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("profiled", PROFILED)
def test_a_summarys_chart_is_of_its_kind_and_measures_its_numbers(
    open_page: Open, profiled: str, width: int
) -> None:
    page = open_page(profiled, width)
    for place, told in zip(page.locator(".summary").all(), EXPECTED[profiled]["summaries"]):
        charts = place.locator(".chart").all()
        titles = [chart.locator(".title").text_content() for chart in charts]
        assert titles == list(told["charts"])
        for chart, values in zip(charts, told["charts"].values()):
            marks = chart.locator(".mark")
            lengths = marks.evaluate_all(f"all => all.map({LENGTHS[told['kind']]})")
            scale = sum(lengths) / sum(map(abs, values))
            assert lengths == pytest.approx([abs(each) * scale for each in values], abs=0.1)
            figures = marks.locator("title").all_text_contents()
            assert [read(each.rpartition(": ")[2].split()[0], UNITS) for each in figures] == (
                pytest.approx(values, abs=0.00005)
            )


@pytest.mark.parametrize("width", WIDTHS)
def test_the_charts_of_a_summary_are_shown_whole(open_page: Open, width: int) -> None:
    charts = open_page("succeeded", width).locator(".charts")
    assert charts.locator(".chart").count() == 3
    assert charts.evaluate("box => box.scrollHeight - box.clientHeight") == 0


def test_a_page_without_figures_of_the_functions_says_so(open_page: Open) -> None:
    page = open_page("wide")
    assert page.locator("html").get_attribute("lang") == "ja"
    assert "データの概要を残していません" in page.locator("section").last.inner_text()
    assert page.locator("#card-rows .unknown").all_text_contents() == ["不明", "不明"]


@pytest.mark.parametrize("failed", FAILED)
def test_a_failed_page_says_which_record_of_which_input_broke_and_why(
    open_page: Open, failed: str
) -> None:
    page = open_page(failed)
    assert page.locator("main script").count() == 0
    shown = page.locator("#failure").inner_text()
    assert f"Record 37 of {failed}.json broke the run." in shown
    assert f"InvalidMember {failed}.json record 37: 会員ランク must be 1 to 5" in shown
    assert page.locator("#record .named dd").text_content() == "<script>alert(1)</script>"
    assert page.locator("#record dd").first.text_content() == "037"
    assert "SegmentLambda (segment-lambda)" in shown
    assert "number 3, counted from 0; 1 of 4 failed" in shown
    assert f'"scatter/{failed}/job_003.pkl"' in shown
    assert ("ended as MissingSegment" in shown) == (failed == "distributed-failed")
    assert "correct that record in the input object" in str(page.locator("#todo").text_content())
    assert "[ERROR] InvalidMember" in str(page.locator("#failure .log").text_content())


def test_segments_in_trouble_come_first_when_asked(open_page: Open) -> None:
    page = open_page("retried")
    page.locator("#order").select_option("trouble")
    assert page.locator("#timeline .row text").all_text_contents()[:2] == ["↻ 1", "↻ 3"]


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
