"""The gateway over HTTP, on real servers."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote

import httpx
import jwt
import pytest

from api.commands import TABLES_AT_ONCE
from api.relay import Relay
from api.routes.answers import (
    Accepted,
    BacktestPage,
    CandleColumns,
    Datasets,
    Equity,
    StrategyDescription,
    TradePage,
    Validation,
)
from shared.bus import Bus, Heard
from shared.candles import Candles, take_bars
from shared.candles.grid import Grid
from shared.candles.resample import resample_bars
from shared.claims import failed
from shared.contracts import Channel, Task
from shared.instants import iso_from_ms
from shared.news import refused
from shared.results import Result, Results
from shared.settings import Settings, environment_for_child
from shared.wire import decode
from tests import forks
from tests.engine.deciders import STEPS, in_the_catalogue
from tests.fleet import HOUR_MS, random_walk
from tests.gateway import BACKTESTS, BARS, BODY, Site, fields_of, gateway_on, http_client, problem_of, site_on

MakeSettings = Callable[..., Settings]


@pytest.fixture
async def site(any_mongodb_uri: str, any_redis_url: str, make_settings: MakeSettings) -> AsyncIterator[Site]:
    async with site_on(make_settings()) as one:
        yield one


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The backtests that the gateway's relay is to watch from now on, if it is built later."""
    ids: list[str] = []
    monkeypatch.setattr(Relay, "watch", lambda _self, backtest_id, _user: ids.append(backtest_id))
    return ids


async def submit(client: httpx.AsyncClient, **changes: Any) -> str:
    answer = await client.post(BACKTESTS, json=BODY | changes)
    assert answer.status_code == 202, answer.text
    return answer.json()["backtestId"]


async def test_a_backtest_is_stored_then_rung_for(backends: Any, make_settings: MakeSettings) -> None:
    async with site_on(make_settings()) as site, asyncio.timeout(20):
        client = await site.client()
        async with site.bus.listen(Channel.TASK) as items:
            await anext(items)  # subscribed
            answer = await client.post(BACKTESTS, json=BODY | {"priority": 3})
            accepted = Accepted.model_validate(answer.json())
            item = await anext(items)
        assert answer.status_code == 202
        assert accepted.status == "pending"
        assert answer.headers["location"] == f"{BACKTESTS}/{accepted.backtest_id}"
        assert isinstance(item, Heard)
        task = decode(Task, item.payload)
        assert (task.backtest_id, task.user_id, task.recorded, task.priority) == (accepted.backtest_id, "ann", True, 3)
        record = await site.store.get(accepted.backtest_id, "ann")
        assert record["params"]["strategyParams"] == BODY["strategyParams"]
        assert record["priority"] == 3
        shown = await client.get(answer.headers["location"])
        assert shown.json()["status"] == "pending"
        assert not {"claimId", "workerId", "leaseExpiresAt", "outbox", "requestKey", "userId"} & shown.json().keys()


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown symbol": ({"symbol": "NOPE"}, "symbol"),
    "an unknown interval": ({"interval": "7m"}, "interval"),
    "an interval without bars": ({"interval": "1m"}, "interval"),
    "a range without bars": ({"startDate": "2030-01-01", "endDate": "2031-01-01"}, "startDate"),
    "a start after the end": ({"startDate": "2024-02-01", "endDate": "2024-01-01"}, "startDate"),
    "an empty range": ({"startDate": "2024-01-05", "endDate": "2024-01-05"}, "startDate"),
    "an unknown strategy": ({"strategies": ["sma", "magic"]}, "strategies.1"),
    "no strategy": ({"strategies": []}, "strategies"),
    "a parameter out of range": ({"strategyParams": {"sma": {"fast": -5}}}, "strategyParams.sma.fast"),
    "a parameter of the wrong type": ({"strategyParams": {"sma": {"fast": "five"}}}, "strategyParams.sma.fast"),
    "a parameter that does not exist": ({"strategyParams": {"sma": {"fats": 5}}}, "strategyParams.sma.fats"),
    "a parameter beyond 64 bits": ({"strategyParams": {"sma": {"fast": 10**30}}}, "strategyParams.sma"),
    "a number as a date": ({"startDate": 1704067200}, "startDate"),
    "a date that does not exist": ({"endDate": "2024-02-31"}, "endDate"),
    "capital as text": ({"initialCapital": "10000"}, "initialCapital"),
    "no capital": ({"initialCapital": 0}, "initialCapital"),
    "a priority out of range": ({"priority": 10}, "priority"),
    "a symbol that is null": ({"symbol": None}, "symbol"),
    "a nested fault": ({"stopLoss": {"percent": 200}}, "stopLoss.percent"),
}


