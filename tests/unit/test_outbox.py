"""What waits for a client that reads slowly: bounded, the newest of what goes out of date, everything else in order."""

import json
from typing import Any

import pytest

from api import outbox
from api.outbox import Outbox
from api.pieces import Piece, read_news
from shared.contracts import Channel
from tests.relay import complete, detail, news, progress


def piece_of(heard: Any) -> Piece:
    return read_news(heard.channel, heard.payload)


def state(seq: int, bar: int, points: list[Any], backtest_id: str = "bt1", epoch: int = 1, **more: Any) -> Piece:
    metrics = {"totalTrades": seq, "equityCurve": points}
    data = {"currentCandleIndex": bar, "metrics": metrics, "firstBar": bar - len(points)} | more
    return piece_of(news(Channel.EVENT, epoch, seq, backtest_id, type="state", data=data))


def said(piece: Piece) -> dict[str, Any]:
    return json.loads(piece.text)


def taken(box: Outbox) -> list[Piece]:
    return [box.take() for _ in range(len(box))]


def slow(pieces: list[Piece]) -> Outbox:
    box = Outbox()
    for piece in pieces:
        box.put(piece, slow=True)
    return box


def test_of_what_goes_out_of_date_the_newest_waits_behind_what_was_said_before_it() -> None:
    pieces = [
        *(progress(1, 1), detail(1, 2, "trade"), progress(1, 3), progress(1, 1, "bt2"), detail(1, 4, "signal")),
        *(progress(1, 5), detail(1, 6, "candle"), complete(1, 7)),
    ]
    told = taken(slow([piece_of(one) for one in pieces]))
    assert [(one.backtest_id, one.position) for one in told] == [
        *(("bt1", (1, 2)), ("bt2", (1, 1)), ("bt1", (1, 4)), ("bt1", (1, 5)), ("bt1", (1, 6)), ("bt1", (1, 7)))
    ]


def test_who_reads_gets_all_of_what_came_in_one_go() -> None:
    box = Outbox()
    for seq in range(1, 2_001):
        box.put(piece_of(progress(1, seq) if seq % 2 else detail(1, seq)), slow=False)
    assert [one.position for one in taken(box)] == [(1, seq) for seq in range(1, 2_001)]


def test_the_points_of_a_state_that_is_replaced_go_on_with_the_newer_one() -> None:
    [one] = taken(slow([state(1, 2, [[1, 10.0], [2, 11.0]]), state(2, 3, [[3, 9.5]]), state(3, 4, [[4, 12.25]])]))
    assert one.position == (1, 3)
    assert said(one)["metrics"] == {"totalTrades": 3, "equityCurve": [[1, 10.0], [2, 11.0], [3, 9.5], [4, 12.25]]}
    assert (said(one)["firstBar"], said(one)["currentCandleIndex"], said(one)["seq"]) == (0, 4, 3)


def test_a_point_that_is_said_again_is_the_one_that_was_said_last() -> None:
    [one] = taken(slow([state(1, 2, [[1, 10.0], [2, 11.0]]), state(2, 2, [[2, 11.5]])]))
    assert said(one)["metrics"]["equityCurve"] == [[1, 10.0], [2, 11.5]]


def test_many_states_wait_as_one_and_what_is_not_as_runs_say_it_is_left_out() -> None:
    many = [state(seq, seq, [[seq, float(seq)]]) for seq in range(1, 1_001)]
    box = slow(many)
    assert not box.overflows
    [one] = taken(box)
    assert said(one)["metrics"]["equityCurve"] == [[seq, float(seq)] for seq in range(1, 1_001)]
    strange = state(2, 9, [[9, 1.0]], metrics={"equityCurve": [7]})
    assert taken(slow([state(1, 5, [[5, 1.0]]), strange])) == [strange]


def test_many_points_are_thinned_to_stored_ones_and_keep_first_last_and_extremes() -> None:
    points = [[at, float(at % 97)] for at in range(3_000)]
    points[1_234][1], points[2_345][1] = 1e6, -1e6
    [one] = taken(slow([state(1, 1_500, points[:1_500]), state(2, 3_000, points[1_500:])]))
    metrics = said(one)["metrics"]
    assert metrics["thinned"]
    curve = metrics["equityCurve"]
    assert len(curve) <= outbox.POINTS_MAX
    assert {tuple(point) for point in curve} <= {tuple(point) for point in points}
    assert {(0, 0.0), (1_234, 1e6), (2_345, -1e6), (2_999, points[-1][1])} <= {tuple(point) for point in curve}


