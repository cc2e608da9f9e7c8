"""The client of the service: `from backfleet.client import Backfleet`. Needs the extra `client`."""

from shared.client.answers import RunEvent
from shared.client.blocking import BlockingBackfleet, BlockingRun
from shared.client.fleet import Backfleet, BacktestFailed, Run

__all__ = ["Backfleet", "BacktestFailed", "BlockingBackfleet", "BlockingRun", "Run", "RunEvent"]
