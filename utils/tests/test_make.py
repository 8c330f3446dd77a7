"""The make targets under -j."""

import json

from conftest import ROOT, Make, Pipeline
from test_pipeline import EXAMPLE


def test_targets_run_in_the_order_named_however_many_jobs_may_run(
    pipeline: Pipeline, make: Make
) -> None:
    key = pipeline.put(EXAMPLE)
    workbook = key.replace(".json", ".xlsx")
    given = f"INPUT={json.dumps({'input_obj': key})}"
    made = make("-j4", "zip", "create", "stepfunctions", "download", given, f"WORKBOOK={workbook}")
    assert made.returncode == 0, made.stdout + made.stderr
    assert "jobserver" not in made.stderr
    (ROOT / "result" / workbook).unlink()