async def test_bad_input_is_refused_by_field_and_stores_nothing(site: Site) -> None:
    client = await site.client()
    for what, (changes, field) in REFUSED.items():
        problem = problem_of(await client.post(BACKTESTS, json=BODY | changes), 422)
        assert field in fields_of(problem), f"{what}: {problem}"
    for field in ("symbol", "interval", "startDate", "endDate", "strategies"):
        body = {name: value for name, value in BODY.items() if name != field}
        assert field in fields_of(problem_of(await client.post(BACKTESTS, json=body), 422))
    assert (await client.get(BACKTESTS)).json()["items"] == []


BROKEN = [
    *(b"", b"{", b"nonsense", b"\xff\xfe", b'{"symbol": NaN}', b'{"a": Infinity}', b"[" * 50_000, b'{"a":' * 50_000),
    *(b"[]", b"null", b'"text"', b"7", b"true"),
]


async def test_a_body_that_is_not_a_json_object_is_refused(site: Site) -> None:
    client = await site.client()
    for path in (BACKTESTS, "/api/algo/strategies/validate"):
        for body in BROKEN:
            problem_of(await client.post(path, content=body), 400)
    problem = problem_of(
        await client.post(BACKTESTS, content=json.dumps(BODY)[:-1] + ', "initialCapital": 1e999}'), 422
    )
    assert fields_of(problem) == {"initialCapital"}
    half = json.dumps(BODY | {"strategyParams": {"sma": {"fast": 0}}}).replace("0}}", '"\\ud800"}}')
    assert fields_of(problem_of(await client.post(BACKTESTS, content=half), 422)) == {"strategyParams.sma"}


async def test_a_body_of_5_mb_is_refused_whether_its_length_is_declared_or_not(site: Site) -> None:
    client = await site.client()
    large = b'{"symbol": "' + b"x" * 5_000_000 + b'"}'

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 65_536):
            yield large[start : start + 65_536]

    for content in (large, chunks()):
        problem_of(await client.post(BACKTESTS, content=content), 413)
    await submit(client)


async def test_a_key_stands_for_one_backtest_however_often_it_is_sent(site: Site) -> None:
    client, other = await site.client(), await site.client("eve")

    async def post(who: httpx.AsyncClient, key: str, **changes: Any) -> httpx.Response:
        return await who.post(BACKTESTS, json=BODY | changes, headers={"Idempotency-Key": key})

    answers = await asyncio.gather(*(post(client, "same") for _ in range(12)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["backtestId"] for answer in answers}) == 1
    assert len((await client.get(BACKTESTS)).json()["items"]) == 1
    assert (await post(other, "same")).json() != answers[0].json()
    assert (await post(client, "another")).json() != answers[0].json()
    problem = problem_of(await post(client, "same", initialCapital=5), 422)
    assert fields_of(problem) == {"Idempotency-Key"}
    for wrong in ("", "k" * 201, "tab\there"):
        assert fields_of(problem_of(await post(client, wrong), 422)) == {"Idempotency-Key"}


