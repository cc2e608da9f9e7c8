"""docker-compose.yml and the image, held to what they promise by reading them: no Docker engine is needed."""

from __future__ import annotations

import ast
import copy
import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
SECRETS = {
    "BACKFLEET_JWT_SECRET": "f3a91c0d7be2485690fd1b6c83e7a45d2290c1be47f6da35",
    "REDIS_PASSWORD": "a1",
    "MONGO_PASSWORD": "b2",
    "MONGO_ROOT_PASSWORD": "c3",
}
SECRET_NAME = re.compile(r"PASSWORD|SECRET|AUTH$|_URI$|_URL$")

Services = dict[str, dict[str, Any]]


@pytest.fixture
def compose() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text())


def interpolate(value: str, environment: dict[str, str]) -> str:
    """Compose's `${NAME:?message}` and `${NAME:-default}`; a required name that is missing raises `KeyError`."""

    def replace(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        return environment.get(name, rest) if kind == ":-" else environment[name]

    return re.sub(r"\$\{(\w+)(:-|:\?)([^}]*)\}", replace, value)


def settings_of(service: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in service.get("environment", {}).items() if name.startswith(PREFIX)}


def unknown_variables(services: Services) -> Iterator[str]:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name, service in services.items():
        yield from (f"{name}: {variable}" for variable in settings_of(service) if variable not in known)
    if "api" in services:
        yield from (name for name in re.findall(rf"\b({PREFIX}[A-Z_]+)=", DOCKERFILE) if name not in known)


def missing_commands(services: Services) -> Iterator[str]:
    """Modules that cannot be run and scripts that are not there, among commands, entry points and health checks."""
    for name, service in services.items():
        mounts: dict[str, str] = {}
        for volume in service.get("volumes", []):
            source, target = volume.split(":")[:2]
            mounts[target] = source
        for words in (service.get("entrypoint"), service.get("command"), service.get("healthcheck", {}).get("test")):
            for before, word in zip(words or [], (words or [])[1:], strict=False):
                if before == "-m" and not (ROOT / word.replace(".", "/") / "__main__.py").is_file():
                    yield f"{name}: python -m {word}"
                if word.startswith("/opt/") and not (ROOT / mounts.get(word, "missing")).is_file():
                    yield f"{name}: {word}"


def loose_services(services: Services) -> Iterator[str]:
    """Whatever a service may do that it does not need to."""
    for name, service in services.items():
        if service.get("read_only") is not True:
            yield f"{name}: writable file system"
        if service.get("cap_drop") != ["ALL"] or "cap_add" in service or service.get("privileged"):
            yield f"{name}: capabilities"
        if "no-new-privileges:true" not in service.get("security_opt", []):
            yield f"{name}: may gain privileges"
        if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", str(service.get("user", ""))):
            yield f"{name}: runs as root, or as nobody knows whom"
        if not service.get("healthcheck", {}).get("test"):
            yield f"{name}: no health check"
        if "container_name" in service:
            yield f"{name}: cannot be scaled"
        if service.get("ports") and name != "api":
            yield f"{name}: publishes a port"
        if "front" in service.get("networks", ["front"]) and name != "api":
            yield f"{name}: stands in the outer network"


def secrets_with_defaults(services: Services) -> Iterator[str]:
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            if SECRET_NAME.search(variable) and ("${" not in value or ":-" in value):
                yield f"{name}: {variable}"


Check = Callable[[Services], Iterator[str]]
CHECKS: list[Check] = [unknown_variables, missing_commands, loose_services, secrets_with_defaults]
BREACHES: list[tuple[Check, str, dict[str, Any]]] = [
    (unknown_variables, "worker", {"environment": {"BACKFLEET_SLOTS": "1"}}),
    (missing_commands, "worker", {"command": ["python", "-m", "worker.supervisors"]}),
    (missing_commands, "mongo", {"entrypoint": ["bash", "/opt/backfleet/mongo-begin.sh"]}),
    (missing_commands, "mongo", {"volumes": []}),
    (loose_services, "redis", {"read_only": False}),
    (loose_services, "redis", {"cap_drop": []}),
    (loose_services, "redis", {"security_opt": []}),
    (loose_services, "worker", {"user": "0:0"}),
    (loose_services, "worker", {"healthcheck": {}}),
    (loose_services, "worker", {"container_name": "worker"}),
    (loose_services, "mongo", {"ports": ["27017:27017"]}),
    (loose_services, "mongo", {"networks": ["front", "back"]}),
    (secrets_with_defaults, "redis", {"environment": {"REDISCLI_AUTH": "${REDIS_PASSWORD:-redis}"}}),
    (secrets_with_defaults, "api", {"environment": {"BACKFLEET_JWT_SECRET": "0123456789"}}),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_services_keep_the_rule(check: Check, compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"api", "worker", "redis", "mongo"}
    assert list(check(compose["services"])) == []


@pytest.mark.parametrize(("check", "service", "change"), BREACHES)
def test_a_service_that_breaks_the_rule_is_found(
    check: Check, service: str, change: dict[str, Any], compose: dict[str, Any]
) -> None:
    services = copy.deepcopy(compose["services"])
    services[service] |= change
    assert list(check(services))


@pytest.mark.parametrize("service", ["api", "worker"])
def test_the_settings_it_writes_are_accepted(service: str, compose: dict[str, Any]) -> None:
    written = settings_of(compose["services"][service])
    values = {name.removeprefix(PREFIX).lower(): interpolate(value, SECRETS) for name, value in written.items()}
    settings = Settings(**values)  # pyright: ignore[reportArgumentType]
    assert settings.production
    assert settings.redis_url.get_secret_value() == "redis://:a1@redis:6379/0"
    assert settings.mongodb_uri.get_secret_value().startswith("mongodb://backfleet:b2@mongo:27017/?replicaSet=rs0")
    if service == "api":
        settings.require_gateway_secrets()
        assert f"{settings.port}" == compose["services"]["api"]["ports"][0].rsplit(":", 1)[1]
    else:
        grace_s = int(compose["services"]["worker"]["stop_grace_period"].removesuffix("s"))
        assert grace_s > settings.drain_timeout_s


@pytest.mark.parametrize("secret", SECRETS)
def test_nothing_starts_without_the_secret(secret: str, compose: dict[str, Any]) -> None:
    values = [value for service in compose["services"].values() for value in service["environment"].values()]
    without = {name: value for name, value in SECRETS.items() if name != secret}
    with pytest.raises(KeyError, match=secret):
        [interpolate(value, without) for value in values]
    assert [interpolate(value, SECRETS) for value in values]


def test_the_health_check_of_a_worker_loads_little(compose: dict[str, Any], tmp_path: Path) -> None:
    """It starts anew for each worker, every two seconds while that comes up."""
    words = compose["services"]["worker"]["healthcheck"]["test"][2:]
    healthy = tmp_path / "healthy"
    healthy.touch()
    asked = subprocess.run(
        [sys.executable, "-X", "importtime", *words],
        cwd=ROOT,
        env=os.environ | {f"{PREFIX}HEALTH_FILE": str(healthy)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    loaded = set(re.findall(r"\| +([a-z_]+)$", asked.stderr, re.MULTILINE))
    assert asked.returncode == 0, asked.stderr[-500:]
    assert "pydantic" in loaded
    assert not loaded & {"numba", "numpy", "pandas", "pymongo", "redis", "talib", "uvloop"}


def test_only_the_gateway_stands_outside_and_data_outlives_containers(compose: dict[str, Any]) -> None:
    closed = {"com.docker.network.bridge.inhibit_ipv4": "true"}
    assert compose["networks"]["back"] == {"internal": True, "driver_opts": closed}
    named = {volume.split(":")[0] for service in compose["services"].values() for volume in service["volumes"]}
    assert set(compose["volumes"]) == {name for name in named if not name.startswith("./")}


def test_clients_wait_for_servers_that_answer(compose: dict[str, Any]) -> None:
    for service in ("api", "worker"):
        waits = compose["services"][service]["depends_on"]
        assert waits == {name: {"condition": "service_healthy"} for name in ("redis", "mongo")}


def test_the_image_copies_what_is_there_and_runs_as_the_user_of_the_services(compose: dict[str, Any]) -> None:
    copied = re.findall(r"^COPY (?:--chmod=\d+ )?([a-z*][\w./-]*) \S+$", DOCKERFILE, re.MULTILINE)
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == allowed
    assert all(any(ROOT.glob(path)) for path in copied)
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert users == [compose["services"]["api"]["user"]] == [compose["services"]["worker"]["user"]]


def test_of_the_dashboard_the_image_has_what_is_served_alone() -> None:
    left_out = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("api/dashboard/")]
    found = {path.name for path in (ROOT / "api" / "dashboard").iterdir() if not path.name.startswith(".")}
    found |= {"static", "node_modules", "package.json"}
    assert {name for name in found if not any(fnmatch(f"api/dashboard/{name}", one) for one in left_out)} == {"static"}


def test_the_command_finds_in_the_image_all_that_it_imports_of_deploy() -> None:
    waiting, needed = ["cli"], {"__init__"}
    while waiting:
        needed.add(module := waiting.pop())
        text = (ROOT / "deploy" / f"{module}.py").read_text()
        waiting += set(re.findall(r"^ *from deploy\.(\w+) import", text, re.MULTILINE)) - needed
    assert needed == set(re.findall(r"^COPY deploy/(\w+)\.py ", DOCKERFILE, re.MULTILINE))


def test_the_python_the_image_runs_can_be_run() -> None:
    scripts = re.findall(r'python -c "([^"]+)"', DOCKERFILE)
    scripts += re.findall(r"python -c '([^']+)'", (ROOT / "deploy" / "backfleet.sh").read_text())
    imports = [
        (node.module, alias.name)
        for script in scripts
        for node in ast.walk(ast.parse(script))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    ]
    assert imports == [("deploy.cli", "main")]
    for module, name in imports:
        assert callable(getattr(importlib.import_module(module), name))


def test_the_image_warms_its_kernels_with_an_option_that_exists() -> None:
    [(directory, options)] = re.findall(r"\bNUMBA_CACHE_DIR=(\S+) python -m worker (.+)$", DOCKERFILE, re.MULTILINE)
    asked = subprocess.run(
        [sys.executable, "-m", "worker", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert options == "--warm"
    assert options in asked.stdout
    assert f"cp -R {directory}/. " in (ROOT / "deploy" / "start.sh").read_text()


@pytest.mark.parametrize("service", ["api", "worker"])
def test_containers_share_a_directory_that_the_image_leaves_empty(service: str, compose: dict[str, Any]) -> None:
    """Containers that start together would race to fill a shared volume with what the image has there."""
    [shared] = [volume.split(":")[1] for volume in compose["services"][service]["volumes"]]
    assert f"{PREFIX}CACHE_DIR={shared}" in DOCKERFILE
    about = [line.strip(" &\\") for line in DOCKERFILE.splitlines() if shared in line]
    assert about == [
        f"install --directory --owner 10001 --group 10001 {shared}",
        f"{PREFIX}CACHE_DIR={shared}",
        f"VOLUME {shared}",
    ]
    [kernels] = re.findall(r"^    NUMBA_CACHE_DIR=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert [one for one in compose["services"][service]["tmpfs"] if kernels.startswith(one.split(":")[0] + "/")]


@pytest.mark.parametrize("script", sorted((ROOT / "deploy").glob("*.sh")), ids=lambda script: script.name)
def test_shells_can_read_the_script(script: Path) -> None:
    shell = script.read_text().splitlines()[0].replace("/", " ").split()[-1]
    asked = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, timeout=10, check=False)
    assert (asked.returncode, asked.stderr) == (0, "")


def test_docker_compose_itself_reads_the_file() -> None:
    docker = shutil.which("docker")
    known = docker and subprocess.run([docker, "compose", "version"], capture_output=True, timeout=30, check=False)
    if docker is None or not known or known.returncode != 0:
        pytest.skip("docker compose is missing")
    command = [docker, "compose", "--file", str(COMPOSE), "--env-file", os.devnull, "config", "--quiet"]
    environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
    bare = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environment)
    assert bare.returncode != 0
    assert "set it in .env" in bare.stderr
    full = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environment | SECRETS)
    assert (full.returncode, full.stderr) == (0, "")
