"""The client of the service: `from backfleet.client import Backfleet`. Needs the extra `client`."""

from shared.client.blocking import BlockingBackfleet, BlockingRun
from shared.client.fleet import Backfleet, BacktestFailed, Run
from shared.client.line import RunEvent

__all__ = ["Backfleet", "BacktestFailed", "BlockingBackfleet", "BlockingRun", "Run", "RunEvent"]
