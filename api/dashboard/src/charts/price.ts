// Candles, volume, indicators and the panes under them on one time axis: what PriceChart puts on the page. What is new is
// added to what is drawn; only where something earlier has changed is it all drawn anew.

import {
  CandlestickSeries,
  createChart,
  CrosshairMode,
  HistogramSeries,
  AreaSeries,
  LineSeries,
  type IChartApi,
  type ISeriesApi,
  type MouseEventParams,
  type SeriesType,
  type Time,
  type UTCTimestamp,
} from "lightweight-charts";
import { digits, instant, price } from "../format";
import { colour } from "../theme.svelte";
import { Overlay, type Deal, type Level, type Note, type OverlayColours } from "./overlay";
import { namesOf, panesOf, placeOf } from "./placing";

export interface Candle {
  /** When it opened, milliseconds since 1970. */
  time: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  indicators?: Record<string, number | null>;
}
export interface PaneLine {
  name: string;
  /** A colour of the theme. */
  colour: string;
  /** Of a candle, and of what lies in it until `endMs`; null where nothing is known. */
  at: (candle: Candle, endMs: number) => number | null;
  area?: boolean;
  /** Its area lies above it: of what is never above zero. */
  hangs?: boolean;
}
export interface Pane {
  id: string;
  format: (value: number) => string;
  lines: PaneLine[];
}
/** What is in view. */
export interface Look {
  fromMs: number;
  toMs: number;
  /** How many candles wide it is. */
  candles: number;
  following: boolean;
  /** Whether a person has chosen how wide it is. */
  zoomed: boolean;
}
export interface Drawing {
  candles: readonly Candle[];
  /** How long a candle is. */
  stepMs: number;
  /** Another one: something earlier has changed. */
  revision: string;
  panes: readonly Pane[];
  hidden: ReadonlySet<string>;
  deals: readonly Deal[];
  levels: readonly Level[];
  notes: readonly Note[];
  /** How many candles are in view while it follows; null: as a person chose. */
  fit: number | null;
}
/** A line as it is drawn: which value, where, in which colour. */
export interface Shown {
  name: string;
  pane: number;
  colour: string;
  at: PaneLine["at"];
  format: (value: number) => string;
}
interface Line extends Shown {
  series: ISeriesApi<SeriesType>;
  /** The last candle whose value is drawn. */
  to: number;
}

const UPDATE_UP_TO = 60;
const GESTURE_MS = 600;
/** Of the width, beyond the newest candle: there the levels of open trades are named. */
const ROOM = 0.12;
const SHARES = { price: 6, indicator: 1.5, pane: 1.5 };
const seconds = (ms: number) => (ms / 1_000) as UTCTimestamp;

export class PricePlot {
  following = true;
  onlook: ((look: Look) => void) | null = null;
  /** The candle under the crosshair; null: none. */
  oncross: ((index: number | null) => void) | null = null;
  onpick: ((candle: Candle) => void) | null = null;
  /** Which lines there are has changed, or where panes are. */
  onlayout: (() => void) | null = null;
  lines: Line[] = [];
  /** Of all indicators, shown or not. */
  names: string[] = [];
  readonly overlay = new Overlay();
  #chart: IChartApi;
  #price: ISeriesApi<"Candlestick">;
  #volume: ISeriesApi<"Histogram">;
  #drawn: readonly Candle[] = [];
  #now: Drawing | null = null;
  #structure = "";
  #places = new Map<string, string>();
  #revision = "";
  #stepMs = 0;
  #fit: number | null = null;
  #gestureMs = -Infinity;
  #zoomed = false;
  #up = "";
  #down = "";

