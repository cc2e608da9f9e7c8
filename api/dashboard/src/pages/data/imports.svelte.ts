// Imports of files, one after the other. They go on while one looks at other pages.

import { words } from "../../http";
import { Problem } from "../../problem";
import { session } from "../../session.svelte";
import { blamed, questionsOf, type Question } from "./questions";
import type { ImportReport } from "./series";
import { upload } from "./upload";

const KEPT_MAX = 20;

export type Phase = "waiting" | "sending" | "reading" | "refused" | "done" | "cancelled";

export class Import {
  phase = $state<Phase>("waiting");
  files = $state.raw<File[]>([]);
  sent = $state(0);
  /** Why it was refused. */
  problem = $state.raw<Problem | null>(null);
  reports = $state.raw<ImportReport[]>([]);
  /** What was decided about how to read it. */
  fields = $state.raw<Record<string, string>>({});
  #cancels = new AbortController();

  constructor(
    readonly id: number,
    files: File[],
    fields: Record<string, string>,
  ) {
    this.files = files;
    this.fields = fields;
  }

  get size(): number {
    return this.files.reduce((sum, one) => sum + one.size, 0);
  }

  get name(): string {
    const [first] = this.files;
    return this.files.length === 1 && first ? first.name : `${this.files.length} files`;
  }

  get questions(): Question[] {
    return this.problem ? questionsOf(this.problem) : [];
  }

  /** The one file of several that it was refused for. */
  get blamed(): string | null {
    const names = this.files.map((one) => one.name);
    return this.problem && names.length > 1 ? blamed(this.problem, names) : null;
  }

  cancel(): void {
    this.#cancels.abort();
    if (this.phase === "waiting" || this.phase === "refused") this.phase = "cancelled";
  }

  async send(): Promise<void> {
    if (this.phase !== "waiting") return;
    const form = new FormData();
    for (const [name, value] of Object.entries(this.fields)) if (value !== "") form.append(name, value);
    for (const file of this.files) form.append("file", file, file.name);
    this.#cancels = new AbortController();
    this.sent = 0;
    this.problem = null;
    this.phase = "sending";
    const onsent = (sent: number, total: number) => {
      this.sent = total ? sent / total : 0;
      if (sent >= total) this.phase = "reading";
    };
    try {
      const answer = (await upload("/api/algo/data/import", form, { onsent, signal: this.#cancels.signal })) as { items: ImportReport[] };
      this.reports = answer.items;
      this.phase = "done";
    } catch (error) {
      if (this.#cancels.signal.aborted) this.phase = "cancelled";
      else {
        this.problem = error instanceof Problem ? error : new Problem(0, "failed", words(error));
        this.phase = "refused";
      }
    }
  }
}

class Imports {
  /** The newest first. */
  list = $state.raw<Import[]>([]);
  /** How many have ended with something imported: a list that was read before is old. */
  done = $state(0);
  #owner: string | null = null;
  #next = 1;
  #turn: Promise<void> = Promise.resolve();

  /** Forgets what another user began. */
  become(name: string): void {
    if (this.#owner !== null && this.#owner !== name) {
      for (const one of this.list) one.cancel();
      this.list = [];
    }
    this.#owner = name;
  }

  add(files: File[], fields: Record<string, string>): void {
    const one = new Import(this.#next++, files, fields);
    const [open, ended] = [this.list.filter((other) => !isOver(other)), this.list.filter(isOver)];
    this.list = [one, ...open, ...ended.slice(0, Math.max(KEPT_MAX - open.length, 0))].sort((left, right) => right.id - left.id);
    this.#begin(one);
  }

  /** Sends it again, with what was decided, perhaps without some of its files. */
  again(one: Import, fields: Record<string, string> = {}, files = one.files): void {
    one.fields = { ...one.fields, ...fields };
    one.files = files;
    one.phase = "waiting";
    this.#begin(one);
  }

  #begin(one: Import): void {
    const token = session.token;
    this.#turn = this.#turn.then(async () => {
      // Whoever has signed in meanwhile sends nothing of another's.
      if (token !== null && session.token === null) return one.cancel();
      await one.send();
      if (one.phase === "done") this.done += 1;
    });
  }

  dismiss(one: Import): void {
    one.cancel();
    this.list = this.list.filter((other) => other !== one);
  }

  dismissEnded(): void {
    this.list = this.list.filter((one) => !isOver(one));
  }
}

const isOver = (one: Import): boolean => one.phase === "done" || one.phase === "cancelled" || one.phase === "refused";

export const imports = new Imports();
