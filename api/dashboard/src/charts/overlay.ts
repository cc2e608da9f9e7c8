// What is drawn over the candles: trades from entry to exit, levels of open trades, and what models decided. One primitive
// that draws what is in view, however much there is: where marks would lie on one another, the one that matters most stays.

import type { AutoscaleInfo, IPrimitivePaneRenderer, IPrimitivePaneView, ISeriesApi, ISeriesPrimitive, ITimeScaleApi, Logical, SeriesAttachedParameter, SeriesType, Time } from "lightweight-charts";

type Target = Parameters<IPrimitivePaneRenderer["draw"]>[0];

export interface Deal {
  entryMs: number;
  exitMs: number;
  entryPrice: number;
  exitPrice: number;
  direction: string;
  pnl: number;
}
export interface Level {
  fromMs: number;
  price: number;
  title: string;
  /** A colour of the theme. */
  colour: string;
  dashed: boolean;
}
export interface Note {
  timeMs: number;
  kind: "LONG" | "SHORT" | "CLOSE" | "HOLD";
}
export interface OverlayColours {
  good: string;
  bad: string;
  accent: string;
  warn: string;
  muted: string;
  surface: string;
  text: string;
}

/** From so many trades in view on they are thinned: one for each few pixels. */
const ALL_UP_TO = 150;
const DEAL_EVERY_PX = 7;
const FINE_UP_TO = 40;
const NOTE_EVERY_PX = 13;
/** A level further off than this share of the price does not stretch the scale. */
const STRETCHES = 0.08;

export class Overlay implements ISeriesPrimitive<Time> {
  /** In the order in which they ended. */
  deals: readonly Deal[] = [];
  levels: readonly Level[] = [];
  notes: readonly Note[] = [];
  colours: OverlayColours | null = null;
  /** Where a time stands among the candles; a fraction never. */
  indexOf: (timeMs: number) => number = () => 0;
  timeOf: (logical: number) => number = () => 0;
  /** The lowest price of the candle at that time. */
  lowAt: (timeMs: number) => number = () => NaN;
  lastClose = NaN;
  /** Trades that ended later wait for their candle. */
  untilMs = Infinity;
  /** Of the trades in view, so many were drawn. */
  drawn = 0;
  inView = 0;
  #series: ISeriesApi<SeriesType, Time> | null = null;
  #scale: ITimeScaleApi<Time> | null = null;
  #update: (() => void) | null = null;
  #view: IPrimitivePaneView = { zOrder: () => "top", renderer: () => ({ draw: (target) => this.#draw(target) }) };

  attached({ chart, series, requestUpdate }: SeriesAttachedParameter<Time>): void {
    this.#series = series;
    this.#scale = chart.timeScale();
    this.#update = requestUpdate;
  }

  detached(): void {
    this.#series = this.#scale = this.#update = null;
  }

  paneViews(): readonly IPrimitivePaneView[] {
    return [this.#view];
  }

  changed(): void {
    this.#update?.();
  }

  autoscaleInfo(from: Logical, to: Logical): AutoscaleInfo | null {
    const near = this.levels.filter((one) => Math.abs(one.price / this.lastClose - 1) < STRETCHES && this.indexOf(one.fromMs) <= to && to >= from);
    if (!near.length) return null;
    const prices = near.map((one) => one.price);
    return { priceRange: { minValue: Math.min(...prices), maxValue: Math.max(...prices) } };
  }

  #draw(target: Target): void {
    const [series, scale, colours] = [this.#series, this.#scale, this.colours];
    if (!series || !scale || !colours) return;
    const zero = scale.logicalToCoordinate(0 as Logical);
    const one = scale.logicalToCoordinate(1 as Logical);
    if (zero === null || one === null) return;
    target.useMediaCoordinateSpace(({ context, mediaSize }) => {
      const sheet: Sheet = {
        context,
        fromMs: this.timeOf(-zero / (one - zero) - 1),
        toMs: Math.min(this.timeOf((mediaSize.width - zero) / (one - zero) + 1), this.untilMs),
        colours,
        width: mediaSize.width,
        height: mediaSize.height,
        x: (timeMs) => zero + this.indexOf(timeMs) * (one - zero),
        y: (price) => series.priceToCoordinate(price) ?? NaN,
        size: Math.min(6, Math.max(3.2, 0.45 * (one - zero))),
      };
      this.#drawLevels(sheet);
      this.#drawDeals(sheet);
      this.#drawNotes(sheet);
    });
  }

  #drawDeals(sheet: Sheet): void {
    const { context, colours, fromMs, toMs } = sheet;
    const seen: Deal[] = [];
    for (let at = this.deals.length - 1; at >= 0 && this.deals[at]!.exitMs >= fromMs; at -= 1) {
      const deal = this.deals[at]!;
      if (deal.entryMs <= toMs && deal.exitMs < this.untilMs) seen.push(deal);
    }
    seen.reverse();
    const chosen = seen.length <= ALL_UP_TO ? seen : thinned(seen, (deal) => Math.floor(sheet.x(deal.exitMs) / DEAL_EVERY_PX), (deal) => Math.abs(deal.pnl));
    this.inView = seen.length;
    this.drawn = chosen.length;
    context.lineWidth = 1.5;
    // Dashes and outlines cost the most of a frame, and where many lie side by side nobody sees them.
    const fine = chosen.length <= FINE_UP_TO;
    for (const deal of chosen) {
      const [x, y, toX, toY] = [sheet.x(deal.entryMs), sheet.y(deal.entryPrice), sheet.x(deal.exitMs), sheet.y(deal.exitPrice)];
      const colour = deal.pnl >= 0 ? colours.good : colours.bad;
      context.strokeStyle = colour;
      if (fine) context.setLineDash([4, 3]);
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(toX, toY);
      context.stroke();
      context.setLineDash([]);
      triangle(sheet, x, y, deal.direction === "long", colours.accent, fine);
      cross(sheet, toX, toY, colour);
    }
  }

