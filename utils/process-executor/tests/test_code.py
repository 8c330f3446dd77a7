"""Where code lies, and when it has changed."""

import os
import tempfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from stat import S_IFLNK
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import pytest
from localstack.services.lambda_.invocation.lambda_models import (
    HotReloadingCode,
    LayerVersion,
    S3Code,
)

from conftest import wait_until
from process_executor import workspace
from process_executor.code import ChangeDetector, CodeStore, archive_of
from process_executor.faults import NotRunnable


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the executor keeps its folders, and archives as LocalStack's S3 has them."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(workspace, "workspace", lambda: tmp_path)
    monkeypatch.setattr(
        S3Code,
        "_download_archive_to_file",
        lambda code, file: file.write((tmp_path / code.id).read_bytes()),
    )


def archive(name: str, *links: tuple[str, str], **modules: str) -> S3Code:
    """A code archive of modules, and of symbolic links, in a folder."""
    with ZipFile(Path(tempfile.gettempdir(), name), "w") as file:
        for module, content in modules.items():
            file.writestr(f"python/{module}.py", content)
        for path, to in links:
            member = ZipInfo(path)
            member.external_attr = (S_IFLNK | 0o777) << 16
            file.writestr(member, to)
    return S3Code(
        id=name,
        account_id="000000000000",
        s3_bucket="bucket",
        s3_key="key",
        s3_object_version=None,
        code_sha256=f"sha/256+={name}",
        code_size=1,
    )


def held(store: CodeStore, *archives: S3Code) -> tuple[Path, ExitStack]:
    """Their folder, and what to close to let it go."""
    holder = ExitStack()
    return store.hold(archives, holder), holder


def test_code_lies_on_disk_once_until_its_last_holder_lets_go() -> None:
    store, code = CodeStore(), archive("f-1", ("python/link.py", "module.py"), module="x = 1")
    (folder, first), (same, last) = held(store, code), held(store, code)
    assert same == folder
    module, link = folder / "python" / "module.py", folder / "python" / "link.py"
    assert link.is_symlink() and link.samefile(module)
    first.close()
    assert module.read_text() == "x = 1" and os.access(module, os.X_OK)
    last.close()
    assert not folder.exists()


def test_functions_share_the_files_that_are_the_same() -> None:
    store = CodeStore()
    one, other = archive("one", package="1", rule="1"), archive("other", package="1", rule="2")
    (first, holder), (second, _) = held(store, one), held(store, other)
    packages = [folder / "python" / "package.py" for folder in (first, second)]
    assert packages[0].samefile(packages[1])
    rules = [folder / "python" / "rule.py" for folder in (first, second)]
    assert [rule.read_text() for rule in rules] == ["1", "2"]
    holder.close()
    again, _ = held(store, one)
    assert packages[1].read_text() == (again / "python" / "package.py").read_text() == "1"


def test_what_is_packed_alike_and_reads_otherwise_is_another_file(tmp_path: Path) -> None:
    packed = zlib.compress(b"x = 1", wbits=-zlib.MAX_WBITS)
    store, codes = CodeStore(), [archive("deflated"), archive("stored")]
    for code, how, content in zip(codes, (ZIP_DEFLATED, ZIP_STORED), (b"x = 1", packed)):
        with ZipFile(tmp_path / code.id, "w") as file:
            file.writestr("module.py", content, how)
        folder, _ = held(store, code)
        assert (folder / "module.py").read_bytes() == content


def test_a_member_stays_inside_the_folder() -> None:
    folder, _ = held(CodeStore(), archive("f-1", ("../../outside.py", "/nowhere")))
    assert [path.name for path in folder.iterdir()] == ["outside.py"]


def test_code_that_cannot_be_unpacked_leaves_no_files(tmp_path: Path) -> None:
    broken = archive("f-1", module="as it was", other="as it was")
    zipped = tmp_path / "f-1"
    zipped.write_bytes(b"as it is!".join(zipped.read_bytes().rsplit(b"as it was", 1)))
    with pytest.raises(BadZipFile):
        held(CodeStore(), broken)
    assert list(tmp_path.iterdir()) == [zipped]


