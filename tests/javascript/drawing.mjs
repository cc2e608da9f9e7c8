// Draws a run from its events alone: its equity by time, and its closed trades.
const rowsOf = (columns) => {
  const names = Object.keys(columns);
  return names.length ? columns[names[0]].map((_, row) => Object.fromEntries(names.map((name) => [name, columns[name][row]]))) : [];
};

export class Drawing {
  constructor() {
    this.curve = new Map();
    this.trades = [];
    this.bar = 0;
    this.after = null;
    this.connections = 0;
  }

  // What every message says of where it stands, for the next subscription.
  at({ epoch, seq }) {
    if (epoch !== undefined && seq !== undefined) this.after = { epoch, seq };
  }

  state(state) {
    if (state.partial) return;
    const bar = state.currentCandleIndex;
    if (state.snapshot) {
      this.curve.clear();
      this.trades = rowsOf(state.trades);
    } else if (bar < this.bar) {
      const end = bar ? Date.parse(state.currentTime) + 1 : 0;
      for (const time of this.curve.keys()) if (time >= end) this.curve.delete(time);
      this.trades = this.trades.filter((trade) => trade.exitBar < bar);
    }
    for (const [time, equity] of state.metrics.equityCurve) this.curve.set(time, equity);
    this.bar = bar;
  }

  trade({ what, trade, trades }) {
    if (what === "closed") this.trades.push(...(trades ? rowsOf(trades) : [trade]));
  }

  drawn() {
    const curve = [...this.curve].sort(([one], [other]) => one - other);
    return { curve, trades: this.trades, connections: this.connections };
  }
}
