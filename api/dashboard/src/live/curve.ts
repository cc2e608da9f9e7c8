// An equity curve that grows while one looks at it: rising times, one value for each, never more than it may keep.

/** What is beyond this is thinned to half of it: of each stretch the first, the lowest, the highest and the last stay. */
export const POINTS_MAX = 16_384;
const OF_EACH = 8;

export class Curve {
  #time = new Float64Array(1_024);
  #value = new Float64Array(1_024);
  #peak = new Float64Array(1_024);
  /** Of so many points the peak is known. */
  #peaks = 0;
  length = 0;
  /** Whether points were left out here. */
  thinned = false;

  constructor(readonly most = POINTS_MAX) {}

  /** Milliseconds since 1970, rising: as long as `values`. Views, which the next change may reuse. */
  get times(): Float64Array {
    return this.#time.subarray(0, this.length);
  }

  /** NaN where there is none. */
  get values(): Float64Array {
    return this.#value.subarray(0, this.length);
  }

  /** When the last point is; -Infinity without one. */
  get last(): number {
    return this.length ? this.#time[this.length - 1]! : -Infinity;
  }

  timeAt(row: number): number {
    return this.#time[row]!;
  }

  /** NaN where there is none. */
  valueAt(row: number): number {
    return this.#value[row]!;
  }

  /** The highest value until there. */
  peakAt(row: number): number {
    for (; this.#peaks <= row; this.#peaks += 1) {
      const before = this.#peaks ? this.#peak[this.#peaks - 1]! : -Infinity;
      const value = this.#value[this.#peaks]!;
      this.#peak[this.#peaks] = value > before ? value : before;
    }
    return this.#peak[row]!;
  }

  clear(): void {
    this.length = this.#peaks = 0;
    this.thinned = false;
  }

  /** A point takes the place of one of the same time. */
  put(time: number, value: number | null): void {
    const at = time <= this.last ? this.after(time - 1) : this.length;
    if (at < this.length && this.#time[at] !== time) {
      this.#room();
      this.#time.copyWithin(at + 1, at, this.length);
      this.#value.copyWithin(at + 1, at, this.length);
      this.length += 1;
    } else if (at === this.length) {
      this.#room();
      this.length += 1;
    }
    this.#time[at] = time;
    this.#value[at] = value ?? NaN;
    this.#peaks = Math.min(this.#peaks, at);
    if (this.length > this.most) this.#thin();
  }

  /** Forgets what is at that time or later. */
  cut(time: number): void {
    this.length = this.after(time - 1);
    this.#peaks = Math.min(this.#peaks, this.length);
  }

  /** How many points lie at that time or before it. */
  after(time: number): number {
    let [low, high] = [0, this.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#time[middle]! <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #room(): void {
    if (this.length < this.#time.length) return;
    this.#time = wider(this.#time);
    this.#value = wider(this.#value);
    this.#peak = wider(this.#peak);
  }

  #thin(): void {
    let kept = 0;
    for (let from = 0; from < this.length; from += OF_EACH) {
      const to = Math.min(from + OF_EACH, this.length);
      let [low, high] = [from, from];
      for (let at = from; at < to; at += 1) {
        if (this.#value[at]! < this.#value[low]!) low = at;
        if (this.#value[at]! > this.#value[high]!) high = at;
      }
      let before = -1;
      for (const at of [from, Math.min(low, high), Math.max(low, high), to - 1]) {
        if (at === before) continue;
        this.#time[kept] = this.#time[at]!;
        this.#value[kept] = this.#value[at]!;
        kept += 1;
        before = at;
      }
    }
    this.length = kept;
    this.#peaks = 0;
    this.thinned = true;
  }
}

function wider(column: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const more = new Float64Array(2 * column.length);
  more.set(column);
  return more;
}
