"""Fetching from a Maven repository that truncates, is away, or lacks what is asked for: a small one on loopback."""

from __future__ import annotations

import io
import multiprocessing
import shutil
import tarfile
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from infra.local import artefacts
from infra.local.artefacts import CorruptDownloadError
from quantum.errors import DependencyError

ARCHIVE = f"apicurio-registry-app-{artefacts.REGISTRY_VERSION}-all.tar.gz"
CLIENTS = f"kafka-clients-{artefacts.KAFKA_VERSION}.jar"


def content_of(name: str) -> bytes:
    return Random(name).randbytes(20_000)


def archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in ("quarkus-run.jar", "lib/main.jar"):
            content = content_of(name)
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def jar(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
        content.writestr(f"{name}.class", name * 500)
    return buffer.getvalue()


def files() -> dict[str, bytes]:
    """A repository of what the stack needs, by file name."""
    found = {ARCHIVE: archive()}
    for coordinate in artefacts.KAFKA_COORDINATES:
        group, name, version = coordinate.split(":")
        pom = f"<project><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></project>"
        found |= {f"{name}-{version}.pom": pom.encode(), f"{name}-{version}.jar": jar(name)}
    return found


class Maven(NamedTuple):
    files: dict[str, bytes]
    once: dict[str, bytes]
    asked: Counter[str]


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Maven]:
    """A Maven repository; ``once`` holds what it answers the first time instead."""
    repository = Maven(files(), {}, Counter())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rsplit("/", 1)[-1]
            repository.asked[name] += 1
            body = repository.once.pop(name, repository.files.get(name))
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:  # silence on stderr
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    configure(tmp_path, monkeypatch, server.server_port)
    yield repository
    server.shutdown()
    thread.join()
    server.server_close()


def configure(folder: Path, monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    settings = folder / "jgo.conf"
    settings.write_text(f"[repositories]\ncentral = http://127.0.0.1:{port}\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))
    monkeypatch.setenv("M2_REPO", str(folder / "m2"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def silent(_: str) -> None:
    pass


def test_fetched_once_and_whole(maven: Maven, tmp_path: Path) -> None:
    folder = artefacts.registry(silent)
    assert folder == tmp_path / "cache" / "quantum" / f"registry-{artefacts.REGISTRY_VERSION}"
    assert (folder / "lib/main.jar").read_bytes() == content_of("lib/main.jar")
    assert artefacts.registry(silent) == folder
    assert maven.asked[ARCHIVE] == 1
    assert len(list(artefacts.kafka(silent).glob("*.jar"))) == len(artefacts.KAFKA_COORDINATES)


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: body[: len(body) // 2],
        lambda body: body[:-4],
        lambda _: b"<html>log in</html>",
        lambda body: body[:9000] + bytes(200) + body[9200:],
    ],
    ids=["half", "without its end", "a login page", "zeros within"],
)
def test_a_damaged_archive_is_fetched_again(maven: Maven, damage: object) -> None:
    assert callable(damage)
    maven.once[ARCHIVE] = damage(maven.files[ARCHIVE])
    said: list[str] = []
    assert (artefacts.registry(said.append) / "quarkus-run.jar").is_file()
    assert maven.asked[ARCHIVE] == 2
    assert any("damaged" in line for line in said)


def test_a_damaged_jar_is_fetched_again(maven: Maven) -> None:
    maven.once[CLIENTS] = maven.files[CLIENTS][:100]
    assert (artefacts.kafka(silent) / CLIENTS).read_bytes() == maven.files[CLIENTS]
    assert maven.asked[CLIENTS] == 2


def test_a_damaged_description_is_fetched_again(maven: Maven) -> None:
    pom = CLIENTS.replace(".jar", ".pom")
    maven.once[pom] = maven.files[pom][:40]
    assert (artefacts.kafka(silent) / CLIENTS).is_file()


def test_damaged_twice_is_an_error_and_leaves_nothing(maven: Maven, tmp_path: Path) -> None:
    maven.files[ARCHIVE] = maven.files[ARCHIVE][:500]
    with pytest.raises(CorruptDownloadError, match=ARCHIVE):
        artefacts.registry(silent)
    assert [path.name for path in (tmp_path / "cache" / "quantum").iterdir()] == [f"registry-{artefacts.REGISTRY_VERSION}.lock"]
    assert not list((tmp_path / "m2").rglob(ARCHIVE))


def test_a_file_that_went_missing_is_made_again(maven: Maven) -> None:
    folder = artefacts.registry(silent)
    (folder / "lib/main.jar").write_bytes(b"short")
    assert (artefacts.registry(silent) / "lib/main.jar").read_bytes() == content_of("lib/main.jar")
    shutil.rmtree(folder / "lib")
    assert (artefacts.registry(silent) / "lib/main.jar").is_file()
    assert maven.asked[ARCHIVE] == 1


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(tmp_path, monkeypatch, 9)  # the discard port: nothing answers
    with pytest.raises(DependencyError, match=r"cannot be reached[\s\S]*remedy: connect to the internet"):
        artefacts.registry(silent)


def test_a_repository_that_lacks_it(maven: Maven) -> None:
    del maven.files[ARCHIVE]
    with pytest.raises(DependencyError, match="does not give what is needed"):
        artefacts.registry(silent)


def test_no_space(maven: Maven, monkeypatch: pytest.MonkeyPatch) -> None:
    del maven
    monkeypatch.setattr(artefacts, "NEEDED_BYTES", 10**18)
    with pytest.raises(DependencyError, match=r"GB free, 1000000000\.0 GB are needed"):
        artefacts.registry(silent)


def test_a_cache_that_cannot_be_written(maven: Maven, tmp_path: Path) -> None:
    del maven
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(DependencyError, match="cannot be written"):
        artefacts.registry(silent)


def _fetch(path: str) -> None:
    Path(path).write_text(str(artefacts.registry(silent)))


def test_two_processes_fetch_once(maven: Maven, tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    both = [spawn.Process(target=_fetch, args=(str(tmp_path / f"done-{number}"),)) for number in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert [each.exitcode for each in both] == [0, 0]
    assert (tmp_path / "done-0").read_text() == (tmp_path / "done-1").read_text()
    assert maven.asked[ARCHIVE] == 1
