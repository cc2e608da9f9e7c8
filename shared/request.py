"""What a backtest is asked to do: its params, and the request that adds how soon."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from shared.instants import Instant, Interval, to_ms, write_instant
from shared.profiles import USUAL_FILL_AT, Profile, unfit
from shared.wire import Whole, Wire, storable, whole

# They stand in paths of URLs, some of them percent-encoded, and in ids of documents: nothing that begins a query or a
# fragment, and none of what MongoDB gives a meaning to.
SYMBOL_PATTERN = r"^[A-Za-z0-9^][A-Za-z0-9._/:^=&!-]{0,39}$"
SYMBOL_LETTERS = "letters, digits and . _ / : ^ = & ! -, the first a letter, a digit or ^, at most 40"
Symbol = Annotated[str, Field(pattern=SYMBOL_PATTERN, description=SYMBOL_LETTERS.capitalize() + ".")]


def _pace(value: object, read: ValidatorFunctionWrapHandler) -> object:
    """One refusal under the field's own name, not one for each of the two things it may be."""
    try:
        return read(value)
    except ValidationError:
        raise ValueError("must be bars a second, from 0.1 to 1000000000, or max") from None


BarsPerSecond = Annotated[Annotated[float, Field(ge=0.1, le=1e9)] | Literal["max"], WrapValidator(_pace)]
FillAt = Literal["open", "close"]
Intrabar = Literal["stop_first", "target_first", "ohlc_path"]
# More than any window there may be; in the longest averages with memory a trace is left of what came before.
WARMUP_BARS_MAX = 100_000
# The strategy that asks a language model, which is what agents are.
AI_TRADER = "ai_trader"
SizingMode = Literal["equity_fraction", "fixed_quantity", "fixed_notional", "risk_fraction"]


# A request refuses fields that are unknown inside it, too (`shared/wire.py`).
_CLOSED = ConfigDict(json_schema_extra={"additionalProperties": False})


class Commission(Wire):
    """Per side: value x rate + fixed, and never less than the minimum."""

    model_config = _CLOSED

    rate: float = Field(default=0.0, ge=0, le=0.2, description="Share of the traded value: 0.001 is 0.1 %.")
    fixed: float = Field(default=0.0, ge=0, le=1e9, description="Added to every fill, in money.")
    minimum: float = Field(default=0.0, ge=0, le=1e9, description="Least fee of a fill, in money.")


class Level(Wire):
    """How far a stop or a target stands from the price; exactly one of three."""

    model_config = _CLOSED

    percent: float | None = Field(default=None, gt=0, lt=100, description="Percent of the price: 2 is 2 %.")
    distance: float | None = Field(default=None, gt=0, le=1e15, description="In units of the price.")
    atr: float | None = Field(
        default=None, gt=0, le=1_000, description="Average true ranges (atrPeriod) when the order was decided."
    )

    @model_validator(mode="before")
    @classmethod
    def _is_no_bare_number(cls, value: object) -> object:
        if isinstance(value, int | float) and not isinstance(value, bool):
            percent = 100 * value if 0 < value < 1 else value
            raise ValueError(
                f'must say what the number is: {{"percent": {percent:g}}} is {percent:g} % of the price, '
                f'{{"distance": {value:g}}} is {value:g} in its units'
            )
        return value

    @model_validator(mode="after")
    def _is_exactly_one(self) -> Self:
        if sum(size is not None for size in (self.percent, self.distance, self.atr)) != 1:
            raise ValueError('must have exactly one of percent, distance, atr: {"percent": 2} is 2 % of the price')
        return self


class Sizing(Wire):
    """How large a trade is, where it is not a share of equity."""

    model_config = _CLOSED

    mode: SizingMode = Field(
        description="fixed_quantity: units; fixed_notional: money; risk_fraction: share of equity lost at the stop."
    )
    value: float = Field(gt=0, le=1e15, description="In the unit of the mode.")

    @model_validator(mode="after")
    def _is_a_share(self) -> Self:
        if self.mode == "equity_fraction":
            raise ValueError("mode equity_fraction is what positionSizePercent is for; set that and leave sizing out")
        if self.mode == "risk_fraction" and self.value > 1:
            raise ValueError(
                f"value must be at most 1 for risk_fraction: 0.01 risks 1 % of equity (got {self.value:g})"
            )
        return self