async def test_a_key_that_is_sent_again_is_answered_by_how_its_backtest_stands(watched: list[str], site: Site) -> None:
    client = await site.client()

    async def post(key: str = "k") -> tuple[int, dict[str, Any]]:
        answer = await client.post(BACKTESTS, json=BODY, headers={"Idempotency-Key": key})
        Accepted.model_validate(answer.json())
        assert answer.headers["location"] == f"{BACKTESTS}/{answer.json()['backtestId']}"
        return answer.status_code, answer.json()

    status, new = await post()
    assert (status, set(new), new["status"]) == (202, {"backtestId", "status"}, "pending")
    assert await post() == (202, new | {"progress": 0.0})
    record = await site.claim()
    assert await post() == (202, new | {"status": "running", "progress": 0.0})
    assert watched == [new["backtestId"]] * 3
    news = await site.finish(record)
    ended = new | {"status": "completed", "progress": 100.0, "resultId": news.result_id}
    assert await post() == (200, ended)

    _, other = await post("other")
    record = await site.claim()
    said = refused(record["_id"], "ann", "no bars", [], 0, "unknown_market_data")
    assert await site.claims.end([failed(record, said)]) == [True]
    error = {"code": "unknown_market_data", "message": "no bars", "errors": []}
    assert await post("other") == (200, other | {"status": "failed", "progress": 0.0, "error": error})
    assert watched[3:] == [other["backtestId"]]


async def test_a_misspelled_name_is_refused_with_the_right_one(site: Site) -> None:
    client, ear = await site.client(), await site.ear()
    body = BODY | {"stopLos": {"percent": 2}}
    wanted = [{"field": "stopLos", "message": "unknown field; did you mean stopLoss?", "code": "unknown_field"}]
    assert problem_of(await client.post(BACKTESTS, json=body), 422)["errors"] == wanted
    assert await ear.call("backtest:start", body) == {"ok": False, "errors": wanted}
    assert (await client.get(BACKTESTS)).json()["items"] == []
    for path, query, field, remedy in (
        (BACKTESTS, "statsu=failed&limit=5", "statsu", "did you mean status?"),
        (f"{BACKTESTS}/bt_1", "statsu=1", "statsu", "leave it out"),
        (f"{BACKTESTS}/bt_1/equity", "max_points=9", "max_points", "did you mean maxPoints?"),
        (f"{BACKTESTS}/bt_1/trades", "ofset=9", "ofset", "did you mean offset?"),
        ("/api/algo/data/WALK/1h/candles", "form=2024-01-02", "form", "did you mean from?"),
        ("/api/users", "limt=3", "limt", "did you mean limit?"),
    ):
        [error] = problem_of(await client.get(f"{path}?{query}"), 422)["errors"]
        said = f"unknown query parameter; {remedy}"
        assert error == {"field": field, "message": said, "code": "unknown_field"}
    assert (await client.get("/healthz?anything=1")).status_code == 200


async def test_lists_are_paged_newest_first_and_by_status(site: Site) -> None:
    client = await site.client()
    submitted = [await submit(client) for _ in range(5)]
    await submit(await site.client("eve"))
    claimed = (await site.claim())["_id"]
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        answer = await client.get(BACKTESTS, params=query)
        page = BacktestPage.model_validate(answer.json())
        seen += [one.backtest_id for one in page.items]
        if page.next_cursor is None:
            break
        assert len(page.items) == 2
        query["cursor"] = page.next_cursor
    assert seen == submitted[::-1]
    running = (await client.get(BACKTESTS, params={"status": "running"})).json()["items"]
    assert [one["backtestId"] for one in running] == [claimed]
    assert running[0]["startedAt"].endswith("Z")
    for field, value in {"limit": "0", "status": "asleep", "cursor": "nonsense"}.items():
        assert fields_of(problem_of(await client.get(BACKTESTS, params={field: value}), 422)) == {field}
    assert fields_of(problem_of(await client.get(BACKTESTS, params={"limit": "201"}), 422)) == {"limit"}


