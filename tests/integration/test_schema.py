"""Requests made from the OpenAPI document: what it says is true is true, of every operation."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.settings import Settings
from shared.users import Role
from tests.gateway import read_here, site_on

CHECKS = Path(__file__).with_name("schema_checks.py")
# A refusal of what is of the schema's form is judged by what it names, in the check of ours.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 422, 429, "5xx"]
"""


@pytest.mark.timeout(400)  # two thousand requests: half a minute where nothing else runs
async def test_requests_that_are_of_the_schema_are_served_and_others_refused(
    any_mongodb_uri: str,
    any_redis_url: str,
    make_settings: Callable[..., Settings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.market_data.uploads.read_in_child", read_here)
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    async with site_on(make_settings()) as site:
        await site.database.users.add("ann", "", (Role.USER, Role.ADMIN))
        command = (
            *("-m", "schemathesis.cli", "--config-file", str(config), "run", f"{site.url}/openapi.json"),
            *("-H", f"Authorization: Bearer {site.token('ann')}", "--checks", "all", "--workers", "1"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "3", "--seed", "1", "--no-color"),
            *("--generation-deterministic", "--continue-on-failure", "--no-shrink"),
            # It asks exchanges, which no test may, and for as long as they do not answer.
            *("--exclude-path", "/api/algo/data/fetch"),
        )
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            cwd=tmp_path,
            env={**os.environ, "SCHEMATHESIS_HOOKS": str(CHECKS)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await child.communicate())[0].decode()
    assert child.returncode == 0, said
    tested, cases = re.search(r"Tested: +(\d+)", said), re.search(r"(\d+) generated", said)
    assert tested, said
    assert cases, said
    assert int(tested[1]) >= 30
    assert int(cases[1]) >= 1_000
