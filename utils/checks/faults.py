"""The README's table of faults, from a run of the tests that cause them."""

import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Row:
    """One line of the table: tests of one suite, and what they show, in both languages."""

    suite: str
    tests: tuple[str, ...]
    tried: tuple[str, str]
    happened: tuple[str, str]


@dataclass
class Measured:
    """What a run told of one test function.

    Attributes:
        cases: that passed, parameters counted each.
        generated: examples that hypothesis made.
        seconds: to the right result, or to the failed execution.
    """

    cases: int = 0
    generated: int = 0
    seconds: list[float] = field(default_factory=list)


SUITES: dict[str, tuple[str, list[str]]] = {
    "pipeline": (
        "utils/tools/.venv",
        ["-c", "utils/pyproject.toml", *(f"utils/tests/test_{name}.py" for name in ("faults", "input", "limits"))],
    ),
    "frames": ("demo-gather/.venv", ["-c", "demo-gather/setup.cfg", "utils/shared/tests/test_frames.py"]),
    "records": ("demo-scatter/.venv", ["-c", "demo-scatter/setup.cfg", "demo-scatter/tests"]),
}

RETRIED = ("retried, the workbook right", "再試行され、ワークブックは正しい")
FAILED = (
    "fails by its own name and is explained on one screen; the previous workbook stays",
    "その名前で失敗し、1画面で説明される。前のワークブックは残る",
)
ROWS = [
    Row(
        "pipeline",
        ("test_a_transient_fault_of_s3_is_retried",),
        (
            "S3 answers 500 or 503 SlowDown, or resets half-way through a GET or PUT; each stage",
            "S3 の 500・503 SlowDown、GET・PUT 途中の切断(各ステージ)",
        ),
        RETRIED,
    ),
    Row(
        "pipeline",
        ("test_an_s3_that_never_recovers_fails_the_execution_by_name",),
        ("S3 answers 503 SlowDown for ever", "S3 が 503 SlowDown を返し続ける"),
        FAILED,
    ),
    Row(
        "pipeline",
        ("test_a_killed_worker_is_replaced",),
        ("worker killed (SIGKILL); each stage", "ワーカーの SIGKILL(各ステージ)"),
        RETRIED,
    ),
    Row(
        "pipeline",
        ("test_a_gather_killed_during_its_upload_is_retried_and_the_workbook_whole",),
        (
            "gather killed in the middle of its multipart upload",
            "マルチパートアップロード途中の gather の SIGKILL",
        ),
        RETRIED,
    ),
    Row(
        "pipeline",
        ("test_a_worker_that_always_dies_fails_the_execution",),
        ("worker killed every time", "ワーカーが毎回 SIGKILL"),
        FAILED,
    ),
    Row(
        "pipeline",
        ("test_a_request_that_hangs_once_is_retried_after_the_timeout",),
        ("a request hangs: timeout of 2 s; each stage", "応答なし: 2秒でタイムアウト(各ステージ)"),
        RETRIED,
    ),
    Row(
        "pipeline",
        ("test_a_request_that_always_hangs_fails_the_execution_as_timed_out",),
        ("every request hangs: timeout of 2 s", "毎回応答なし: 2秒でタイムアウト"),
        FAILED,
    ),
    Row(
        "pipeline",
        ("test_out_of_memory_fails_the_execution",),
        ("out of memory; each stage", "メモリ不足(各ステージ)"),
        (
            "retried once, fails as Runtime.ExitError, is explained on one screen; the previous workbook stays",
            "一度再試行され、Runtime.ExitError で失敗し、1画面で説明される。前のワークブックは残る",
        ),
    ),
    Row(
        "pipeline",
        ("test_a_throttled_function_fails_the_execution_here",),
        (
            "function throttled; each stage (LocalStack's name for it; AWS's is retried)",
            "関数のスロットリング(各ステージ。LocalStack での名前。AWS での名前なら再試行)",
        ),
        FAILED,
    ),
    Row(
        "pipeline",
        ("test_a_distributed_execution_whose_segment_fails_tells_so",),
        ("a segment fails in the distributed definition", "distributed 定義でのセグメントの失敗"),
        (
            "fails as MissingSegment, with the log of the segment; the previous workbook stays",
            "MissingSegment で失敗し、セグメントのログを表示。前のワークブックは残る",
        ),
    ),
    Row(
        "pipeline",
        (
            "test_an_unfinished_workbook_is_never_seen",
            "test_a_gather_that_fails_during_its_upload_leaves_no_unfinished_one",
        ),
        ("workbook read while it is written; gather fails while it writes", "書き込み中の読み出しと失敗"),
        ("the previous workbook, no unfinished upload", "前のワークブックが見え、未完のアップロードは残らない"),
    ),
    Row(
        "pipeline",
        (
            "test_a_duplicated_invocation_of_any_stage_changes_nothing",
            "test_the_same_execution_name_runs_once",
            "test_concurrent_executions_touch_only_their_own_keys",
        ),
        (
            "invocations duplicated, an execution started twice, four at once",
            "呼び出しの重複、同名の実行、4つの同時実行",
        ),
        ("nothing changes; each touches its own keys only", "何も変わらず、各自のキーにしか触れない"),
    ),
    Row(
        "pipeline",
        (
            "test_faulty_input_fails_the_execution_by_name_and_place",
            "test_an_input_that_is_no_objects_key_is_refused",
        ),
        (
            "faulty input: empty, cut off, UTF-16, NaN, key twice, 100 MB string, 200,000 deep, `../`, …",
            "不正な入力: 空、途中切れ、UTF-16、NaN、キーの重複、100 MB の文字列、深さ 200,000、`../` など",
        ),
        ("refused with record and byte or column; no workbook", "レコードと位置を示して拒否。ワークブックなし"),
    ),
    Row(
        "pipeline",
        (
            "test_a_byte_order_mark_is_no_fault",
            "test_more_columns_are_kept_in_the_order_they_come_up",
            "test_nested_values_are_written_as_json",
            "test_text_that_looks_like_something_else_stays_text",
        ),
        (
            "BOM, extra columns, nested values, text like `=1+1` or a URL",
            "BOM、余分な列、入れ子の値、`=1+1` や URL のような文字列",
        ),
        ("kept as they are", "そのまま保たれる"),
    ),
    Row(
        "records",
        (
            "test_valid_arrays_are_read_as_json_reads_them",
            "test_nearly_valid_arrays_are_read_or_refused_as_json_does",
            "test_bytes_of_any_kind_are_refused_by_place",
            "test_where_a_file_is_cut_into_chunks_changes_no_answer",
        ),
        ("generated JSON, valid and broken, in chunks of any size", "生成した JSON(正・不正、任意の分割)"),
        ("read as `json.loads` does, or refused by place", "`json.loads` と同じに読むか、位置を示して拒否"),
    ),
    Row(
        "frames",
        (
            "test_a_forbidden_global_is_named_and_not_called",
            "test_no_allowed_class_can_be_changed",
            "test_what_an_allowed_class_makes_is_no_frame",
            "test_a_gadget_of_allowed_names_is_refused",
            "test_a_block_repeated_costs_neither_memory_nor_time",
        ),
        ("malicious segment files", "悪意あるセグメントファイル"),
        ("refused by name; nothing ran, nothing changed", "名前を示して拒否。何も実行・変更されない"),
    ),
    Row(
        "frames",
        ("test_a_declared_size_takes_no_memory",),
        ("memory bombs by declared size", "宣言サイズによるメモリ爆弾"),
        ("refused; under 150 MB taken", "拒否。使用は 150 MB 未満"),
    ),
    Row(
        "frames",
        (
            "test_a_file_with_bytes_changed_is_a_frame_or_refused",
            "test_bytes_of_any_kind_are_refused",
            "test_a_file_cut_off_anywhere_is_refused",
        ),
        ("segment files cut off or damaged at random", "途中切れ・破損したセグメントファイル"),
        ("refused, or a frame", "拒否されるか、データフレームになる"),
    ),
    Row(
        "frames",
        ("test_plain_frames_go_through_as_they_are",),
        ("generated frames of all supported columns", "対応する全ての列型の生成フレーム"),
        ("unchanged", "変わらない"),
    ),
    Row(
        "pipeline",
        (
            "test_a_definition_beyond_a_limit_is_seen",
            "test_a_division_beyond_the_limits_fails_before_any_segment_runs",
            "test_more_state_than_aws_allows_is_refused_by_the_emulator_too",
        ),
        ("beyond AWS's limits: names, sizes, 40-wide Map, 25,000 events", "AWS の上限超過(名前、サイズ、40並列、25,000イベント)"),
        ("seen before AWS would", "AWS より先に見つかる"),
    ),
]
HEADS = (
    ("Fault or input tried", "What happened", "Time to recover or fail", "Cases", "Generated"),
    ("試した障害・入力", "結果", "回復・失敗までの時間", "件数", "生成例"),
)


