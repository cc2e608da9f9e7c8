// Commands to a run, one after another, each with its id: it is under way until the run says so, or somebody refuses.

import { words } from "../http";
import type { Speed, Status } from "./picture";

export type Command =
  | { action: "pause" | "resume" }
  | { action: "stop"; closeOpenTrades: boolean }
  | { action: "speed"; speed: Speed }
  | { action: "step"; bars: number }
  | { action: "seek"; bar?: number; time?: string };
export interface Answer {
  status: Status | "replaying" | "ended";
  done: boolean;
  speed: Speed;
  progress: number;
  bar?: number | null;
  totalBars?: number | null;
}
export type Send = (command: Command & { commandId: string }) => Promise<Answer>;

/** So many may wait beside the one under way; steps count as one, up to so many bars. */
export const WAITING_MAX = 8;
export const STEP_BARS_MAX = 1_000;
/** A command that is stored, and that its run has not heard yet, is no longer waited for then. */
const HEARD_WITHIN_MS = 15_000;

export class Steering {
  /** What is being done; null: nothing. */
  underWay = $state.raw<Command | null>(null);
  /** Why the last command was not carried out, or that it is not yet; empty: it was. */
  refusal = $state("");
  #waiting: Command[] = [];
  #id = "";
  #heard: (() => void) | null = null;

  constructor(
    readonly send: Send,
    readonly answered: (answer: Answer) => void,
  ) {}

  /** False where it is refused here because too much waits. */
  ask(command: Command): boolean {
    const last = this.#waiting.at(-1);
    if (last?.action === "step" && command.action === "step") {
      if (last.bars + command.bars > STEP_BARS_MAX) return this.#full();
      this.#waiting[this.#waiting.length - 1] = { action: "step", bars: last.bars + command.bars };
    } else if (last?.action === command.action) this.#waiting[this.#waiting.length - 1] = command;
    else if (this.#waiting.length >= WAITING_MAX) return this.#full();
    else this.#waiting.push(command);
    if (!this.underWay) void this.#go();
    return true;
  }

  /** What a run, or its replay, said in answer to a command. */
  hear(commandId: unknown): void {
    if (this.#id && commandId === this.#id) this.#heard?.();
  }

  dismiss(): void {
    this.refusal = "";
  }

  /** What waits is forgotten: whoever asked has left. */
  close(): void {
    this.#waiting = [];
    this.#heard?.();
  }

  #full(): false {
    this.refusal = "Too many commands wait for the run. Wait until it has caught up, then go on.";
    return false;
  }

  async #go(): Promise<void> {
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      this.underWay = next;
      this.#id = commandId();
      const heard = new Promise<void>((resolve) => (this.#heard = resolve));
      try {
        const answer = await this.send({ ...next, commandId: this.#id });
        this.answered(answer);
        this.refusal = "";
        if (!answer.done && !(await within(heard))) this.refusal = `The run has not heard “${next.action}” yet. It is stored, and takes effect with the run's next heartbeat.`;
      } catch (error) {
        this.refusal = words(error);
        this.#waiting = [];
      }
      this.#id = "";
    }
    this.underWay = null;
  }
}

function within(heard: Promise<void>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), HEARD_WITHIN_MS)));
  return Promise.race([heard.then(() => true), late]).finally(() => clearTimeout(timer));
}

function commandId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `cmd_${[...bytes].map((one) => one.toString(16).padStart(2, "0")).join("")}`;
}
