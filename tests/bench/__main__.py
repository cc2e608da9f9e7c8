"""`make bench`: measures, prints ratios beside peers, and keeps them in `results.json` and `RESULTS.md`."""

from __future__ import annotations

import sys

from tests.bench import candles, engine, instead, live, mcp, round_trips, service, traders
from tests.bench.rows import MARKDOWN_FILE, keep

SUITES = {
    "candles": candles.measure,
    "engine": engine.measure,
    "instead": instead.measure,
    "live": live.measure,
    "mcp": mcp.measure,
    "round_trips": round_trips.measure,
    "service": service.measure,
    "traders": traders.measure,
}


def main() -> int:
    wanted = sys.argv[1:] or list(SUITES)
    unknown = [name for name in wanted if name not in SUITES]
    if unknown:
        print(f"no benchmark is called {', '.join(unknown)}; there are: {', '.join(SUITES)}")
        return 2
    keep([row for name in wanted for row in SUITES[name]()])
    print(MARKDOWN_FILE.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
