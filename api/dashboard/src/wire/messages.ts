// Made from docs/contract by `npm run wire`. Not edited by hand.

export interface Acknowledged {
ok: true
}
export interface AiDecisionFrame {
data: AiDecisionData
epoch?: (number | null)
/**
 * Of a replay, which has numbers of its own.
 */
replay?: (true | null)
replay_seq?: (number | null)
seq?: (number | null)
type: "ai_decision"
}
export interface AiDecisionData {
/**
 * True: the model gave no answer that could be used.
 */
abstained: (boolean | null)
action: (("LONG" | "SHORT" | "CLOSE" | "HOLD") | null)
confidence: (number | null)
/**
 * At the close of this bar, counted from 0.
 */
index: (number | null)
/**
 * In the model's own words, or why there is none.
 */
reasoning: (string | null)
/**
 * One sentence for each time that safety stepped in.
 */
safety: (string[] | null)
/**
 * The backtest's id.
 */
session_id: string
/**
 * Of equity; null leaves it to the request, as for the levels.
 */
size: (number | null)
stop_loss: (number | null)
take_profit: (number | null)
time: (string | null)
}
export interface AiThinkingFrame {
data: AiThinkingData
epoch?: (number | null)
/**
 * Of a replay, which has numbers of its own.
 */
replay?: (true | null)
replay_seq?: (number | null)
seq?: (number | null)
type: "ai_thinking"
}
export interface AiThinkingData {
/**
 * At the close of this bar, counted from 0.
 */
index: (number | null)
/**
 * The backtest's id.
 */
session_id: string
time: (string | null)
}
export interface Authenticate {
action: "authenticate"
encoding?: (("json" | "msgpack") | null)
token?: (string | null)
}
export interface Authenticated {
data: WhoIsSignedIn
type: "authenticated"
}
export interface WhoIsSignedIn {
encoding: ("json" | "msgpack")
/**
 * Null of a key that does not expire.
 */
expires_at: (string | null)
user_id: string
}
export interface BacktestCandleFrame {
data: CandleData
epoch?: (number | null)
seq?: (number | null)
type: "backtest_candle"
}
export interface CandleData {
backtest_id: string
bar: number
close: number
high: number
/**
 * What the strategies look at, at most 16 values by name; null where there is none. Empty in a replay.
 */
indicators?: {
[k: string]: number | null
}
low: number
open: number
time: string
timestamp: string
volume: number
}
export interface BacktestCompleteFrame {
data: CompleteData
epoch?: (number | null)
seq?: (number | null)
type: "backtest_complete"
}
export interface CompleteData {
backtest_id: string
/**
 * Percent, positive.
 */
drawdown: (number | null)
duration_seconds: (number | null)
final_balance: (number | null)
/**
 * The summary, and the ids and hashes of `backtest:complete`.
 */
results: {
[k: string]: unknown
}
return_pct: (number | null)
sharpe_ratio: (number | null)
timestamp: string
total_trades: (number | null)
/**
 * Percent.
 */
win_rate: (number | null)
}
export interface BacktestDecisionFrame {
data: DecisionToldData
epoch?: (number | null)
seq?: (number | null)
type: "backtest_decision"
}
export interface DecisionToldData {
/**
 * True: the model gave no answer that could be used.
 */
abstained: boolean
/**
 * What it came to; HOLD makes no order.
 */
action: ("LONG" | "SHORT" | "CLOSE" | "HOLD")
backtest_id: string
bar: number
confidence: number
cost_usd: (number | null)
latency_ms: (number | null)
model: string
/**
 * Why it abstained.
 */
reason: (string | null)
/**
 * In the model's own words, or why there is none.
 */
reasoning: string
/**
 * One sentence for each time that safety stepped in.
 */
safety: string[]
/**
 * Of equity; null leaves it to the request, as for the levels.
 */
size_fraction: (number | null)
stop_loss_price: (number | null)
/**
 * Whether it was taken from what is stored, which costs nothing.
 */
stored: boolean
/**
 * As the request calls it.
 */
strategy: string
take_profit_price: (number | null)
time: string
timestamp: string
tokens_in: (number | null)
tokens_out: (number | null)
}
export interface BacktestErrorFrame {
data: ErrorData
epoch?: (number | null)
seq?: (number | null)
type: "backtest_error"
}
export interface ErrorData {
backtest_id: string
error: string
/**
 * Code and wrong fields, one a line.
 */
error_details: (string | null)
timestamp: string
}
export interface BacktestPausedFrame {
data: StandingData
epoch?: (number | null)
seq?: (number | null)
type: "backtest_paused"
}
export interface StandingData {
backtest_id: string
/**
 * Bars processed.
 */
bar: number
command_id?: (string | null)
current_time: string
progress_percent: number
speed: (number | "max")
timestamp: string
total_bars: number
}
export interface BacktestProgressFrame {
data: ProgressData
epoch?: (number | null)
seq?: (number | null)
type: "backtest_progress"
}
export interface ProgressData {
backtest_id: string
bars_processed: (number | null)
current_date: string
current_pnl: (number | null)
progress: number
status: string
timestamp: string
total_bars: (number | null)
trades_count: (number | null)
}
export interface BacktestRefusedFrame {
data: RefusedData
epoch?: (number | null)
seq?: (number | null)
type: "backtest_refused"
}
export interface RefusedData {
backtest_id: string
/**
 * Stable machine-readable name.
 */
code: string
command_id?: (string | null)
error: string
/**
 * `field`, `message` and `code` of each.
 */
errors: {
[k: string]: string
}[]
timestamp: string
}
export type JsonValue = unknown

