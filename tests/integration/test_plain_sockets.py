"""The plain WebSocket, with the `websockets` client, on real servers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import jwt
import msgpack
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api import revocation
from deploy.contract.messages import WS_ANSWERS
from shared.contracts import Channel, Event, Progress
from shared.errors import BusUnavailable
from shared.records import BacktestRecord
from shared.settings import Settings
from tests.conftest import JWT_SECRET
from tests.contract import check_frame
from tests.gateway import BACKTESTS, BODY, Ear, Site, site_on

MakeSettings = Callable[..., Settings]
DEADLINE_S = 15.0


@pytest.fixture
async def site(any_mongodb_uri: str, any_redis_url: str, make_settings: MakeSettings) -> AsyncIterator[Site]:
    async with site_on(make_settings(sign_in_timeout_s=3.0)) as one:
        yield one


def opened(site: Site, user: str | None = None, **options: Any) -> connect:
    """A socket whose handshake carries the user's token, or none."""
    headers = {} if user is None else {"Authorization": f"Bearer {site.token(user)}"}
    url = site.url.replace("http", "ws") + "/ws"
    return connect(url, additional_headers=headers | options.pop("headers", {}), proxy=None, **options)


async def ask(ws: ClientConnection, **frame: Any) -> None:
    await ws.send(json.dumps(frame))