def run_suite(venv: str, arguments: list[str]) -> tuple[dict[str, Measured], bool]:
    """Run tests; what each test function showed, and whether all passed."""
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        command: list[str] = [str(ROOT / venv / "bin/python"), "-m", "pytest", "-q", *arguments]
        done = subprocess.run(
            [*command, f"--junitxml={report.name}", "--hypothesis-show-statistics"],
            cwd=ROOT,
            env={**os.environ, **EMULATOR},
            stdout=subprocess.PIPE,
            text=True,
        )
        measured = read_report(Path(report.name).read_text())
    for name, examples in generated(done.stdout).items():
        measured[name].generated += examples
    if done.returncode:
        sys.stderr.write(done.stdout)
    return measured, done.returncode == 0


EMULATOR = {
    "AWS_ENDPOINT_URL": os.environ.get("ENDPOINT", "http://localhost:4566"),
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
}


def read_report(xml: str) -> dict[str, Measured]:
    measured: dict[str, Measured] = defaultdict(Measured)
    for case in ET.fromstring(xml).iter("testcase"):
        if not {child.tag for child in case} & {"failure", "error", "skipped"}:
            each = measured[case.attrib["name"].partition("[")[0]]
            each.cases += 1
            each.seconds += [
                float(prop.attrib["value"])
                for prop in case.iter("property")
                if prop.attrib["name"] in ("recovery_s", "failed_s")
            ]
    return measured