export interface BacktestRequest {
/**
 * An agent of one's own that trades; strategies are left out then. strategyParams of `ai_trader` go before what the agent has.
 */
agentId?: string
/**
 * Which version of the agent; the last one where left out.
 */
agentVersion?: (number | null)
/**
 * Whether -1 sells short; else it closes what is long.
 */
allowShort?: boolean
/**
 * Bars of the average true range of levels.
 */
atrPeriod?: number
/**
 * Before the run, cut the bars at up to twenty places; a strategy that then says otherwise of the bars before the cut sees the future and is refused.
 */
checkCausality?: boolean
/**
 * Whether trades still open are closed at the last close. They are, except with another profile.
 */
closeAtEnd?: (boolean | null)
/**
 * How several strategies come to one decision.
 */
combine?: ("any" | "all" | "majority" | "weighted")
commission?: Commission
/**
 * Least time between two backtest:state, whatever emitInterval says.
 */
emitEveryMs?: number
/**
 * Bars between two backtest:state, where time allows.
 */
emitInterval?: number
/**
 * Exclusive.
 */
endDate: string
/**
 * Whether an order fills at the next open or at the close that decided it. The open unless the profile is vectorbt, which fills at the close where it is not told otherwise.
 */
fillAt?: ("open" | "close")
/**
 * Money to begin with.
 */
initialCapital?: number
/**
 * Length of the bars; made of finer ones where only those are stored.
 */
interval: ("1m" | "3m" | "5m" | "10m" | "15m" | "30m" | "1h" | "2h" | "4h" | "6h" | "8h" | "12h" | "1d" | "3d" | "1w" | "1M")
/**
 * What came first where stop and target lie inside one bar.
 */
intrabar?: ("stop_first" | "target_first" | "ohlc_path")
/**
 * Most gross exposure, in equities.
 */
leverage?: number
/**
 * Quantities are cut to multiples of this; 0: any.
 */
lotSize?: number
/**
 * Share of exposure; where equity falls to it, everything is liquidated. Below 1 / leverage.
 */
maintenanceMargin?: number
/**
 * How many trades may be open at once.
 */
maxOpenTrades?: number
/**
 * Days (or weeks, months, of such bars) that make a year in annualised figures; as many as the bars show where left out.
 */
periodsPerYear?: (number | null)
/**
 * Share of equity per trade: 1 is all of it (100 %), 0.02 is 2 %; at most leverage. What is stored calls it positionSizePercent; send one of them.
 */
positionSize?: number
/**
 * Older name of positionSize: a share of equity per trade, although it is called percent. 1 is all of it (100 %), 0.02 is 2 %; at most leverage.
 */
positionSizePercent?: number
/**
 * Higher runs earlier.
 */
priority?: number
/**
 * Whose rules fills follow; another program's are described in docs/profiles.md.
 */
profile?: ("backfleet" | "backtesting.py" | "vectorbt" | "backtrader")
/**
 * Seed of whatever is random in a run.
 */
seed?: number
/**
 * Another way to size trades than by share of equity.
 */
sizing?: (Sizing | null)
/**
 * Added against you on every market fill.
 */
slippageBps?: number
/**
 * Bars a second, from 0.1, or max: as fast as it goes.
 */
speed?: (number | "max")
/**
 * Half of it against you on every market fill.
 */
spreadBps?: number
/**
 * First bar's time or later, inclusive.
 */
startDate: string
/**
 * Whether it waits before its first bar for resume or step.
 */
startPaused?: boolean
/**
 * From the entry price; a market order when reached.
 */
stopLoss?: (Level | null)
/**
 * Ids or other names of strategies, none twice. May be left out only with agentId.
 * 
 * @minItems 1
 * @maxItems 16
 */
strategies?: [string]|[string, string]|[string, string, string]|[string, string, string, string]|[string, string, string, string, string]|[string, string, string, string, string, string]|[string, string, string, string, string, string, string]|[string, string, string, string, string, string, string, string]|[string, string, string, string, string, string, string, string, string]|[string, string, string, string, string, string, string, string, string, string]|[string, string, string, string, string, string, string, string, string, string, string]|[string, string, string, string, string, string, string, string, string, string, string, string]|[string, string, string, string, string, string, string, string, string, string, string, string, string]|[string, string, string, string, string, string, string, string, string, string, string, string, string, string]|[string, string, string, string, string, string, string, string, string, string, string, string, string, string, string]|[string, string, string, string, string, string, string, string, string, string, string, string, string, string, string, string]
/**
 * By strategy, its parameters; those left out are as by default.
 */
strategyParams?: {
[k: string]: {
[k: string]: JsonValue
}
}
/**
 * Letters, digits and . _ / : ^ = & ! -, the first a letter, a digit or ^, at most 40.
 */
symbol: string
/**
 * From the entry price; a limit order.
 */
takeProfit?: (Level | null)
/**
 * Prices of fills and levels are multiples of this, against you; 0: any.
 */
tickSize?: number
/**
 * From the best price since entry; moves at the end of each bar, never back.
 */
trailingStop?: (Level | null)
/**
 * False leaves stopLoss and trailingStop out of this run.
 */
useStopOrders?: boolean
/**
 * False leaves takeProfit out of this run.
 */
useTakeProfits?: boolean
/**
 * Most bars before startDate that indicators may begin with, so that they are known from the first bar on; nothing trades in them. 0: none. As many as strategies and levels look back at where left out.
 */
warmupBars?: (number | null)
/**
 * By strategy, where combine is weighted: more than half decides.
 */
weights?: {
[k: string]: number
}
}
export interface Commission {
/**
 * Added to every fill, in money.
 */
fixed?: number
/**
 * Least fee of a fill, in money.
 */
minimum?: number
/**
 * Share of the traded value: 0.001 is 0.1 %.
 */
rate?: number
}
export interface Sizing {
/**
 * fixed_quantity: units; fixed_notional: money; risk_fraction: share of equity lost at the stop.
 */
mode: ("equity_fraction" | "fixed_quantity" | "fixed_notional" | "risk_fraction")
/**
 * In the unit of the mode.
 */
value: number
}
export interface Level {
/**
 * Average true ranges (atrPeriod) when the order was decided.
 */
atr?: (number | null)
/**
 * In units of the price.
 */
distance?: (number | null)
/**
 * Percent of the price: 2 is 2 %.
 */
percent?: (number | null)
}
export interface BacktestResumedFrame {
data: StandingData
epoch?: (number | null)
seq?: (number | null)
type: "backtest_resumed"
}
export interface BacktestSignalFrame {
data: SignalToldData
epoch?: (number | null)
seq?: (number | null)
type: "backtest_signal"
}
export interface SignalToldData {
backtest_id: string
bar: number
/**
 * 1 long, -1 short (or flat without shorts), 0 flat.
 */
signal: (-1 | 0 | 1)
signals?: (Signal[] | null)
/**
 * How many before these are not told.
 */
skipped?: (number | null)
time: string
timestamp: string
}
export interface Signal {
bar: number
/**
 * 1 long, -1 short (or flat without shorts), 0 flat.
 */
signal: (-1 | 0 | 1)
time: string
}
export interface BacktestStartFrame {
data: StartData
epoch?: (number | null)
seq?: (number | null)
type: "backtest_start"
}
export interface StartData {
backtest_id: string
end_date: (string | null)
start_date: (string | null)
symbol: (string | null)
/**
 * The interval as it was asked for.
 */
timeframe: (string | null)
timestamp: string
/**
 * The strategies, joined by +.
 */
variant: string
}
export interface BacktestThinkingFrame {
data: ThinkingData
epoch?: (number | null)
seq?: (number | null)
type: "backtest_thinking"
}
export interface ThinkingData {
backtest_id: string
bar: number
/**
 * As the request calls it.
 */
strategy: string
time: string
timestamp: string
}
export interface BacktestTradeFrame {
data: TradeToldData
epoch?: (number | null)
seq?: (number | null)
type: "backtest_trade"
}
export interface TradeToldData {
backtest_id: string
/**
 * How many before these are not told.
 */
skipped?: (number | null)
timestamp: string
trade: (ClosedTrade | OpenedTrade)
/**
 * All of them as columns, where many.
 */
trades?: ({
[k: string]: unknown[]
} | null)
what: ("opened" | "closed")
}
export interface ClosedTrade {
direction: ("long" | "short")
entryBar: number
entryPrice: number
entryReason: string
entryTime: string
exitBar: number
exitPrice: number
exitReason: string
exitTime: string
/**
 * Of both sides.
 */
fees: number
/**
 * After fees.
 */
pnl: number
/**
 * Of the entry's value.
 */
pnlPercent: (number | null)
quantity: number
/**
 * Which first asked for it; null where none alone did.
 */
strategy: (string | null)
}
export interface OpenedTrade {
direction: ("long" | "short")
entryBar: number
entryPrice: number
entryReason: string
entryTime: string
quantity: number
stopPrice?: (number | null)
targetPrice?: (number | null)
trailingStopPrice?: (number | null)
}
export interface CandleEvent {
backtestId: string
data: Candle
epoch?: (number | null)
seq?: (number | null)
timestamp?: (string | null)
traceparent?: (string | null)
type: "candle"
userId: string
}
export interface Candle {
bar: number
close: number
high: number
/**
 * What the strategies look at, at most 16 values by name; null where there is none. Empty in a replay.
 */
indicators?: {
[k: string]: number | null
}
low: number
open: number
time: string
volume: number
}
export interface CandleFrame {
data: CandleOfSession
epoch?: (number | null)
/**
 * Of a replay, which has numbers of its own.
 */
replay?: (true | null)
replay_seq?: (number | null)
seq?: (number | null)
type: "candle"
}
export interface CandleOfSession {
close: (number | null)
high: (number | null)
/**
 * Counted from 0.
 */
index: (number | null)
/**
 * What the strategies look at, by name.
 */
indicators: {
[k: string]: number | null
}
low: (number | null)
open: (number | null)
/**
 * The backtest's id.
 */
session_id: string
time: (string | null)
volume: (number | null)
}
export interface CandleTold {
backtestId: string
bar: number
close: number
epoch?: (number | null)
high: number
/**
 * What the strategies look at, at most 16 values by name; null where there is none. Empty in a replay.
 */
indicators?: {
[k: string]: number | null
}
low: number
open: number
seq?: (number | null)
time: string
userId: string
volume: number
}
export interface Complete {
backtestId: string
commandId?: (string | null)
datasetHash?: (string | null)
durationSeconds?: (number | null)
effectiveEnd?: (string | null)
effectiveStart?: (string | null)
epoch?: (number | null)
resultHash?: (string | null)
resultId: string
seq?: (number | null)
status?: "success"
stopped?: (boolean | null)
summary: Summary
timestamp?: (string | null)
totalBars?: (number | null)
traceparent?: (string | null)
userId: string
warnings?: (ResultWarning[] | null)
}
export interface Summary {
maxDrawdown?: (number | null)
sharpeRatio?: (number | null)
totalReturn?: (number | null)
[k: string]: unknown
}
export interface ResultWarning {
/**
 * Stable machine-readable name.
 */
code: string
/**
 * Dotted path as the asker wrote it, where it is about one.
 */
field?: (string | null)
/**
 * What went otherwise, and where one can do something about it, what.
 */
message: string
}
export interface ConnectAuth {
/**
 * When the client was here last, as an instant or ms since 1970: asks for `auth:ok`, which lists what ended meanwhile. Null: it comes for the first time.
 */
since?: (string | number | null)
/**
 * A token of a login or an issuer, or a key `bfk_…`.
 */
token: string
}
export interface Control {
action: ("pause" | "resume" | "stop" | "speed" | "step" | "seek" | "watch")
backtestId: string
bar?: (number | null)
bars?: number
closeOpenTrades?: boolean
commandId?: string
seq?: (number | null)
speed?: (number | "max" | null)
time?: (string | null)
userId: string
}
export interface ControlConfirmed {
data: ControlledData
type: "control_confirmed"
}
export interface ControlledData {
/**
 * What was asked.
 */
action: ("pause" | "resume" | "stop" | "speed" | "step" | "seek")
/**
 * Which backtest.
 */
backtest_id: string
/**
 * Before which bar it stands, where that is known.
 */
bar?: (number | null)
/**
 * As sent, or made: sent again with it, the command counts once.
 */
command_id: string
/**
 * Whether the command has had its effect; else its backtest hears it later.
 */
done: boolean
/**
 * Percent of its bars.
 */
progress: number
/**
 * Bars a second, or as fast as it goes.
 */
speed: (number | "max")
/**
 * How the backtest stands now, or the replay of an ended one on that socket.
 */
status: (("pending" | "running" | "paused" | "completed" | "failed" | "stopped") | ("replaying" | "ended"))
/**
 * Of how many, where that is known.
 */
total_bars?: (number | null)
}
export interface ControlFrame {
action: "control"
backtestId: string
command: ControlRequest
}
export interface ControlRequest {
action: ("pause" | "resume" | "stop" | "speed" | "step" | "seek")
/**
 * For seek: to just before this bar, counted from 0.
 */
bar?: (number | null)
/**
 * For step: how many bars, then paused again.
 */
bars?: number
/**
 * For stop: whether what is open is closed at the last close.
 */
closeOpenTrades?: boolean
/**
 * Another name of closeOpenTrades; send one of them.
 */
closePosition?: boolean
/**
 * Makes it count once, however often it is sent; one is made where it is left out.
 */
commandId?: (string | null)
/**
 * For speed: bars a second, from 0.1, or max.
 */
speed?: (number | "max" | null)
/**
 * For seek: to just before the first bar from then on.
 */
time?: (string | null)
}
export interface ControlledAck {
/**
 * What was asked.
 */
action: ("pause" | "resume" | "stop" | "speed" | "step" | "seek")
/**
 * Which backtest.
 */
backtestId: string
/**
 * Before which bar it stands, where that is known.
 */
bar?: (number | null)
/**
 * As sent, or made: sent again with it, the command counts once.
 */
commandId: string
/**
 * Whether the command has had its effect; else its backtest hears it later.
 */
done: boolean
/**
 * It was taken.
 */
ok: true
/**
 * Percent of its bars.
 */
progress: number
/**
 * Bars a second, or as fast as it goes.
 */
speed: (number | "max")
/**
 * How the backtest stands now, or the replay of an ended one on that socket.
 */
status: (("pending" | "running" | "paused" | "completed" | "failed" | "stopped") | ("replaying" | "ended"))
/**
 * Of how many, where that is known.
 */
totalBars?: (number | null)
}
export interface DecisionEvent {
backtestId: string
data: DecisionTold
epoch?: (number | null)
seq?: (number | null)
timestamp?: (string | null)
traceparent?: (string | null)
type: "decision"
userId: string
}
export interface DecisionTold {
/**
 * True: the model gave no answer that could be used.
 */
abstained: boolean
/**
 * What it came to; HOLD makes no order.
 */
action: ("LONG" | "SHORT" | "CLOSE" | "HOLD")
bar: number
confidence: number
costUsd: (number | null)
latencyMs: (number | null)
model: string
/**
 * Why it abstained.
 */
reason: (string | null)
/**
 * In the model's own words, or why there is none.
 */
reasoning: string
/**
 * One sentence for each time that safety stepped in.
 */
safety: string[]
/**
 * Of equity; null leaves it to the request, as for the levels.
 */
sizeFraction: (number | null)
stopLossPrice: (number | null)
/**
 * Whether it was taken from what is stored, which costs nothing.
 */
stored: boolean
/**
 * As the request calls it.
 */
strategy: string
takeProfitPrice: (number | null)
time: string
tokensIn: (number | null)
tokensOut: (number | null)
}
export interface ErrorFrame {
/**
 * Of the request.
 */
action?: (string | null)
/**
 * @minItems 1
 */
errors: [ProblemField, ...(ProblemField)[]]
/**
 * Of the request.
 */
topic?: (string | null)
type: "error"
}
export interface ProblemField {
/**
 * Answers that will do, all or the likely ones; only where there are such.
 */
choices?: (ProblemChoice[] | null)
/**
 * Stable machine-readable name; `choose` of a question.
 */
code: string
/**
 * Dotted path as the caller wrote it.
 */
field: string
/**
 * What is wrong with it, and what to write.
 */
message: string
}
export interface ProblemChoice {
/**
 * What it means, for people.
 */
label: string
/**
 * What to send in the field.
 */
value: string
}
export interface Expired {
code: ("token_expired" | "token_revoked")
message: string
}
export interface Failure {
backtestId: string
code?: (string | null)
epoch?: (number | null)
error: string
errors?: ({
[k: string]: string
}[] | null)
seq?: (number | null)
status?: "error"
timestamp: string
traceparent?: (string | null)
userId: string
}
export interface LogEntryFrame {
data: LogData
epoch?: (number | null)
seq?: (number | null)
type: "log_entry"
}
export interface LogData {
backtest_id: string
function: string
level: string
line: number
logger_name: string
message: string
module: string
timestamp: string
}
export interface LogEvent {
backtestId: string
data: LogTold
epoch?: (number | null)
seq?: (number | null)
timestamp?: (string | null)
traceparent?: (string | null)
type: "log"
userId: string
}
export interface LogTold {
/**
 * How many more were logged than the 200 a second and 10,000 a run that are kept.
 */
dropped?: (number | null)
entries: (LogEntry | LogLine)[]
}
export interface LogEntry {
/**
 * The function in it; empty where there is none.
 */
function: string
/**
 * As Python's `logging` names it.
 */
level: string
/**
 * The line in its file.
 */
line: number
/**
 * Which logger.
 */
loggerName: string
/**
 * At most 2,000 characters.
 */
message: string
/**
 * The Python module that logged it.
 */
module: string
/**
 * Counts the lines of a backtest.
 */
number: number
/**
 * When it was logged.
 */
timestamp: string
}
export interface LogLine {
/**
 * The function in it; empty where there is none.
 */
function: string
/**
 * As Python's `logging` names it.
 */
level: string
/**
 * The line in its file.
 */
line: number
/**
 * Which logger.
 */
loggerName: string
/**
 * At most 2,000 characters.
 */
message: string
/**
 * The Python module that logged it.
 */
module: string
/**
 * When it was logged.
 */
timestamp: string
}
export interface PartialState {
backtestId: string
currentCandleIndex?: (number | null)
currentCapital?: (number | null)
/**
 * A date or an instant.
 */
currentTime?: (string | null)
drawdown?: (number | null)
/**
 * With `seq`, where to go on from: what follows was said after it.
 */
epoch: number
metrics?: (PartialMetrics | null)
openTrades?: (OpenTrade[] | null)
partial: true
peakCapital?: (number | null)
progressPercent: number
recentSignals?: (Signal[] | null)
recentTrades?: ({
[k: string]: unknown
}[] | null)
resultId?: (string | null)
seq: number
snapshot: true
speed?: (number | "max" | null)
status: ("pending" | "running" | "paused" | "completed" | "failed" | "stopped")
totalCandles?: (number | null)
userId: string
}
export interface PartialMetrics {
losingTrades?: (number | null)
totalPnl?: (number | null)
totalTrades?: (number | null)
winRate?: (number | null)
winningTrades?: (number | null)
}
export interface OpenTrade {
direction: ("long" | "short")
/**
 * Counted from 0.
 */
entryBar: number
/**
 * This and what follows the reason is null in a replay.
 */
entryFee: (number | null)
entryPrice: number
entryReason: string
/**
 * When that bar opened.
 */
entryTime: string
/**
 * Always above zero.
 */
quantity: number
stopPrice: (number | null)
targetPrice: (number | null)
trailingStopPrice: (number | null)
/**
 * At the last close, after the entry's fee.
 */
unrealisedPnl: (number | null)
}
export interface PausedEvent {
backtestId: string
data: Standing
epoch?: (number | null)
seq?: (number | null)
timestamp?: (string | null)
traceparent?: (string | null)
type: "paused"
userId: string
}
export interface Standing {
/**
 * Bars processed.
 */
bar: number
commandId?: (string | null)
currentTime: string
progressPercent: number
speed: (number | "max")
totalBars: number
}
export interface PausedTold {
backtestId: string
/**
 * Bars processed.
 */
bar: number
commandId?: (string | null)
currentTime: string
epoch?: (number | null)
progressPercent: number
seq?: (number | null)
speed: (number | "max")
totalBars: number
userId: string
}
export interface PositionClosedFrame {
data: PositionClosedData
epoch?: (number | null)
/**
 * Of a replay, which has numbers of its own.
 */
replay?: (true | null)
replay_seq?: (number | null)
seq?: (number | null)
type: "position_closed"
}
export interface PositionClosedData {
entry_price: (number | null)
exit_price: (number | null)
/**
 * After fees.
 */
pnl: (number | null)
/**
 * Of the entry's value.
 */
pnl_pct: (number | null)
reason: ("stop_loss" | "take_profit" | "ai_decision" | "manual" | "end_of_data")
/**
 * The backtest's id.
 */
session_id: string
/**
 * Quantity, above zero.
 */
size: (number | null)
/**
 * Null where there is none, and of one that was closed at once.
 */
stop_loss: (number | null)
take_profit: (number | null)
/**
 * When the bar of its exit opened.
 */
time: (string | null)
trade_id: string
type: (("LONG" | "SHORT") | null)
}
export interface PositionOpenedFrame {
data: PositionOpenedData
epoch?: (number | null)
/**
 * Of a replay, which has numbers of its own.
 */
replay?: (true | null)
replay_seq?: (number | null)
seq?: (number | null)
type: "position_opened"
}
export interface PositionOpenedData {
entry_price: (number | null)
/**
 * The backtest's id.
 */
session_id: string
/**
 * Quantity, above zero.
 */
size: (number | null)
/**
 * Null where there is none, and of one that was closed at once.
 */
stop_loss: (number | null)
take_profit: (number | null)
/**
 * When the bar of its entry opened.
 */
time: (string | null)
trade_id: string
type: (("LONG" | "SHORT") | null)
}
export interface Progress {
backtestId: string
currentDate: string
currentPnl?: (number | null)
epoch?: (number | null)
etaSeconds?: (number | null)
message: string
processedBars?: (number | null)
progress: number
seq?: (number | null)
timestamp?: (string | null)
totalBars?: (number | null)
traceparent?: (string | null)
tradesExecuted?: (number | null)
userId: string
}
export interface RefusedAck {
/**
 * @minItems 1
 */
errors: [ProblemField, ...(ProblemField)[]]
ok: false
}
export interface RefusedEvent {
backtestId: string
data: Refused
epoch?: (number | null)
seq?: (number | null)
timestamp?: (string | null)
traceparent?: (string | null)
type: "refused"
userId: string
}
export interface Refused {
/**
 * Stable machine-readable name.
 */
code: string
commandId?: (string | null)
error: string
/**
 * `field`, `message` and `code` of each.
 */
errors: {
[k: string]: string
}[]
}
export interface RefusedTold {
backtestId: string
/**
 * Stable machine-readable name.
 */
code: string
commandId?: (string | null)
epoch?: (number | null)
error: string
/**
 * `field`, `message` and `code` of each.
 */
errors: {
[k: string]: string
}[]
seq?: (number | null)
userId: string
}
export interface ReplayBegun {
ok: true
replay: ReplayPlace
}
export interface ReplayPlace {
bar: number
totalBars: number
}
export interface ResumedEvent {
backtestId: string
data: Standing
epoch?: (number | null)
seq?: (number | null)
timestamp?: (string | null)
traceparent?: (string | null)
type: "resumed"
userId: string
}
export interface ResumedTold {
backtestId: string
/**
 * Bars processed.
 */
bar: number
commandId?: (string | null)
currentTime: string
epoch?: (number | null)
progressPercent: number
seq?: (number | null)
speed: (number | "max")
totalBars: number
userId: string
}
export interface SessionCompletedFrame {
data: SessionCompletedData
epoch?: (number | null)
/**
 * Of a replay, which has numbers of its own.
 */
replay?: (true | null)
replay_seq?: (number | null)
seq?: (number | null)
type: "session_completed"
}
export interface SessionCompletedData {
result_id: (string | null)
/**
 * The backtest's id.
 */
session_id: string
stats: SessionStats
}
export interface SessionStats {
/**
 * At the last close.
 */
equity: (number | null)
/**
 * Percent, positive.
 */
max_drawdown: (number | null)
/**
 * The one that was opened last.
 */
open_position: (Position | null)
/**
 * Since the beginning.
 */
pnl: (number | null)
/**
 * Of the starting capital.
 */
pnl_pct: (number | null)
/**
 * That closed.
 */
total_trades: (number | null)
/**
 * Percent.
 */
win_rate: (number | null)
}
export interface Position {
entry_price: (number | null)
/**
 * Quantity, above zero.
 */
size: (number | null)
/**
 * Null where there is none, and of one that was closed at once.
 */
stop_loss: (number | null)
take_profit: (number | null)
/**
 * When the bar of its entry opened.
 */
time: (string | null)
trade_id: string
type: (("LONG" | "SHORT") | null)
}
export interface SessionErrorFrame {
data: SessionErrorData
epoch?: (number | null)
/**
 * Of a replay, which has numbers of its own.
 */
replay?: (true | null)
replay_seq?: (number | null)
seq?: (number | null)
type: "error"
}
export interface SessionErrorData {
message: (string | null)
/**
 * The backtest's id.
 */
session_id: string
}
export interface SessionInitializedFrame {
data: InitializedData
epoch?: (number | null)
/**
 * Of a replay, which has numbers of its own.
 */
replay?: (true | null)
replay_seq?: (number | null)
seq?: (number | null)
type: "session_initialized"
}
export interface InitializedData {
agent: SessionAgent
asset: string
end_date: string
/**
 * Null where no model trades.
 */
safety_mode: (boolean | null)
/**
 * The backtest's id.
 */
session_id: string
start_date: string
starting_capital: number
timeframe: string
total_candles: (number | null)
}
export interface SessionAgent {
/**
 * Null where no agent is named.
 */
id: (string | null)
/**
 * As its provider calls it; null where no model trades.
 */
model: (string | null)
name: (string | null)
}
export interface SessionPausedFrame {
data: SessionPausedData
epoch?: (number | null)
/**
 * Of a replay, which has numbers of its own.
 */
replay?: (true | null)
replay_seq?: (number | null)
seq?: (number | null)
type: "session_paused"
}
export interface SessionPausedData {
/**
 * Bars processed.
 */
index: (number | null)
/**
 * The backtest's id.
 */
session_id: string
}
export interface SessionResumedFrame {
data: SessionResumedData
epoch?: (number | null)
/**
 * Of a replay, which has numbers of its own.
 */
replay?: (true | null)
replay_seq?: (number | null)
seq?: (number | null)
type: "session_resumed"
}
export interface SessionResumedData {
/**
 * Bars processed.
 */
index: (number | null)
/**
 * The backtest's id.
 */
session_id: string
}
export interface SignalEvent {
backtestId: string
data: SignalTold
epoch?: (number | null)
seq?: (number | null)
timestamp?: (string | null)
traceparent?: (string | null)
type: "signal"
userId: string
}
export interface SignalTold {
bar: number
/**
 * 1 long, -1 short (or flat without shorts), 0 flat.
 */
signal: (-1 | 0 | 1)
signals?: (Signal[] | null)
/**
 * How many before these are not told.
 */
skipped?: (number | null)
time: string
}
export interface SignedIn {
/**
 * Oldest first; null where it cannot be read now.
 */
ended: (Ended[] | null)
/**
 * Whether there are, or may be, others.
 */
more: boolean
/**
 * The time here: the next `since`.
 */
now: string
}
export interface Ended {
backtestId: string
completedAt: string
resultId: (string | null)
status: ("pending" | "running" | "paused" | "completed" | "failed" | "stopped")
}
export interface SocketControlRequest {
action: ("pause" | "resume" | "stop" | "speed" | "step" | "seek")
backtestId: string
/**
 * For seek: to just before this bar, counted from 0.
 */
bar?: (number | null)
/**
 * For step: how many bars, then paused again.
 */
bars?: number
/**
 * For stop: whether what is open is closed at the last close.
 */
closeOpenTrades?: boolean
/**
 * Another name of closeOpenTrades; send one of them.
 */
closePosition?: boolean
/**
 * Makes it count once, however often it is sent; one is made where it is left out.
 */
commandId?: (string | null)
/**
 * For speed: bars a second, from 0.1, or max.
 */
speed?: (number | "max" | null)
/**
 * For seek: to just before the first bar from then on.
 */
time?: (string | null)
}
export interface StartedEvent {
backtestId: string
data: Started
epoch?: (number | null)
seq?: (number | null)
timestamp?: (string | null)
traceparent?: (string | null)
type: "started"
userId: string
}
export interface Started {
endDate: string
interval: string
/**
 * Interval of the stored bars, where they are finer.
 */
resampledFrom: (string | null)
/**
 * The bar at which it was taken up.
 */
resumedFrom?: (number | null)
startDate: string
strategies: string[]
symbol: string
totalBars: number
}
export interface StartedTold {
backtestId: string
endDate: string
epoch?: (number | null)
interval: string
/**
 * Interval of the stored bars, where they are finer.
 */
resampledFrom: (string | null)
/**
 * The bar at which it was taken up.
 */
resumedFrom?: (number | null)
seq?: (number | null)
startDate: string
strategies: string[]
symbol: string
totalBars: number
userId: string
}
export interface StateEvent {
backtestId: string
data: State
epoch?: (number | null)
seq?: (number | null)
timestamp?: (string | null)
traceparent?: (string | null)
type: "state"
userId: string
}
export interface State {
/**
 * Of the command that this answers.
 */
commandId?: (string | null)
/**
 * Bars processed; the next one is it.
 */
currentCandleIndex: number
/**
 * Equity at the last close.
 */
currentCapital: (number | null)
/**
 * When the last processed bar opened.
 */
currentTime: string
/**
 * Percent of the peak, 0 or below.
 */
drawdown: (number | null)
/**
 * Of the first point, where none is left out.
 */
firstBar: number
metrics: StateMetrics
/**
 * All there are, oldest first.
 */
openTrades: OpenTrade[]
peakCapital: (number | null)
progressPercent: number
/**
 * The last 20 at most, oldest first.
 */
recentSignals: Signal[]
/**
 * The last 20 at most that closed, oldest first.
 */
recentTrades: ClosedTrade[]
/**
 * True: replace all there is by this.
 */
snapshot?: (boolean | null)
speed: (number | "max")
status: ("running" | "paused" | "completed" | "stopped")
totalCandles: number
/**
 * Of a snapshot: closed trades as columns, the latest 5,000.
 */
trades?: ({
[k: string]: unknown[]
} | null)
/**
 * Closed before these.
 */
tradesSkipped?: (number | null)
}
export interface StateMetrics {
/**
 * Since the state before: [when the bar opened in ms since 1970, equity at its close].
 */
equityCurve: [number, (number | null)][]
losingTrades: number
/**
 * True where there were more: first, last, and each stretch's extremes are left. Never for a run of at most 2,000 bars.
 */
thinned?: (boolean | null)
/**
 * After fees.
 */
totalPnl: number
totalTrades: number
/**
 * Percent; 0 without trades.
 */
winRate: number
winningTrades: number
}
export interface StateFrame {
/**
 * The backtest's id.
 */
sessionId: string
state: (NumberedState | PartialKnowledge)
type: "backtest_state_update"
}
export interface NumberedState {
/**
 * Of the command that this answers.
 */
commandId?: (string | null)
/**
 * Bars processed; the next one is it.
 */
currentCandleIndex: number
/**
 * Equity at the last close.
 */
currentCapital: (number | null)
/**
 * When the last processed bar opened.
 */
currentTime: string
/**
 * Percent of the peak, 0 or below.
 */
drawdown: (number | null)
epoch?: (number | null)
/**
 * Of the first point, where none is left out.
 */
firstBar: number
metrics: StateMetrics
/**
 * All there are, oldest first.
 */
openTrades: OpenTrade[]
peakCapital: (number | null)
progressPercent: number
/**
 * The last 20 at most, oldest first.
 */
recentSignals: Signal[]
/**
 * The last 20 at most that closed, oldest first.
 */
recentTrades: ClosedTrade[]
seq?: (number | null)
/**
 * True: replace all there is by this.
 */
snapshot?: (boolean | null)
speed: (number | "max")
status: ("running" | "paused" | "completed" | "stopped")
totalCandles: number
/**
 * Of a snapshot: closed trades as columns, the latest 5,000.
 */
trades?: ({
[k: string]: unknown[]
} | null)
/**
 * Closed before these.
 */
tradesSkipped?: (number | null)
}
export interface PartialKnowledge {
currentCandleIndex?: (number | null)
currentCapital?: (number | null)
/**
 * A date or an instant.
 */
currentTime?: (string | null)
drawdown?: (number | null)
/**
 * With `seq`, where to go on from: what follows was said after it.
 */
epoch: number
metrics?: (PartialMetrics | null)
openTrades?: (OpenTrade[] | null)
partial: true
peakCapital?: (number | null)
progressPercent: number
recentSignals?: (Signal[] | null)
recentTrades?: ({
[k: string]: unknown
}[] | null)
resultId?: (string | null)
seq: number
snapshot: true
speed?: (number | "max" | null)
status: ("pending" | "running" | "paused" | "completed" | "failed" | "stopped")
totalCandles?: (number | null)
}
export interface StateTold {
backtestId: string
/**
 * Of the command that this answers.
 */
commandId?: (string | null)
/**
 * Bars processed; the next one is it.
 */
currentCandleIndex: number
/**
 * Equity at the last close.
 */
currentCapital: (number | null)
/**
 * When the last processed bar opened.
 */
currentTime: string
/**
 * Percent of the peak, 0 or below.
 */
drawdown: (number | null)
epoch?: (number | null)
/**
 * Of the first point, where none is left out.
 */
firstBar: number
metrics: StateMetrics
/**
 * All there are, oldest first.
 */
openTrades: OpenTrade[]
peakCapital: (number | null)
progressPercent: number
/**
 * The last 20 at most, oldest first.
 */
recentSignals: Signal[]
/**
 * The last 20 at most that closed, oldest first.
 */
recentTrades: ClosedTrade[]
seq?: (number | null)
/**
 * True: replace all there is by this.
 */
snapshot?: (boolean | null)
speed: (number | "max")
status: ("running" | "paused" | "completed" | "stopped")
totalCandles: number
/**
 * Of a snapshot: closed trades as columns, the latest 5,000.
 */
trades?: ({
[k: string]: unknown[]
} | null)
/**
 * Closed before these.
 */
tradesSkipped?: (number | null)
userId: string
}
export interface StatsUpdateFrame {
data: StatsUpdateData
epoch?: (number | null)
/**
 * Of a replay, which has numbers of its own.
 */
replay?: (true | null)
replay_seq?: (number | null)
seq?: (number | null)
type: "stats_update"
}
export interface StatsUpdateData {
/**
 * At the last close.
 */
equity: (number | null)
/**
 * Percent, positive.
 */
max_drawdown: (number | null)
/**
 * The one that was opened last.
 */
open_position: (Position | null)
/**
 * Since the beginning.
 */
pnl: (number | null)
/**
 * Of the starting capital.
 */
pnl_pct: (number | null)
/**
 * The backtest's id.
 */
session_id: string
/**
 * That closed.
 */
total_trades: (number | null)
/**
 * Percent.
 */
win_rate: (number | null)
}
export interface Submitted {
backtestId: string
ok: true
}
export interface Subscribe {
action: "subscribe"
after?: (Cursor | null)
replay?: (Replay | null)
topic: string
}
export interface Cursor {
epoch: number
seq: number
}
export interface Replay {
from?: number
speed?: (number | "max")
}
export interface SubscribeRequest {
after?: (Cursor | null)
backtestId: string
replay?: (Replay | null)
}
export interface Subscribed {
ok: true
/**
 * Whether all that was missed is told; else some of it is not kept any more.
 */
recovered: boolean
}
export interface SubscriptionConfirmed {
/**
 * Of one backtest: whether all that was missed is told; else some is not kept any more.
 */
recovered?: (boolean | null)
/**
 * Where one was asked for.
 */
replay?: (PlainReplayPlace | null)
topic: string
type: "subscription_confirmed"
}
export interface PlainReplayPlace {
bar: number
total_bars: number
}
export interface Task {
backtestId: string
params: BacktestParams
priority?: number
recorded?: boolean
traceparent?: (string | null)
userId: string
}
export interface BacktestParams {
/**
 * An agent of one's own that trades; strategies are left out then. strategyParams of `ai_trader` go before what the agent has.
 */
agentId?: string
/**
 * Which version of the agent; the last one where left out.
 */
agentVersion?: (number | null)
/**
 * Whether -1 sells short; else it closes what is long.
 */
allowShort?: boolean
/**
 * Bars of the average true range of levels.
 */
atrPeriod?: number
/**
 * Before the run, cut the bars at up to twenty places; a strategy that then says otherwise of the bars before the cut sees the future and is refused.
 */
checkCausality?: boolean
/**
 * Whether trades still open are closed at the last close. They are, except with another profile.
 */
closeAtEnd?: (boolean | null)
/**
 * How several strategies come to one decision.
 */
combine?: ("any" | "all" | "majority" | "weighted")
commission?: Commission
/**
 * Least time between two backtest:state, whatever emitInterval says.
 */
emitEveryMs?: number
/**
 * Bars between two backtest:state, where time allows.
 */
emitInterval?: number
/**
 * Exclusive.
 */
endDate: string
/**
 * Whether an order fills at the next open or at the close that decided it. The open unless the profile is vectorbt, which fills at the close where it is not told otherwise.
 */
fillAt?: ("open" | "close")
/**
 * Money to begin with.
 */
initialCapital?: number
/**
 * Length of the bars; made of finer ones where only those are stored.
 */
interval: ("1m" | "3m" | "5m" | "10m" | "15m" | "30m" | "1h" | "2h" | "4h" | "6h" | "8h" | "12h" | "1d" | "3d" | "1w" | "1M")
/**
 * What came first where stop and target lie inside one bar.
 */
intrabar?: ("stop_first" | "target_first" | "ohlc_path")
/**
 * Most gross exposure, in equities.
 */
leverage?: number
/**
 * Quantities are cut to multiples of this; 0: any.
 */
lotSize?: number
/**
 * Share of exposure; where equity falls to it, everything is liquidated. Below 1 / leverage.
 */
maintenanceMargin?: number
/**
 * How many trades may be open at once.
 */
maxOpenTrades?: number
/**
 * Days (or weeks, months, of such bars) that make a year in annualised figures; as many as the bars show where left out.
 */
periodsPerYear?: (number | null)
/**
 * Share of equity per trade: 1 is all of it (100 %), 0.02 is 2 %; at most leverage. What is stored calls it positionSizePercent; send one of them.
 */
positionSize?: number
/**
 * Older name of positionSize: a share of equity per trade, although it is called percent. 1 is all of it (100 %), 0.02 is 2 %; at most leverage.
 */
positionSizePercent?: number
/**
 * Whose rules fills follow; another program's are described in docs/profiles.md.
 */
profile?: ("backfleet" | "backtesting.py" | "vectorbt" | "backtrader")
/**
 * Seed of whatever is random in a run.
 */
seed?: number
/**
 * Another way to size trades than by share of equity.
 */
sizing?: (Sizing | null)
/**
 * Added against you on every market fill.
 */
slippageBps?: number
/**
 * Bars a second, from 0.1, or max: as fast as it goes.
 */
speed?: (number | "max")
/**
 * Half of it against you on every market fill.
 */
spreadBps?: number
/**
 * First bar's time or later, inclusive.
 */
startDate: string
/**
 * Whether it waits before its first bar for resume or step.
 */
startPaused?: boolean
/**
 * From the entry price; a market order when reached.
 */
stopLoss?: (Level | null)
/**
 * Ids or other names of strategies, none twice. May be left out only with agentId.
 * 
 * @minItems 1
 * @maxItems 16
 */
strategies?: [string]|[string, string]|[string, string, string]|[string, string, string, string]|[string, string, string, string, string]|[string, string, string, string, string, string]|[string, string, string, string, string, string, string]|[string, string, string, string, string, string, string, string]|[string, string, string, string, string, string, string, string, string]|[string, string, string, string, string, string, string, string, string, string]|[string, string, string, string, string, string, string, string, string, string, string]|[string, string, string, string, string, string, string, string, string, string, string, string]|[string, string, string, string, string, string, string, string, string, string, string, string, string]|[string, string, string, string, string, string, string, string, string, string, string, string, string, string]|[string, string, string, string, string, string, string, string, string, string, string, string, string, string, string]|[string, string, string, string, string, string, string, string, string, string, string, string, string, string, string, string]
/**
 * By strategy, its parameters; those left out are as by default.
 */
strategyParams?: {
[k: string]: {
[k: string]: JsonValue
}
}
/**
 * Letters, digits and . _ / : ^ = & ! -, the first a letter, a digit or ^, at most 40.
 */
symbol: string
/**
 * From the entry price; a limit order.
 */
takeProfit?: (Level | null)
/**
 * Prices of fills and levels are multiples of this, against you; 0: any.
 */
tickSize?: number
/**
 * From the best price since entry; moves at the end of each bar, never back.
 */
trailingStop?: (Level | null)
/**
 * False leaves stopLoss and trailingStop out of this run.
 */
useStopOrders?: boolean
/**
 * False leaves takeProfit out of this run.
 */
useTakeProfits?: boolean
/**
 * Most bars before startDate that indicators may begin with, so that they are known from the first bar on; nothing trades in them. 0: none. As many as strategies and levels look back at where left out.
 */
warmupBars?: (number | null)
/**
 * By strategy, where combine is weighted: more than half decides.
 */
weights?: {
[k: string]: number
}
}
export interface ThinkingEvent {
backtestId: string
data: Thinking
epoch?: (number | null)
seq?: (number | null)
timestamp?: (string | null)
traceparent?: (string | null)
type: "thinking"
userId: string
}
export interface Thinking {
bar: number
/**
 * As the request calls it.
 */
strategy: string
time: string
}
export interface ThinkingTold {
backtestId: string
bar: number
epoch?: (number | null)
seq?: (number | null)
/**
 * As the request calls it.
 */
strategy: string
time: string
userId: string
}
export interface TradeEvent {
backtestId: string
data: TradeTold
epoch?: (number | null)
seq?: (number | null)
timestamp?: (string | null)
traceparent?: (string | null)
type: "trade"
userId: string
}
export interface TradeTold {
/**
 * How many before these are not told.
 */
skipped?: (number | null)
trade: (ClosedTrade | OpenedTrade)
/**
 * All of them as columns, where many.
 */
trades?: ({
[k: string]: unknown[]
} | null)
what: ("opened" | "closed")
}
export interface UnreadablePacket {
code: "malformed_message"
error: string
errors: ProblemField[]
status: "error"
timestamp: string
}
export interface Unsubscribe {
action: "unsubscribe"
topic: string
}
export interface UnsubscribeRequest {
backtestId: string
}
export interface UnsubscriptionConfirmed {
topic: string
type: "unsubscription_confirmed"
}