  #drawLevels(sheet: Sheet): void {
    const { context, colours, width } = sheet;
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "right";
    context.textBaseline = "bottom";
    let below = -Infinity;
    for (const level of [...this.levels].sort((one, other) => other.price - one.price)) {
      const y = Math.round(sheet.y(level.price)) + 0.5;
      if (Number.isNaN(y)) continue;
      const colour = colours[level.colour as keyof OverlayColours] ?? colours.muted;
      context.strokeStyle = colour;
      context.lineWidth = 1;
      context.setLineDash(level.dashed ? [6, 4] : []);
      context.beginPath();
      context.moveTo(Math.max(0, sheet.x(level.fromMs)), y);
      context.lineTo(width, y);
      context.stroke();
      context.setLineDash([]);
      const words = context.measureText(level.title).width;
      // Names stand on their line, or below the one before where that is in the way.
      const foot = Math.max(y, below + 15);
      below = foot;
      context.fillStyle = colours.surface;
      context.fillRect(width - words - 8, foot - 14, words + 6, 13);
      context.fillStyle = colour;
      context.fillText(level.title, width - 5, foot - 1);
    }
    for (const level of this.levels.filter((one) => !one.dashed)) triangle(sheet, sheet.x(level.fromMs), sheet.y(level.price), !level.title.startsWith("short"), colours.accent);
  }

  #drawNotes(sheet: Sheet): void {
    const { context, colours, fromMs, toMs } = sheet;
    const seen = this.notes.filter((note) => note.timeMs < toMs && note.timeMs >= fromMs);
    context.font = "bold 10px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const note of thinned(seen, (one) => Math.floor(sheet.x(one.timeMs) / NOTE_EVERY_PX), (one) => (one.kind === "HOLD" ? 0 : 1))) {
      const [x, y] = [sheet.x(note.timeMs), sheet.y(this.lowAt(note.timeMs)) + 13];
      const holds = note.kind === "HOLD";
      context.beginPath();
      context.arc(x, y, holds ? 2.5 : 7, 0, 2 * Math.PI);
      context.fillStyle = { LONG: colours.good, SHORT: colours.bad, CLOSE: colours.warn, HOLD: colours.muted }[note.kind];
      context.fill();
      if (holds) continue;
      context.fillStyle = colours.surface;
      context.fillText(note.kind[0]!, x, y + 0.5);
    }
  }
}

interface Sheet {
  context: CanvasRenderingContext2D;
  colours: OverlayColours;
  fromMs: number;
  toMs: number;
  width: number;
  height: number;
  x: (timeMs: number) => number;
  y: (price: number) => number;
  size: number;
}

function triangle({ context, colours, size }: Sheet, x: number, y: number, up: boolean, colour: string, outlined = true): void {
  const tip = up ? -size : size;
  context.beginPath();
  context.moveTo(x, y + tip);
  context.lineTo(x - size, y - tip);
  context.lineTo(x + size, y - tip);
  context.closePath();
  context.fillStyle = colour;
  context.fill();
  if (!outlined) return;
  context.lineWidth = 1;
  context.strokeStyle = colours.surface;
  context.stroke();
  context.lineWidth = 1.5;
}

function cross({ context, size }: Sheet, x: number, y: number, colour: string): void {
  const arm = 0.8 * size;
  context.strokeStyle = colour;
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(x - arm, y - arm);
  context.lineTo(x + arm, y + arm);
  context.moveTo(x + arm, y - arm);
  context.lineTo(x - arm, y + arm);
  context.stroke();
  context.lineWidth = 1.5;
}

/** Of those that share a place, the one that weighs most; in their order. */
export function thinned<One>(all: readonly One[], place: (one: One) => number, weight: (one: One) => number): One[] {
  const best = new Map<number, One>();
  for (const one of all) {
    const at = place(one);
    const had = best.get(at);
    if (had === undefined || weight(one) > weight(had)) best.set(at, one);
  }
  const kept = new Set(best.values());
  return all.filter((one) => kept.has(one));
}
