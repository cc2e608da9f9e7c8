"""What the edges may use, built once by the composition root and reached by its type."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from api.accounts import Accounts
from api.agents import Agents
from api.analysis import Analyses
from api.charts import Charts
from api.commands import Commands
from api.decisions import Decisions
from api.exporting.exports import Exports
from api.fleet import Fleet
from api.gate import Gate
from api.llm_keys import LlmKeys
from api.market_data.fetches import Fetches
from api.market_data.library import Library
from api.market_data.uploads import Uploads
from api.metrics import Metrics
from api.missed import Missed
from api.newcomers import Newcomers
from api.relay import Relay
from api.replays import Replays
from shared.bus import Bus
from shared.mongo import Mongo
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """Open and ready. `mongo` and `bus` are here to be asked whether they answer; all else goes through `commands`."""

    settings: Settings
    gate: Gate
    accounts: Accounts
    commands: Commands
    charts: Charts
    library: Library
    decisions: Decisions
    analyses: Analyses
    exports: Exports
    agents: Agents
    llm_keys: LlmKeys
    relay: Relay
    replays: Replays
    missed: Missed
    newcomers: Newcomers
    uploads: Uploads
    fetches: Fetches
    fleet: Fleet
    metrics: Metrics
    mongo: Mongo
    bus: Bus


def services_of(request: Request) -> Services:
    """What the gateway that serves this request is built of."""
    return request.app.state.services
