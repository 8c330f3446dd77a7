from checks.faults import generated, rows

S3 = {"tried": ["S3 fails", "S3 の失敗"], "happened": ["retried", "再試行"], "generated": 0}
JSON = {
    "tried": ["any JSON", "JSON"],
    "happened": ["read", "読む"],
    "seconds": [],
    "generated": 100,
}


def test_tests_of_the_same_mark_share_a_row_in_the_order_they_ran() -> None:
    notes = [{**S3, "seconds": [2.54]}, JSON, {**S3, "seconds": [0.31]}, JSON]
    assert rows(notes, 0) == [
        "| S3 fails | retried | 0.3–2.5 s | 2 |  |",
        "| any JSON | read |  | 2 | 200 |",
    ]
    assert rows(notes, 1)[0] == "| S3 の失敗 | 再試行 | 0.3–2.5 s | 2 |  |"


def test_one_time_is_no_range() -> None:
    assert rows([{**S3, "seconds": [1.61]}], 0) == ["| S3 fails | retried | 1.6 s | 1 |  |"]


def test_the_examples_of_each_phase_are_counted() -> None:
    statistics = (
        "  - during reuse phase (0.01 seconds):\n    - 3 passing examples, 0 failing examples\n"
        "  - during generate phase (0.05 seconds):\n    - 97 passing, 0 failing, 2 invalid\n"
    )
    assert generated(statistics) == 100
