"""The report's page in a real Chromium: `make test-report-page`."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

UTILS = Path(__file__).resolve().parents[1]
TOOLS = UTILS / "tools" / ".venv" / "bin" / "python"
RECORDED = UTILS / "tests" / "recorded"
SUCCEEDED = ("succeeded", "retried", "wide", "distributed")
PROFILED = ("succeeded", "retried", "distributed")  # the functions of the wide one kept no figures
FAILED = ("failed", "distributed-failed")
NAMES = SUCCEEDED + FAILED
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


@pytest.fixture
def open_page(browser: Browser, folder: Path) -> Iterator[Open]:
    """Open a scenario's page; at the end, nothing it did may have been an error or a request."""
    faults: list[str] = []
    context = browser.new_context()

    def open_(name: str, width: int = 1280, scheme: Literal["light", "dark"] = "light") -> Page:
        page = context.new_page()
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
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

    yield open_
    context.close()
    assert not faults


@pytest.fixture(scope="session")
def recorded() -> dict[str, Any]:
    """What each page must say; the figures by the selectors of their places."""
    found: dict[str, Any] = json.loads((RECORDED / "expected.json").read_text())
    return found


def figures(page: Page, places: Iterable[str]) -> tuple[dict[str, list[float]], list[str]]:
    """The exact figures in some places, by their selectors; and what figures there are elsewhere."""
    found, others = page.evaluate(
        """places => {
            const found = places.map(place => [place, [...document.querySelectorAll(`${place} data`)]]);
            const seen = new Set(found.flatMap(([, figures]) => figures));
            return [
                Object.fromEntries(found.map(([place, figures]) => [place, figures.map(each => +each.value)])),
                [...document.querySelectorAll("data")].filter(each => !seen.has(each)).map(each => each.outerHTML),
            ];
        }""",
        list(places),
    )
    return found, others


def exact(page: Page, place: str) -> list[float]:
    return figures(page, [place])[0][place]


def numbers(text: str) -> list[int]:
    """The whole numbers in a text, such as 1 and 2000 in `1 failed, 2,000 retries`."""
    return [int(found.replace(",", "")) for found in re.findall(r"\d+(?:,\d{3})*", text)]


