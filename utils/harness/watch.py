"""Run a function's tests and the pipeline whenever one of its sources is saved."""

import json
import os
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from harness import run, uploads
from harness.bucket import there_or
from harness.fault import Fault
from harness.functions import WAIT, folder, read_zip
from harness.settings import ROOT, etl_folder
from harness.signals import ignore_signals
from harness.target import EMULATED_REGION, STAGES, emulator, endpoint, function_name

LIBRARY = ROOT / "utils" / "pipeline"
TESTS = ROOT / "demo-segment" / "tests"
SAMPLE = "watch.json"
SAMPLE_ROWS = 10
# LocalStack takes a function's code from a folder of this machine, and notices its changes.
HOT_BUCKET = "hot-reload"
POLL_S = 0.05
EMULATED = {
    "AWS_ENDPOINT_URL": endpoint(),
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": EMULATED_REGION,
}

# When each stage's files were saved.
Sources = dict[str, dict[Path, int]]
# Where a file of that name, checksum and size is.
Unpacked = dict[tuple[str, int, int], Path]


def watch(given: Any = None, file: str = "", etl: str = "") -> None:
    """Watch the functions' sources until a signal; the functions get their zips back then.

    Args:
        given: the execution's input; default: the first members of test.json.
        file: a table of this machine to run on, which is copied into the bucket each time.
        etl: the module of demo-segment/etl that the table is for.
    """
    sent = uploads.find(file) if file else None
    run.check_input(given, sent)
    if sent:
        sent.check_there()
    if not given and not file:
        put_sample()
        given = {"input_obj": SAMPLE}
    pipeline = partial(run_pipeline, given, file, etl)
    with hot_functions():
        before = sources()
        pipeline()
        print("watching demo-*/*.py, demo-segment/etl/ and utils/pipeline/", flush=True)
        print("Ctrl-C, SIGTERM or SIGHUP ends and gives the functions their zips back", flush=True)
        for changed in changes(before):
            check_all(changed, pipeline)


def put_sample() -> None:
    s3 = emulator().client("s3")
    with there_or(f"s3://{emulator().bucket}/test.json does not exist: make bucket json"):
        body = s3.get_object(Bucket=emulator().bucket, Key="test.json")["Body"].read()
    s3.put_object(
        Bucket=emulator().bucket,
        Key=SAMPLE,
        Body=json.dumps(json.loads(body)[:SAMPLE_ROWS]).encode(),
    )


@contextmanager
def hot_functions() -> Iterator[None]:
    """Let the functions run their folders instead of their zips, for the length of the block."""
    kept, unpacked = dict[str, str](), Unpacked()
    try:
        for stage in STAGES:
            kept[stage] = keep_zip(stage)
            unpack(stage, unpacked)
            set_code(stage, S3Bucket=HOT_BUCKET, S3Key=str(hot_folder(stage)))
        yield
    finally:
        ignore_signals()
        with ThreadPoolExecutor() as each_even_if_another_fails:
            list(each_even_if_another_fails.map(give_zip, kept, kept.values()))
        for stage in STAGES:
            shutil.rmtree(hot_folder(stage), ignore_errors=True)
        print("the functions run their zips again", flush=True)


def keep_zip(stage: str) -> str:
    """Publish a version: while it is there, LocalStack need not unpack the zip again."""
    name = function_name(stage)
    with there_or(f"{name} does not exist: make create"):
        published = emulator().client("lambda").publish_version(FunctionName=name)
    return str(published["Version"])


def give_zip(stage: str, version: str) -> None:
    set_code(stage, ZipFile=read_zip(stage))
    functions = emulator().client("lambda")
    functions.delete_function(FunctionName=function_name(stage), Qualifier=version)


def set_code(stage: str, **code: Any) -> None:
    functions = emulator().client("lambda")
    name = function_name(stage)
    functions.update_function_code(FunctionName=name, **code)
    functions.get_waiter("function_updated").wait(FunctionName=name, WaiterConfig=WAIT)


def hot_folder(stage: str) -> Path:
    return folder(stage) / "bin" / "hot"


