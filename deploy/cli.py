"""The `backfleet` command, put together from the parts of the gateway and of the worker."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from api.cli import add_data_options, add_key_options, add_token_options, add_user_options, settings_here, tell, to_end
from deploy.asking import add_client_commands
from deploy.plain import plain
from shared import package_version
from shared.choices import CHOOSE
from shared.errors import BackfleetError, InvalidRequest
from worker.cli import add_run_options
from worker.stream_cli import add_stream_options


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="backfleet", description="Backtests as a service.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show program's version number and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_run_options(commands.add_parser("run", help="run one backtest here, without any server"))
    add_client_commands(commands)
    add_stream_options(commands.add_parser("stream", help="run one backtest here for a parent program that steers it"))
    verbs = add_data_options(commands.add_parser("data", help="market data"))
    add_demo_options(verbs.add_parser("demo", help="import bars to try things on: real days, synthetic minutes"))
    add_token_options(commands.add_parser("token", help="mint a token for development"))
    add_user_options(commands.add_parser("user", help="users: add, list, disable, enable, password"))
    add_key_options(commands.add_parser("keys", help="users' keys for providers of language models: rotate"))
    return parser


class _Version(argparse.Action):
    """Looks the version up where it is asked for only."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(f"backfleet {package_version()}")
        parser.exit()


def add_demo_options(parser: argparse.ArgumentParser) -> None:
    parser.description = "Imports real daily bars of AAPL, IBM and MSFT, and minutes of DEMO-1M, which are synthetic."
    parser.add_argument("--bars", type=int, metavar="N", help="how many minutes of DEMO-1M (default 500,000)")
    parser.set_defaults(command=_load_demo)


def _load_demo(asked: argparse.Namespace) -> None:
    from deploy.demo_bars import demo_series, import_series
    from deploy.synthetic_bars import BARS_DEFAULT, synthetic_series

    series = [*demo_series(), synthetic_series(BARS_DEFAULT if asked.bars is None else asked.bars)]
    for report in to_end(import_series(settings_here(), series)):
        tell(report.summary(), report.notes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status of the command, 0 where it has none; 2 with a line on stderr for each thing to mend."""
    asked = build_parser().parse_args(arguments)
    try:
        return asked.command(asked) or 0
    except BackfleetError as error:
        wrong = [error.message, *_answers_to(error)]
        if isinstance(error, InvalidRequest):
            wrong = [f"{one.field}: {one.message}" for one in error.errors]
        for line in wrong:
            sys.stderr.write(f"backfleet: {plain(line)}\n")
        return 2
    except KeyboardInterrupt:
        return 130


def _answers_to(error: BackfleetError) -> Iterator[str]:
    """What may be decided where a file asks, each with what it means."""
    for one in error.errors:
        told = [value if value == label else f"{value} ({label})" for value, label in one.choices]
        if told and one.code == CHOOSE:
            yield f"{one.field}: {', '.join(told)}"


if __name__ == "__main__":
    sys.exit(main())
