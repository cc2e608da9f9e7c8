// Numbers and times as people read them. Times are UTC everywhere.

const NONE = "–";
type Maybe = number | null | undefined;

const known = (value: Maybe): value is number => typeof value === "number" && Number.isFinite(value);

/** Made once for each: making one costs a hundred times what it costs to use it, and charts use them in each frame. */
const formats = new Map<string, Intl.NumberFormat>();

function formatted(value: number, options: Intl.NumberFormatOptions): string {
  const name = `${options.notation ?? ""} ${options.minimumFractionDigits ?? ""} ${options.maximumFractionDigits ?? ""} ${options.maximumSignificantDigits ?? ""}`;
  let format = formats.get(name);
  if (!format) formats.set(name, (format = new Intl.NumberFormat("en-US", options)));
  return format.format(value);
}

export function number(value: Maybe, digits = 2): string {
  return known(value) ? formatted(value, { maximumFractionDigits: digits, minimumFractionDigits: digits }) : NONE;
}

export function count(value: Maybe): string {
  return known(value) ? Math.round(value).toLocaleString("en-US") : NONE;
}

/** As many digits as a price needs: 67,500.00, 1.08432, 0.00001234. */
export function price(value: Maybe): string {
  if (!known(value)) return NONE;
  const digits = value === 0 ? 2 : Math.min(12, Math.max(2, 5 - Math.floor(Math.log10(Math.abs(value)))));
  return formatted(value, { maximumFractionDigits: Math.max(digits, 2), minimumFractionDigits: 2 });
}

/** Of percent: 12.5 is 12.50 %. */
export function percent(value: Maybe, digits = 2): string {
  return known(value) ? `${number(value, digits)} %` : NONE;
}

/** With its sign: +12.50, −3.00. */
export function signed(value: Maybe, digits = 2): string {
  if (!known(value)) return NONE;
  const text = number(Math.abs(value), digits);
  return value > 0 ? `+${text}` : value < 0 ? `−${text}` : text;
}

/** So many digits, whatever the value is: of an indicator. */
export function digits(value: Maybe, most = 7): string {
  return known(value) ? formatted(value, { maximumSignificantDigits: most }) : NONE;
}

export function compact(value: Maybe): string {
  return known(value) ? formatted(value, { notation: "compact", maximumFractionDigits: 1 }) : NONE;
}

/** 812 bytes, 1.4 MB. */
export function bytes(value: Maybe): string {
  if (!known(value)) return NONE;
  const power = value < 1000 ? 0 : Math.min(Math.floor(Math.log10(value) / 3), 4);
  return power ? `${number(value / 1000 ** power, 1)} ${["", "kB", "MB", "GB", "TB"][power]}` : `${Math.round(value)} bytes`;
}

/** Milliseconds or an instant as the API writes it → `2026-01-31 12:00`; with seconds where they are not 0. */
export function instant(value: number | string | null | undefined): string {
  if (value === null || value === undefined) return NONE;
  const at = new Date(value);
  if (Number.isNaN(at.getTime())) return String(value);
  const text = at.toISOString();
  const seconds = text.slice(16, 19);
  return `${text.slice(0, 10)} ${text.slice(11, 16)}${seconds === ":00" ? "" : seconds}`;
}

export function day(value: number | string | null | undefined): string {
  const text = instant(value);
  return text === NONE ? text : text.slice(0, 10);
}

/** 0.4 s, 12 s, 3 min 20 s, 2 h 5 min, 4 d 3 h. */
export function duration(seconds: Maybe): string {
  if (!known(seconds)) return NONE;
  if (seconds < 10) return `${number(seconds, 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (big: number, one: string, small: number, other: string) => `${big} ${one}${small ? ` ${small} ${other}` : ""}`;
  if (whole < 3600) return two(Math.floor(whole / 60), "min", whole % 60, "s");
  if (whole < 86_400) return two(Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "min");
  return two(Math.floor(whole / 86_400), "d", Math.floor((whole % 86_400) / 3600), "h");
}
