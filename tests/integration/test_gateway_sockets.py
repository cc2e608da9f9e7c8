"""The gateway over Socket.IO, with the official client, on real servers."""

import asyncio
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any

import aiohttp
import jwt
import pytest
import redis.asyncio
import socketio
from socketio.exceptions import ConnectionError as SocketRefused

from api import sockets
from api.expiry import Expiry
from api.listeners import TRANSPORT_MAX
from shared.contracts import Channel, Event, Progress
from shared.errors import BusUnavailable
from shared.records import BacktestRecord
from shared.settings import Settings
from tests.conftest import JWT_SECRET
from tests.gateway import BACKTESTS, BODY, Ear, Site, gateway_on, site_on
from tests.timers import FakeTimers

MakeSettings = Callable[..., Settings]


@pytest.fixture
async def site(any_mongodb_uri: str, any_redis_url: str, make_settings: MakeSettings) -> AsyncIterator[Site]:
    async with site_on(make_settings()) as one:
        yield one


def progress(record: BacktestRecord, seq: int, epoch: int | None = None) -> Progress:
    return Progress(
        backtest_id=record["_id"],
        user_id=record["userId"],
        epoch=record["epoch"] if epoch is None else epoch,
        seq=seq,
        progress=float(seq),
        message="Processing 2024-01-01",
        current_date="2024-01-01",
    )


def logged(record: BacktestRecord, seq: int) -> Event:
    return Event(
        backtest_id=record["_id"],
        user_id=record["userId"],
        epoch=record["epoch"],
        seq=seq,
        type="log",
        data={"level": "INFO", "message": f"line {seq}"},
    )


async def running(site: Site, user: str = "ann") -> BacktestRecord:
    """A backtest of the user that a worker has claimed."""
    await (await site.client(user)).post(BACKTESTS, json=BODY)
    return await site.claim()


def seqs(ear: Ear, record: BacktestRecord) -> list[int]:
    return [said["seq"] for _, said in ear.told if said.get("backtestId") == record["_id"] and not said.get("snapshot")]


def token_with(**changes: Any) -> str:
    claims = {"sub": "ann", "exp": int(time.time()) + 60} | changes
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, JWT_SECRET)


async def test_a_socket_without_a_valid_token_is_refused_with_the_reason(site: Site) -> None:
    refused = {
        "no token": None,
        "an empty object": {},
        "a list": ["token"],
        "a number as the token": {"token": 7},
        "nonsense": {"token": "nonsense"},
        "another secret": {"token": jwt.encode({"sub": "ann", "exp": 2**33}, "x" * 40)},
        "an expired token": {"token": token_with(exp=int(time.time()) - 600)},
        "no user": {"token": token_with(sub=None)},
    }
    for what, auth in refused.items():
        sio = socketio.AsyncClient(reconnection=False)
        reasons: list[Any] = []
        sio.on("connect_error", reasons.append)
        with pytest.raises(SocketRefused):
            await sio.connect(site.url, auth=auth, transports=["websocket"])
        assert reasons[0]["message"].startswith("unauthenticated: "), what
        await sio.disconnect()


async def test_a_backtest_is_started_and_watched_to_its_end(backends: Any, make_settings: MakeSettings) -> None:
    async with site_on(make_settings()) as site:
        ear, stranger = await site.ear(), await site.ear("eve")
        answer = await ear.call("backtest:start", BODY)
        assert answer["ok"]
        backtest_id = answer["backtestId"]
        assert await ear.call("backtest:subscribe", {"backtestId": backtest_id}) == {"ok": True, "recovered": True}
        record = await site.claim()
        for seq, one in enumerate((progress, logged, progress), 1):
            news = one(record, seq)
            channel = Channel.PROGRESS if isinstance(news, Progress) else Channel.EVENT
            assert await site.bus.publish(channel, news)
        news = await site.finish(record, seq=4)
        told = await ear.hears_event("backtest:complete")
        assert told == news.as_wire()
        assert [event for event, _ in ear.told] == [
            *("backtest:state", "backtest:progress", "backtest:log", "backtest:progress", "backtest:complete")
        ]
        assert (await site.results.read(told["resultId"], "ann"))["backtestId"] == backtest_id
        assert stranger.told == []


