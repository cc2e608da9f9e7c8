// A refusal, as the gateway writes it.

export interface FieldProblem {
  field: string;
  message: string;
  code?: string;
  choices?: { value: string; label: string }[];
}

/** A refusal: what the server said, or that it did not answer (`status` 0). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly errors: FieldProblem[] = [],
    readonly retryAfterS: number | null = null,
  ) {
    super(message);
  }

  /** What is wrong with a field, or with one below it. */
  of(field: string): string | undefined {
    return this.errors.find((one) => one.field === field || one.field.startsWith(`${field}.`))?.message;
  }
}

/** That of an answer which is no success, whoever gave it: a proxy in between speaks no JSON. */
export function problemFrom(status: number, text: string, retryAfter: string | null = null): Problem {
  let said: { code?: unknown; detail?: unknown; title?: unknown; errors?: unknown } = {};
  try {
    said = (JSON.parse(text) as typeof said | null) ?? {};
  } catch {
    // Its status is all that is known.
  }
  const told = [said.detail, said.title].find((one) => typeof one === "string" && one !== "") as string | undefined;
  const code = typeof said.code === "string" ? said.code : String(status);
  const errors = Array.isArray(said.errors) ? (said.errors as FieldProblem[]) : [];
  return new Problem(status, code, told ?? `The gateway answered ${status}.`, errors, Number(retryAfter) || null);
}