async def test_a_result_can_be_read_once_there_is_one(backends: Any, make_settings: MakeSettings) -> None:
    async with site_on(make_settings()) as site:
        client = await site.client()
        backtest_id = await submit(client)
        base = f"{BACKTESTS}/{backtest_id}"
        for part in ("result", "equity", "trades"):
            problem = problem_of(await client.get(f"{base}/{part}"), 409)
            assert "pending" in problem["detail"]
        await site.finish(await site.claim())
        result = Result.model_validate((await client.get(f"{base}/result")).json())
        assert (result.backtest_id, result.total_bars, result.metrics["profitFactor"]) == (backtest_id, 5_000, None)
        shown = (await client.get(base)).json()
        assert (shown["status"], shown["resultId"], shown["progress"]) == ("completed", result.result_id, 100.0)

        for most in (2, 3, 4, 100, 2_000, 4_000, 20_000):
            answer = await client.get(f"{base}/equity", params={"maxPoints": most})
            points = Equity.model_validate(answer.json()).points
            assert min(most, 5_000) * 0.4 <= len(points) <= most
            assert (points[0].equity, points[-1].equity) == (10_000.0, 14_999.0)
            assert points[0].time == "2024-01-01T00:00:00Z"
        assert len(points) == 5_000

        page = TradePage.model_validate((await client.get(f"{base}/trades")).json())
        first, second = page.items
        assert (first["entryTime"], first["direction"], first["strategy"]) == ("2024-01-01T01:00:00Z", "long", "sma")
        assert (first["entryReason"], first["exitReason"]) == ("signal", "stop_loss")
        assert (second["direction"], second["pnl"], second["strategy"]) == ("short", None, None)
        rest = (await client.get(f"{base}/trades", params={"limit": 1, "offset": 1})).json()
        assert rest == {"items": [second], "total": 2, "limit": 1, "offset": 1}
        beyond = (await client.get(f"{base}/trades", params={"offset": 2})).json()
        assert (beyond["items"], beyond["total"]) == ([], 2)
        for path in ("equity?maxPoints=1", "equity?maxPoints=20001", "trades?limit=0", "trades?offset=-1"):
            problem_of(await client.get(f"{base}/{path}"), 422)


async def test_deleting_takes_everything_along_and_tells_who_waits(site: Site) -> None:
    client = await site.client()
    done = await submit(client)
    await site.finish(await site.claim())
    running = await submit(client)
    record = await site.claim()
    ear = await site.ear()
    for backtest_id in (done, running):
        assert (await client.delete(f"{BACKTESTS}/{backtest_id}")).status_code == 204
        problem_of(await client.get(f"{BACKTESTS}/{backtest_id}"), 404)
        problem_of(await client.get(f"{BACKTESTS}/{backtest_id}/result"), 404)
        problem_of(await client.delete(f"{BACKTESTS}/{backtest_id}"), 404)
    said = await ear.hears_event("backtest:error")
    assert (said["backtestId"], said["code"], said["status"]) == (running, "deleted", "error")
    assert ear.events_of(done) == []
    with pytest.raises(AssertionError):
        await site.finish(record)  # the run that was under way finds its claim gone
    assert await site.database.mongo.collection("results").count_documents({"backtestId": done}) == 0


ROUTES = [
    *(("GET", ""), ("DELETE", ""), ("GET", "/result"), ("GET", "/equity"), ("GET", "/trades"), ("GET", "/logs")),
]


async def test_nobody_reaches_what_is_not_theirs(site: Site) -> None:
    owner, other = await site.client(), await site.client("eve")
    backtest_id = await submit(owner)
    await site.finish(await site.claim())
    for method, part in ROUTES:
        theirs = problem_of(await other.request(method, f"{BACKTESTS}/{backtest_id}{part}"), 404)
        unknown = problem_of(await other.request(method, f"{BACKTESTS}/bt_unknown{part}"), 404)
        assert theirs["code"] == unknown["code"]
        assert theirs["detail"].replace(backtest_id, "") == unknown["detail"].replace("bt_unknown", "")
    assert (await other.get(BACKTESTS)).json()["items"] == []
    assert (await owner.get(f"{BACKTESTS}/{backtest_id}/result")).status_code == 200


