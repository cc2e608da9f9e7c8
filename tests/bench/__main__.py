"""`make bench`: measures, prints ratios beside peers, and keeps them in `results.json` and `RESULTS.md`."""

from __future__ import annotations

import sys

from tests.bench import candles, dashboard, engine, instead, live, mcp, round_trips, service, traders
from tests.bench.rows import MARKDOWN_FILE, keep

SUITES = {
    "candles": candles.measure,
    "dashboard": dashboard.measure,
    "engine": engine.measure,
    "instead": instead.measure,
    "live": live.measure,
    "mcp": mcp.measure,
    "round_trips": round_trips.measure,
    "service": service.measure,
    "traders": traders.measure,
}


# What takes half an hour is measured only by its name.
LONG = {"dashboard_half_an_hour": dashboard.measure_flat}


def main() -> int:
    wanted = sys.argv[1:] or list(SUITES)
    known = SUITES | LONG
    unknown = [name for name in wanted if name not in known]
    if unknown:
        print(f"no benchmark is called {', '.join(unknown)}; there are: {', '.join(known)}")
        return 2
    keep([row for name in wanted for row in known[name]()])
    print(MARKDOWN_FILE.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
