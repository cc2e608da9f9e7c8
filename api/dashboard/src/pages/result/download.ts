/** What a file is to be called, by its answer's Content-Disposition. */
export function fileName(disposition: string | null, otherwise: string): string {
  const found = /filename="([^"\\/]+)"/.exec(disposition ?? "") ?? /filename=([^;"\\/\s]+)/.exec(disposition ?? "");
  return found?.[1] ?? otherwise;
}

/** 512 B, 3.1 kB, 12.0 MB. */
export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  return count < 1e6 ? `${(count / 1e3).toFixed(1)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}
