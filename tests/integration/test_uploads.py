"""Market data sent over HTTP: what comes of a good file, of a bad one, and of one that never ends."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from api.market_data.uploads import ADMITTED_MAX, ImportForm
from api.routes.answers import Imported
from shared.bars import Bars
from shared.candles import take_bars
from shared.reading import Reading
from shared.settings import Settings
from tests.fleet import HOUR_MS, random_walk, write_bars
from tests.gateway import Site, fields_of, http_client, problem_of, read_here, site_on

IMPORT, DATA = "/api/algo/data/import", "/api/algo/data"
LIMIT_BYTES = 40_000_000


@pytest.fixture
async def site(any_mongodb_uri: str, any_redis_url: str, make_settings: Callable[..., Settings]) -> AsyncIterator[Site]:
    async with site_on(make_settings(upload_max_bytes=LIMIT_BYTES)) as one:
        yield one
        assert left_over(one) == []


@pytest.fixture
def without_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test to which it is all the same where a file is read."""
    monkeypatch.setattr("api.market_data.uploads.read_in_child", read_here)


def left_over(site: Site) -> list[Path]:
    return list((site.settings.cache_dir / "uploads").glob("*"))


def csv_of(bars: Bars, tmp_path: Path) -> bytes:
    return write_bars(tmp_path / "bars.csv", bars).read_bytes()


def form(*parts: tuple[str, bytes], boundary: str = "XX", end: bool = True) -> tuple[dict[str, str], bytes]:
    """Headers and body of a form whose parts are written by hand."""
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"
        for disposition, content in parts
    )
    return {"Content-Type": f"multipart/form-data; boundary={boundary}"}, body + (f"--{boundary}--".encode() * end)


