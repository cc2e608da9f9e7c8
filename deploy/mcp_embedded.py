"""`backfleet mcp --embedded`: the same without a gateway, on servers, a gateway and a worker of our own."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path

from api.market_data.importing import import_files
from deploy.mcp_stdio import serve
from deploy.processes import Interruption, announce, exit_code_of
from deploy.stack import Stack, import_demo_bars, private_settings, run_interruptible
from shared.database import Database
from shared.errors import ImportRefused
from shared.observability import configure_logging
from shared.reading import Reading
from shared.settings import Settings, load_settings

IMPORT_DEADLINE_S = 600.0


def run_embedded(asked: Namespace) -> int:
    """For as long as somebody is served. Its data is in a directory that was named, else removed at the end."""
    configure_logging(load_settings())
    return exit_code_of(lambda interruption: _run(asked, interruption))


def _run(asked: Namespace, interruption: Interruption) -> int:
    with ExitStack() as opened:
        directory = asked.directory or Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="backfleet-mcp-")))
        stack = Stack(
            private_settings(directory),
            directory=directory,
            workers=1,
            check=interruption.check,
            hurry=interruption.hurry,
            say=announce,
        )
        opened.enter_context(stack)

        def check() -> None:
            interruption.check()
            stack.tend()

        for line in run_interruptible(_import(stack.settings, asked.data), check, IMPORT_DEADLINE_S):
            announce(f"market data: {line}")
        return serve(stack.api_urls[0], stack.token("agent"), check)


async def _import(settings: Settings, files: list[Path] | None) -> list[str]:
    """The files that were named, else the bars to try things on, where their package is installed."""
    if not files:
        try:
            return await import_demo_bars(settings)
        except ImportRefused as refused:
            return [f"none: {refused.message}"]
    database = await Database.open(settings)
    try:
        reports = await import_files(database.candles, files, Reading(), "replace")
    finally:
        await database.close()
    return [report.summary() for report in reports]