  constructor(readonly element: HTMLElement) {
    this.#chart = createChart(element, {
      autoSize: true,
      // The element it inserts is forbidden by the page's policy; the footer of every page says whose chart it is.
      layout: { attributionLogo: false, fontSize: 12, fontFamily: 'system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif' },
      crosshair: { mode: CrosshairMode.Normal },
      timeScale: { timeVisible: true, secondsVisible: false, minBarSpacing: 0.2, rightOffset: 3 },
      localization: { locale: "en-US", timeFormatter: (at: Time) => `${instant(Number(at) * 1_000)} UTC` },
    });
    this.#price = this.#chart.addSeries(CandlestickSeries, { borderVisible: false, priceLineVisible: true });
    this.#volume = this.#chart.addSeries(HistogramSeries, { priceScaleId: "volume", lastValueVisible: false, priceLineVisible: false });
    this.#chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.86, bottom: 0 } });
    this.#price.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: 0.16 } });
    this.#price.attachPrimitive(this.overlay);
    this.overlay.indexOf = (timeMs) => this.indexOf(timeMs);
    this.overlay.lowAt = (timeMs) => this.#drawn[this.indexOf(timeMs)]?.low ?? NaN;
    this.overlay.timeOf = (logical) => this.#timeOf(logical);
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange(() => this.#looked());
    this.#chart.subscribeCrosshairMove((event) => this.oncross?.(this.#indexAt(event)));
    this.#chart.subscribeClick((event) => {
      const at = this.#indexAt(event);
      if (at !== null) this.onpick?.(this.#drawn[at]!);
    });
    for (const name of ["wheel", "pointerdown", "pointermove", "touchmove"] as const)
      element.addEventListener(name, (event) => this.#gesture(event), { passive: true, capture: true });
    this.paint();
  }

  get candles(): readonly Candle[] {
    return this.#drawn;
  }

  /** In the colours of the theme, as they are now. */
  paint(): void {
    const line = colour("line");
    this.#up = colour("good");
    this.#down = colour("bad");
    this.#chart.applyOptions({
      layout: { background: { color: colour("surface") }, textColor: colour("muted"), panes: { separatorColor: colour("line"), separatorHoverColor: colour("accent-soft") } },
      grid: { vertLines: { color: `${line}66` }, horzLines: { color: `${line}66` } },
      rightPriceScale: { borderColor: line, minimumWidth: 76 },
      timeScale: { borderColor: line },
      crosshair: { vertLine: { color: colour("line-strong"), labelBackgroundColor: colour("line-strong") }, horzLine: { color: colour("line-strong"), labelBackgroundColor: colour("line-strong") } },
    });
    this.#price.applyOptions({ upColor: this.#up, downColor: this.#down, wickUpColor: this.#up, wickDownColor: this.#down });
    this.overlay.colours = Object.fromEntries(["good", "bad", "accent", "warn", "muted", "surface", "text"].map((name) => [name, colour(name)])) as unknown as OverlayColours;
    this.#structure = "";
    if (this.#now) this.draw(this.#now);
  }

  draw(now: Drawing): void {
    this.#now = now;
    const { candles } = now;
    const fresh = candles.length - this.#drawn.length;
    const last = this.#drawn.length - 1;
    const grows =
      fresh >= 0 && fresh <= UPDATE_UP_TO && last >= 0 && candles[0] === this.#drawn[0] && candles[last] === this.#drawn[last] && now.revision === this.#revision && now.stepMs === this.#stepMs;
    const built = this.#build(now);
    const overlay = this.overlay;
    overlay.deals = now.deals;
    overlay.levels = now.levels;
    overlay.notes = now.notes;
    overlay.lastClose = candles.at(-1)?.close ?? NaN;
    overlay.untilMs = candles.length ? candles.at(-1)!.time + now.stepMs : -Infinity;
    if (grows) this.#grow(candles, built);
    else this.#redraw(candles, now.stepMs);
    this.#revision = now.revision;
    if (now.fit !== this.#fit || (now.fit !== null && !grows)) {
      this.#fit = now.fit;
      if (now.fit !== null && this.following && !this.#zoomed) this.#wide(now.fit);
    }
    overlay.changed();
  }

  /** Back to the newest candle; `fit` decides how wide again. */
  follow(): void {
    this.following = true;
    this.#zoomed = false;
    if (this.#fit !== null) this.#wide(this.#fit);
    else this.#chart.timeScale().scrollToRealTime();
    this.#looked();
  }

  /** As near as it goes to the middle of the view. */
  show(timeMs: number): void {
    const range = this.#chart.timeScale().getVisibleLogicalRange();
    if (!range) return;
    const half = (range.to - range.from) / 2;
    const at = this.logicalOf(timeMs);
    this.following = false;
    this.#zoomed = true;
    this.#chart.timeScale().setVisibleLogicalRange({ from: at - half, to: at + half });
    this.#looked();
    this.cross(Math.min(Math.max(this.indexOf(timeMs), 0), this.#drawn.length - 1));
  }

  zoom(factor: number): void {
    const range = this.#chart.timeScale().getVisibleLogicalRange();
    if (!range) return;
    this.#zoomed = true;
    const width = Math.max(5, (range.to - range.from) * factor);
    const to = this.following ? range.to : (range.from + range.to + width) / 2;
    this.#chart.timeScale().setVisibleLogicalRange({ from: to - width, to });
    this.#looked();
  }

  /** Moves the view by a share of its width. */
  pan(share: number): void {
    const range = this.#chart.timeScale().getVisibleLogicalRange();
    if (!range) return;
    const by = share * (range.to - range.from);
    this.following = range.to + by >= this.#drawn.length - 1;
    this.#chart.timeScale().setVisibleLogicalRange({ from: range.from + by, to: range.to + by });
    this.#looked();
  }

  /** Puts the crosshair on a candle; null takes it away. */
  cross(index: number | null): void {
    const candle = index === null ? undefined : this.#drawn[index];
    if (candle) this.#chart.setCrosshairPosition(candle.close, seconds(candle.time), this.#price);
    else this.#chart.clearCrosshairPosition();
    this.oncross?.(candle ? index : null);
  }

  /** Where each pane begins, in pixels from the top. */
  tops(): number[] {
    const top = this.element.getBoundingClientRect().top;
    return this.#chart.panes().map((pane) => (pane.getHTMLElement()?.getBoundingClientRect().top ?? top) - top);
  }

  /** The candle that a time lies in; the first or last one where it lies outside. */
  indexOf(timeMs: number): number {
    let [low, high] = [0, this.#drawn.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#drawn[middle]!.time <= timeMs) low = middle + 1;
      else high = middle;
    }
    const at = low - 1;
    if (at < 0) return this.#outside(timeMs, 0);
    return at === this.#drawn.length - 1 ? this.#outside(timeMs, at) : at;
  }

  destroy(): void {
    this.#chart.remove();
  }

  /** What lies before the first or after the last candle is as far away as it would be without gaps. */
  #outside(timeMs: number, edge: number): number {
    const candle = this.#drawn[edge];
    return candle && this.#stepMs ? edge + Math.floor((timeMs - candle.time) / this.#stepMs) : edge;
  }

  logicalOf(timeMs: number): number {
    const at = this.indexOf(timeMs);
    const candle = this.#drawn[at];
    return candle && this.#stepMs ? at + Math.min(1, (timeMs - candle.time) / this.#stepMs) : at;
  }

  #timeOf(logical: number): number {
    const last = this.#drawn.length - 1;
    const at = Math.min(Math.max(Math.floor(logical), 0), last);
    return (this.#drawn[at]?.time ?? 0) + (logical - at) * this.#stepMs;
  }

  #indexAt(event: MouseEventParams): number | null {
    const at = event.logical === undefined || !event.point ? null : Math.round(event.logical);
    return at !== null && at >= 0 && at < this.#drawn.length ? at : null;
  }

  #gesture(event: Event): void {
    if (event instanceof PointerEvent && event.type === "pointermove" && !event.buttons) return;
    this.#gestureMs = performance.now();
    if (event.type === "wheel" && (event as WheelEvent).deltaY !== 0) this.#zoomed = true;
  }

  #looked(): void {
    const range = this.#chart.timeScale().getVisibleLogicalRange();
    if (!range || !this.#drawn.length) return;
    if (performance.now() - this.#gestureMs < GESTURE_MS) this.following = range.to >= this.#drawn.length - 1.5;
    const candles = range.to - range.from;
    this.onlook?.({ fromMs: this.#timeOf(range.from), toMs: this.#timeOf(range.to), candles, following: this.following, zoomed: this.#zoomed });
  }

  #wide(candles: number): void {
    const width = Math.max(candles, 10);
    const to = this.#drawn.length - 1 + Math.max(1, ROOM * width);
    this.#chart.timeScale().setVisibleLogicalRange({ from: to - width * (1 + ROOM), to });
  }

  #grow(candles: readonly Candle[], rebuilt: boolean): void {
    const from = this.#drawn.length;
    this.#drawn = candles;
    for (let at = from; at < candles.length; at += 1) {
      const candle = candles[at]!;
      this.#price.update(bar(candle));
      this.#volume.update(this.#volumeOf(candle));
    }
    for (const line of this.lines) rebuilt ? this.#fill(line) : this.#extend(line);
    if (this.following) this.#keepNewest();
  }

  /** The chart moves along by itself only where its last bar was in view: not after many bars at once. */
  #keepNewest(): void {
    const scale = this.#chart.timeScale();
    const range = scale.getVisibleLogicalRange();
    const newest = this.#drawn.length - 1;
    if (!range || range.to >= newest) return;
    const width = range.to - range.from;
    const to = newest + Math.max(1, (ROOM * width) / (1 + ROOM));
    scale.setVisibleLogicalRange({ from: to - width, to });
  }

  #redraw(candles: readonly Candle[], stepMs: number): void {
    const scale = this.#chart.timeScale();
    const range = this.#drawn.length ? scale.getVisibleLogicalRange() : null;
    const had = range && this.#stepMs ? { from: this.#timeOf(range.from), to: this.#timeOf(range.to), width: ((range.to - range.from) * this.#stepMs) / (stepMs || this.#stepMs), room: range.to - this.#drawn.length } : null;
    this.#drawn = candles;
    this.#stepMs = stepMs;
    const last = candles.at(-1);
    if (last) {
      const places = Math.min(8, Math.max(2, 5 - Math.floor(Math.log10(Math.abs(last.close) || 1))));
      this.#price.applyOptions({ priceFormat: { type: "custom", formatter: (value: number) => price(value), minMove: 10 ** -places } });
    }
    this.#price.setData(candles.map(bar));
    this.#volume.setData(candles.map((one) => this.#volumeOf(one)));
    for (const line of this.lines) this.#fill(line);
    if (!had || !candles.length) return;
    if (this.following) {
      const to = candles.length - 1 + Math.max(1, Math.min(had.room + 1, had.width * 0.5));
      scale.setVisibleLogicalRange({ from: to - had.width, to });
    } else scale.setVisibleLogicalRange({ from: this.logicalOf(had.from), to: this.logicalOf(had.to) });
  }

  /** Whether lines were made anew. */
  #build(now: Drawing): boolean {
    const names = namesOf(now.candles.length > 400 ? now.candles.slice(-400) : now.candles).concat([...this.#places.keys()]);
    const wanted: { name: string; place: string }[] = [];
    for (const name of new Set(names)) {
      let place = this.#places.get(name);
      if (place === undefined) {
        const found = placeOf(name, now.candles);
        if (!found) continue;
        place = found.place;
        if (found.sure) this.#places.set(name, place);
      }
      wanted.push({ name, place });
    }
    this.names = wanted.map((one) => one.name);
    const structure = JSON.stringify([wanted, [...now.hidden], now.panes.map((pane) => [pane.id, pane.lines.map((one) => one.name)])]);
    if (structure === this.#structure) return false;
    this.#structure = structure;
    for (const { series } of this.lines.reverse()) this.#chart.removeSeries(series);
    this.lines = [];
    const shown = wanted.filter((one) => !now.hidden.has(one.name));
    const panes = panesOf(shown.map((one) => one.place));
    for (const { name, place } of shown) {
      const pane = place === "price" ? 0 : 1 + Math.max(0, panes.findIndex((one) => one === place || one.split(", ").includes(place)));
      this.#addLine({ name, pane, colour: colourOf(wanted.findIndex((one) => one.name === name)), at: (candle) => candle.indicators?.[name] ?? null, format: (value) => digits(value) }, false);
    }
    now.panes.forEach((pane, index) => {
      for (const line of pane.lines) this.#addLine({ ...line, pane: 1 + panes.length + index, format: pane.format }, line.area ?? false, line.hangs);
    });
    this.#chart.panes().forEach((pane, index) => pane.setStretchFactor(index === 0 ? SHARES.price : index <= panes.length ? SHARES.indicator : SHARES.pane));
    requestAnimationFrame(() => this.onlayout?.());
    return true;
  }

  #addLine(shown: Shown, area: boolean, hangs = false): void {
    const paint = colour(shown.colour);
    const same = { priceLineVisible: false, crosshairMarkerRadius: 3, lineWidth: 2 as const, lastValueVisible: shown.pane > 0, priceFormat: { type: "custom" as const, formatter: shown.format, minMove: 1e-8 } };
    const series = area
      ? this.#chart.addSeries(AreaSeries, { ...same, lineColor: paint, topColor: `${paint}44`, bottomColor: `${paint}0a`, invertFilledArea: hangs }, shown.pane)
      : this.#chart.addSeries(LineSeries, { ...same, color: paint }, shown.pane);
    this.lines.push({ ...shown, series, to: -1 });
  }

  /** All of a line. */
  #fill(line: Line): void {
    const data: { time: UTCTimestamp; value: number }[] = [];
    line.to = -1;
    this.#drawn.forEach((candle, at) => {
      const value = line.at(candle, candle.time + this.#stepMs);
      if (value === null || !Number.isFinite(value)) return;
      data.push({ time: seconds(candle.time), value });
      line.to = at;
    });
    line.series.setData(data);
  }

  /** What has come to it: values may come later than their candles. */
  #extend(line: Line): void {
    for (let at = line.to + 1; at < this.#drawn.length; at += 1) {
      const candle = this.#drawn[at]!;
      const value = line.at(candle, candle.time + this.#stepMs);
      if (value === null || !Number.isFinite(value)) continue;
      line.series.update({ time: seconds(candle.time), value });
      line.to = at;
    }
  }

  #volumeOf(candle: Candle): { time: UTCTimestamp; value: number; color: string } {
    return { time: seconds(candle.time), value: candle.volume, color: `${candle.close >= candle.open ? this.#up : this.#down}55` };
  }
}

const bar = ({ time, open, high, low, close }: Candle) => ({ time: seconds(time), open, high, low, close });
export const colourOf = (index: number) => `series-${(index % 8) + 1}`;
