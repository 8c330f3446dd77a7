"""What is copied into the bucket: a file, several, a folder or a pattern of this machine's disk."""

import glob
import os
import re
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from boto3.s3.transfer import TransferConfig

from harness.bucket import check_bucket, keys_of
from harness.fault import Fault
from harness.target import Target
from pipeline import endings

AT_ONCE = 8
RULE = "must be a file, a folder or a pattern of files"


@dataclass(frozen=True)
class Upload:
    """Files by their keys, and what of an execution's input runs on them.

    Attributes:
        passed_over: how many files beside them are no tables.
    """

    files: dict[str, Path]
    given: dict[str, Any]
    passed_over: int = 0

    def check_there(self) -> None:
        """
        Raises:
            Fault: one is no file.
        """
        for path in self.files.values():
            if not path.is_file():
                raise Fault(f"FILE: {RULE}; found {str(path)!r}")

    def send(self, target: Target) -> None:
        self.check_there()
        check_bucket(target)
        put(target, self.files)
        key, *more = self.files
        others = f", {self.passed_over:,} passed over" if self.passed_over else ""
        counted = f": {len(more) + 1:,} files{others}" if more or others else ""
        folder = os.path.commonprefix([*self.files]).rpartition("/")[0] + "/"
        print(f"s3://{target.bucket}/{folder if more else key}{counted}", flush=True)

    def check_alone(self, target: Target) -> None:
        """
        Raises:
            Fault: an execution would read something else, too, that an earlier upload left.
        """
        pattern = self.given["input_obj"]
        if not isinstance(pattern, str) or not endings.is_many(pattern):
            return
        prefix, matches = pattern.partition("*")[0], endings.regex(pattern)
        there = keys_of(target.client("s3"), Bucket=target.bucket, Prefix=prefix)
        for key in there:
            if key not in self.files and matches.match(key) and endings.is_table(key, prefix):
                at = f"s3://{target.bucket}/"
                raise Fault(
                    f"FILE: {at}{pattern} must hold nothing else that is read; found {at}{key}\n"
                    f"to do: remove that, or run on all of it by INPUT={{'input_obj': {pattern!r}}}"
                )


def find(file: str, key: str = "") -> Upload:
    """
    Args:
        file: a path, a pattern, or several paths between spaces, quoted where one holds a space.
        key: of the one file, or the folder of several; default: as on the disk.

    Raises:
        Fault: no table is there, or two files have one name.
    """
    if not file.strip():
        raise Fault(f"FILE: {RULE}; found {file!r}")
    path = Path(file).expanduser()
    if path.is_dir():
        return matching(path, "", key)
    if endings.is_pattern(file) and not path.exists():
        steps = path.as_posix().split("/")
        first = next(at for at, step in enumerate(steps) if endings.is_pattern(step))
        return matching(Path("/".join(steps[:first]) or path.anchor), "/".join(steps[first:]), key)
    paths = [path] if path.exists() else [Path(each).expanduser() for each in words(file)]
    if len(paths) == 1:
        key = key or paths[0].name
        return Upload({key: paths[0]}, {"input_obj": key})
    folder = key.rstrip("/") or endings.stem(paths[0].name)
    files: dict[str, Path] = {}
    for each in paths:
        if files.setdefault(f"{folder}/{each.name}", each) is not each:
            raise Fault(f"FILE: each file must have another name; found {each.name!r} again")
    return Upload(files, {"input_obj": [*files], "workbook": f"{folder}.xlsx"})


def matching(root: Path, pattern: str, key: str) -> Upload:
    """The tables of a folder, or what of it a pattern matches: by the rules of the bucket's."""
    folder = (key.rstrip("/") or root.resolve().name) + "/"
    literal = re.sub(r"[?[]", r"[\g<0>]", pattern or "**")
    found = glob.glob(literal, root_dir=root, recursive=True, include_hidden=True)
    names = sorted(Path(name).as_posix() for name in found if (root / name).is_file())
    tables = [name for name in names if endings.is_table(name, pattern.partition("*")[0])]
    if not tables:
        others = f"{len(names)} files that are none" if names else "nothing"
        raise Fault(f"FILE: must hold a table; found {others} in {str(root / pattern)!r}")
    files = {folder + name: root / name for name in tables}
    return Upload(files, {"input_obj": folder + pattern}, len(names) - len(tables))


def words(file: str) -> list[str]:
    try:
        return shlex.split(file)
    except ValueError:  # a quote of the name's own
        return [file]


def put(target: Target, files: dict[str, Path]) -> None:
    """Upload files side by side, with a bar on a terminal; a fault or Ctrl-C ends those under way."""
    from rich.console import Console
    from rich.progress import Progress

    s3, config, over = target.client("s3"), TransferConfig(use_threads=False), Event()
    bar = Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    with bar, ThreadPoolExecutor(AT_ONCE) as threads:
        task = bar.add_task("upload", total=sum(path.stat().st_size for path in files.values()))

        def send(key: str, path: Path) -> None:
            s3.upload_file(str(path), target.bucket, key, Config=config, Callback=told)

        def told(size: int) -> None:
            if over.is_set():
                raise Fault("FILE: must be sent to its end")  # nobody reads it
            bar.advance(task, size)

        try:
            for sent in [threads.submit(send, *each) for each in files.items()]:
                sent.result()
        finally:
            over.set()
            threads.shutdown(cancel_futures=True)


def upload(target: Target, file: str, key: str = "") -> None:
    """Copy what is found into the bucket."""
    find(file, key).send(target)