async def test_no_route_but_health_and_docs_answers_without_a_valid_token(site: Site) -> None:
    client = await site.client()
    schema = (await client.get("/openapi.json")).json()
    open_paths = {"/healthz", "/readyz", "/metrics", *(f"/api/auth/{verb}" for verb in ("login", "refresh", "logout"))}
    bad = [None, "Bearer nonsense", f"Bearer {jwt.encode({'sub': 'ann', 'exp': 2**33}, 'x' * 40)}", "Basic YTpi"]
    asked = 0
    for path, methods in schema["paths"].items():
        for method in methods:
            for header in bad if path not in open_paths else []:
                headers = {} if header is None else {"Authorization": header}
                async with http_client(site.url) as stranger:
                    answer = await stranger.request(method, path.replace("{backtest_id}", "bt_1"), headers=headers)
                assert problem_of(answer, 401)["code"] == "unauthenticated"
                assert answer.headers["www-authenticate"].startswith("Bearer")
                asked += 1
    assert asked >= 40


async def test_strategies_are_described_and_checked(site: Site) -> None:
    client = await site.client()
    with in_the_catalogue(STEPS):
        found = [StrategyDescription.model_validate(one) for one in (await client.get("/api/algo/strategies")).json()]
    assert {"sma_crossover", "rsi", "buy_and_hold"} <= {one.id for one in found}
    assert all(one.default_parameters.keys() == one.parameters_schema["properties"].keys() for one in found)
    forms = {one.id: (one.form, one.every) for one in found}
    assert (forms["sma_crossover"], forms["steps"]) == (("signals", None), ("decide", 1))
    [rule] = [one for one in found if "language" in one.model_fields_set]
    assert rule.id == "rule"
    assert rule.language is not None
    assert "crosses_above(a, b)" in {one.signature for one in rule.language.functions}
    assert {"close", "volume"} <= {one.name for one in rule.language.series}

    async def check(**body: Any) -> Validation:
        answer = await client.post("/api/algo/strategies/validate", json=body)
        assert answer.status_code == 200
        return Validation.model_validate(answer.json())

    assert await check(strategy="sma", params={"fast": 5, "slow": 20}) == Validation(valid=True, errors=[])
    assert (await check(strategy="sma")).valid
    wrong = await check(strategy="sma", params={"fast": 50, "slow": 20, "x": 1})
    assert not wrong.valid
    assert {error.field for error in wrong.errors} >= {"params.x"}
    assert [error.field for error in (await check(strategy="magic", params={"a": 1})).errors] == ["strategy"]
    [unread] = (await check(strategy="rule", params={"long": "close > 1", "exit": "sma(close, 10 > 3"})).errors
    assert unread.field == "params.exit"
    assert unread.message == 'at character 15: expected ")" to close sma(x, period), found ">"'
    assert (unread.start, unread.end, unread.near) == (14, 15, [])
    [misspelled] = (await check(strategy="rule", params={"long": "clsoe > 1"})).errors
    assert (misspelled.start, misspelled.end, misspelled.near) == (0, 5, ["close"])
    assert "start" not in wrong.errors[0].model_fields_set, "it is no text"
    problem_of(await client.post("/api/algo/strategies/validate", json={"params": {}}), 422)


async def test_market_data_is_listed(site: Site) -> None:
    listed = Datasets.model_validate((await (await site.client()).get("/api/algo/data")).json()).items
    assert [(one["symbol"], one["interval"], one["bars"]) for one in listed] == [("WALK", "1h", BARS)]


async def test_a_backtest_on_coarser_bars_than_are_stored_is_accepted_and_on_finer_ones_refused(site: Site) -> None:
    client = await site.client()
    accepted = await client.post(BACKTESTS, json=BODY | {"interval": "4h"})
    assert accepted.status_code == 202
    record = await site.claim()
    finer = await Candles(site.database.mongo, site.settings).resolve("WALK", "1h", 0, 4_000_000_000_000)
    assert (record["_id"], record["manifestId"]) == (accepted.json()["backtestId"], finer.manifest_id)
    assert record["datasetHash"] != finer.dataset_hash
    [error] = problem_of(await client.post(BACKTESTS, json=BODY | {"interval": "3m"}), 422)["errors"]
    assert error["field"] == "interval"
    assert error["message"] == "there are no 3m bars of WALK, nor any to make them of; there are 1h"


