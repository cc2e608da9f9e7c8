// Lines of JSON as they arrive.

/** Longer than any line of ours: what has no line end by then is no such stream. */
const LINE_MAX_CHARS = 1_000_000;

/** Each line's value, as soon as the line is whole. Raises `SyntaxError` for what is no JSON. */
export async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += decoder.decode(value, { stream: !done });
      const lines = rest.split("\n");
      rest = done ? "" : (lines.pop() ?? "");
      if (rest.length > LINE_MAX_CHARS) throw new SyntaxError("a line that does not end");
      for (const line of lines) if (line.trim()) yield JSON.parse(line) as unknown;
      if (done) return;
    }
  } finally {
    // Who stops reading ends the request, too.
    await reader.cancel().catch(() => undefined);
  }
}