def read(shown: str, units: dict[str, float]) -> float:
    """What a figure says to its reader, such as 1.5 for `1.50 s` and 123 for `2 min 03 s`."""
    return sum(
        float(number.replace(",", "")) * units[unit]
        for number, unit in re.findall(r"(-?[\d.,]+) ?([A-Za-z]*)", shown)
    )


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
    assert (
        page.locator("main :is(p, dt, dd, th, td, li, pre, button, label, text)").evaluate_all(
            too_small
        )
        == 0
    )


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
@pytest.mark.parametrize("name", ["retried", "failed"])
def test_every_text_is_readable_by_day_and_by_night(
    open_page: Open, name: str, scheme: str
) -> None:
    page = open_page(name, scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(23, 29, 35)"}[scheme]
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 50
    assert [found for found in contrasts if found[0] < 4.5] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_that_of_the_record_and_in_a_place_that_is_compared(
    open_page: Open, recorded: dict[str, Any], name: str
) -> None:
    expected = recorded[name]["figures"]
    found, others = figures(open_page(name), expected)
    assert others == []
    # Times are rounded to microseconds, a cost is not.
    assert found == {
        place: pytest.approx(values, rel=1e-9, abs=0 if place == "#card-cost" else 2e-6)
        for place, values in expected.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_reads_as_it_is(open_page: Open, name: str) -> None:
    page = open_page(name)
    shown = page.locator("data").evaluate_all(
        "all => all.map(each => [each.value, each.textContent, each.closest('.peak') !== null])"
    )
    for value, text, in_megabytes in shown:
        units = {**UNITS, "MB": 1} if in_megabytes else UNITS
        rounded = 0.05 if "$" in text else 0.005 if re.search("[A-Za-z]", text) else 0
        if re.search(r"\.\d{4}$", text):  # a summary's; there are no more decimals
            rounded = 0.00005
        assert read(text, units) == pytest.approx(float(value), rel=rounded, abs=rounded)


@pytest.mark.parametrize("name", NAMES)
def test_notes_count_what_was_recorded(
    open_page: Open, recorded: dict[str, Any], name: str
) -> None:
    page, told = open_page(name), recorded[name]
    texts = {place: " ".join(page.locator(place).all_text_contents()) for place in told["notes"]}
    assert {place: numbers(text) for place, text in texts.items()} == told["notes"]
    started = datetime.fromtimestamp(told["begin"], UTC)
    assert page.locator("header time").get_attribute("datetime") == started.isoformat()
    assert page.locator("header time").text_content() == f"{started:%Y-%m-%d %H:%M:%S} UTC"


@pytest.mark.parametrize("name", NAMES)
def test_every_segment_is_a_row_with_its_key_outcome_and_environments(
    open_page: Open, recorded: dict[str, Any], name: str
) -> None:
    rows = (
        open_page(name)
        .locator("#segments tbody tr")
        .evaluate_all(
            "all => all.map(row => [row.querySelector('th').title, row.querySelector('.mark').className,"
            " row.children[5].textContent])"
        )
    )
    words = (
        {"cold": "コールド", "warm": "ウォーム"}
        if name == "wide"
        else {"cold": "cold", "warm": "warm"}
    )
    assert rows == [
        [key, f"mark {outcome}", " → ".join(words[each] for each in environments)]
        for key, outcome, environments in recorded[name]["segments"]
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_says_what_its_list_says(
    open_page: Open, recorded: dict[str, Any], name: str
) -> None:
    page, told = open_page(name), recorded[name]["graph"]
    items = page.locator("#graph + ol li").all_text_contents()
    nodes = page.locator("#graph .node").all()
    assert [node.locator(".name").text_content() for node in nodes] == list(told)
    for state, node, item in zip(told.values(), nodes, items, strict=True):
        title, word, more = node.locator("text").all_text_contents()
        assert item.split() == [f"{title}:", *word.split()[1:], *more.replace("·", "").split()]
        assert numbers(" ".join(more.split(" · ")[1:])) == [
            each for each in state["counts"] if each
        ]
        bars = node.locator(".count").evaluate_all("all => all.map(bar => bar.classList[1])")
        assert sorted(bars) == state["outcomes"]


@pytest.mark.parametrize("name", NAMES)
def test_the_bars_of_the_timeline_lie_at_the_recorded_times(
    open_page: Open, recorded: dict[str, Any], name: str
) -> None:
    page, told = open_page(name), recorded[name]
    rows = page.locator("#timeline .row").evaluate_all(
        "all => all.map(row => [row.querySelector('text'), row.querySelector('.waiting')])"
        ".map(([label, bar]) => [label.textContent, bar.x.baseVal.value, bar.width.baseVal.value])"
    )
    ticks = page.locator("#timeline .axis .tick").evaluate_all(
        "all => all.map(tick => [parseFloat(tick.textContent), tick.transform.baseVal[0].matrix.e])"
    )
    (first_s, first_x), *_, (last_s, last_x) = ticks
    pixels_per_s = (last_x - first_x) / (last_s - first_s)
    expected = {
        label: (
            first_x + (start_s - first_s) * pixels_per_s,
            max(1.5, took_s * pixels_per_s),
        )
        for label, (start_s, took_s) in told["bars"].items()
    }
    assert {label.split()[-1]: (x, width) for label, x, width in rows} == {
        label: pytest.approx(bar, abs=1) for label, bar in expected.items()
    }
    assert page.locator("#timeline rect.bad").count() == told["failed_calls"]


@pytest.mark.parametrize("name", PROFILED)
def test_a_column_of_few_values_has_a_bar_for_each(
    open_page: Open, recorded: dict[str, Any], name: str
) -> None:
    page = open_page(name)
    for column, values in recorded[name]["values"].items():
        chart = page.locator(f"#profile tr[data-column='{column}'] svg")
        said = [f"{value}: {count}" for value, count in values.items()]
        assert chart.get_attribute("aria-label") == ", ".join(said)
        assert chart.locator("title").all_text_contents() == said


@pytest.mark.parametrize("name", PROFILED)
def test_every_row_is_in_one_bar_of_a_column_of_numbers(
    open_page: Open, recorded: dict[str, Any], name: str
) -> None:
    page, (_, rows) = open_page(name), recorded[name]["figures"]["#card-rows"]
    for column in ("会員ランク", "ポイント", "ボーナスポイント"):
        bars = page.locator(f"#profile tr[data-column='{column}'] title").all_text_contents()
        assert sum(int(bar.split(": ")[1]) for bar in bars) == rows


@pytest.mark.parametrize("name", PROFILED)
def test_the_first_rows_are_those_of_the_workbook(
    open_page: Open, recorded: dict[str, Any], name: str
) -> None:
    page, told = open_page(name), recorded[name]
    shown = page.locator("#first-rows tr").evaluate_all(
        "all => all.map(row => [...row.children].map(cell => cell.textContent))"
    )
    assert shown == told["first_rows"]
    caption = numbers(str(page.locator("#first-rows caption").text_content()))
    assert sorted(caption) == [10, told["figures"]["#card-rows"][1]]
    assert page.locator("#workbook").get_attribute("href") == f"{name}.xlsx"
    assert page.locator("#failure").count() == 0


@pytest.mark.parametrize("name", PROFILED)
def test_summaries_are_those_of_the_workbook(
    open_page: Open, recorded: dict[str, Any], name: str
) -> None:
    page, told = open_page(name), recorded[name]["summaries"]
    shown = page.locator(".summary").evaluate_all(
        """all => all.map(each => ({
            name: each.querySelector("h3").textContent,
            rows: [...each.querySelectorAll("tr")].map(row => [...row.children].map(cell => cell.textContent)),
        }))"""
    )
    assert shown == [{"name": each["name"], "rows": each["rows"]} for each in told]


# How long a mark is that a chart draws for a number.
LENGTHS = {
    "column": "mark => mark.height.baseVal.value",
    "bar": "mark => mark.width.baseVal.value",
    "line": "mark => mark.ownerSVGElement.querySelector('.zero').y1.baseVal.value - mark.cy.baseVal.value",
    "pie": "mark => mark.getTotalLength() - 2 * Math.hypot(mark.getPointAtLength(0).x, mark.getPointAtLength(0).y)",
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PROFILED)
def test_a_summarys_chart_is_of_its_kind_and_measures_its_numbers(
    open_page: Open, recorded: dict[str, Any], name: str, width: int
) -> None:
    page = open_page(name, width)
    for place, told in zip(page.locator(".summary").all(), recorded[name]["summaries"]):
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


def test_a_page_without_figures_of_the_functions_says_so(open_page: Open) -> None:
    page = open_page("wide")
    assert page.locator("html").get_attribute("lang") == "ja"
    assert "データの概要を残していません" in page.locator("section").last.inner_text()
    assert page.locator("#card-rows .unknown").all_text_contents() == ["不明", "不明"]


@pytest.mark.parametrize("name", FAILED)
def test_a_failed_page_says_which_record_of_which_input_broke_and_why(
    open_page: Open, name: str
) -> None:
    page = open_page(name)
    assert page.locator("main script").count() == 0
    shown = page.locator("#failure").inner_text()
    assert f"Record 37 of {name}.json broke the run." in shown
    assert f"InvalidMember {name}.json record 37: 会員ランク must be 1 to 5" in shown
    assert page.locator("#record .named dd").text_content() == "<script>alert(1)</script>"
    assert page.locator("#record dd").first.text_content() == "037"
    assert "SegmentLambda (segment-lambda)" in shown
    assert "number 3, counted from 0; 1 of 4 failed" in shown
    assert f'"scatter/{name}/job_003.pkl"' in shown
    assert ("ended as MissingSegment" in shown) == (name == "distributed-failed")
    assert "correct that record in the input object" in str(page.locator("#todo").text_content())
    assert "[ERROR] InvalidMember" in str(page.locator("#failure .log").text_content())


def test_a_retried_page_shows_the_failed_calls(open_page: Open) -> None:
    page = open_page("retried")
    assert exact(page, "#segments tr[data-index='1'] .calls") == [2]
    assert exact(page, "#segments tr[data-index='2'] .calls") == [1]
    assert page.locator("#timeline rect.bad").count() == 2
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
