"""The peer of the service benchmark: a Celery application whose task does nothing and keeps its result."""

from __future__ import annotations

import os

from celery import Celery

# The benchmark starts this as a process of its own and has no other way to say where the server is.
_URL = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/1")

app = Celery("noop", broker=_URL, backend=_URL)
app.conf.update(worker_prefetch_multiplier=4, broker_connection_retry_on_startup=True)


@app.task(name="noop")
def noop() -> None:
    return None
