"""`make screenshots`: the README's pictures, made of a running stack with the bars that the demo brings."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from deploy.node import NodeMissing
from deploy.stack import Stack, import_demo_bars
from shared.client.fleet import Backfleet
from shared.settings import load_settings
from tests.browser import BrowserMissing, scenario
from tests.fleet import ROOT

FOLDER = ROOT / "docs" / "pictures"
COLOURS = 128
DEADLINE_S = 240.0
SHARE = {"symbol": "AAPL", "interval": "1d", "startDate": "2000-03-01", "endDate": "2013-03-01"}
COSTS = {"commission": {"rate": 0.001}}
STRATEGIES: tuple[dict[str, Any], ...] = (
    {"strategies": ["sma_crossover"], "strategyParams": {"sma_crossover": {"fast": 20, "slow": 100}}},
    {"strategies": ["donchian"]},
    {"strategies": ["supertrend"]},
    {"strategies": ["rsi"]},
)
LIVE: dict[str, Any] = {"strategies": ["bollinger"], "allowShort": True, "stopLoss": {"percent": 6}, "speed": 1000}
LIVE_BARS = 700


async def _take(stack: Stack) -> None:
    await import_demo_bars(stack.settings)
    token = stack.token("demo")
    async with Backfleet(stack.api_urls[0], token) as fleet:
        ended = [await fleet.submit(SHARE | COSTS | one) for one in STRATEGIES]
        for run in ended:
            await run.result()
        live = await fleet.submit(SHARE | COSTS | LIVE | {"startPaused": True})

        async def ready(said: dict[str, Any]) -> bool:
            if said["name"] == "live":
                await live.step(LIVE_BARS)
            return True

        pictures = [
            {"name": "new", "route": "#/new", "theme": "light"},
            {"name": "live", "route": f"#/live/{live.id}", "theme": "dark"},
            {"name": "result", "route": f"#/result/{ended[0].id}", "theme": "light"},
            {"name": "compare", "route": f"#/compare?ids={','.join(one.id for one in ended)}", "theme": "dark"},
        ]
        job = {"url": stack.api_urls[0], "token": token, "folder": str(FOLDER), "pictures": pictures}
        found = await scenario("pictures", {"ready": ready}, DEADLINE_S, **job)
        assert found["wrongs"] == [], found["wrongs"]
        await live.stop()


def _make_small(path: Path) -> None:
    """Of the few colours that a page has."""
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(COLOURS).save(path, optimize=True)


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="backfleet-pictures-") as name:
        settings = load_settings(cache_dir=Path(name) / "cache", log_level="WARNING")
        with Stack(settings, api_replicas=1, workers=1, directory=Path(name)) as stack:
            try:
                asyncio.run(_take(stack))
            except (BrowserMissing, NodeMissing) as missing:
                print(f"no pictures without a browser: {missing}", file=sys.stderr)
                return 1
    for path in sorted(FOLDER.glob("*.png")):
        _make_small(path)
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