async def test_bars_to_plot_are_exactly_what_the_stored_ones_come_to(site: Site) -> None:
    client = await site.client()
    stored = random_walk(BARS)

    async def candles(path: str, **query: Any) -> dict[str, Any]:
        answer = await client.get(f"/api/algo/data/{path}/candles", params=query)
        assert answer.status_code == 200, answer.text
        CandleColumns.model_validate(answer.json())
        return answer.json()

    whole = await candles("WALK/1h")
    assert (whole["resampled"], whole["bucketMs"], whole["bars"], whole["resampledFrom"]) == (
        False,
        HOUR_MS,
        BARS,
        None,
    )
    assert [whole[name] for name in stored._fields[1:]] == [column.tolist() for column in stored[1:]]
    few = await candles("WALK/1h", maxPoints=100)
    expected = resample_bars(stored, Grid.every(few["bucketMs"]))
    assert (few["resampled"], few["bucketMs"] % HOUR_MS, few["datasetHash"]) == (True, 0, whole["datasetHash"])
    assert 80 <= len(few["time"]) <= 100
    assert few["time"] == [iso_from_ms(time_ms) for time_ms in expected.time_ms.tolist()]
    assert [few[name] for name in stored._fields[1:]] == [column.tolist() for column in expected[1:]]
    part = await candles("WALK/4h", **{"from": "2024-01-02", "to": "2024-01-03T02:00:00Z"})
    assert (part["resampledFrom"], part["resampled"], part["bars"]) == ("1h", False, 7)
    assert part["close"] == stored.close[24 + 3 : 24 + 28 : 4].tolist()
    for points in range(2, 40):
        assert 2 <= len((await candles("WALK/4h", maxPoints=points))["open"]) <= points


@pytest.mark.parametrize("symbol", ["^GSPC", "EURUSD=X", "M&M.NS", "ES1!"])
async def test_symbols_of_other_programs_are_imported_run_and_read_by_their_names(site: Site, symbol: str) -> None:
    client = await site.client()
    text = "Date,Open,High,Low,Close\n" + "".join(f"2024-01-0{day},1,2,1,1.5\n" for day in range(1, 8))
    imported = await client.post("/api/algo/data/import", files=[("file", (f"{symbol}.csv", text.encode()))])
    assert (imported.status_code, imported.json()["items"][0]["symbol"]) == (201, symbol)
    candles = await client.get(f"/api/algo/data/{quote(symbol, safe='')}/1d/candles")
    assert (candles.status_code, candles.json()["symbol"], len(candles.json()["open"])) == (200, symbol, 7)
    span = {"startDate": "2024-01-01", "endDate": "2024-01-08"}
    accepted = await client.post(BACKTESTS, json=BODY | {"symbol": symbol, "interval": "1d"} | span)
    assert accepted.status_code == 202, accepted.text