async def hears(ws: ClientConnection, kind: str) -> dict[str, Any]:
    """The next frame of this type, whatever comes before it."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            data = await ws.recv()
            frame = json_or_msgpack(data)
            if frame["type"] in WS_ANSWERS:  # Tests say the others by hand, with as little in them as they need.
                check_frame(frame)
            if frame["type"] == kind:
                return frame


async def closed(ws: ClientConnection) -> int | None:
    """The code that the socket is closed with, whatever comes before it."""
    async with asyncio.timeout(DEADLINE_S):
        with contextlib.suppress(ConnectionClosed):
            async for _ in ws:
                pass
    return ws.close_code


async def running(site: Site, user: str = "ann") -> BacktestRecord:
    """A backtest of the user that a worker has claimed."""
    await (await site.client(user)).post(BACKTESTS, json=BODY)
    return await site.claim()


def named(record: BacktestRecord, seq: int) -> dict[str, Any]:
    return {"backtest_id": record["_id"], "user_id": record["userId"], "epoch": record["epoch"], "seq": seq}


def progress(record: BacktestRecord, seq: int) -> Progress:
    return Progress(**named(record, seq), progress=float(seq), message="Processing", current_date="2024-01-01")


async def say(site: Site, record: BacktestRecord, seq: int, kind: str, **data: Any) -> None:
    event = Event.model_validate(named(record, seq) | {"type": kind, "data": data})
    assert await site.bus.publish(Channel.EVENT, event)


async def answering(site: Site, record: BacktestRecord, seq: int) -> None:
    """A worker that says where its run stands when it is asked for the first time."""
    async with site.bus.listen(Channel.CONTROL) as heard:
        async for item in heard:
            asked = json.loads(getattr(item, "payload", "{}"))
            if asked.get("action") == "watch":
                assert asked == {"backtestId": record["_id"], "userId": record["userId"], "action": "watch"}
                await say(site, record, seq, "state", snapshot=True, currentCandleIndex=9, metrics={"equityCurve": []})
                return


async def test_one_backtest_is_watched_to_its_end_in_both_encodings_compressed(site: Site) -> None:
    record = await running(site)
    assert await site.bus.publish(Channel.PROGRESS, progress(record, 1))
    worker = asyncio.create_task(answering(site, record, 2))
    while await site.bus.count_listeners(Channel.CONTROL) < 1:  # noqa: ASYNC110 - another connection to the server
        await asyncio.sleep(0.01)
    topic = f"backtest:{record['_id']}"
    async with opened(site) as ws, opened(site, "ann", compression=None) as other, opened(site, "eve") as stranger:
        assert "permessage-deflate" in ws.response.headers["Sec-WebSocket-Extensions"]  # pyright: ignore[reportOptionalMemberAccess]
        await ask(ws, action="authenticate", token=site.token(), encoding="msgpack")
        signed_in = await hears(ws, "authenticated")
        assert (signed_in["data"]["user_id"], signed_in["data"]["encoding"]) == ("ann", "msgpack")
        await ws.send(msgpack.packb({"action": "subscribe", "topic": topic}) or b"")
        assert await hears(ws, "subscription_confirmed") == {
            "type": "subscription_confirmed",
            "topic": topic,
            "recovered": True,
        }
        state = await hears(ws, "backtest_state_update")
        assert (state["sessionId"], state["state"]["snapshot"], state["state"]["seq"]) == (record["_id"], True, 2)
        assert "partial" not in state["state"]
        await worker
        await ask(other, action="subscribe", topic=topic, after={"epoch": record["epoch"], "seq": 1})
        await hears(other, "subscription_confirmed")
        await ask(stranger, action="subscribe", topic=topic)
        refused = await hears(stranger, "error")
        assert (refused["topic"], refused["errors"][0]["code"]) == (topic, "not_found")
        await say(site, record, 3, "log", entries=[{"level": "INFO", "message": "one"}, {"message": "two"}])
        await say(site, record, 4, "trade", what="opened", trade={})
        news = await site.finish(record, seq=5)
        for client in (ws, other):
            lines = [(await hears(client, "log_entry"))["data"]["message"] for _ in range(2)]
            assert lines == ["one", "two"]
            assert (await hears(client, "backtest_trade"))["data"]["what"] == "opened"
            end = await hears(client, "backtest_complete")
            assert (end["data"]["return_pct"], end["data"]["results"]["resultId"]) == (1.5, news.result_id)
            assert (end["epoch"], end["seq"]) == (record["epoch"], 5)
    ear = await site.ear()
    assert (await ear.call("backtest:subscribe", {"backtestId": record["_id"]}))["ok"]


async def test_a_backtest_is_told_as_a_session_too_each_topic_from_where_its_subscriber_is(site: Site) -> None:
    record = await running(site)
    state = {"openTrades": [], "currentCandleIndex": 1, "totalCandles": 500, "metrics": {"equityCurve": []}}
    await say(site, record, 1, "started", totalBars=500)
    await say(site, record, 2, "state", **state)
    plain, session = f"backtest:{record['_id']}", f"session:{record['_id']}"
    after = {"epoch": record["epoch"], "seq": 0}
    async with opened(site, "ann") as ws, opened(site, "eve") as stranger:
        await ask(stranger, action="subscribe", topic=session)
        refused = await hears(stranger, "error")
        assert (refused["topic"], refused["errors"][0]["code"]) == (session, "not_found")
        await ask(ws, action="authenticate", encoding="msgpack")
        await ask(ws, action="subscribe", topic=plain, after=after)
        assert (await hears(ws, "backtest_state_update"))["state"]["partial"]
        assert (await hears(ws, "backtest_state_update"))["state"]["seq"] == 2
        await ask(ws, action="subscribe", topic=session, after=after)
        assert (await hears(ws, "subscription_confirmed"))["recovered"] is True
        assert (await hears(ws, "session_initialized"))["data"]["total_candles"] is None
        assert (await hears(ws, "session_initialized"))["data"]["total_candles"] == 500
        assert (await hears(ws, "stats_update"))["seq"] == 2
        await say(site, record, 3, "thinking", bar=1, time="2024-01-01T00:00:00Z", strategy="ai_trader")
        assert {json_or_msgpack(await ws.recv())["type"] for _ in range(2)} == {"backtest_thinking", "ai_thinking"}
        await ask(ws, action="unsubscribe", topic=session)
        assert (await hears(ws, "unsubscription_confirmed"))["topic"] == session
        await say(site, record, 4, "paused", bar=1)
        assert (await hears(ws, "backtest_paused"))["seq"] == 4
        await ask(ws, action="unsubscribe", topic=plain)
        assert json_or_msgpack(await ws.recv())["topic"] == plain, "it has heard nothing else"
        await ask(ws, action="subscribe", topic=session, after=after | {"seq": 3})
        assert (await hears(ws, "session_paused"))["seq"] == 4
        await site.finish(record, seq=5)
        end = await hears(ws, "session_completed")
        assert (end["seq"], end["data"]["stats"]["equity"]) == (5, None)


async def test_a_session_that_has_ended_is_greeted_and_told_its_end(site: Site) -> None:
    record = await running(site)
    news = await site.finish(record)
    await site.bus.forget(record["_id"])
    topic = f"session:{record['_id']}"
    async with opened(site, "ann") as ws:
        await ask(ws, action="subscribe", topic=topic)
        heard = [json_or_msgpack(await ws.recv()) for _ in range(3)]
        kinds = ["subscription_confirmed", "session_initialized", "session_completed"]
        assert [frame["type"] for frame in heard] == kinds
        assert heard[-1]["data"]["result_id"] == news.result_id


def json_or_msgpack(data: str | bytes) -> dict[str, Any]:
    return json.loads(data) if isinstance(data, str) else msgpack.unpackb(data)


async def test_the_wide_topics_are_heard_by_their_user_alone_until_they_are_left(site: Site) -> None:
    async with opened(site, "ann") as everything, opened(site, "ann") as lines, opened(site, "eve") as stranger:
        for ws, topic in ((everything, "backtest"), (lines, "logs"), (stranger, "backtest")):
            await ask(ws, action="subscribe", topic=topic)
            assert await hears(ws, "subscription_confirmed") == {"type": "subscription_confirmed", "topic": topic}
        record = await running(site)
        await say(site, record, 1, "started", symbol="X", interval="1h", strategies=["sma"])
        assert await site.bus.publish(Channel.PROGRESS, progress(record, 2))
        await say(site, record, 3, "log", message="a line")
        kinds = [json.loads(await everything.recv())["type"] for _ in range(3)]
        assert kinds == ["backtest_start", "backtest_progress", "log_entry"]
        assert (await hears(lines, "log_entry"))["data"]["message"] == "a line"
        await ask(everything, action="unsubscribe", topic="backtest")
        await hears(everything, "unsubscription_confirmed")
        await site.finish(record, seq=4)
        other = await running(site, "eve")
        assert await site.bus.publish(Channel.PROGRESS, progress(other, 1))
        assert (await hears(stranger, "backtest_progress"))["data"]["backtest_id"] == other["_id"]
        for ws in (everything, lines):
            await ask(ws, action="unsubscribe", topic="logs")
            assert json.loads(await ws.recv())["type"] == "unsubscription_confirmed", "it has heard nothing else"


FRAMES: list[tuple[str | bytes, str, str]] = [
    ("{", "$", "malformed"),
    ("[1]", "$", "malformed"),
    ("NaN", "$", "malformed"),
    (b"\xc1", "$", "malformed"),
    (b"\x91" * 5_000, "$", "malformed"),
    (b"\xdd\xff\xff\xff\xff", "$", "malformed"),  # a list of 2**32 - 1 items
    (b"\xdf\xff\xff\xff\xff", "$", "malformed"),
    (b"\xc6\xff\xff\xff\xff", "$", "malformed"),
    (b"\x81\xa6action\xa1\xff", "$", "malformed"),
    ('{"action":"subscribe","topic":1e400}', "$", "malformed"),
    (msgpack.packb({"action": msgpack.Timestamp(1)}) or b"", "action", "unknown_action"),
    (msgpack.packb({"action": "subscribe", "topic": msgpack.ExtType(5, b"x")}) or b"", "topic", "string_type"),
    (msgpack.packb({"action": "subscribe", "topic": b"x"}) or b"", "topic", "string_type"),
    (msgpack.packb({1: 2}) or b"", "$", "malformed"),
    ("{}", "action", "unknown_action"),
    ('{"action":["x"]}', "action", "unknown_action"),
    ('{"action":"start"}', "action", "unknown_action"),
    ('{"action":"subscribe"}', "topic", "missing"),
    ('{"action":"subscribe","topic":"everything"}', "topic", "value_error"),
    ('{"action":"subscribe","topic":"backtest:"}', "topic", "value_error"),
    ('{"action":"subscribe","topic":"session:"}', "topic", "value_error"),
    ('{"action":"subscribe","topic":"session"}', "topic", "value_error"),
    ('{"action":"subscribe","topic":"session:bt 1"}', "topic", "value_error"),
    ('{"action":"subscribe","topic":"session:bt_unknown"}', "backtestId", "not_found"),
    ('{"action":"subscribe","topic":"session:bt_unknown","replay":{"from":-1}}', "replay.from", "value_error"),
    ('{"action":"subscribe","topic":"session:bt_unknown","replay":{}}', "backtestId", "not_found"),
    (
        '{"action":"control","backtest_id":"bt_unknown","command":{"action":"pause","close_position":true}}',
        "command.closeOpenTrades",
        "value_error",
    ),
    (
        '{"action":"control","backtest_id":"bt_unknown","command":{"action":"stop","close_position":"yes"}}',
        "command.close_position",
        "bool_type",
    ),
    ('{"action":"subscribe","topic":"backtest:\\ud800"}', "topic", "string_unicode"),
    (
        '{"action":"subscribe","topic":"backtest:bt_1","after":{"epoch":-1,"seq":1}}',
        "after.epoch",
        "greater_than_equal",
    ),
    ('{"action":"subscribe","topic":"logs","after":{"epoch":1,"seq":1}}', "after", "value_error"),
    ('{"action":"subscribe","topic":"logs","limit":1}', "limit", "unknown_field"),
    ('{"action":"subscribe","topic":"backtest:bt_unknown"}', "backtestId", "not_found"),
    ('{"action":"unsubscribe","topic":""}', "topic", "value_error"),
    ('{"action":"authenticate","token":"x"}', "token", "conflict"),
    ('{"action":"authenticate","encoding":"xml"}', "encoding", "literal_error"),
    ('{"action":"control","backtest_id":"bt_unknown","command":{"action":"pause"}}', "backtestId", "not_found"),
    ('{"action":"control","backtestId":"bt_unknown","command":{"action":"dance"}}', "command.action", "literal_error"),
    ('{"action":"control","backtestId":"bt_unknown"}', "command", "missing"),
]


async def test_what_a_client_sends_is_answered_and_closes_nothing(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(site, "ann") as ws:
        for frame, field, code in FRAMES:
            await ws.send(frame)
            error = (await hears(ws, "error"))["errors"][0]
            assert (error["field"], error["code"]) == (field, code), (frame, error)
        await ask(ws, action="subscribe", topic="logs")
        await hears(ws, "subscription_confirmed")
        await ws.send("x" * 2_000_000)
        assert await closed(ws) == 1009
    assert [one for one in caplog.records if one.exc_info or one.levelno >= logging.ERROR] == []


async def test_a_backtest_is_steered_by_its_owner(site: Site) -> None:
    submitted = (await (await site.client()).post(BACKTESTS, json=BODY)).json()
    pause = {"action": "control", "backtest_id": submitted["backtestId"], "command": {"action": "pause"}}
    async with opened(site, "ann") as ws, opened(site, "eve") as stranger:
        await ask(stranger, **pause)
        assert (await hears(stranger, "error"))["errors"][0]["code"] == "not_found"
        await ask(ws, **pause)
        answer = (await hears(ws, "control_confirmed"))["data"]
        assert (answer["backtest_id"], answer["action"]) == (submitted["backtestId"], "pause")
        assert (answer["status"], answer["done"]) == ("paused", True)
        assert answer["command_id"]


async def test_a_stop_may_leave_the_position_open_in_the_words_of_sessions(site: Site) -> None:
    record = await running(site)
    stop = {"action": "stop", "close_position": False}
    async with opened(site, "ann") as ws, asyncio.timeout(DEADLINE_S), site.bus.listen(Channel.CONTROL) as heard:
        await ask(ws, action="control", backtest_id=record["_id"], command=stop)
        async for item in heard:
            said = json.loads(getattr(item, "payload", "{}"))
            if said.get("action") == "stop":
                assert said["closeOpenTrades"] is False
                return


async def test_what_is_asked_of_one_session_in_one_go_is_done_in_that_order_and_told_once(site: Site) -> None:
    record = await running(site)
    topic, after = f"session:{record['_id']}", {"epoch": record["epoch"], "seq": 0}
    async with opened(site, "ann") as ws:
        for action in ("subscribe", "subscribe", "unsubscribe", "subscribe"):
            await ask(ws, action=action, topic=topic, **({} if action == "unsubscribe" else {"after": after}))
        done = [(await hears(ws, f"{one}ion_confirmed"))["topic"] for one in ("subscript", "subscript", "unsubscript")]
        assert done == [topic] * 3
        await hears(ws, "subscription_confirmed")
        await say(site, record, 1, "paused", bar=1)
        await hears(ws, "session_paused")
        for action in ("unsubscribe", "subscribe", "unsubscribe"):
            await ask(ws, action=action, topic=topic)
        for kind in ("unsubscription_confirmed", "subscription_confirmed", "unsubscription_confirmed"):
            await hears(ws, kind)
        await say(site, record, 2, "resumed", bar=1)
        await ask(ws, action="subscribe", topic=topic, after=after | {"seq": 1})
        heard = [json_or_msgpack(await ws.recv())["type"] for _ in range(3)]
        assert heard == ["subscription_confirmed", "session_initialized", "session_resumed"]
        assert await subscriptions(site) == 1
    async with asyncio.timeout(DEADLINE_S):
        while await subscriptions(site):  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.02)


async def subscriptions(site: Site) -> float:
    """Of all sockets, as the gateway counts them."""
    metrics = (await (await site.client()).get("/metrics")).text
    return float(re.findall(r"^backfleet_subscriptions (\S+)", metrics, re.MULTILINE)[0])


async def test_who_does_not_say_who_it_is_hears_nothing_and_does_not_stay(site: Site) -> None:
    async with opened(site) as ws:
        for frame in ({"action": "subscribe", "topic": "backtest"}, {"action": "authenticate", "token": "nonsense"}):
            await ask(ws, **frame)
            assert (await hears(ws, "error"))["errors"][0]["code"] == "unauthenticated"
        await ask(ws, action="authenticate", encoding="msgpack")
        assert (await hears(ws, "error"))["errors"][0]["field"] == "token"
        assert (await hears(ws, "error"))["errors"][0]["code"] == "unauthenticated"
        assert await closed(ws) == 4408
    refused = {
        401: {"Authorization": "Bearer nonsense"},
        403: {"Origin": "https://elsewhere.example", "Authorization": f"Bearer {site.token()}"},
    }
    for status, headers in refused.items():
        with pytest.raises(InvalidStatus) as refusal:
            await opened(site, headers=headers)
        assert refusal.value.response.status_code == status
        assert json.loads(refusal.value.response.body)["status"] == status
    host = site.url.removeprefix("http://")
    async with opened(site, "ann", headers={"Origin": f"http://{host}"}) as own:
        await ask(own, action="subscribe", topic="logs")
        await hears(own, "subscription_confirmed")


async def test_a_token_that_ends_or_is_revoked_ends_the_socket_and_says_so(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = jwt.encode({"sub": "ann", "exp": int(time.time()) + 2}, JWT_SECRET)
    async with opened(site, headers={"Authorization": f"Bearer {token}"}) as ws, opened(site, "eve") as other:
        assert (await hears(ws, "error"))["errors"][0]["code"] == "token_expired"
        assert await closed(ws) == 4401

        async def nobody(_gate: Any, identities: list[Any]) -> list[None]:
            return [None] * len(identities)

        monkeypatch.setattr("api.gate.Gate.look_again", nobody)
        assert revocation.LOOK_AGAIN_S < DEADLINE_S
        assert (await hears(other, "error"))["errors"][0]["code"] == "token_revoked"
        assert await closed(other) == 4401


async def test_sockets_of_both_kinds_count_together_by_address(
    any_mongodb_uri: str, any_redis_url: str, make_settings: MakeSettings
) -> None:
    async with site_on(make_settings(sockets_per_address_max=2)) as site:
        ear = Ear()
        await ear.sio.connect(site.url, auth={"token": site.token()}, transports=["websocket"])
        async with opened(site, "ann"):
            with pytest.raises(InvalidStatus) as refusal:
                await opened(site, "ann")
            assert refusal.value.response.status_code == 429
            assert "Retry-After" in refusal.value.response.headers
            metrics = (await (await site.client()).get("/metrics")).text
            assert 'backfleet_sockets{state="signed_in"} 2.0' in metrics
        await ear.sio.disconnect()
        async with opened(site, "ann"), opened(site, "ann"):
            pass


async def test_who_does_not_read_is_cut_and_others_notice_nothing(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    record = await running(site)
    topic = f"backtest:{record['_id']}"
    deaf_end = socket.socket()
    deaf_end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    deaf_end.setblocking(False)
    await asyncio.get_running_loop().sock_connect(deaf_end, ("127.0.0.1", int(site.url.rpartition(":")[2])))
    deaf = await opened(site, "ann", sock=deaf_end, compression=None, max_queue=1, ping_interval=None)
    async with opened(site, "ann") as ws:
        for one in (ws, deaf):
            await ask(one, action="subscribe", topic=topic)
            await hears(one, "subscription_confirmed")
        seq = 0
        async with asyncio.timeout(60):
            while "reads too slowly" not in caplog.text:
                seq += 1
                await say(site, record, seq, "trade", what="opened", trade={"note": "x" * 50_000})
                assert (await hears(ws, "backtest_trade"))["seq"] == seq
        assert seq > 5
    deaf.transport.abort()


async def test_a_silent_bus_does_not_refuse_subscribers(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    record = await running(site)

    async def fail(*_: Any) -> Any:
        raise BusUnavailable("down")

    for method in ("replay", "mark_watched", "say"):
        monkeypatch.setattr(f"shared.bus.Bus.{method}", fail)
    async with opened(site, "ann") as ws:
        await ask(ws, action="subscribe", topic=f"backtest:{record['_id']}")
        assert (await hears(ws, "subscription_confirmed"))["recovered"] is False
        state = (await hears(ws, "backtest_state_update"))["state"]
        assert (state["status"], state["partial"]) == ("running", True)
