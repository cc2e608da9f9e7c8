// The gateway's HTTP API, typed by what its OpenAPI document says of each path.

import { Problem, problemFrom } from "./problem";
import { session } from "./session.svelte";
import type { paths } from "./wire/openapi";

export { Problem, type FieldProblem } from "./problem";

type Method = "get" | "post" | "put" | "delete";
type PathsWith<M extends Method> = { [P in keyof paths]: paths[P] extends Record<M, unknown> ? (paths[P][M] extends undefined ? never : P) : never }[keyof paths];
type Operation<P extends keyof paths, M extends Method> = M extends keyof paths[P] ? NonNullable<paths[P][M]> : never;
type Answers<O> = O extends { responses: infer R } ? { [S in keyof R]: S extends 200 | 201 | 202 ? (R[S] extends { content: { "application/json": infer B } } ? B : never) : never }[keyof R] : never;
export type Answer<P extends keyof paths, M extends Method> = Answers<Operation<P, M>>;

export interface Ask {
  path?: Record<string, string | number>;
  query?: Record<string, string | number | boolean | null | undefined>;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** In place of the token of who is signed in; null: none. A refusal of it ends nobody's login. */
  token?: string | null;
  /** How long the whole of it may take, a minute where left out; null: as long as it takes, for big files and streams. */
  limitMs?: number | null;
}

const REQUEST_LIMIT_MS = 60_000;

function urlOf(template: string, ask: Ask): URL {
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(ask.path?.[name] ?? "")));
  const url = new URL(`.${path}`, document.baseURI);
  for (const [name, value] of Object.entries(ask.query ?? {}))
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, String(value));
  return url;
}

/** One request with the token of who is signed in; with a fresh token once more where that one had ended. */
export async function send(method: string, template: string, ask: Ask = {}): Promise<Response> {
  const url = urlOf(template, ask);
  const limitMs = ask.limitMs === undefined ? REQUEST_LIMIT_MS : ask.limitMs;
  const limit = limitMs === null ? null : AbortSignal.timeout(limitMs);
  const signals = [ask.signal, limit].filter((one) => one instanceof AbortSignal);
  const own = ask.token === undefined;
  let refused: string | null = null;
  for (;;) {
    const token: string | null = ask.token === undefined ? await session.freshToken(refused) : ask.token;
    if (own && refused !== null && token === null) throw new Problem(401, "unauthenticated", session.notice || "You are signed out.");
    const headers = new Headers(ask.headers);
    if (token) headers.set("Authorization", `Bearer ${token}`);
    let body: BodyInit | null = null;
    if (ask.body instanceof FormData || ask.body instanceof Blob) body = ask.body;
    else if (ask.body !== undefined) {
      headers.set("Content-Type", "application/json");
      body = JSON.stringify(ask.body);
    }
    let answer: Response;
    try {
      answer = await fetch(url, { method, headers, body, signal: AbortSignal.any(signals), credentials: "omit" });
    } catch (error) {
      if (ask.signal?.aborted) throw error;
      throw unreachable(limit?.aborted);
    }
    if (answer.ok) return answer;
    if (own && token !== null && answer.status === 401 && refused === null) {
      refused = token;
      // Another one: refreshed here, or got by another tab meanwhile.
      if (session.canRefresh || session.token !== token) continue;
    }
    const problem = problemFrom(answer.status, await answer.text().catch(() => ""), answer.headers.get("Retry-After"));
    if (own && token !== null && answer.status === 401) session.ended(`You have to sign in again: ${problem.message}.`, token);
    throw problem;
  }
}

function unreachable(late: boolean | undefined): Problem {
  const why = late ? "The gateway did not answer in time." : "The gateway cannot be reached.";
  return new Problem(0, "unreachable", `${why} What you see may be old; try again.`);
}

async function json(method: Method, template: string, ask: Ask): Promise<unknown> {
  const answer = await send(method.toUpperCase(), template, ask);
  if (answer.status === 204) return undefined;
  try {
    return await answer.json();
  } catch (error) {
    if (ask.signal?.aborted) throw error;
    throw new Problem(0, "unreadable", "The gateway's answer broke off, or is not one of a gateway. Try again.");
  }
}

export const get = <P extends PathsWith<"get">>(path: P, ask: Ask = {}) => json("get", path, ask) as Promise<Answer<P, "get">>;
export const post = <P extends PathsWith<"post">>(path: P, ask: Ask = {}) => json("post", path, ask) as Promise<Answer<P, "post">>;
export const put = <P extends PathsWith<"put">>(path: P, ask: Ask = {}) => json("put", path, ask) as Promise<Answer<P, "put">>;
export const del = <P extends PathsWith<"delete">>(path: P, ask: Ask = {}) => json("delete", path, ask) as Promise<void>;

/** For what is shown to people, whatever was thrown. */
export function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
