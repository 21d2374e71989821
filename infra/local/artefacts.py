"""Kafka and the registry, fetched from the Maven repository once a user and unpacked below the cache folder.

A folder appears under its final name only when it is whole (written aside, then renamed), holds a list of its files with their sizes,
and is made again where a file is missing or has another size. One process at a time makes it. What the Maven repository sent is
tested (every jar and archive carries checksums of its content); what fails is deleted and fetched once more.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from infra.local.lock import file_lock
from quantum.errors import DependencyError

if TYPE_CHECKING:
    from jgo.maven import MavenContext

KAFKA_VERSION = "4.3.0"
REGISTRY_VERSION = "3.3.3"
LOG4J_VERSION = "2.24.3"
# kafka-clients is named although Kafka depends on it: its version would otherwise be mediated to one that the broker cannot run with.
KAFKA_COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}",
    f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J_VERSION}",
)
NEEDED_BYTES = 1024**3
_MANIFEST = "manifest.json"
_CONNECT_TIMEOUT_S = 30
_LOCK_TIMEOUT_S = 1800.0
_REPORTED_BYTES = 50_000_000
_CHUNK = 1 << 20

Progress = Callable[[str], None]


class CorruptDownloadError(DependencyError):
    """Files that were fetched are damaged; they have been deleted."""


def cache_folder() -> Path:
    """Return the folder of what is fetched: ``$XDG_CACHE_HOME/quantum``, by default ``~/.cache/quantum``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quantum"


def kafka(progress: Progress) -> Path:
    """Return the folder of Kafka's jars, fetching them where they are missing.

    Raises
    ------
    DependencyError
        No network, no disk space, or what comes is damaged twice.
    """
    return _ensure(f"kafka-{KAFKA_VERSION}", _build_kafka, progress)


def registry(progress: Progress) -> Path:
    """Return the unpacked registry (it holds ``quarkus-run.jar``), fetching it where it is missing.

    Raises
    ------
    DependencyError
        No network, no disk space, or what comes is damaged twice.
    """
    return _ensure(f"registry-{REGISTRY_VERSION}", _build_registry, progress)