def layer_version(name: str, code: S3Code | HotReloadingCode | None) -> LayerVersion:
    arn = f"arn:aws:lambda:us-east-1:000000000000:layer:{name}"
    return LayerVersion(f"{arn}:1", arn, 1, code, None, None, None, "2025-01-01")


def test_a_later_layer_lies_over_an_earlier_one_which_stays_as_it_was() -> None:
    below, above = archive("below", a="1", b="1"), archive("above", b="2")
    store = CodeStore()
    (both, holder), (one, _) = held(store, below, above), held(store, below)
    read = {path.name: path.read_text() for path in (both / "python").iterdir()}
    assert read == {"a.py": "1", "b.py": "2"}
    holder.close()
    assert (one / "python" / "b.py").read_text() == "1" and not both.exists()


@pytest.mark.parametrize("code", [None, HotReloadingCode(host_path="/nowhere")])
def test_a_layer_that_cannot_be_unpacked_is_named(code: HotReloadingCode | None) -> None:
    with pytest.raises(NotRunnable, match="layer arn:aws:.*:layer:shared:1 cannot be unpacked"):
        archive_of(layer_version("shared", code))


def edit_unseen(folder: Path) -> None:
    """Same size, same time."""
    module = folder / "deep" / "er" / "module.py"
    before = module.stat()
    module.write_text("x = 2")
    os.utime(module, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_file(folder: Path) -> None:
    (folder / "new").write_text("x = 2")
    (folder / "new").rename(folder / "deep" / "er" / "module.py")


def add(folder: Path) -> None:
    (folder / "deep" / "data.csv").touch()


def remove(folder: Path) -> None:
    (folder / "deep" / "er" / "module.py").unlink()


def edit_behind_a_link(folder: Path) -> None:
    (folder.parent / "shared" / "module.py").write_text("x = 2")


@pytest.mark.parametrize("change", [edit_unseen, replace_file, add, remove, edit_behind_a_link])
def test_every_change_of_a_file_is_noticed(tmp_path: Path, change: Callable[[Path], None]) -> None:
    folder, shared = tmp_path / "code", tmp_path / "shared"
    (folder / "deep" / "er").mkdir(parents=True)
    shared.mkdir()
    for module in (folder / "deep" / "er" / "module.py", shared / "module.py"):
        module.write_text("x = 1")
    (folder / "linked").symlink_to(shared)
    detector = ChangeDetector(folder)
    before = detector.generation()
    assert detector.generation() == before
    change(folder)
    assert detector.generation() > before


def test_importing_is_no_change(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    detector = ChangeDetector(tmp_path)
    before = detector.generation()
    (tmp_path / "__pycache__" / "module.cpython-313.pyc").touch()
    assert detector.generation() == before


def test_links_in_a_circle_and_to_nowhere_end(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path)
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    (tmp_path / "file").touch()
    (tmp_path / "self").symlink_to("self")
    detector = ChangeDetector(tmp_path)
    before = detector.generation()
    assert detector.generation() == before
    (tmp_path / "file").write_text("edited")
    assert detector.generation() > before


def test_callers_that_wait_share_one_look_that_began_after_they_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector, looks, readings = ChangeDetector(tmp_path), list[int](), list[int]()

    def clock() -> int:
        readings.append(len(readings))
        return readings[-1]

    monkeypatch.setattr(detector, "_look", lambda: looks.append(readings[-1]))
    monkeypatch.setattr("process_executor.code.time.monotonic_ns", clock)
    with ThreadPoolExecutor(20) as threads:
        with detector._lock:
            waiting = [threads.submit(detector.generation) for _ in range(20)]
            wait_until(lambda: len(readings) == 20)
        assert len({each.result() for each in waiting}) == 1
    assert looks == [20]
