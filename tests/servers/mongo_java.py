"""mongo-java-server: an independent implementation of MongoDB's wire protocol, built by Maven the first time."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from deploy.servers import MongoServer

_PROJECT = Path(__file__).parent
_TARGET = _PROJECT / "target"
_BUILD_ATTEMPTS = 3
_BUILD_TIMEOUT_S = 300
# One compiler tier and one collector thread: a JVM that lives for seconds must not take every processor.
_JVM_OPTIONS = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]


class BackendMissing(Exception):
    """What a backend needs is not on this machine. The message names it."""


class JavaMongoServer(MongoServer):
    """One JVM that keeps everything in memory. Raises `BackendMissing` without Java, or without Maven to build it."""

    name = "mongo-java-server"
    ready_text = "listening"

    def command(self, port: int) -> list[str]:
        java = find_program("java", "a Java runtime, version 17 or newer")
        build()
        classpath = os.pathsep.join([str(_TARGET / "classes"), str(_TARGET / "lib" / "*")])
        return [java, *_JVM_OPTIONS, "-cp", classpath, "backfleet.MongoMain", str(port)]


def find_program(program: str, meaning: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise BackendMissing(f"it needs {meaning}: no `{program}` on PATH")
    return found


def build() -> None:
    """Compiles the server and fetches its jars, once per state of the sources; test processes take turns."""
    sources = [_PROJECT / "pom.xml", *sorted((_PROJECT / "src").rglob("*.java"))]
    wanted = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()
    built = _TARGET / "built-from"
    _TARGET.mkdir(exist_ok=True)
    with (_TARGET / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if built.is_file() and built.read_text() == wanted:
            return
        _run_maven(find_program("mvn", "Maven to be built"))
        built.write_text(wanted)


def _run_maven(maven: str) -> None:
    command = [maven, "-q", "-B", "-f", str(_PROJECT / "pom.xml"), "process-classes"]
    said = ""
    for attempt in range(_BUILD_ATTEMPTS):
        # Offline first: where the jars are known the answer comes at once, and no network is asked in vain.
        asked = [*command, "-o"] if attempt == 0 else command
        try:
            done = subprocess.run(
                asked,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_BUILD_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            said = f"no end within {_BUILD_TIMEOUT_S} s"
            continue
        if done.returncode == 0:
            return
        said = done.stdout.decode(errors="replace")[-2000:]
    raise BackendMissing(f"Maven could not build it: {said}")
