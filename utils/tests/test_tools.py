"""What is installed comes from pip's index, by pip's certificate."""

import configparser
import datetime
import hashlib
import http.server
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flit_core.wheel import make_wheel_in  # type: ignore[import-untyped]  # it ships no types

from conftest import ROOT, checked, refused
from test_zips import copy_sources

PIPFILE = """
[[source]]
name = "index"
url = "${PIP_INDEX_URL}"
verify_ssl = true

[requires]
python_version = "3.13"

[packages]
only-here = "*"
"""

PROJECT = """
[project]
name = "only-here"
version = "1.0"
description = "a package that no other index has"
"""


@pytest.fixture(scope="module")
def pip_conf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """pip's settings for an index over TLS that no certificate of the system's vouches for."""
    folder = tmp_path_factory.mktemp("index")
    certificate, key = make_certificate(folder)
    write_index(folder / "simple" / "only-here")
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever).start()
    path = folder / "pip.conf"
    index = f"https://localhost:{server.server_port}/simple"
    path.write_text(f"[global]\nindex-url = {index}\ncert = {certificate}\n")
    yield path
    server.shutdown()
    server.server_close()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an index of their own")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def write_index(folder: Path) -> None:
    """The page of one package that no other index has, and its wheel."""
    folder.mkdir(parents=True)
    (folder / "only_here.py").write_text('"""Here."""\n')
    project = folder / "pyproject.toml"
    project.write_text(PROJECT)
    wheel = make_wheel_in(project, folder).file
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (folder / "index.html").write_text(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>\n')


def untold(folder: Path) -> dict[str, str]:
    """The environment of somebody who has told nobody anything."""
    told = ("PIP_", "PIPENV_", "UV_", "SSL_", "REQUESTS_", "CURL_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(told)}
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return env | {"PIP_CONFIG_FILE": os.devnull, "HOME": str(home)}


def as_pip(env: dict[str, str]) -> dict[str, str]:
    """What uv and Pipenv find in their environment."""
    command = [str(ROOT / "utils/tools/as-pip"), "env"]
    said = checked(subprocess.run(command, env=env, capture_output=True, text=True))
    return dict(line.partition("=")[::2] for line in said.splitlines())


def built(folder: Path, target: str, pip_conf: Path) -> subprocess.CompletedProcess[str]:
    """Make a target of a copy of the scatter."""
    env = untold(folder) | {"PIP_CONFIG_FILE": str(pip_conf)}
    command = ["make", "--no-print-directory", "-C", str(folder / "demo-scatter"), target]
    return subprocess.run(command, env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def locked(pip_conf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose scatter needs one package, with the lock that was made for it."""
    folder = tmp_path_factory.mktemp("locked")
    copy_sources("scatter", folder)
    (folder / "demo-scatter" / "Pipfile").write_text(PIPFILE)
    (folder / "demo-scatter" / "Pipfile.lock").unlink()
    checked(built(folder, "lock", pip_conf))
    return folder


def test_a_function_is_tested_with_what_is_locked_from_pips_index_by_its_certificate(
    locked: Path, pip_conf: Path
) -> None:
    checked(built(locked, ".venv/.ready", pip_conf))
    assert list((locked / "demo-scatter" / ".venv").glob("lib/*/site-packages/only_here.py"))


def test_another_build_in_another_folder_gives_the_same_bytes_and_a_syntax_error_none(
    locked: Path, pip_conf: Path, tmp_path: Path
) -> None:
    ours, other = locked / "demo-scatter", tmp_path / "demo-scatter"
    copy_sources("scatter", tmp_path)
    for name in ("Pipfile", "Pipfile.lock"):
        shutil.copy(ours / name, other)
    for folder in (locked, tmp_path):
        checked(built(folder, "zip", pip_conf))
    archive = other / "bin" / "lambda.zip"
    assert archive.read_bytes() == (ours / "bin" / "lambda.zip").read_bytes()
    assert {"only_here.py", "scatter.py"} <= {*zipfile.ZipFile(archive).namelist()}
    archive.unlink()
    source = "utils/pipeline/s3/client.py"
    (tmp_path / source).write_text("first = 1\ndef second(:\n")
    said = refused(built(tmp_path, "zip", pip_conf))
    assert f"scatter-lambda: {source}:2: SyntaxError: " in said
    assert not archive.exists()


@pytest.mark.parametrize("name", ["PIP_CERT", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_an_index_and_a_certificate_of_the_environment_serve_as_well(
    name: str, pip_conf: Path, tmp_path: Path
) -> None:
    told = configparser.ConfigParser()
    told.read(pip_conf)
    env = untold(tmp_path) | {
        "PIP_INDEX_URL": told["global"]["index-url"],
        name: told["global"]["cert"],
    }
    packages = tmp_path / "packages"
    command = [str(ROOT / "utils/tools/as-pip"), "uv", "pip", "install", "--quiet"]
    command += ["--python", sys.executable, "--target", str(packages), "only-here"]
    checked(subprocess.run(command, env=env, capture_output=True, text=True))
    assert (packages / "only_here.py").exists()


def test_without_any_settings_the_index_is_pips_own(tmp_path: Path) -> None:
    env = untold(tmp_path)
    command = [sys.executable, "-m", "pip", "install", "--help"]
    usage = checked(subprocess.run(command, env=env, capture_output=True, text=True))
    default = re.search(r"\(default\s+(https://\S+)\)", usage)
    assert default
    found = as_pip(env)
    assert found["PIP_INDEX_URL"] == default[1]
    assert not {"SSL_CERT_FILE", "SSL_CERT_DIR", "PIP_CERT", "REQUESTS_CA_BUNDLE"} & set(found)


def test_pips_environment_wins_over_its_section_and_that_over_the_global_one(
    tmp_path: Path,
) -> None:
    conf = tmp_path / "pip.conf"
    conf.write_text(
        "[global]\nindex-url = https://a.test/simple\ntimeout = 7\nproxy = http://global.test:1\n"
        "[install]\nindex-url = https://me:it%40s@b.test/simple\nproxy = http://install.test:1\n"
    )
    env = untold(tmp_path) | {"PIP_CONFIG_FILE": str(conf), "PIP_PROXY": "http://env.test:1"}
    found = as_pip(env)
    assert found["UV_DEFAULT_INDEX"] == found["PIP_INDEX_URL"] == "https://me:it%40s@b.test/simple"
    assert (found["UV_HTTP_TIMEOUT"], found["https_proxy"]) == ("7", "http://env.test:1")


def test_further_indexes_wheels_and_hosts_are_uvs_too_and_missing_folders_are_not(
    tmp_path: Path,
) -> None:
    conf, certificates = tmp_path / "pip.conf", tmp_path / "of mine"
    certificates.mkdir()
    conf.write_text(
        "[global]\nextra-index-url =\n  https://a.test/simple\n  https://b.test/simple\n"
        f"find-links = {tmp_path} {tmp_path}/missing https://c.test/wheels\n"
        "trusted-host = a.test\n  b.test\n"
        "no-index = true\nclient-cert = /mine.pem\n"
        f"cert = {certificates}\n"
    )
    found = as_pip(untold(tmp_path) | {"PIP_CONFIG_FILE": str(conf)})
    assert found["UV_EXTRA_INDEX_URL"] == "https://a.test/simple https://b.test/simple"
    assert found["UV_FIND_LINKS"] == f"{tmp_path},https://c.test/wheels"
    assert found["UV_INSECURE_HOST"] == "a.test b.test"
    assert found["UV_OFFLINE"] == "true"
    assert found["SSL_CLIENT_CERT"] == "/mine.pem"
    assert found["SSL_CERT_DIR"] == found["PIP_CERT"] == str(certificates)


def test_settings_of_uv_that_ask_for_another_python_or_index_are_not_heard(tmp_path: Path) -> None:
    settings = {"UV_PYTHON": "3.9", "UV_INDEX_URL": "https://a.test/simple"}
    found = as_pip(untold(tmp_path) | settings | {"UV_CACHE_DIR": str(tmp_path / "kept")})
    assert not {"UV_PYTHON", "UV_INDEX_URL"} & set(found)
    assert found["UV_CACHE_DIR"] == str(tmp_path / "kept")


def test_where_uvs_cache_cannot_be_written_the_tools_have_one_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    env = untold(tmp_path) | {"XDG_CACHE_HOME": str(tmp_path / "file")}
    assert Path(as_pip(env)["UV_CACHE_DIR"]).is_relative_to(ROOT / "utils/tools/.venv")


def made(recipe: str, env: dict[str, str]) -> str:
    """What a recipe prints in the environment of every make target."""
    makefile = f"include {ROOT}/utils/tools/tools.mk\nshow: ; @{recipe}\n"
    command = ["make", "-s", "-f", "-", "show"]
    return checked(subprocess.run(command, input=makefile, env=env, capture_output=True, text=True))


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_hosts_that_need_no_proxy_stay_so_in_either_spelling(name: str, tmp_path: Path) -> None:
    env = {key: value for key, value in untold(tmp_path).items() if key.lower() != "no_proxy"}
    said = made("echo $$no_proxy $$NO_PROXY", env | {name: ".corp"})
    assert said.split() == ["localhost,127.0.0.1,.corp"] * 2


def test_pips_setting_to_install_for_the_user_alone_is_not_heard(tmp_path: Path) -> None:
    conf = tmp_path / "pip.conf"
    conf.write_text("[install]\nuser = true\n")
    env = untold(tmp_path) | {"PIP_CONFIG_FILE": str(conf)}
    assert "pip" in made("$(PY) -m pip install --dry-run pip", env)


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONOPTIMIZE", "VIRTUAL_ENV", "PIPENV_PIPFILE"])
def test_what_is_set_for_another_project_is_not_heard(name: str, tmp_path: Path) -> None:
    assert made(f'echo "[$${name}]"', untold(tmp_path) | {name: "1"}) == "[]\n"


def test_tools_whose_python_has_gone_are_installed_again(tmp_path: Path) -> None:
    copy_sources("scatter", tmp_path)
    environment = tmp_path / "utils/tools/.venv"
    environment.unlink()
    (environment / "bin").mkdir(parents=True)
    (environment / "bin/python").symlink_to(tmp_path / "gone")
    (environment / ".ready").touch()
    command = ["make", "-n", "-C", str(tmp_path / "demo-scatter"), f"{environment}/.ready"]
    said = checked(subprocess.run(command, capture_output=True, text=True))
    assert f"{tmp_path}/utils/tools/install" in said


def test_a_lock_moves_what_the_pipfile_asks_for_and_it_lacks(tmp_path: Path) -> None:
    wanted = ['a = "*"', 'b_b = "~=1.4"', 'c = "==2.0"', 'd = {version = ">=3", extras = ["s3"]}']
    (tmp_path / "Pipfile").write_text("\n".join(["[packages]", *wanted, 'e = "*"', 'f = "<2"']))
    versions = {"a": "0.1", "b-b": "1.5.2", "c": "1.9", "d": "2.1", "f": "1.0", "other": "1"}
    pins = {name: {"version": f"=={version}"} for name, version in versions.items()}
    (tmp_path / "Pipfile.lock").write_text(json.dumps({"default": pins, "develop": {}}))
    for section, asked in (("packages", "c==2.0 d[s3]>=3 e\n"), ("dev-packages", "\n")):
        command = [sys.executable, str(ROOT / "utils" / "tools" / "asked.py"), section]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert checked(done) == asked
