"""Every tool, once: its arguments, what it asks of a gateway, its answer. Each transport has the same ones."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from shared.errors import FieldError, InvalidRequest, summary
from shared.mcp import arguments as given
from shared.mcp.answer import Answer
from shared.mcp.equity_image import draw_equity
from shared.mcp.explaining import explain
from shared.mcp.fleet import BACKTESTS, ENDED, ROOT, Fleet, path_of
from shared.mcp.market_data import described, import_csv, stored_series, usual_interval
from shared.mcp.results import chosen, compare, results_of
from shared.mcp.telling import Follow, Telling
from shared.mcp.waiting import Report, wait_for_end
from shared.renaming import in_words
from shared.wire import matches, validate

PRIORITIES = {"low": -5, "medium": 0, "high": 5}
IMAGE_POINTS = 1_500
_OPTION = r"^[A-Za-z]{1,32}$"
Asked = TypeVar("Asked", bound=given.Arguments)


@dataclass(frozen=True, slots=True)
class Call:
    """Whose call it is, who is told of its backtests afterwards, if anybody can be, and where its progress goes."""

    fleet: Fleet
    telling: Telling | None
    report: Report

    @asynccontextmanager
    async def expecting(self) -> AsyncGenerator[Follow, None]:
        """As `Telling.expecting`."""
        if self.telling is None:
            yield lambda _: None
        else:
            async with self.telling.expecting(self.fleet) as follow:
                yield follow

    def note_state(self, state: dict[str, Any]) -> None:
        if self.telling is not None:
            self.telling.note_state(state)


@dataclass(frozen=True, slots=True)
class Tool(Generic[Asked]):
    """`description` is for the model that chooses it. `reads`: it changes nothing."""

    name: str
    title: str
    description: str
    arguments: type[Asked]
    work: Callable[[Call, Asked], Awaitable[Answer]]
    reads: bool = True

    async def call(self, call: Call, arguments: dict[str, Any]) -> Answer:
        """Raises what is wrong with the arguments, and what the gateway refuses, as `BackfleetError`s."""
        return await self.work(call, validate(self.arguments, arguments))


async def _run_backtest(call: Call, asked: given.RunBacktest) -> Answer:
    start, end = asked.start_date, asked.end_date
    interval = asked.interval or await usual_interval(call.fleet, asked.asset_symbol, start, end)
    body = {
        "symbol": asked.asset_symbol,
        "interval": interval,
        "startDate": start,
        "endDate": end,
        "strategies": [asked.strategy_id],
        "strategyParams": {asked.strategy_id: asked.parameters} if asked.parameters else {},
        "initialCapital": asked.initial_capital,
        "priority": PRIORITIES.get(asked.priority, 0) if isinstance(asked.priority, str) else asked.priority,
    }
    # The gateway may be asked twice by whoever waits for it, and must then take it for one.
    key = asked.idempotency_key or f"mcp-{uuid.uuid4()}"
    words = {
        "startDate": "start_date",
        "endDate": "end_date",
        "initialCapital": "initial_capital",
        f"strategyParams.{asked.strategy_id}": "parameters",
        "strategies.0": "strategy_id",
        "symbol": "asset_symbol",
        "Idempotency-Key": "idempotency_key",
    }
    async with call.expecting() as follow:
        with in_words(words):
            state: dict[str, Any] = await call.fleet.ask("POST", BACKTESTS, body=body, headers={"Idempotency-Key": key})
        backtest_id: str = state["backtestId"]
        follow(backtest_id)
    if state["status"] in ENDED:
        state = await call.fleet.ask("GET", path_of(backtest_id))
    elif asked.wait_seconds:
        state = await wait_for_end(call.fleet, backtest_id, asked.wait_seconds, call.report)
    call.note_state(state)
    chose = "" if asked.interval else f" on bars of {interval}, the finest that suits the dates"
    text = f"{backtest_id}{chose}: {_standing(state)}"
    return Answer(
        _uri(backtest_id), {"backtest_id": backtest_id, "status": state["status"], "interval": interval}, text
    )


async def _wait_for_backtest(call: Call, asked: given.WaitForBacktest) -> Answer:
    state: dict[str, Any] = await call.fleet.ask("GET", path_of(asked.backtest_id))
    if state["status"] not in ENDED:
        async with call.expecting() as follow:
            follow(asked.backtest_id)
        state = await wait_for_end(call.fleet, asked.backtest_id, asked.timeout_seconds, call.report)
    call.note_state(state)
    over = state["status"] in ENDED
    text = _standing(state) if over else f"after {asked.timeout_seconds:g} s {_standing(state)}; wait once more"
    return Answer(_uri(asked.backtest_id), _short(state) | {"done": over}, text)


async def _get_backtest_results(call: Call, asked: given.GetBacktestResults) -> Answer:
    results = await results_of(call.fleet, asked.backtest_id, asked.max_trades, asked.max_points)
    text = f"total return {_percent(results['total_return'])}, final capital {_number(results['final_capital'])}"
    if len(results["trades"]) < results["trades_total"]:
        text += f"; the first {len(results['trades'])} of {results['trades_total']} trades, get_trades has the others"
    return Answer(_uri(asked.backtest_id), results, text)


async def _list_strategies(call: Call, _asked: given.NoArguments) -> Answer:
    names = {
        "id": "id",
        "name": "name",
        "description": "description",
        "parametersSchema": "parameters_schema",
        "defaultParameters": "default_parameters",
        "aliases": "aliases",
        "language": "language",
    }
    found = await call.fleet.ask("GET", f"{ROOT}/strategies")
    strategies = [{name: one[wire] for wire, name in names.items() if wire in one} for one in found]
    return Answer("backfleet://strategies", strategies, ", ".join(one["id"] for one in strategies))


async def _validate_strategy(call: Call, asked: given.ValidateStrategy) -> Answer:
    config = asked.strategy_config
    body = {"strategy": config.strategy_id, "params": config.parameters}
    answer = await call.fleet.ask("POST", f"{ROOT}/strategies/validate", body=body)
    errors = [one | {"field": _in_config(one["field"])} for one in answer["errors"]]
    text = "it is right" if answer["valid"] else "\n".join(f"{one['field']}: {one['message']}" for one in errors)
    return Answer("backfleet://strategies", {"valid": answer["valid"], "errors": errors}, text)


def _in_config(field: str) -> str:
    first, dot, rest = field.partition(".")
    return f"strategy_config.{'parameters' if first == 'params' else 'strategy_id'}{dot}{rest}"


async def _get_metrics(call: Call, asked: given.GetMetrics) -> Answer:
    result = await call.fleet.ask("GET", path_of(asked.backtest_id, "/result"))
    figures = chosen(result["metrics"], asked.metrics)
    text = ", ".join(f"{name} {_number(value)}" for name, value in figures.items())
    return Answer(_uri(asked.backtest_id), figures, text)


async def _list_backtests(call: Call, asked: given.ListBacktests) -> Answer:
    query = {"status": asked.status, "symbol": asked.asset_symbol, "limit": asked.limit, "cursor": asked.cursor}
    with in_words({"symbol": "asset_symbol"}):
        page = await call.fleet.ask("GET", BACKTESTS, query=query)
    items = [_short(one) for one in page["items"]]
    text = "\n".join(
        f"{one['backtest_id']}: {_standing(state)}" for one, state in zip(items, page["items"], strict=True)
    )
    return Answer("backfleet://backtests", {"items": items, "next_cursor": page["nextCursor"]}, text or "none")


async def _control_backtest(call: Call, asked: given.ControlBacktest) -> Answer:
    body = {"commandId": f"mcp-{uuid.uuid4()}"}
    sent = {"speed": "speed", "bars": "bars", "bar": "bar", "time": "time", "close_open_trades": "closeOpenTrades"}
    body |= {wire: value for name, wire in sent.items() if (value := getattr(asked, name)) is not None}
    with in_words({"closeOpenTrades": "close_open_trades"}):
        answer = await call.fleet.ask("POST", path_of(asked.backtest_id, f"/{asked.action}"), body=body)
    names = {"backtestId": "backtest_id", "totalBars": "total_bars"}
    told = {names.get(name, name): value for name, value in answer.items() if name != "commandId"}
    at = f" at bar {answer['bar']} of {answer['totalBars']}" if answer.get("totalBars") else ""
    later = "" if answer["done"] else f"; {asked.action} is stored and not done yet"
    return Answer(_uri(asked.backtest_id), told, f"{asked.backtest_id} is {answer['status']}{at}{later}")


async def _get_trades(call: Call, asked: given.GetTrades) -> Answer:
    query = {"limit": asked.limit, "offset": asked.offset}
    page = await call.fleet.ask("GET", path_of(asked.backtest_id, "/trades"), query=query)
    text = f"{len(page['items'])} of {page['total']} trades, from number {asked.offset} on"
    return Answer(f"{_uri(asked.backtest_id)}/trades", page, text)


async def _get_equity(call: Call, asked: given.GetEquity) -> Answer:
    path, png = path_of(asked.backtest_id, "/equity"), None
    equity = await call.fleet.ask("GET", path, query={"maxPoints": asked.max_points})
    if asked.image:
        fine = await call.fleet.ask("GET", path, query={"maxPoints": IMAGE_POINTS})
        png = await asyncio.to_thread(draw_equity, fine["points"], asked.backtest_id)
    text = f"{len(equity['points'])} points: the first, the last, and each stretch's lowest and highest"
    return Answer(f"{_uri(asked.backtest_id)}/equity", equity, text, png)


async def _list_market_data(call: Call, asked: given.ListMarketData) -> Answer:
    found = await stored_series(call.fleet, asked.asset_symbol)
    return Answer(
        "backfleet://data", {"items": found}, described(found) or "there is none; import_market_data brings it"
    )


async def _import_market_data(call: Call, asked: given.ImportMarketData) -> Answer:
    wrong = [
        FieldError(f"options.{name[:64]!a}", "is no name of an option: letters only", "invalid")
        for name in asked.options
        if not matches(_OPTION, name)
    ]
    if wrong:
        raise InvalidRequest(summary(wrong), wrong)
    named = {name: value for name in ("symbol", "interval") if (value := getattr(asked, name)) is not None}
    reports = await import_csv(call.fleet, asked.csv, asked.options | named)
    notes = [note for report in reports for note in report["notes"]]
    return Answer("backfleet://data", {"items": reports}, "\n".join([described(reports), *notes]))


async def _explain_trade(call: Call, asked: given.ExplainTrade) -> Answer:
    told = await explain(call.fleet, asked.backtest_id, asked.trade, asked.bars_around)
    text = (
        f"{told['direction']} from {told['entryTime']} at {_number(told['entryPrice'])} ({told['entryReason']}) to "
        f"{told['exitTime']} at {_number(told['exitPrice'])} ({told['exitReason']}): {_number(told['pnl'])}"
    )
    return Answer(f"{_uri(asked.backtest_id)}/trades/{asked.trade}", told, text)


async def _compare_backtests(call: Call, asked: given.CompareBacktests) -> Answer:
    told = await compare(call.fleet, asked.backtest_ids, asked.metrics)
    lines = [f"{name}: best is {backtest_id}" for name, backtest_id in told["best"].items()]
    return Answer("backfleet://backtests", told, "\n".join([*lines, *told["notes"]]))


def _uri(backtest_id: str) -> str:
    return f"backfleet://results/{backtest_id}"


def _short(state: dict[str, Any]) -> dict[str, Any]:
    params = state["params"]
    return {
        "backtest_id": state["backtestId"],
        "status": state["status"],
        "progress": state["progress"],
        "asset_symbol": params["symbol"],
        "interval": params["interval"],
        "start_date": params["startDate"],
        "end_date": params["endDate"],
        "strategies": params["strategies"],
        "created_at": state["createdAt"],
        "result_id": state["resultId"],
        "error": state["error"],
    }


def _standing(state: dict[str, Any]) -> str:
    error: dict[str, Any] | None = state.get("error")
    because = error["message"] if error else ""
    reached = (
        f" at {state['progress']:.1f} %" if state["status"] in ("running", "paused") and "progress" in state else ""
    )
    return f"it is {state['status']}{reached}" + (f": {because}" if because else "")


def _number(value: object) -> str:
    return f"{value:,.6g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _percent(value: object) -> str:
    return f"{value:,.2f} %" if isinstance(value, int | float) else "undefined"


_TABLE: tuple[Tool[Any], ...] = (
    Tool(
        "run_backtest",
        "Run a backtest",
        "Starts a backtest of one strategy on one symbol and answers with its id. It runs on whatever becomes of this "
        "connection. wait_seconds waits for its end; wait_for_backtest does so later.",
        given.RunBacktest,
        _run_backtest,
        reads=False,
    ),
    Tool(
        "wait_for_backtest",
        "Wait for a backtest",
        "Waits until a backtest has ended, telling progress, and answers how it stands. Better than asking again and "
        "again.",
        given.WaitForBacktest,
        _wait_for_backtest,
    ),
    Tool(
        "get_backtest_results",
        "Results of a backtest",
        "Figures, trades and the thinned equity curve of a backtest that has a result.",
        given.GetBacktestResults,
        _get_backtest_results,
    ),
    Tool(
        "get_metrics",
        "Figures of a backtest",
        "Some of the figures of a result, or all: returns, ratios, drawdown, trades, fees. Percent is percent.",
        given.GetMetrics,
        _get_metrics,
    ),
    Tool(
        "get_trades",
        "Trades of a backtest",
        "One page of the trades, in the order they were closed, with times, prices, gain and reasons.",
        given.GetTrades,
        _get_trades,
    ),
    Tool(
        "get_equity",
        "Equity of a backtest",
        "The equity curve, thinned, and a picture of it with the drawdown.",
        given.GetEquity,
        _get_equity,
    ),
    Tool(
        "explain_trade",
        "Explain a trade",
        "What the strategy saw: the bars around the entry and the exit of one trade, its reasons, and what a model "
        "decided where one was asked.",
        given.ExplainTrade,
        _explain_trade,
    ),
    Tool(
        "compare_backtests",
        "Compare backtests",
        "Figures of two to twenty results side by side, which is best at each, and what makes them hard to compare.",
        given.CompareBacktests,
        _compare_backtests,
    ),
    Tool(
        "list_backtests",
        "List backtests",
        "One's own backtests, newest first: where each stands and what was asked.",
        given.ListBacktests,
        _list_backtests,
    ),
    Tool(
        "control_backtest",
        "Steer a backtest",
        "Pauses, resumes or stops a backtest, sets its speed, steps some bars, or seeks to a bar. A stop gives the "
        "result of the bars until there.",
        given.ControlBacktest,
        _control_backtest,
        reads=False,
    ),
    Tool(
        "list_strategies",
        "List strategies",
        "All strategies that can be run, with the JSON Schema of their parameters.",
        given.NoArguments,
        _list_strategies,
    ),
    Tool(
        "validate_strategy",
        "Check a strategy",
        "Whether a strategy and its parameters are right, and what is wrong with them. Runs nothing.",
        given.ValidateStrategy,
        _validate_strategy,
    ),
    Tool(
        "list_market_data",
        "List market data",
        "Which symbols and intervals there are, from when to when, with their gaps.",
        given.ListMarketData,
        _list_market_data,
    ),
    Tool(
        "import_market_data",
        "Import market data",
        "Stores bars from CSV text. Where the text can be read in two ways it is refused, and the refusal names the "
        "option that decides with its choices: call again with it in `options`.",
        given.ImportMarketData,
        _import_market_data,
        reads=False,
    ),
)
TOOLS = {one.name: one for one in _TABLE}