def _describe_size(schema: dict[str, Any]) -> None:
    """`positionSize` stands in the schema beside the field it is another name of."""
    size = dict(schema["properties"]["positionSizePercent"])
    size["title"] = "Positionsize"
    size["description"] = (
        "Share of equity per trade: 1 is all of it (100 %), 0.02 is 2 %; at most leverage. What is stored calls it "
        "positionSizePercent; send one of them."
    )
    schema["properties"]["positionSize"] = size
    schema["not"] = {"required": ["positionSize", "positionSizePercent"]}


def _describe_params(schema: dict[str, Any]) -> None:
    _describe_size(schema)
    agent = schema["properties"]["agentId"]
    agent |= agent.pop("anyOf")[0]  # null is none
    del agent["default"], schema["properties"]["strategies"]["default"]


class BacktestParams(Wire):
    """What to run: `params` of a task, and the body of `POST /api/algo/backtest`."""

    model_config = ConfigDict(json_schema_extra=_describe_params)

    symbol: Symbol
    interval: Interval = Field(description="Length of the bars; made of finer ones where only those are stored.")
    start_date: Instant = Field(description="First bar's time or later, inclusive.")
    end_date: Instant = Field(description="Exclusive.")
    strategies: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(
        default=[],
        min_length=1,
        max_length=16,
        description="Ids or other names of strategies, none twice. May be left out only with agentId.",
    )
    strategy_params: dict[str, Annotated[dict[str, JsonValue], AfterValidator(storable)]] = Field(
        default_factory=dict,
        max_length=16,
        description="By strategy, its parameters; those left out are as by default.",
    )
    agent_id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="An agent of one's own that trades; strategies are left out then. strategyParams of `ai_trader` go "
        "before what the agent has.",
    )
    agent_version: Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(whole)] | None = Field(
        default=None, description="Which version of the agent; the last one where left out."
    )
    combine: Literal["any", "all", "majority", "weighted"] = Field(
        default="any", description="How several strategies come to one decision."
    )
    weights: dict[str, Annotated[float, Field(gt=0, le=1e6)]] = Field(
        default_factory=dict,
        max_length=16,
        description="By strategy, where combine is weighted: more than half decides.",
    )
    initial_capital: float = Field(default=10_000.0, gt=0, le=1e15, description="Money to begin with.")
    position_size_percent: float = Field(
        default=1.0,
        alias="positionSizePercent",
        validation_alias=AliasChoices("positionSizePercent", "positionSize"),
        gt=0,
        le=125,
        description="Older name of positionSize: a share of equity per trade, although it is called percent. 1 is all "
        "of it (100 %), 0.02 is 2 %; at most leverage.",
    )
    sizing: Sizing | None = Field(default=None, description="Another way to size trades than by share of equity.")
    lot_size: float = Field(default=0.0, ge=0, le=1e12, description="Quantities are cut to multiples of this; 0: any.")
    tick_size: float = Field(
        default=0.0, ge=0, le=1e12, description="Prices of fills and levels are multiples of this, against you; 0: any."
    )
    leverage: float = Field(default=1.0, ge=1, le=125, description="Most gross exposure, in equities.")
    maintenance_margin: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of exposure; where equity falls to it, everything is liquidated. Below 1 / leverage.",
    )
    max_open_trades: Whole = Field(default=1, ge=1, le=1_000, description="How many trades may be open at once.")
    allow_short: bool = Field(default=False, description="Whether -1 sells short; else it closes what is long.")
    stop_loss: Level | None = Field(default=None, description="From the entry price; a market order when reached.")
    take_profit: Level | None = Field(default=None, description="From the entry price; a limit order.")
    trailing_stop: Level | None = Field(
        default=None, description="From the best price since entry; moves at the end of each bar, never back."
    )
    use_stop_orders: bool = Field(default=True, description="False leaves stopLoss and trailingStop out of this run.")
    use_take_profits: bool = Field(default=True, description="False leaves takeProfit out of this run.")
    atr_period: Whole = Field(default=14, ge=2, le=10_000, description="Bars of the average true range of levels.")
    commission: Commission = Field(default=Commission(), description="What each fill costs.")
    slippage_bps: float = Field(default=0.0, ge=0, le=1_000, description="Added against you on every market fill.")
    spread_bps: float = Field(default=0.0, ge=0, le=1_000, description="Half of it against you on every market fill.")
    fill_at: FillAt = Field(
        default="open",
        description="Whether an order fills at the next open or at the close that decided it. The open unless the "
        "profile is vectorbt, which fills at the close where it is not told otherwise.",
    )
    intrabar: Intrabar = Field(
        default="stop_first", description="What came first where stop and target lie inside one bar."
    )
    profile: Profile = Field(
        default="backfleet",
        description="Whose rules fills follow; another program's are described in docs/profiles.md.",
    )
    close_at_end: bool | None = Field(
        default=None,
        description="Whether trades still open are closed at the last close. They are, except with another profile.",
    )
    periods_per_year: float | None = Field(
        default=None,
        ge=1,
        le=366,
        description="Days (or weeks, months, of such bars) that make a year in annualised figures; as many "
        "as the bars show where left out.",
        examples=[252],
    )
    seed: Whole = Field(default=0, ge=0, lt=2**63, description="Seed of whatever is random in a run.")
    start_paused: bool = Field(default=False, description="Whether it waits before its first bar for resume or step.")
    speed: BarsPerSecond = Field(
        default="max", description="Bars a second, from 0.1, or max: as fast as it goes.", examples=["max"]
    )
    emit_interval: Whole = Field(
        default=10, ge=1, le=1_000_000, description="Bars between two backtest:state, where time allows."
    )
    emit_every_ms: Whole = Field(
        default=100, ge=20, le=60_000, description="Least time between two backtest:state, whatever emitInterval says."
    )
    warmup_bars: Annotated[int, Field(ge=0, le=WARMUP_BARS_MAX), BeforeValidator(whole)] | None = Field(
        default=None,
        description="Most bars before startDate that indicators may begin with, so that they are known from the first "
        "bar on; nothing trades in them. 0: none. As many as strategies and levels look back at where left out.",
        examples=[0],
    )
    check_causality: bool = Field(
        default=False,
        description="Before the run, cut the bars at up to twenty places; a strategy that then says otherwise of the "
        "bars before the cut sees the future and is refused.",
    )

    @model_validator(mode="before")
    @classmethod
    def _profile_says_when_orders_fill(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given  # which is refused for what it is
        params = cast("dict[str, Any]", given)
        profile = params.get("profile")
        usual = USUAL_FILL_AT.get(profile) if isinstance(profile, str) else None
        return params if usual is None or {"fillAt", "fill_at"} & params.keys() else {**params, "fillAt": usual}

    @model_validator(mode="before")
    @classmethod
    def _an_agent_is_a_strategy(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        params = cast("dict[str, Any]", given)
        if not {"agentId", "agent_id"} & params.keys():
            return params
        if params.get("agentId", params.get("agent_id")) is None:
            raise ValueError("agentId must be text; leave it out where no agent trades")
        return {"strategies": [AI_TRADER], **params}

    @model_validator(mode="after")
    def _an_agent_trades_alone(self) -> Self:
        if not self.strategies:
            raise ValueError("strategies is missing; name one, or an agent with agentId")
        if self.agent_id is not None and self.strategies != [AI_TRADER]:
            raise ValueError(f"strategies must be left out with agentId, which trades as {AI_TRADER}")
        if self.agent_version is not None and self.agent_id is None:
            raise ValueError("agentVersion is of an agent; name it with agentId")
        return self

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> Self:
        if self.start_date >= self.end_date:
            raise ValueError(
                f"startDate {write_instant(self.start_date)} must be before endDate {write_instant(self.end_date)}"
            )
        return self

    @model_validator(mode="after")
    def _parameters_belong_to_a_strategy(self) -> Self:
        if len(set(self.strategies)) != len(self.strategies):
            raise ValueError("strategies must not repeat")
        stray = sorted(set(self.strategy_params) - set(self.strategies))
        if stray:
            raise ValueError(f"strategyParams names {', '.join(stray)}, which strategies does not")
        return self

    @model_validator(mode="after")
    def _weights_belong_to_the_strategies(self) -> Self:
        if self.combine == "weighted" and set(self.weights) != set(self.strategies):
            raise ValueError(
                f"weights must name every strategy and no other: {', '.join(self.strategies)} "
                f"(got {', '.join(self.weights) or 'none'})"
            )
        if self.combine != "weighted" and self.weights:
            raise ValueError(f'weights are for combine "weighted" (combine is "{self.combine}")')
        return self

    @model_validator(mode="after")
    def _sizes_fit_together(self) -> Self:
        if self.position_size_percent > self.leverage:
            raise ValueError(
                f"positionSizePercent must be at most leverage, {self.leverage:g}: 0.02 is 2 % of equity "
                f"(got {self.position_size_percent:g})"
            )
        if self.maintenance_margin * self.leverage >= 1:
            raise ValueError(
                f"maintenanceMargin must be below 1 / leverage, {1 / self.leverage:g}, else a trade is liquidated "
                f"as it opens (got {self.maintenance_margin:g})"
            )
        if self.sizing and self.position_size_percent != 1.0:
            raise ValueError("sizing takes the place of positionSizePercent; leave one of them out")
        if self.sizing and self.sizing.mode == "risk_fraction":
            if not (self.stop_loss or self.trailing_stop):
                raise ValueError(
                    "sizing by risk_fraction needs a stop to measure risk by; add stopLoss or trailingStop"
                )
            if not self.use_stop_orders:
                raise ValueError(
                    "useStopOrders must be true for sizing by risk_fraction, which measures risk by the stop"
                )
        return self

    @model_validator(mode="after")
    def _profile_has_rules_for_it(self) -> Self:
        found = [f"{'.'.join(map(to_camel, path.split('.')))} {words}" for path, words in unfit(self)]
        if found:
            raise ValueError("; ".join(found))
        return self

    @property
    def closes_at_end(self) -> bool:
        return self.profile == "backfleet" if self.close_at_end is None else self.close_at_end

    @property
    def levels(self) -> dict[str, Level]:
        """Where this run's trades may end, by the name of the field; without those that it leaves out."""
        stops = {"stop_loss": self.stop_loss, "trailing_stop": self.trailing_stop} if self.use_stop_orders else {}
        targets = {"take_profit": self.take_profit} if self.use_take_profits else {}
        return {name: level for name, level in (stops | targets).items() if level}

    @property
    def start_ms(self) -> int:
        return to_ms(self.start_date)

    @property
    def end_ms(self) -> int:
        return to_ms(self.end_date)


class BacktestRequest(BacktestParams):
    """The body of `POST /api/algo/backtest` and of `backtest:start`: the params, and how soon."""

    model_config = ConfigDict(extra="forbid")

    priority: Whole = Field(default=0, ge=-9, le=9, description="Higher runs earlier.")

    def params(self) -> BacktestParams:
        return BacktestParams.model_construct(
            _fields_set=self.model_fields_set - {"priority"},
            **{name: getattr(self, name) for name in BacktestParams.model_fields},
        )


# What documentation and demo show: it runs on the bars that come with backfleet.
EXAMPLE_REQUEST: dict[str, Any] = {
    "symbol": "AAPL",
    "interval": "1d",
    "startDate": "2000-03-01",
    "endDate": "2013-03-01",
    "strategies": ["sma_crossover"],
    "strategyParams": {"sma_crossover": {"fast": 20, "slow": 100}},
    "commission": {"rate": 0.001},
}