@pytest.mark.parametrize(
    "fixed",
    [
        state(2, 1, [[1, 1.0]]),  # went back
        state(2, 9, [[9, 1.0]], epoch=2),
        state(2, 9, [[9, 1.0]], commandId="c1"),
        state(2, 9, [[9, 1.0]], currentCandleIndex="x"),
    ],
)
def test_a_state_that_cannot_be_told_with_the_one_before_it_is_told_apart(fixed: Piece) -> None:
    first = state(1, 5, [[5, 1.0]])
    assert taken(slow([first, fixed])) == [first, fixed]


def test_a_snapshot_replaces_every_state_and_later_states_come_after_it() -> None:
    pieces = [state(1, 5, [[5, 1.0]]), state(2, 6, [], commandId="c1"), state(1, 5, [[5, 1.0]], "bt2")]
    box = slow([*pieces, piece_of(detail(1, 3, "trade")), state(4, 7, [[1, 1.0]], snapshot=True, trades={"pnl": [1]})])
    for piece in (state(5, 8, [[8, 2.0]]), state(6, 9, [[9, 3.0]])):
        box.put(piece, slow=True)
    told = taken(box)
    assert [(one.backtest_id, one.position) for one in told] == [
        *(("bt2", (1, 1)), ("bt1", (1, 3)), ("bt1", (1, 4)), ("bt1", (1, 6)))
    ]
    assert said(told[2])["trades"] == {"pnl": [1]}
    assert said(told[3])["metrics"]["equityCurve"] == [[8, 2.0], [9, 3.0]]


def test_lines_of_a_log_are_left_out_counted_and_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "LOGS_UP_TO", 50)
    box = slow([piece_of(detail(1, seq)) for seq in range(1, 61)])
    batch = {"entries": [{"message": "a"}, {"message": "b"}], "dropped": 5}
    box.put(piece_of(news(Channel.EVENT, 1, 61, type="log", data=batch)), slow=True)
    box.put(piece_of(detail(1, 62, "trade")), slow=True)
    told: list[Piece] = []
    while box:
        told.append(box.take())
    lines = [one for one in told if one.position is None]
    assert [one.position[1] for one in told if one.position] == [*range(1, 51), 62]
    [line] = lines
    assert said(line)["dropped"] == 17
    assert said(line)["entries"][0]["message"].startswith("17 lines are left out here")


def test_what_a_client_asked_for_counts_against_no_limit_and_what_is_said_does() -> None:
    box = Outbox()
    box.owe([piece_of(detail(1, seq)) for seq in range(1, 5_001)])
    box.put(state(5_001, 1, [[at, 1.0] for at in range(40_000)], snapshot=True), slow=True)
    assert not box.overflows
    for seq in range(outbox.WAITING_MAX):
        box.put(piece_of(detail(2, seq, "trade")), slow=True)
    assert not box.overflows
    box.put(piece_of(detail(2, 10_000, "trade")), slow=True)
    assert box.overflows
    for _ in range(5_002):
        box.take()
    assert not box.overflows
    box.put(piece_of(news(Channel.EVENT, 3, 1, type="trade", data={"x": "x" * outbox.WAITING_MAX_CHARS})), slow=True)
    assert box.overflows
    box.clear()
    assert (len(box), box.overflows) == (0, False)


@pytest.mark.parametrize("odd", [10**400, "x", {}, [1]], ids=["huge", "text", "object", "list"])
def test_states_with_a_point_that_is_none_are_told_without_the_older(odd: object) -> None:
    points: list[Any] = [[one, 1.5] for one in range(outbox.POINTS_MAX)]
    points[7][1] = odd
    [one] = taken(slow([state(1, 9, points), state(2, 10, [[5_000, 1.0]])]))
    assert (one.position, said(one)["metrics"]["equityCurve"]) == ((1, 2), [[5_000, 1.0]])