def unpack(stage: str, unpacked: Unpacked) -> None:
    """Let the hot folder hold what the zip does: the packages with their bytecode, and links.

    Args:
        unpacked: files of other stages, which share most of their packages.
    """
    hot = hot_folder(stage)
    shutil.rmtree(hot, ignore_errors=True)
    with zipfile.ZipFile(hot.with_name("packages.zip")) as packages:
        for each in packages.infolist():
            path, content = hot / each.filename, (each.filename, each.CRC, each.file_size)
            if content in unpacked:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.hardlink_to(unpacked[content])
            else:
                unpacked[content] = Path(packages.extract(each, hot))
    (hot / LIBRARY.name).symlink_to(LIBRARY)
    link(stage)


def link(stage: str) -> None:
    """Let the hot folder have the function's own modules as they are now.

    Each by itself: bytecode beside its source is too coarse for code that is being edited.
    """
    hot = hot_folder(stage)
    for module in (*hot.glob("*.py"), *hot.glob("etl/*.py")):
        if module.is_symlink():
            module.unlink()
    for place, path in code_of(stage).items():
        if LIBRARY not in path.parents:
            (hot / place).parent.mkdir(exist_ok=True)
            (hot / place).symlink_to(path)


def code_of(stage: str) -> dict[str, Path]:
    """The function's own modules, the ETLs and the library, by their places in its zip."""
    code = {path.name: path for path in folder(stage).glob("*.py")}
    if stage == "segment":
        code |= {f"etl/{path.name}": path for path in etl_folder().glob("*.py")}
    library = {path.relative_to(LIBRARY.parent): path for path in LIBRARY.rglob("*.py")}
    shipped = {place: path for place, path in library.items() if "tests" not in place.parts}
    return code | {place.as_posix(): path for place, path in shipped.items()}


def sources() -> Sources:
    """The watched files of each stage: its modules, its tests and what they look up."""
    found: Sources = {}
    for stage in STAGES:
        tests = [*folder(stage).glob("tests/*.py"), *folder(stage).glob("etl/tests/*.py")]
        paths = [*code_of(stage).values(), *tests, *(references() if stage == "segment" else [])]
        found[stage] = {path: stamp_of(path) for path in paths}
    return found


def references() -> list[Path]:
    """The reference tables on disk."""
    return [path for path in (TESTS / "reference").rglob("*") if path.is_file()]


def stamp_of(path: Path) -> int:
    """The time of change; 0 for a file that an editor is just replacing."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def changes(before: Sources) -> Iterator[list[str]]:
    """The stages with a changed, new or removed file, each time there are some."""
    while True:
        time.sleep(POLL_S)
        now = sources()
        if changed := [stage for stage in STAGES if now[stage] != before[stage]]:
            yield changed
        before = now


def check_all(changed: list[str], pipeline: Callable[[], None]) -> None:
    """Run the tests of the changed stages beside the pipeline, and say how both ended."""
    started = time.monotonic()
    print(f"── {', '.join(changed)} saved")
    for stage in changed:
        link(stage)
    tests = [(stage, start_tests(stage)) for stage in changed]
    pipeline()
    for stage, test in tests:
        output, _ = test.communicate()
        lines = output.strip().splitlines()
        print("\n".join(lines) if test.returncode else f"{stage} tests: {lines[-1]}")
    print(f"── {time.monotonic() - started:.1f} s")


def start_tests(stage: str) -> subprocess.Popen[str]:
    place = folder(stage)
    return subprocess.Popen(
        [place / ".venv" / "bin" / "pytest", "-q", "--no-header", "-x", "-p", "no:cacheprovider"],
        cwd=place,
        env=os.environ | EMULATED,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_pipeline(given: Any, file: str, etl: str) -> None:
    """A failure is explained, and the watch goes on."""
    copy_references()
    try:
        run.run(emulator(), given, file, page="watch", etl=etl)
    except Fault as fault:
        print(f"error: {fault}", flush=True)
    except SystemExit as end:
        if end.code != 1:  # of a signal
            raise


def copy_references() -> None:
    """To the same keys of the bucket."""
    s3 = emulator().client("s3")
    for path in references():
        s3.upload_file(str(path), emulator().bucket, path.relative_to(TESTS).as_posix())
