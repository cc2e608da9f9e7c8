"""Where its servers are, and what both of its sides say of them. The benchmark starts them with these variables."""

from __future__ import annotations

import os

REDIS_URL = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/1")
MONGODB_URI = os.environ.get("BENCH_MONGODB_URI", "mongodb://127.0.0.1:27017")
DATABASE = "tutorial"
SECRET = os.environ.get("BENCH_SECRET", "")
EVENTS = "tutorial"  # the Redis channel of python-socketio's manager
TASK = "run_backtest"
