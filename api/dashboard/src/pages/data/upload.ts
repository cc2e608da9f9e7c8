// Files on their way to the gateway: XMLHttpRequest tells how much has gone, which fetch does not.

import { Problem, problemFrom } from "../../problem";
import { session } from "../../session.svelte";

interface Watch {
  /** How many bytes have gone, of how many. */
  onsent: (sent: number, total: number) => void;
  signal: AbortSignal;
}

/** The answer to a form. Raises `Problem`, and `AbortError` where the signal says so. */
export async function upload(path: string, form: FormData, { onsent, signal }: Watch): Promise<unknown> {
  const token = await session.freshToken();
  signal.throwIfAborted();
  return new Promise((good, bad) => {
    const request = new XMLHttpRequest();
    let all = false;
    request.open("POST", new URL(`.${path}`, document.baseURI));
    if (token) request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.upload.onprogress = (event) => onsent(event.loaded, event.total);
    request.upload.onload = () => (all = true);
    request.onload = () => {
      const { status, responseText } = request;
      if (status < 200 || status >= 300) return bad(problemFrom(status, responseText, request.getResponseHeader("Retry-After")));
      try {
        good(JSON.parse(responseText));
      } catch {
        bad(new Problem(0, "unreadable", "The gateway's answer broke off: look at the list to see whether it was imported."));
      }
    };
    request.onerror = () =>
      bad(
        new Problem(
          0,
          "unreachable",
          all
            ? "The connection broke off before the gateway had answered: look at the list to see whether it was imported."
            : "The connection broke off while the files were being sent. They may be more than the gateway takes at once (or changed on the disk meanwhile): compress them, or send fewer.",
        ),
      );
    request.onabort = () => bad(new DOMException("Cancelled", "AbortError"));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(form);
  });
}