async def test_bars_to_plot_are_sent_once(site: Site) -> None:
    client = await site.client()
    path = "/api/algo/data/A%2FB/1h/candles"
    candles = Candles(site.database.mongo, site.settings)
    await candles.import_bars("A/B", "1h", take_bars(random_walk(BARS), slice(0, 100)), "test")
    first = await client.get(path)
    assert (first.status_code, first.json()["symbol"], first.headers["cache-control"]) == (
        200,
        "A/B",
        "private, no-cache",
    )
    tag = first.headers["etag"]
    again = await client.get("/api/algo/data/A/B/1h/candles", headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    for query in ({"maxPoints": 50}, {"from": "2024-01-02"}):
        other = await client.get(path, params=query, headers={"If-None-Match": tag})
        assert (other.status_code, other.headers["etag"] != tag) == (200, True)
    await candles.import_bars("A/B", "1h", random_walk(BARS), "more")
    assert (await client.get(path, headers={"If-None-Match": tag})).status_code == 200


@pytest.mark.parametrize(
    ("path", "query", "status", "field", "says"),
    [
        ("WALKS/1h", {}, 404, "symbol", "there is WALK"),
        ("WALK/30m", {}, 404, "interval", "there are 1h"),
        ("WALK/7h", {}, 422, "interval", "'1m', '3m'"),
        ("%20/1h", {}, 422, "symbol", "pattern"),
        (
            "WALK/1h",
            {"from": "2023-01-01", "to": "2023-02-01"},
            422,
            "to",
            "WALK 1h has bars from 2024-01-01T00:00:00Z",
        ),
        ("WALK/1h", {"from": "2024-02-01"}, 422, "from", "is after the last bar; WALK 1h has bars from"),
        ("WALK/1h", {"from": "2024-02-01", "to": "2024-01-01"}, 422, "from", "must be before to 2024-01-01"),
        ("WALK/1h", {"from": "yesterday"}, 422, "from", 'such as "2024-01-31"'),
        ("WALK/1h", {"from": "0001-01-01", "to": "0001-01-02"}, 422, "to", "is not after the first bar"),
        ("WALK/1h", {"maxPoints": "5001"}, 422, "maxPoints", "5000"),
        ("WALK/1h", {"maxPoints": "1"}, 422, "maxPoints", "2"),
    ],
)
async def test_bars_that_cannot_be_plotted_are_refused_with_what_there_is(
    site: Site, path: str, query: dict[str, str], status: int, field: str, says: str
) -> None:
    answer = await (await site.client()).get(f"/api/algo/data/{path}/candles", params=query)
    [error] = problem_of(answer, status)["errors"]
    assert error["field"] == field
    assert says in error["message"]


async def test_every_refusal_is_a_problem_document(site: Site) -> None:
    client = await site.client()
    problem_of(await client.get("/nope"), 404)
    problem_of(await client.patch(BACKTESTS), 405)
    problem_of(await client.get(f"{BACKTESTS}/%00%ff%2e"), 404)
    problem_of(await client.get(f"{BACKTESTS}/" + "x" * 3_000), 404)


async def test_the_description_names_bodies_answers_and_problems(site: Site) -> None:
    schema = (await (await site.client()).get("/openapi.json")).json()
    operation = schema["paths"][BACKTESTS]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/BacktestRequest")
    properties = schema["components"]["schemas"]["BacktestRequest"]["properties"]
    assert {"symbol", "startDate", "strategyParams", "priority"} <= properties.keys()
    assert operation["parameters"][0]["name"] == "Idempotency-Key"
    text = json.dumps(schema)
    for reference in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert reference in schema["components"]["schemas"]


async def test_a_bus_that_is_down_loses_no_submission_and_is_not_ready(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await site.client()
    dead = await Bus.open(site.settings)
    await dead.close()

    async def fail(*_: Any) -> Any:
        raise type(error)(error.message)

    from shared.errors import BusUnavailable

    error = BusUnavailable("Redis did not answer")
    monkeypatch.setattr(Bus, "ring", fail)
    monkeypatch.setattr(Bus, "ping", fail)
    backtest_id = await submit(client)
    assert (await client.get(f"{BACKTESTS}/{backtest_id}")).json()["status"] == "pending"
    assert "bus" in problem_of(await client.get("/readyz"), 503)["detail"]
    assert (await client.get("/healthz")).status_code == 200


async def test_a_store_that_is_down_is_a_503_that_tells_nothing_of_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.errors import StoreUnavailable
    from shared.mongo import Mongo
    from shared.store import Store

    async def fail(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("mongodb://root:hunter2@db: no answer")

    for owner, name in ((Store, "insert"), (Store, "get"), (Mongo, "ping")):
        monkeypatch.setattr(owner, name, fail)
    client = await site.client()
    for answer in (await client.post(BACKTESTS, json=BODY), await client.get(f"{BACKTESTS}/bt_1")):
        problem_of(answer, 503)
        assert answer.headers["retry-after"] == "2"
        assert "hunter2" not in answer.text
    problem_of(await client.get("/readyz"), 503)


async def test_a_surprise_is_a_500_that_tells_nothing_of_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from shared.store import Store

    async def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("hunter2")

    monkeypatch.setattr(Store, "get", fail)
    client = await site.client()
    answer = await client.get(f"{BACKTESTS}/bt_1")
    problem_of(answer, 500)
    assert "hunter2" not in answer.text


async def test_browsers_may_call_from_the_origins_that_are_set(any_redis_url: str, make_settings: MakeSettings) -> None:
    origin = "https://app.example"
    async with gateway_on(make_settings(cors_origins=(origin,))) as url, http_client(url) as client:
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = await client.options(BACKTESTS, headers=asked)
        assert answer.headers["access-control-allow-origin"] == origin
        other = await client.options(BACKTESTS, headers=asked | {"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


def start(settings: Settings) -> forks.Talking:
    return forks.Talking(["-m", "api"], environment_for_child(settings))


async def test_the_process_says_where_it_listens_and_ends_on_sigterm(
    any_mongodb_uri: str, any_redis_url: str, make_settings: MakeSettings
) -> None:
    process = start(make_settings(log_format="json"))
    try:
        line = json.loads(await asyncio.to_thread(process.stderr.readline))
        assert line["level"] == "INFO"
        url = line["message"].removeprefix("listening on ")
        async with http_client(url) as client:
            # It listens before it serves: the first answer may take as long as the start.
            assert (await client.get("/healthz", timeout=30)).status_code == 200
        process.send_signal(signal.SIGTERM)
        _, rest = await asyncio.to_thread(process.communicate, "", 20)
        assert (process.returncode, "Traceback" in rest) == (0, False)
    finally:
        process.close()


async def refusal_of(settings: Settings) -> str:
    process = start(settings)
    _, said = await asyncio.to_thread(process.communicate, "", 40)
    assert process.returncode == 1
    assert "Traceback" not in said
    return said.strip()


async def test_a_taken_port_is_one_clear_line(site: Site) -> None:
    port = int(site.url.rpartition(":")[2])
    settings = site.settings.model_copy(update={"port": port})
    said = await refusal_of(Settings(**{name: getattr(settings, name) for name in settings.model_fields_set}))
    assert said == f"backfleet api: 127.0.0.1:{port} is taken; free it or choose another BACKFLEET_PORT"


async def test_production_without_a_proper_secret_does_not_start(make_settings: MakeSettings) -> None:
    unreachable = {"mongodb_uri": "mongodb://127.0.0.1:1", "mongodb_database": "x", "redis_url": "redis://127.0.0.1:1"}
    said = await refusal_of(make_settings(mode="production", jwt_secret="short", **unreachable))
    assert said.startswith("backfleet api: BACKFLEET_JWT_SECRET ")
    assert "\n" not in said


async def test_a_missing_server_is_named_without_its_password(make_settings: MakeSettings) -> None:
    settings = make_settings(
        mongodb_uri="mongodb://root:hunter2@127.0.0.1:1",
        mongodb_database="x",
        redis_url="redis://:hunter2@127.0.0.1:1",
        store_timeout_s=0.2,
    )
    said = await refusal_of(settings)
    assert "Cannot start: MongoDB did not answer" in said
    assert "hunter2" not in said


async def test_of_one_user_few_tables_are_read_at_once_and_another_user_does_not_wait(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading: dict[str, int] = {}
    most: dict[str, int] = {}
    full, gate = asyncio.Event(), asyncio.Event()
    original = Results.read_trades

    async def watched(self: Results, result: Any, **page: int) -> str:
        user = result["userId"]
        reading[user] = reading.get(user, 0) + 1
        most[user] = max(most.get(user, 0), reading[user])
        if reading[user] == TABLES_AT_ONCE:
            full.set()
        if user == "ann":
            await gate.wait()
        try:
            return await original(self, result, **page)
        finally:
            reading[user] -= 1

    monkeypatch.setattr(Results, "read_trades", watched)
    paths: dict[str, str] = {}
    clients: dict[str, httpx.AsyncClient] = {}
    for user in ("ann", "bob"):
        clients[user] = await site.client(user)
        paths[user] = f"{BACKTESTS}/{await submit(clients[user])}/trades"
        await site.finish(await site.claim())
    asked = [asyncio.create_task(clients["ann"].get(paths["ann"])) for _ in range(8)]
    await full.wait()
    assert (await clients["bob"].get(paths["bob"])).json()["total"] == 2
    gate.set()
    answers = await asyncio.gather(*asked)
    assert [answer.json()["total"] for answer in answers] == [2] * 8
    assert most == {"ann": TABLES_AT_ONCE, "bob": 1}