def generated(output: str) -> dict[str, int]:
    """Examples by test function, from hypothesis' statistics."""
    examples: dict[str, int] = defaultdict(int)
    name = ""
    for line in output.splitlines():
        if found := re.search(r"::(test_\w+)\S*:$", line):
            name = found[1]
        elif found := re.search(r"(\d+) passing(?: examples)?,", line):
            examples[name] += int(found[1])
    return examples


def line(row: Row, measured: dict[str, Measured], language: int) -> str:
    """
    Raises:
        KeyError: a test of the row did not run, or did not pass.
    """
    missing = [name for name in row.tests if name not in measured]
    if missing:
        raise KeyError(f"{row.tried[0]}: each test must pass; found no {', '.join(missing)}")
    tests = [measured[name] for name in row.tests]
    seconds = [value for each in tests for value in each.seconds]
    cells = [
        row.tried[language],
        row.happened[language],
        spread(seconds),
        str(sum(each.cases for each in tests)),
        f"{sum(each.generated for each in tests):,}".removeprefix("0"),
    ]
    return f"| {' | '.join(cells)} |"


def spread(seconds: list[float]) -> str:
    if not seconds:
        return ""
    low, high = f"{min(seconds):.1f}", f"{max(seconds):.1f}"
    return f"{low} s" if low == high else f"{low}–{high} s"


def main() -> int:
    results = {name: run_suite(*suite) for name, suite in SUITES.items()}
    for language, heads in enumerate(HEADS):
        print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
        for row in ROWS:
            print(line(row, results[row.suite][0], language))
        print()
    return 0 if all(passed for _, passed in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