GARBAGE: list[Any] = [
    *(None, [], "text", b"bytes", 7, True, {}, "x" * 100_000, {"backtestId": None}, {"backtestId": 7}),
    *({"backtestId": ""}, {"backtestId": "a\x00b"}, {"backtestId": ["bt"]}, {"backtestId": "bt_1", "after": "x"}),
    *({"backtestId": "bt_1", "after": {"epoch": -1, "seq": 1}}, {"backtestId": "bt_1", "after": {"epoch": 1}}),
    *(
        {"backtestId": b"bytes"},
        {"symbol": b"bytes"},
        {"backtestId": "x" * 10_000},
        {"strategyParams": {"a": {"b": []}}},
    ),
    json.loads('{"a":' * 200 + "1" + "}" * 200),
    json.loads("[" * 300 + "]" * 300),
    BODY | {"symbol": "NOPE"},
    BODY | {"strategies": ["magic"]},
    BODY | {"strategyParams": {"sma": {"fast": 10**40}}},
    BODY | {"startDate": "2025-01-01"},
]


async def test_no_payload_breaks_an_event_or_its_connection(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    ear = await site.ear()
    for event in ("backtest:subscribe", "backtest:unsubscribe", "backtest:start", "backtest:control", "nonsense"):
        for payload in GARBAGE:
            answer = await ear.call(event, payload)
            if event == "backtest:unsubscribe" and isinstance(payload, dict) and payload.get("backtestId") == "bt_1":
                continue
            assert answer["ok"] is False, (event, payload)
            assert answer["errors"]
            for error in answer["errors"]:
                assert set(error) == {"field", "message", "code"}
                assert error["message"]
    assert (await ear.call("backtest:start", BODY))["ok"]
    assert [one for one in caplog.records if one.exc_info] == []


async def test_refusals_name_the_field(site: Site) -> None:
    ear = await site.ear()

    async def fields(event: str, payload: Any) -> set[str]:
        return {error["field"] for error in (await ear.call(event, payload))["errors"]}

    assert await fields("backtest:start", BODY | {"symbol": "NOPE"}) == {"symbol"}
    assert await fields("backtest:start", BODY | {"strategies": ["sma", "magic"]}) == {"strategies.1"}
    assert await fields("backtest:subscribe", {"backtestId": "bt_1", "after": {"epoch": 1}}) == {"after.seq"}
    assert await fields("backtest:control", {"backtestId": "bt_1", "action": "pause"}) == {"backtestId"}
    assert await fields("backtest:control", {"backtestId": "bt_1", "action": "dance"}) == {"action"}


async def test_somebody_elses_backtest_is_as_unknown_as_none(site: Site) -> None:
    record = await running(site)
    ear = await site.ear("eve")
    theirs = await ear.call("backtest:subscribe", {"backtestId": record["_id"]})
    unknown = await ear.call("backtest:subscribe", {"backtestId": "bt_unknown"})
    assert theirs["errors"][0]["code"] == unknown["errors"][0]["code"] == "not_found"
    assert theirs["errors"][0]["message"].replace(record["_id"], "bt_unknown") == unknown["errors"][0]["message"]
    await site.bus.publish(Channel.EVENT, logged(record, 1))
    await site.bus.publish(Channel.PROGRESS, progress(record, 2))
    other = await running(site, "eve")
    await site.bus.publish(Channel.PROGRESS, progress(other, 1))
    await ear.hears_event("backtest:progress")
    assert {said["backtestId"] for _, said in ear.told} == {other["_id"]}


async def test_the_acknowledgement_comes_first_then_the_snapshot_then_what_was_missed_then_live(
    backends: Any, make_settings: MakeSettings
) -> None:
    async with site_on(make_settings()) as site:
        record = await running(site)
        for seq in range(1, 21):
            await site.bus.publish(Channel.EVENT, logged(record, seq))
        order: list[Any] = []
        ear = await site.ear()
        ear.on_message = lambda event, said: order.append((event, said["seq"]))
        acknowledged = asyncio.Event()

        def acknowledge(answer: Any) -> None:
            order.append(answer)
            acknowledged.set()

        async def publish() -> None:
            for seq in range(21, 61):
                await site.bus.publish(Channel.EVENT, logged(record, seq))

        publishing = asyncio.create_task(publish())
        request = {"backtestId": record["_id"], "after": {"epoch": record["epoch"], "seq": 5}}
        await ear.sio.emit("backtest:subscribe", request, callback=acknowledge)
        await asyncio.gather(publishing, acknowledged.wait())
        await ear.hears(lambda _, said: said.get("seq") == 60)
        assert order[0] == {"ok": True, "recovered": True}
        assert order[1] == ("backtest:state", 5)
        assert order[2:] == [("backtest:log", seq) for seq in range(6, 61)]


async def test_a_client_that_comes_back_is_given_exactly_what_it_missed(site: Site) -> None:
    record = await running(site)
    first = await site.ear()
    await first.call("backtest:subscribe", {"backtestId": record["_id"]})
    for seq in range(1, 4):
        await site.bus.publish(Channel.EVENT, logged(record, seq))
    await first.hears(lambda _, said: said.get("seq") == 3)
    await first.sio.disconnect()
    for seq in range(4, 7):
        await site.bus.publish(Channel.EVENT, logged(record, seq))
    second = await site.ear()
    after = {"epoch": record["epoch"], "seq": 3}
    answer = await second.call("backtest:subscribe", {"backtestId": record["_id"], "after": after})
    assert answer == {"ok": True, "recovered": True}
    await second.hears(lambda _, said: said.get("seq") == 6)
    assert seqs(second, record) == [4, 5, 6]


async def test_every_client_hears_everything_once_from_every_replica(
    any_mongodb_uri: str, any_redis_url: str, make_settings: MakeSettings
) -> None:
    async with site_on(make_settings()) as site, gateway_on(site.settings) as second_url:
        ears = [await site.ear() for _ in range(3)]
        for url in (site.url, second_url, second_url):
            ear = Ear()
            await ear.sio.connect(url, auth={"token": site.token()}, transports=["websocket", "polling"])
            ears.append(ear)
        record = await running(site)
        for ear in ears[::2]:
            assert (await ear.call("backtest:subscribe", {"backtestId": record["_id"]}))["ok"]
        for seq in range(1, 11):
            await site.bus.publish(Channel.PROGRESS, progress(record, seq))
        await site.finish(record, seq=11)
        for ear in ears:
            await ear.hears_event("backtest:complete")
            assert seqs(ear, record) == list(range(1, 12))
            await ear.sio.disconnect()


async def test_a_polling_client_is_served_too(site: Site) -> None:
    record = await running(site)
    url = f"{site.url}/socket.io/?EIO=4&transport=polling"
    told = ""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
        async with session.get(url) as opened:
            url += "&sid=" + json.loads((await opened.text())[1:])["sid"]
        subscribe = '420["backtest:subscribe",' + json.dumps({"backtestId": record["_id"]}) + "]"
        for packet in ("40" + json.dumps({"token": site.token()}), subscribe):
            async with session.post(url, data=packet) as answer:
                assert answer.status == 200
        await site.finish(record, seq=1)
        while "backtest:complete" not in told:
            async with session.get(url) as poll:
                assert poll.status == 200
                told += await poll.text() + "\x1e"
    packets = [packet[:22] for packet in told.split("\x1e")]
    assert [packet[:2] for packet in packets[:2]] == ["40", "43"]
    assert packets[2:] == ['42["backtest:state",{"', '42["backtest:complete"', ""]


async def test_garbage_on_every_channel_harms_nobody(backends: Any, make_settings: MakeSettings) -> None:
    async with site_on(make_settings()) as site:
        ear = await site.ear()
        record = await running(site)
        raw = redis.asyncio.Redis.from_url(site.settings.redis_url.get_secret_value())
        good = progress(record, 1).as_json()
        async with raw:
            for channel in Channel:
                for text in (b"", b"{", b"\xff\xfe\x00", b"null", b"[1]", b"[" * 50_000, good[:-1].encode(), b"{}"):
                    await raw.publish(channel.value, text)
        # Bytes that are not text make the client library give its connection up; the replacement hears this one.
        async with asyncio.timeout(20):
            seq = 0
            while not ear.told:
                seq += 1
                await site.bus.publish(Channel.PROGRESS, progress(record, seq))
                await asyncio.sleep(0.05)
        await site.finish(record, seq=seq + 1)
        await ear.hears_event("backtest:complete")
        async with aiohttp.ClientSession() as session, session.get(f"{site.url}/readyz") as answer:
            assert answer.status == 200


async def test_an_end_that_redis_lost_is_told_within_ten_seconds(site: Site) -> None:
    record = await running(site)
    subscriber, submitter = await site.ear(), await site.ear()
    await subscriber.call("backtest:subscribe", {"backtestId": record["_id"]})
    await site.bus.publish(Channel.PROGRESS, progress(record, 1))
    await submitter.hears_event("backtest:progress")
    news = await site.finish(record, seq=2, publish=False)
    for ear in (subscriber, submitter):
        assert await ear.hears_event("backtest:complete", deadline_s=10) == news.as_wire()
    await site.bus.publish(Channel.COMPLETE, news)
    other = await running(site)
    await site.bus.publish(Channel.PROGRESS, progress(other, 1))
    for ear in (subscriber, submitter):
        await ear.hears(lambda _, said: said.get("backtestId") == other["_id"])
        assert ear.events_of(record["_id"]).count("backtest:complete") == 1


async def test_who_subscribes_after_the_event_log_expired_still_hears_the_end(site: Site) -> None:
    record = await running(site)
    news = await site.finish(record, seq=5)
    await site.bus.forget(record["_id"])
    ear = await site.ear()
    await ear.call("backtest:subscribe", {"backtestId": record["_id"]})
    assert await ear.hears_event("backtest:complete") == news.as_wire()
    state = await ear.hears_event("backtest:state")
    assert (state["status"], state["progressPercent"], state["resultId"]) == ("completed", 100.0, news.result_id)


async def test_a_silent_bus_does_not_refuse_subscribers(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    record = await running(site)
    ear = await site.ear()

    async def fail(*_: Any) -> Any:
        raise BusUnavailable("down")

    monkeypatch.setattr("shared.bus.Bus.replay", fail)
    answer = await ear.call("backtest:subscribe", {"backtestId": record["_id"]})
    assert answer == {"ok": True, "recovered": False}
    assert (await ear.hears_event("backtest:state"))["status"] == "running"


async def test_requests_of_one_socket_at_once_are_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ear = await site.ear()
    monkeypatch.setattr(sockets, "AT_ONCE_MAX", 0)
    answer = await ear.call("backtest:subscribe", {"backtestId": "bt_1"})
    assert answer["errors"][0]["code"] == "too_many"
    monkeypatch.undo()
    assert (await ear.call("backtest:start", BODY))["ok"]


PACKETS = [
    *("2", "2{}", "2[]", '2["x', "2[7]", '2[{"a":1}]', "2[[]]", '2["disconnect"]', '2["connect",{},{"token":"x"}]'),
    *('2["backtest:start",NaN]', "2" + "[" * 50_000, "9", "x", "3", "31[]", "0", '0{"token":"x"}', "4", "2/x,[]"),
    *("51-[]", '599999999-["x"]', '51-["x",{"_placeholder":true,"num":5}]', "5", "6", "61-[]", "", "-", "1x"),
    *('2["backtest:subscribe"', '2["*"]', '52-["backtest:start",{"_placeholder":true,"num":0}]'),
]


async def open_raw(site: Site, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
    """A Socket.IO connection without a Socket.IO library: packets go out as they are written."""
    raw = await session.ws_connect(f"{site.url}/socket.io/?EIO=4&transport=websocket")
    assert (await raw.receive_str()).startswith("0")
    await raw.send_str("40" + json.dumps({"token": site.token()}))
    assert (await raw.receive_str()).startswith("40")
    return raw


async def test_broken_packets_are_answered_and_close_nothing(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with aiohttp.ClientSession() as session:
        for packet in PACKETS:
            raw = await open_raw(site, session)
            await raw.send_str("4" + packet)
            if packet[:3] in ("51-", "61-", "52-"):
                await raw.send_bytes(b"attachment")
            await raw.send_str('427["backtest:unsubscribe",{"backtestId":"bt_1"}]')
            async with asyncio.timeout(10):
                while True:
                    said = await raw.receive_str()
                    if said.startswith("437"):
                        break
                    assert said.startswith('42["backtest:error",'), (packet, said)
                    error = json.loads(said[2:])[1]
                    assert (error["code"], error["errors"][0]["field"]) == ("malformed_message", "$")
            assert json.loads(said[3:]) == [{"ok": True}], packet
            await raw.close()
    assert [one for one in caplog.records if one.exc_info or one.levelno >= logging.ERROR] == []


async def test_frames_that_are_not_of_the_protocol_end_their_own_connection_quietly(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    bystander = await site.ear()
    async with aiohttp.ClientSession() as session:
        for frame in ("hello", "", "\ud7ff", "4" + "[" * 200_000, "b!!!", "0" * 500_000):
            raw = await open_raw(site, session)
            await raw.send_str(frame)
            await raw.close()
        raw = await open_raw(site, session)
        await raw.send_str('42["backtest:start","' + "x" * 2_000_000 + '"]')
        async with asyncio.timeout(10):
            assert (await raw.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        await raw.close()
        refused = session.ws_connect(f"{site.url}/nowhere")
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await refused
    assert (await bystander.call("backtest:start", BODY))["ok"]
    assert [one for one in caplog.records if one.exc_info or one.levelno >= logging.ERROR] == []


async def open_deaf(site: Site, backtest_id: str) -> socket.socket:
    """A subscriber that reads no further than its acknowledgement."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    deaf.settimeout(10)
    await asyncio.to_thread(deaf.connect, ("127.0.0.1", int(site.url.rpartition(":")[2])))

    def frame(text: str) -> bytes:
        return b"\x81" + bytes([0x80 | 126]) + len(text).to_bytes(2, "big") + b"\0\0\0\0" + text.encode()

    request = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    key = "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    subscribe = '420["backtest:subscribe",' + json.dumps({"backtestId": backtest_id}) + "]"

    async def ask(question: bytes, answer: bytes) -> None:
        await asyncio.to_thread(deaf.sendall, question)
        read = b""
        while answer not in read:
            part = await asyncio.to_thread(deaf.recv, 512)
            assert part
            read += part

    await ask((request + key).encode(), b"\r\n\r\n")
    await ask(frame("40" + json.dumps({"token": site.token()})) + frame(subscribe), b"430[")
    return deaf


async def test_a_client_that_does_not_read_is_closed_and_holds_up_nobody(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    record = await running(site)
    quick = await site.ear()
    await quick.call("backtest:subscribe", {"backtestId": record["_id"]})
    deaf = await open_deaf(site, record["_id"])
    seq = 0
    try:
        async with asyncio.timeout(60):
            while "reads too slowly" not in caplog.text:
                seq += 1
                trade = logged(record, seq).model_copy(update={"type": "trade", "data": {"note": "x" * 20_000}})
                assert await site.bus.publish(Channel.EVENT, trade)
                await quick.hears(lambda _, said, seq=seq: said.get("seq") == seq)
        assert seq > TRANSPORT_MAX
        assert seqs(quick, record) == list(range(1, seq + 1))
    finally:
        deaf.close()


@pytest.mark.parametrize("edge", ["HTTP", "a socket"])
async def test_the_end_of_what_came_in_by_any_edge_is_found_although_nothing_was_said(site: Site, edge: str) -> None:
    ear = await site.ear()
    if edge == "HTTP":
        assert (await (await site.client()).post(BACKTESTS, json=BODY)).status_code == 202
    else:
        assert (await ear.call("backtest:start", BODY))["ok"]
    news = await site.finish(await site.claim(), publish=False)
    assert await ear.hears_event("backtest:complete", deadline_s=10) == news.as_wire()


async def say(site: Site, record: BacktestRecord, seqs: Iterable[int]) -> None:
    """News for the owner under odd numbers, details for subscribers under even ones."""
    for seq in seqs:
        if seq % 2:
            assert await site.bus.publish(Channel.PROGRESS, progress(record, seq))
        else:
            assert await site.bus.publish(Channel.EVENT, logged(record, seq))


async def subscribed(ear: Ear, record: BacktestRecord, seq: int | None = None) -> dict[str, Any]:
    after = {} if seq is None else {"after": {"epoch": record["epoch"], "seq": seq}}
    return await ear.call("backtest:subscribe", {"backtestId": record["_id"], **after})


async def test_what_was_lost_in_mid_run_is_not_said_to_be_recovered(site: Site) -> None:
    record = await running(site)
    await say(site, record, range(1, 11))
    await site.bus.forget(record["_id"])  # expired, evicted or flushed
    await say(site, record, range(11, 14))
    for seq, recovered in ((None, False), (4, False), (9, False), (10, True), (12, True)):
        ear = await site.ear()
        assert await subscribed(ear, record, seq) == {"ok": True, "recovered": recovered}, seq
        await ear.hears_event("backtest:state")
    news = await site.finish(record, seq=14)
    await ear.hears_event("backtest:complete")
    await site.bus.forget(record["_id"])
    for seq, recovered in ((None, False), (12, False), (13, True), (14, True)):
        ear = await site.ear()
        assert await subscribed(ear, record, seq) == {"ok": True, "recovered": recovered}, seq
        await ear.hears_event("backtest:state")
        if seq != 14:
            assert await ear.hears_event("backtest:complete") == news.as_wire()


async def test_an_empty_log_is_all_for_who_has_listened_since_before_the_claim(site: Site) -> None:
    ear = await site.ear()
    record = await running(site)
    assert await subscribed(ear, record) == {"ok": True, "recovered": True}
    await say(site, record, [1])
    await ear.hears_event("backtest:progress")
    await site.bus.forget(record["_id"])
    late = await site.ear()
    assert await subscribed(late, record) == {"ok": True, "recovered": False}
    assert await subscribed(ear, record) == {"ok": True, "recovered": False}


@pytest.mark.parametrize("after", [(1, 500), (2, 0), (7, 1), (1, 14), (1, 10**40)])
async def test_a_cursor_ahead_of_the_log_is_none_and_its_client_hears_everything(
    site: Site, after: tuple[int, int]
) -> None:
    record = await running(site)
    await say(site, record, range(1, 14))
    ear = await site.ear()
    request = {"backtestId": record["_id"], "after": {"epoch": after[0], "seq": after[1]}}
    assert await ear.call("backtest:subscribe", request) == {"ok": True, "recovered": False}
    await say(site, record, range(14, 17))
    await site.finish(record, seq=17)
    await ear.hears_event("backtest:complete")
    assert seqs(ear, record) == list(range(1, 18))


async def test_a_cursor_of_a_log_that_was_lost_is_not_believed_and_what_comes_is_heard(site: Site) -> None:
    record = await running(site)
    await say(site, record, range(1, 21))
    await site.bus.forget(record["_id"])
    ear = await site.ear()
    assert await subscribed(ear, record, 20) == {"ok": True, "recovered": False}
    await say(site, record, range(21, 23))
    await site.finish(record, seq=23)
    await ear.hears_event("backtest:complete")
    assert seqs(ear, record) == [21, 22, 23]


async def test_who_hears_live_news_before_it_subscribes_is_still_told_what_it_missed(site: Site) -> None:
    record = await running(site)
    await say(site, record, range(1, 28))
    ear = await site.ear()
    await say(site, record, range(28, 32))
    await ear.hears(lambda _, said: said.get("seq") == 31)
    assert await subscribed(ear, record, 20) == {"ok": True, "recovered": True}
    await say(site, record, range(32, 34))
    await site.finish(record, seq=34)
    await ear.hears_event("backtest:complete")
    assert seqs(ear, record) == [29, 31, *range(21, 29), 30, 32, 33, 34]
    state = await ear.hears_event("backtest:state")
    assert (state["epoch"], state["seq"]) == (record["epoch"], 20), "where it breaks off, nothing is lost"


async def test_what_can_only_be_told_after_the_end_or_a_newer_run_is_not_told_and_said_so(site: Site) -> None:
    record = await running(site)
    await say(site, record, range(1, 11))
    ear = await site.ear()
    await site.bus.publish(Channel.PROGRESS, progress(record, 1, epoch=record["epoch"] + 1))
    await ear.hears_event("backtest:progress")
    assert await subscribed(ear, record, 4) == {"ok": True, "recovered": False}
    other = await running(site)
    await say(site, other, range(1, 4))
    await site.finish(other, seq=4)
    await ear.hears_event("backtest:complete")
    assert await subscribed(ear, other) == {"ok": True, "recovered": False}
    assert seqs(ear, record) == [1]
    assert seqs(ear, other) == [1, 3, 4]


async def let_in(site: Site, **claims: Any) -> Ear:
    ear = Ear()
    await ear.sio.connect(site.url, auth={"token": token_with(**claims)}, transports=["websocket"])
    return ear


async def is_gone(ear: Ear) -> None:
    async with asyncio.timeout(10):
        await ear.sio.wait()
        await ear.sio.disconnect()


async def test_a_socket_ends_with_its_token_and_is_told_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    timers = FakeTimers(time.time())
    moved = partial(Expiry, now_s=timers.now_s, call_later=timers.call_later)
    monkeypatch.setattr(sockets, "Expiry", moved)
    exp = int(timers.time_s) + 600
    soon, later, left = await let_in(site, exp=exp), await let_in(site, exp=exp + 600), await let_in(site, exp=exp)
    assert len(timers.pending) == 3
    await left.sio.disconnect()
    record = await running(site)
    await say(site, record, [1])
    for ear in (soon, later):
        await ear.hears_event("backtest:progress")
    await timers.has_pending(2)
    timers.advance(exp - timers.time_s - 0.5)
    assert (await soon.call("backtest:unsubscribe", {"backtestId": "bt_1"}))["ok"]
    timers.advance(0.5)
    told = await soon.hears_event("auth:expired")
    assert told["code"] == "token_expired"
    assert "expired" in told["message"]
    await is_gone(soon)
    assert len(timers.pending) == 1
    await say(site, record, [3])
    await later.hears(lambda _, said: said.get("seq") == 3)
    assert [event for event, _ in soon.told] == ["backtest:progress", "auth:expired"]
    await later.sio.disconnect()
    assert left.events_of(record["_id"]) == []


async def test_a_connection_is_closed_at_its_end_by_the_real_clock_whatever_its_client_does(site: Site) -> None:
    exp = int(time.time()) + 2
    async with aiohttp.ClientSession() as session:
        raw = await session.ws_connect(f"{site.url}/socket.io/?EIO=4&transport=websocket")
        await raw.send_str("40" + json.dumps({"token": token_with(exp=exp)}))
        said: list[str] = []
        async with asyncio.timeout(20):
            while (message := await raw.receive()).type is aiohttp.WSMsgType.TEXT:
                said.append(message.data)
        assert time.time() >= exp
        expired = '42["auth:expired",{"code":"token_expired",'
        assert [packet[: len(expired)] for packet in said[2:]] == [expired, "41", "1"]
