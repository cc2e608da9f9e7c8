"""The scripted model server as a process of its own: trades by the last closes, and takes its time where it is told to.

Prints its URL. For each line that it reads it prints what it was asked since the line before, as JSON: of each request
the question, and when it came and was answered by `time.monotonic`, which is one clock for all processes of a machine.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from aiohttp import web

from tests.model_server import HOLD, Asked, ModelServer, question_of, serving

SLOW = "slow"
DELAY_S = 0.3


def follows(asked: Asked) -> dict[str, Any]:
    """Long where the last close is above an earlier one, else short; how much earlier, the instructions end with."""
    behind = int(asked.system[-1])
    if asked.bar < behind:
        return dict(HOLD)
    rows = asked.user.rsplit("\n", behind + 1)
    last, before = (float(rows[place].split(",")[4]) for place in (-1, -1 - behind))
    long = last > before
    stop = asked.close * (0.95 if long else 1.05)
    return {**HOLD, "action": "LONG" if long else "SHORT", "stopLossPrice": stop, "sizeFraction": 0.5}


class TimedServer(ModelServer):
    """Keeps when each request came and was answered."""

    times: list[tuple[str, float, float]]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        came_s, body = time.monotonic(), await request.json()
        self.delay_s = DELAY_S if body["model"] == SLOW else 0.0
        response = await super().answer(request)
        self.asked.clear()
        self.times.append((question_of(body), came_s, time.monotonic()))
        return response


def main() -> None:
    server = TimedServer(rule=follows)
    server.times = []
    with serving(server):
        print(server.base_url, flush=True)
        for _ in sys.stdin:
            times, server.times = server.times, []
            print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main()
