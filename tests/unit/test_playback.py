"""The run as a state machine: every row of its table, its pace, and that nothing leaves it stuck."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.playback import (
    KEEP_RETRY_S,
    LAG_MAX_S,
    SLICE_S,
    Advance,
    Command,
    Deed,
    End,
    Intent,
    Keep,
    LetGo,
    Pause,
    Phase,
    Playback,
    Resume,
    Rewind,
    Seek,
    Speed,
    Step,
    Stop,
    Wait,
)
from shared.wire import validate

TOTAL = 1_000
CHUNK = 100
NOW_S = 50.0


def playback(**changes: Any) -> Playback:
    intent = Intent(**{name: changes.pop(name) for name in ("phase", "speed") if name in changes})
    return Playback(TOTAL, CHUNK, now_s=NOW_S, intent=intent, **changes)


def drive(run: Playback, *, until: Phase | None = None, now_s: float = NOW_S) -> list[Deed]:
    """Does what it says at one moment, until it waits, is over, or is in a phase; waits for nothing."""
    done: list[Deed] = []
    for _ in range(10 * TOTAL):
        deed = run.next(now_s)
        done.append(deed)
        if isinstance(deed, Wait | End) or run.phase is until:
            return done
        if isinstance(deed, Keep):
            run.kept(now_s)
        elif isinstance(deed, Advance):
            assert run.bar < deed.until_bar <= min(TOTAL, run.bar + CHUNK)
            run.moved(deed.until_bar, now_s)
        else:
            assert isinstance(deed, Rewind)
            assert 0 <= deed.bar < run.bar
            run.moved(deed.bar, now_s)
    raise AssertionError(f"stuck at bar {run.bar}, {run.phase}")


# A run that stands at bar 200 in each phase, and what it runs to there.
START = 200
GOAL = 500


def playing() -> Playback:
    run = playback(bar=START)
    assert run.phase is Phase.PLAYING
    return run


def paused() -> Playback:
    return playback(bar=START, phase="paused")


def stepping() -> Playback:
    run = paused()
    run.hear(Step(GOAL - START), NOW_S)
    assert run.phase is Phase.STEPPING
    return run


def seeking_to_play() -> Playback:
    run = playing()
    run.hear(Seek(GOAL), NOW_S)
    assert run.phase is Phase.SEEKING
    return run


def seeking_to_pause() -> Playback:
    run = paused()
    run.hear(Seek(GOAL), NOW_S)
    return run


ROWS = [
    # from, command, phase then, where it rests at last
    (playing, Pause(), Phase.PAUSED, START),
    (playing, Resume(), Phase.PLAYING, TOTAL),
    (playing, Step(30), Phase.STEPPING, START + 30),
    (playing, Seek(700), Phase.SEEKING, TOTAL),
    (playing, Seek(100), Phase.SEEKING, TOTAL),
    (playing, Speed(None), Phase.PLAYING, TOTAL),
    (playing, Stop(), Phase.STOPPED, START),
    (paused, Pause(), Phase.PAUSED, START),
    (paused, Resume(), Phase.PLAYING, TOTAL),
    (paused, Step(30), Phase.STEPPING, START + 30),
    (paused, Seek(700), Phase.SEEKING, 700),
    (paused, Seek(100), Phase.SEEKING, 100),
    (paused, Speed(5.0), Phase.PAUSED, START),
    (paused, Stop(), Phase.STOPPED, START),
    (stepping, Pause(), Phase.PAUSED, START),
    (stepping, Resume(), Phase.PLAYING, TOTAL),
    (stepping, Step(30), Phase.STEPPING, GOAL + 30),
    (stepping, Seek(100), Phase.SEEKING, 100),
    (stepping, Speed(5.0), Phase.STEPPING, GOAL),
    (stepping, Stop(), Phase.STOPPED, START),
    (seeking_to_play, Pause(), Phase.PAUSED, START),
    (seeking_to_play, Resume(), Phase.SEEKING, TOTAL),
    (seeking_to_play, Step(30), Phase.STEPPING, START + 30),
    (seeking_to_play, Seek(100), Phase.SEEKING, TOTAL),
    (seeking_to_play, Speed(None), Phase.SEEKING, TOTAL),
    (seeking_to_play, Stop(), Phase.STOPPED, START),
    (seeking_to_pause, Pause(), Phase.PAUSED, START),
    (seeking_to_pause, Resume(), Phase.SEEKING, TOTAL),
    (seeking_to_pause, Step(30), Phase.STEPPING, START + 30),
    (seeking_to_pause, Seek(100), Phase.SEEKING, 100),
    (seeking_to_pause, Speed(5.0), Phase.SEEKING, GOAL),
    (seeking_to_pause, Stop(), Phase.STOPPED, START),
]


@pytest.mark.parametrize(("begin", "command", "phase", "rests_at"), ROWS)
def test_every_row_of_the_table(begin: Any, command: Command, phase: Phase, rests_at: int) -> None:
    run: Playback = begin()
    assert run.hear(command, NOW_S)
    assert run.phase is phase
    last = drive(run)[-1]
    assert run.bar == rests_at
    if phase is Phase.STOPPED:
        assert last == End(stopped=True)
    elif rests_at == TOTAL:
        assert (last, run.phase) == (End(stopped=False), Phase.ENDED)
    else:
        assert (last, run.phase) == (Wait(None), Phase.PAUSED)


def test_the_table_leaves_no_pair_out() -> None:
    begun = {begin for begin, *_ in ROWS}
    commands = {type(command) for _, command, *_ in ROWS}
    assert {(begin, type(command)) for begin, command, *_ in ROWS} == {(b, c) for b in begun for c in commands}
    assert commands == set(Command.__args__)


@pytest.mark.parametrize("command", [Pause(), Resume(), Step(1), Seek(0), Speed(1.0), Stop()])
@pytest.mark.parametrize("stopped", [True, False])
def test_a_run_that_is_over_hears_nothing(command: Command, stopped: bool) -> None:
    run = playing()
    if stopped:
        run.hear(Stop(close_open_trades=False), NOW_S)
    end = drive(run)[-1]
    assert not run.hear(command, NOW_S)
    assert run.next(NOW_S) == end == End(stopped, close_open_trades=not stopped)


@pytest.mark.parametrize("command", [Pause(), Step(5), Seek(3), Stop()])
def test_whatever_is_asked_during_the_last_step_the_run_ends_with_it(command: Command) -> None:
    run = playback(bar=TOTAL - 1)
    assert run.next(NOW_S) == Advance(TOTAL)
    run.hear(command, NOW_S)
    run.moved(TOTAL, NOW_S)
    assert run.next(NOW_S) == End(stopped=False)


def test_a_seek_back_rewinds_once_and_a_seek_forward_never() -> None:
    run = paused()
    run.hear(Seek(150), NOW_S)
    assert drive(run) == [Rewind(150), Keep(), Wait(None)]
    run.hear(Seek(400), NOW_S)
    # Once under way it is no longer paused, and says so.
    assert drive(run) == [Advance(250), Keep(), Advance(350), Advance(400), Keep(), Wait(None)]


@pytest.mark.parametrize(("asked", "reached"), [(-5, 0), (0, 0), (5_000, TOTAL)])
def test_a_seek_beyond_the_bars_goes_to_their_first_or_their_end(asked: int, reached: int) -> None:
    run = paused()
    run.hear(Seek(asked), NOW_S)
    drive(run)
    assert run.bar == reached


def test_a_step_of_no_bars_is_one_bar() -> None:
    run = paused()
    run.hear(Step(0), NOW_S)
    drive(run)
    assert run.bar == START + 1


# The position


def test_a_position_is_kept_at_each_pause_and_only_where_it_is_another() -> None:
    run = paused()
    assert drive(run) == [Keep(), Wait(None)], "that it is paused is news"
    run.hear(Step(1), NOW_S)
    assert drive(run) == [Advance(START + 1), Keep(), Wait(None)]
    assert drive(run) == [Wait(None)]


def test_a_position_is_kept_now_and_then_while_the_run_goes_on() -> None:
    run = playback(keep_every_s=30.0)
    deeds: list[Deed] = []
    now_s = NOW_S
    while not isinstance(deed := run.next(now_s), End):
        deeds.append(deed)
        if isinstance(deed, Advance):
            now_s += 10.0
            run.moved(deed.until_bar, now_s)
        else:
            run.kept(now_s)
    assert [type(one) for one in deeds] == [Advance, Advance, Advance, Keep] * 3 + [Advance]


def test_a_position_that_could_not_be_kept_is_tried_again_after_a_while() -> None:
    run = paused()
    assert run.next(NOW_S) == Keep()
    run.not_kept(NOW_S)
    assert run.next(NOW_S) == Wait(NOW_S + KEEP_RETRY_S)
    assert run.next(NOW_S + KEEP_RETRY_S) == Keep()
    run.kept(NOW_S + KEEP_RETRY_S)
    assert run.next(NOW_S + KEEP_RETRY_S) == Wait(None)


def test_a_paused_run_is_let_go_when_it_was_held_long_enough() -> None:
    run = playback(hold_s=10.0)
    run.hear(Pause(), NOW_S)
    assert run.next(NOW_S) == Keep()
    run.kept(NOW_S)
    assert run.next(NOW_S + 9.0) == Wait(NOW_S + 10.0)
    run.hear(Pause(), NOW_S + 9.0)
    run.hear(Speed(5.0), NOW_S + 9.0)
    assert run.next(NOW_S + 10.0) == LetGo(), "neither is a reason to hold it longer"
    run.hear(Step(1), NOW_S + 10.0)
    assert run.next(NOW_S + 10.0) == Advance(1)
    run.moved(1, NOW_S + 11.0)
    assert run.next(NOW_S + 11.0) == Keep()
    run.kept(NOW_S + 11.0)
    assert run.next(NOW_S + 11.0) == Wait(NOW_S + 21.0)


@pytest.mark.parametrize("begin", [playing, paused, stepping, seeking_to_play, seeking_to_pause])
def test_another_playback_goes_on_with_the_intent_of_one(begin: Any) -> None:
    run: Playback = begin()
    run.hear(Speed(20.0), NOW_S)
    intent = validate(Intent, run.intent.as_wire())
    other = Playback(TOTAL, CHUNK, now_s=NOW_S, bar=run.bar, intent=intent)
    assert (other.intent, other.phase, other.bars_per_s) == (run.intent, run.phase, 20.0)
    run.hear(Speed(None), NOW_S)
    other.hear(Speed(None), NOW_S)
    drive(run)
    drive(other)
    assert (other.bar, other.phase) == (run.bar, run.phase)


def test_a_run_that_was_stopped_is_stopped_wherever_it_is_taken_up() -> None:
    run = playing()
    run.hear(Stop(close_open_trades=False), NOW_S)
    other = Playback(TOTAL, CHUNK, now_s=NOW_S, bar=START, intent=run.intent)
    assert other.next(NOW_S) == End(stopped=True, close_open_trades=False)


def test_a_run_whose_end_was_not_stored_plays_the_rest_again() -> None:
    run = playing()
    drive(run)
    assert run.phase is Phase.ENDED
    other = Playback(TOTAL, CHUNK, now_s=NOW_S, bar=START, intent=run.intent)
    assert drive(other)[-1] == End(stopped=False)
    assert other.bar == TOTAL


# The pace


def pass_time(run: Playback, for_s: float, *, from_s: float = NOW_S, work_s: float = 0.0) -> list[int]:
    """The bars after each step of a driver that waits as it is told, and needs `work_s` for each step."""
    now_s, reached = from_s, []
    while now_s < from_s + for_s:
        deed = run.next(now_s)
        if isinstance(deed, Wait):
            assert deed.until_s is not None
            assert deed.until_s > now_s, "a wait that is over already would spin"
            now_s = deed.until_s
        elif isinstance(deed, Advance):
            now_s += work_s
            run.moved(deed.until_bar, now_s)
            reached.append(run.bar)
        else:
            break
    return reached


@pytest.mark.parametrize("bars_per_s", [0.1, 1.0, 3.7, 20.0, 90.0])
def test_a_pace_lets_so_many_bars_through_and_no_more(bars_per_s: float) -> None:
    run = playback(speed=bars_per_s)
    reached = pass_time(run, 10.0)
    assert abs(run.bar - 10.0 * bars_per_s) <= max(1.0, bars_per_s * SLICE_S)
    assert reached == sorted(reached)


def test_a_fast_pace_lets_bars_through_in_slices() -> None:
    run = Playback(1_000_000, 10_000, now_s=NOW_S, intent=Intent(speed=2_000.0))
    reached = pass_time(run, 10.0)
    assert abs(run.bar - 20_000) <= 2_000 * SLICE_S
    assert len(reached) <= 10.0 / SLICE_S + 1


def test_what_a_slow_run_fell_behind_is_forgiven() -> None:
    run = playback(speed=100.0)
    run.next(NOW_S)
    later_s = NOW_S + 3_600.0
    pass_time(run, 0.5, from_s=later_s)
    assert run.bar <= 100 * (LAG_MAX_S + 0.5) + 100 * SLICE_S


def test_a_pause_is_not_a_debt() -> None:
    run = playback(speed=10.0)
    run.hear(Pause(), NOW_S)
    drive(run)
    run.hear(Resume(), NOW_S + 60.0)
    assert run.next(NOW_S + 60.0) == Keep(), "that it goes on is news"
    run.kept(NOW_S + 60.0)
    assert run.next(NOW_S + 60.0) == Wait(NOW_S + 60.1)


def test_a_new_pace_counts_from_where_it_was_asked() -> None:
    run = playback(speed=1.0)
    pass_time(run, 5.5)
    assert run.bar == 5
    run.hear(Speed(10.0), NOW_S + 5.5)
    assert run.next(NOW_S + 5.5) == Wait(NOW_S + 5.6)


def test_the_last_bars_of_a_pace_do_not_wait_for_a_whole_slice() -> None:
    run = Playback(1_003, 1_000, now_s=NOW_S, bar=1_000, intent=Intent(speed=100.0))
    assert run.next(NOW_S) == Wait(NOW_S + 0.03)


COMMANDS = st.one_of(
    st.just(Pause()),
    st.just(Resume()),
    st.integers(-1, TOTAL + 5).map(Step),
    st.integers(-5, TOTAL + 5).map(Seek),
    st.sampled_from([None, 0.1, 1.0, 50.0, 100_000.0]).map(Speed),
)
DOINGS = st.one_of(COMMANDS, st.integers(1, 40))


@given(
    doings=st.lists(DOINGS, max_size=30),
    begins_paused=st.booleans(),
    keep_every_s=st.sampled_from([None, 0.0, 0.5]),
    shortfall=st.integers(0, 3),
    last=st.sampled_from([Resume(), Stop()]),
)
def test_no_order_of_commands_and_steps_leaves_it_stuck(
    doings: Sequence[Command | int], begins_paused: bool, keep_every_s: float | None, shortfall: int, last: Command
) -> None:
    run = playback(phase="paused" if begins_paused else "playing", keep_every_s=keep_every_s)
    now_s = NOW_S

    def do_one() -> Deed:
        nonlocal now_s
        deed = run.next(now_s)
        if isinstance(deed, Advance):
            assert run.bar < deed.until_bar <= TOTAL
            # An engine may stop short, as long as it goes on.
            run.moved(max(run.bar + 1, deed.until_bar - shortfall), now_s)
        elif isinstance(deed, Rewind):
            assert 0 <= deed.bar < run.bar
            run.moved(deed.bar, now_s)
        elif isinstance(deed, Keep):
            run.kept(now_s)
            assert not isinstance(run.next(now_s), Keep)
        elif isinstance(deed, Wait):
            now_s = max(now_s + 0.001, deed.until_s or 0.0)
        return deed

    for doing in doings:
        if isinstance(doing, int):
            for _ in range(doing):
                do_one()
        else:
            was_over = run.over
            assert run.hear(doing, now_s) is not was_over
    if not run.over:
        run.hear(Speed(None), now_s)
        run.hear(last, now_s)
    ended = isinstance(last, Stop)
    for _ in range(4 * TOTAL):
        if isinstance(deed := do_one(), End):
            assert deed.stopped == (run.phase is Phase.STOPPED)
            assert ended or run.bar == TOTAL
            return
    raise AssertionError(f"stuck at bar {run.bar}, {run.phase}")