async def datasets(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    return {f"{one['symbol']} {one['interval']}": one for one in (await client.get(DATA)).json()["items"]}


async def test_files_become_series_that_are_listed_with_their_gaps(site: Site, tmp_path: Path) -> None:
    client = await site.client()
    bars = random_walk(100)
    holey = take_bars(bars, np.delete(np.arange(100), [3, 40, 41, 42, 43]))
    files = [("file", ("ONE-1h.csv", csv_of(holey, tmp_path))), ("file", ("TWO-1h.csv", csv_of(bars, tmp_path)))]
    refused = problem_of(await client.post(IMPORT, files=files), 422)
    assert "allowGaps=true" in refused["detail"]
    [question] = refused["errors"]
    accepted = {question["field"]: question["choices"][0]["value"]}
    answer = await client.post(IMPORT, files=files, data={"interval": "1h", "symbol": ""} | accepted)
    assert answer.status_code == 201, answer.text
    reports = Imported.model_validate(answer.json()).items
    assert [(one["symbol"], one["added"], one["version"]) for one in reports] == [("ONE", 95, 1), ("TWO", 100, 1)]
    listed = await datasets(client)
    one = listed["ONE 1h"]
    assert one["datasetHash"] == reports[0]["datasetHash"]
    assert (one["bars"], one["version"], one["source"]) == (95, 1, "ONE-1h.csv")
    assert (one["start"], one["end"]) == ("2024-01-01T00:00:00Z", "2024-01-05T04:00:00Z")
    largest = {"start": "2024-01-02T16:00:00Z", "end": "2024-01-02T20:00:00Z", "missingBars": 4}
    assert (one["gaps"]["count"], one["gaps"]["missingBars"], one["gaps"]["largest"][0]) == (2, 5, largest)
    assert listed["TWO 1h"]["gaps"] == {"count": 0, "missingBars": 0, "largest": []}


@pytest.mark.usefixtures("without_processes")
async def test_what_differs_is_refused_kept_or_replaced_as_the_form_says(site: Site, tmp_path: Path) -> None:
    client = await site.client()
    bars = random_walk(50)
    files = {"file": ("ONE-1h.csv", csv_of(bars, tmp_path))}
    assert (await client.post(IMPORT, files=files)).status_code == 201
    bars.volume[7] += 1.0
    files = {"file": ("ONE-1h.csv", csv_of(bars, tmp_path))}
    refused = problem_of(await client.post(IMPORT, files=files), 422)
    assert "2024-01-01T07:00:00Z" in refused["detail"]
    [question] = refused["errors"]
    keep, replace = ({question["field"]: choice["value"]} for choice in question["choices"])
    kept = (await client.post(IMPORT, files=files, data=keep)).json()["items"][0]
    assert (kept["kept"], kept["replaced"], kept["version"]) == (1, 0, 1)
    replaced = (await client.post(IMPORT, files=files, data=replace)).json()["items"][0]
    assert (replaced["kept"], replaced["replaced"], replaced["version"]) == (0, 1, 2)


async def test_a_file_that_cannot_be_read_is_refused_with_line_and_value(site: Site, tmp_path: Path) -> None:
    client = await site.client()
    before = await datasets(client)
    lines = csv_of(random_walk(50), tmp_path).split(b"\n")
    lines[4] = lines[4].replace(b",10.0", b",many")
    problem = problem_of(await client.post(IMPORT, files={"file": ("ONE-1h.csv", b"\n".join(lines))}), 422)
    assert problem["code"] == "import_refused"
    for said in ("ONE-1h.csv", "line 5", "many"):
        assert said in problem["detail"]
    assert await datasets(client) == before


async def test_forms_that_are_none_are_refused_by_field(site: Site) -> None:
    client = await site.client()
    csv = b"time,open,high,low,close\n"

    async def refused(status: int, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        return problem_of(await client.post(IMPORT, headers=headers, content=body), status)

    assert fields_of(await refused(400, {"Content-Type": "text/csv"}, csv)) == {"Content-Type"}
    assert fields_of(await refused(400, {"Content-Type": "multipart/form-data"}, csv)) == {"Content-Type"}
    assert fields_of(await refused(400, form()[0], csv)) == {"$"}
    cut = form(('name="file"; filename="ONE-1h.csv"', csv), end=False)
    assert "last boundary" in (await refused(400, *cut))["detail"]
    assert fields_of(await refused(422, *form(('name="symbol"', b"ONE")))) == {"file"}
    a_file = ('name="file"; filename="ONE-1h.csv"', csv)
    assert fields_of(await refused(422, *form(a_file, ('name="colour"', b"red")))) == {"colour"}
    assert fields_of(await refused(422, *form(a_file, ('name="onConflict"', b"win")))) == {"onConflict"}
    assert fields_of(await refused(422, *form(a_file, ('name="symbol"', b"X" * 5_000)))) == {"symbol"}
    assert fields_of(await refused(422, *form(('name="file"; filename=".."', csv)))) == {"file"}
    assert fields_of(await refused(422, *form(('name="file"; filename="' + "x" * 300 + '"', csv)))) == {"file"}
    many = [(f'name="file"; filename="F{number}.csv"', csv) for number in range(201)]
    assert fields_of(await refused(422, *form(*many))) == {"file"}


def test_a_form_says_all_that_the_command_can_say() -> None:
    assert set(ImportForm.model_fields) == {one.name for one in dataclasses.fields(Reading)} | {"on_conflict"}
    said = {"timeZone": "Europe/Berlin", "allowGaps": "true", "sessionZone": "America/New_York", "anchor": "17:00"}
    said["skipLines"] = "2"
    form = ImportForm.model_validate({**said, "dropUnfinished": "false"})
    assert form.reading == Reading(
        time_zone="Europe/Berlin",
        session_zone="America/New_York",
        anchor="17:00",
        skip_lines=2,
        allow_gaps=True,
        drop_unfinished=False,
    )


@pytest.mark.usefixtures("without_processes")
async def test_a_name_with_folders_stays_where_uploads_are(site: Site, tmp_path: Path) -> None:
    csv = csv_of(random_walk(20), tmp_path)
    for name in ("../../../EVIL-1h.csv", "C:\\\\folder\\\\EVIL-1h.csv", "/tmp/EVIL-1h.csv"):
        headers, body = form((f'name="file"; filename="{name}"', csv))
        answer = await (await site.client()).post(IMPORT, headers=headers, content=body)
        assert answer.status_code == 201, answer.text
        assert answer.json()["items"][0]["source"] == "EVIL-1h.csv"


async def test_an_upload_that_is_too_large_is_refused_without_being_read(site: Site) -> None:
    client = await site.client()
    headers, start = form(('name="file"; filename="ONE-1h.csv"', b""), end=False)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield start.removesuffix(b"\r\n")
        while sent < 10 * LIMIT_BYTES:
            sent += 1_000_000
            yield b"x" * 1_000_000

    # A client that does not listen while it sends may only see that the connection ends.
    with contextlib.suppress(httpx.TransportError):
        problem_of(await client.post(IMPORT, headers=headers, content=endless()), 413)
    assert LIMIT_BYTES <= sent < 3 * LIMIT_BYTES
    asked = [f"POST {IMPORT} HTTP/1.1", "Host: x", f"Authorization: Bearer {site.token()}"]
    asked += [f"Content-Type: {headers['Content-Type']}", f"Content-Length: {LIMIT_BYTES + 1}", "", ""]
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(site.url).port)
    writer.write("\r\n".join(asked).encode())
    answer = await asyncio.wait_for(reader.read(), 15)  # nothing of the body was sent
    writer.close()
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"BACKFLEET_UPLOAD_MAX_BYTES" in answer


async def test_nobody_uploads_without_a_token(site: Site) -> None:
    async with http_client(site.url) as client:
        problem_of(await client.post(IMPORT, files={"file": ("ONE-1h.csv", b"x")}), 401)


async def test_a_client_that_goes_away_leaves_nothing(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    headers, start = form(('name="file"; filename="ONE-1h.csv"', b"time,open"), end=False)
    asked = [f"POST {IMPORT} HTTP/1.1", "Host: x", f"Authorization: Bearer {site.token()}"]
    asked += [f"Content-Type: {headers['Content-Type']}", "Content-Length: 10000", "", ""]
    _, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(site.url).port)
    writer.write("\r\n".join(asked).encode() + start)
    async with asyncio.timeout(15):
        await until(lambda: len(left_over(site)) == 1)
        writer.close()
        await until(lambda: left_over(site) == [])
    assert "Exception in ASGI application" not in caplog.text


async def until(holds: Callable[[], bool]) -> None:
    while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - files tell nobody when they change
        await asyncio.sleep(0.01)


@pytest.mark.usefixtures("without_processes")
async def test_more_imports_than_a_gateway_takes_are_told_to_come_back(site: Site, tmp_path: Path) -> None:
    client = await site.client()
    csv = csv_of(random_walk(20), tmp_path)
    released = asyncio.Event()

    async def slowly(number: int) -> httpx.Response:
        headers, body = form((f'name="file"; filename="SLOW{number}-1h.csv"', csv))

        async def content() -> AsyncIterator[bytes]:
            yield body[:200]
            await released.wait()
            yield body[200:]

        return await client.post(IMPORT, headers=headers, content=content(), timeout=60)

    slow = [asyncio.create_task(slowly(number)) for number in range(ADMITTED_MAX)]
    async with asyncio.timeout(60):
        await until(lambda: len(left_over(site)) == ADMITTED_MAX)
        answer = await client.post(IMPORT, files={"file": ("ONE-1h.csv", csv)})
        assert problem_of(answer, 503)["code"] == "busy"
        assert int(answer.headers["retry-after"]) > 0
        released.set()
        assert [one.status_code for one in await asyncio.gather(*slow)] == [201] * ADMITTED_MAX
        assert (await client.post(IMPORT, files={"file": ("ONE-1h.csv", csv)})).status_code == 201


async def test_the_gateway_answers_while_it_imports(site: Site, tmp_path: Path) -> None:
    client = await site.client()
    walk = random_walk(100_000)
    csv = await asyncio.to_thread(csv_of, walk._replace(time_ms=walk.time_ms - 11 * 365 * 24 * HOUR_MS), tmp_path)
    importing = asyncio.create_task(client.post(IMPORT, files={"file": ("BIG-1h.csv", csv)}, timeout=60))
    waits_s: list[float] = []
    async with asyncio.timeout(60), http_client(site.url) as other:
        while not importing.done():
            began_s = time.monotonic()
            assert (await other.get("/healthz")).status_code == 200
            waits_s.append(time.monotonic() - began_s)
    assert (await importing).status_code == 201, (await importing).text
    assert len(waits_s) > 20
    assert sorted(waits_s)[int(len(waits_s) * 0.95)] < 0.2
    assert max(waits_s) < 2


@pytest.mark.usefixtures("without_processes")
async def test_curl_uploads_a_file(site: Site, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl")
    file = write_bars(tmp_path / "CURLED-1h.csv", random_walk(20))
    command = [curl, "-sS", "-w", "%{http_code}", "-o", str(tmp_path / "answer"), f"{site.url}{IMPORT}"]
    command += ["-H", f"Authorization: Bearer {site.token()}", "-F", f"file=@{file}", "-F", "onConflict=keep"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("201", "")
    assert "CURLED" in (tmp_path / "answer").read_text()
