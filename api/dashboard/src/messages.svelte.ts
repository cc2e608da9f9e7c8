// What is said once, at the edge of the page, and goes away: "Copied", "Deleted", what could not be done.

export interface Message {
  id: number;
  text: string;
  kind: "good" | "bad" | "plain";
}

const SHOWN_MS = 6_000;
const MOST = 4;

class Messages {
  list = $state.raw<Message[]>([]);
  #next = 1;

  say(text: string, kind: Message["kind"] = "plain"): void {
    const one = { id: this.#next++, text, kind };
    this.list = [...this.list, one].slice(-MOST);
    setTimeout(() => this.dismiss(one.id), kind === "bad" ? 2 * SHOWN_MS : SHOWN_MS);
  }

  dismiss(id: number): void {
    this.list = this.list.filter((one) => one.id !== id);
  }
}

export const messages = new Messages();