def check_space(folder: Path, needed: int) -> None:
    """Raise a DependencyError where the disk of a folder has fewer free bytes than needed."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DependencyError(
            f"{folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed",
            "free some space, or set QUANTUM_HOME and XDG_CACHE_HOME to a larger disk",
        )


def _ensure(name: str, build: Callable[[Path, Progress], None], progress: Progress) -> Path:
    cache = cache_folder()
    folder = cache / name
    if _intact(folder):
        return folder
    try:
        with file_lock(cache / f"{name}.lock", timeout_s=_LOCK_TIMEOUT_S, waiting=progress):
            if not _intact(folder):  # another process may have made it while this one waited
                check_space(cache, NEEDED_BYTES)
                _remove_leftovers(cache, name)
                try:
                    _make(folder, build, progress)
                except CorruptDownloadError as error:
                    progress(f"{error.message}; fetching again")
                    _make(folder, build, progress)
    except OSError as error:
        raise DependencyError(
            f"{folder} cannot be written: {error}", "make the folder writable, or set XDG_CACHE_HOME to another one with space"
        ) from error
    return folder


def _intact(folder: Path) -> bool:
    try:
        sizes = json.loads((folder / _MANIFEST).read_text())
        return all((folder / path).stat().st_size == size for path, size in sizes.items())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return False


def _make(folder: Path, build: Callable[[Path, Progress], None], progress: Progress) -> None:
    aside = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        build(aside, progress)
        sizes = {str(path.relative_to(aside)): path.stat().st_size for path in sorted(aside.rglob("*")) if path.is_file()}
        (aside / _MANIFEST).write_text(json.dumps(sizes, indent=1))
        if folder.exists():
            shutil.rmtree(folder)
        aside.replace(folder)
    finally:
        if aside.exists():
            shutil.rmtree(aside)


def _remove_leftovers(cache: Path, name: str) -> None:
    """Remove what a process left that was killed while it held the lock."""
    for leftover in cache.glob(f"{name}.*.part"):
        shutil.rmtree(leftover)


def _build_kafka(folder: Path, progress: Progress) -> None:
    context = _maven(progress)
    progress(f"fetching Kafka {KAFKA_VERSION}")
    with _remedied(context):
        inputs, transitive = context.resolver.resolve([context.create_dependency(each) for each in KAFKA_COORDINATES])
        jars = [dependency.artifact.resolve() for dependency in (*inputs, *transitive)]
    damaged = [jar for jar in jars if not _whole_jar(jar)]
    if damaged:
        raise _deleted(damaged)
    for jar in jars:
        shutil.copyfile(jar, folder / jar.name)


def _build_registry(folder: Path, progress: Progress) -> None:
    context = _maven(progress)
    component = context.project("io.apicurio", "apicurio-registry-app").at_version(REGISTRY_VERSION)
    progress(f"fetching Apicurio Registry {REGISTRY_VERSION} (160 MB)")
    with _remedied(context):
        archive = component.artifact(classifier="all", packaging="tar.gz").resolve()
    progress("unpacking Apicurio Registry")
    try:
        with gzip.open(archive) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as content:
                content.extractall(folder, filter="data")
            while stream.read(_CHUNK):  # to the very end, where the checksum is
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _deleted([archive]) from error
    if not (folder / "quarkus-run.jar").is_file():
        raise _deleted([archive])


def _maven(progress: Progress) -> MavenContext:
    # Imported here: only the first start of a user needs it, and it costs as long as a server takes to answer.
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext, PythonResolver

    settings = GlobalSettings.load()
    return MavenContext(
        resolver=PythonResolver(progress_callback=partial(_report, progress)),
        repo_cache=settings.repo_cache,
        remote_repos={"central": MAVEN_CENTRAL_URL, **settings.repositories},
        timeout=_CONNECT_TIMEOUT_S,
    )


@contextmanager
def _report(progress: Progress, filename: str, size: int) -> Iterator[Callable[[int], None]]:
    """Report a long download at each tenth."""
    received, told = 0, 0

    def update(count: int) -> None:
        nonlocal received, told
        received += count
        tenth = received * 10 // size
        if size >= _REPORTED_BYTES and tenth > told:
            told = tenth
            progress(f"  {filename}: {tenth * 10}% of {size / 1e6:.0f} MB")

    yield update


@contextmanager
def _remedied(context: MavenContext) -> Iterator[None]:
    """Name what a failure of the Maven client means, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # of a file; an error of the HTTP client is an OSError without a number
            raise
        raise DependencyError(
            f"the Maven repository cannot be reached: {error}",
            "connect to the internet once, or set HTTPS_PROXY, or a mirror in jgo's settings; afterwards no network is needed",
        ) from error
    except ElementTree.ParseError as error:
        raise _deleted(_damaged_poms(context.repo_cache)) from error
    except RuntimeError as error:  # what jgo raises where no repository has the artefact
        raise DependencyError(
            f"the Maven repository does not give what is needed: {error}",
            "check that the network has no login page and that a mirror is complete",
        ) from error


def _damaged_poms(repository: Path) -> list[Path]:
    damaged = []
    for pom in repository.rglob("*.pom"):
        try:
            ElementTree.parse(pom)
        except ElementTree.ParseError:
            damaged.append(pom)
    return damaged


def _whole_jar(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as jar:
            return jar.testzip() is None
    except (zipfile.BadZipFile, zlib.error, EOFError):
        return False


def _deleted(damaged: list[Path]) -> CorruptDownloadError:
    for path in damaged:
        path.unlink()
    names = ", ".join(path.name for path in damaged) or "a file"
    return CorruptDownloadError(
        f"{names} came damaged and was deleted", "try again; if it stays so, something between here and the repository alters files"
    )
