"""`backfleet stream`: one backtest without any server, told to a parent program line by line and steered by it.

What takes time to import is imported when the command runs: asking for help must not wait for it.
"""

from __future__ import annotations

import argparse
import logging
import signal
from typing import TYPE_CHECKING, Any

from shared.errors import BackfleetError, InvalidRequest
from shared.reading import add_reading_options
from shared.request_options import read_request, read_value
from worker.cli import add_local_options, add_table_options, find_kernels, read_bars, write_tables

if TYPE_CHECKING:
    from shared.candles.files.parsing import ParsedSeries
    from worker.parent import Parent
    from worker.stream import Stream

log = logging.getLogger(__name__)

_HELP = """\
example:
  backfleet stream --session-id s1 --data BTCUSDT-1h-*.zip --strategy sma_crossover --start-date 2024-01-01 \\
    --end-date 2024-07-01 --initial-capital 10000 --emit-interval 50 --speed 500

stdout: one JSON object a line, and nothing else. Each is a state: sessionId and the fields of backtest:state. The
first is told before the first bar, others every --emit-interval bars, at least --emit-every-ms apart, and after each
command. A parent that reads slowly gets fewer. equityCurve has the points since the state before. What some lines have:
  command, commandId   this state answers that command; it shows where the run came to by it
  refused              a line of stdin that is no command: code, error, errors
  result               the last line, status completed or stopped: what `backfleet run --json` prints
  error                the last line, status failed: code, error, errors; the exit status is 2 then
The last line has nothing but sessionId, status and error where the run did not come to its first bar.

stdin: one command a line: pause, resume, stop, step 10, speed 50, speed max, seek 500 (a bar, from 0), seek 2024-06-01,
or JSON as a gateway takes it: {"action": "stop", "closeOpenTrades": false, "commandId": "c1"}. A command does not wait
for what the one before it asked for: whoever wants 10 bars and then more waits for the answer. The end of stdin is a
stop, at once: a parent that dies leaves nothing behind. With --ignore-stdin nothing is read.

SIGTERM and SIGINT stop the run, tell its last state and end with exit status 0 and 130, within 2 s where nobody reads;
a second one ends it at once. Where stdout is closed it ends, too. stderr: logs, and all that strategies print."""


def add_stream_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Runs one backtest here: a JSON state a line on stdout, commands a line on stdin, logs on stderr."
    )
    parser.epilog = _HELP
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--session-id", metavar="ID", help="stands in every line (default: one that is made)")
    add_local_options(parser)
    parser.add_argument("--initial-capital", metavar="MONEY", help="money to begin with (default: 10000)")
    parser.add_argument("--emit-interval", metavar="N", help="bars between two states (default: 10)")
    parser.add_argument("--emit-every-ms", metavar="MS", help="least time between two states (default: 100)")
    parser.add_argument("--speed", metavar="BARS", help="bars a second, or max (default)")
    parser.add_argument("--start-paused", action="store_true", help="wait before the first bar for resume or step")
    parser.add_argument("--ignore-stdin", action="store_true", help="run to the end without commands")
    add_table_options(parser)
    add_reading_options(parser)
    parser.set_defaults(command=_stream)


def read_stream_request(asked: argparse.Namespace, most_bytes: int) -> dict[str, Any]:
    """The body of a request that the options amount to. Raises `InvalidRequest`."""
    given = {
        "initialCapital": asked.initial_capital,
        "emitInterval": asked.emit_interval,
        "emitEveryMs": asked.emit_every_ms,
        "speed": asked.speed,
    }
    body = read_request(asked, most_bytes)
    body |= {field: read_value(text) for field, text in given.items() if text is not None}
    return body | ({"startPaused": True} if asked.start_paused else {})


def _stream(asked: argparse.Namespace) -> None:
    from worker.parent import Parent, SignalledEarly

    head: dict[str, Any] = {"sessionId": _session_id(asked.session_id)}
    parent = Parent.meet(reads=not asked.ignore_stdin)
    stream: Stream | None = None
    try:
        stream, series = _begin(asked, head, parent)
        parent.is_heard()
        if (result := stream.play()) is not None:
            write_tables(asked, result)
            stream.end(result, series.notes)
    except SignalledEarly:
        parent.outlet.write([{**head, "status": "stopped"}])
    except BackfleetError as error:
        parent.is_heard()
        from worker.stream import as_line

        parent.outlet.write([{**(stream.last if stream else head), "status": "failed", "error": as_line(error)}])
        raise
    finally:
        if not parent.wait_until_read():
            log.warning("the last state is not read, it is given up")
    if parent.signals.number == signal.SIGINT:
        raise KeyboardInterrupt


def _session_id(given: str | None) -> str:
    from shared.contracts import ID_PATTERN
    from shared.records import new_id
    from shared.wire import matches

    if given is None:
        return new_id("bt")
    if not matches(ID_PATTERN, given):
        raise InvalidRequest.of(
            "--session-id", f"{given[:80]!a} is no id: use letters, digits and . _ : -, at most 128, the first no sign"
        )
    return given


def _begin(asked: argparse.Namespace, head: dict[str, Any], parent: Parent) -> tuple[Stream, ParsedSeries]:
    """The run before its first bar. Raises `InvalidRequest`, `ImportRefused`, `StrategyFailed` and `EngineFault`."""
    from worker.imports import import_numba, nothing_collected

    with nothing_collected():
        from shared.observability import configure_logging
        from shared.settings import load_settings

        settings = load_settings()
        configure_logging(settings)
        body = read_stream_request(asked, settings.request_max_bytes)
        find_kernels(settings)
        import_numba()
        from worker.local_run import arrange
        from worker.stream import Stream

    series = read_bars(asked, body)
    return Stream.begin(arrange(series, body), head, parent, settings.chunk_bars), series
