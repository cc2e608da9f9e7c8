// The one Socket.IO connection of this page. It connects when somebody first needs it, and again after each break.

import { io, type Socket } from "socket.io-client";
import { session } from "../session.svelte";

export type Connection = "off" | "connecting" | "on";

const AGAIN_MS = 2_000;
const AGAIN_MAX_MS = 30_000;
/** New tokens in a row that were refused. */
const RENEWALS_MAX = 3;

class LiveSocket {
  connection = $state<Connection>("off");
  /** Why there is no connection, as the server said. */
  problem = $state("");
  #socket: Socket | null = null;
  #since: string | null = null;
  /** What it signed in with. */
  #token: string | null = null;
  #again: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #renewals = 0;

  /** The socket itself; `connect` events of it mean: subscribe again. For effects and handlers: it opens what is not open. */
  get socket(): Socket {
    return (this.#socket ??= this.#open());
  }

  #open(): Socket {
    const base = new URL(document.baseURI);
    const socket = io(base.origin, {
      path: `${base.pathname.replace(/[^/]*$/, "")}socket.io/`,
      // Polling needs a balancer that keeps a client on one gateway, and is there for proxies that know no WebSocket.
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      auth: (give) => void this.#auth().then(give),
      reconnectionDelay: 250,
      reconnectionDelayMax: 5_000,
    });
    const current = () => this.#socket === socket;
    this.connection = "connecting";
    socket.on("connect", () => {
      this.connection = "on";
      this.problem = "";
      this.#failures = this.#renewals = 0;
    });
    socket.on("auth:ok", (said: { now: string }) => (this.#since = said.now));
    socket.on("auth:expired", (said: { message?: string }) => void this.#renew(said.message ?? "the token has ended"));
    socket.on("disconnect", () => {
      if (!current()) return;
      this.connection = "connecting";
      // Closed by the server: the library takes that for its last word.
      if (!socket.active) this.#connectLater(socket);
    });
    socket.on("connect_error", (error) => {
      if (!current()) return;
      this.connection = "connecting";
      this.problem = error.message;
      if (socket.active) return;
      if (error.message.startsWith("unauthenticated")) void this.#renew(error.message.replace(/^\w+: /, ""));
      else this.#connectLater(socket);
    });
    return socket;
  }

  async #auth(): Promise<{ token: string | null; since: string | null }> {
    // Where there is no other token to be had now, the one there is is refused, and it is tried again.
    this.#token = await session.freshToken().catch(() => session.token);
    return { token: this.#token, since: this.#since };
  }

  #connectLater(socket: Socket): void {
    clearTimeout(this.#again);
    const waitMs = Math.min(AGAIN_MS * 2 ** this.#failures++, AGAIN_MAX_MS);
    this.#again = setTimeout(() => this.#socket === socket && socket.connect(), waitMs);
  }

  /** The token was refused: another one, or the end of the login. */
  async #renew(why: string): Promise<void> {
    const [socket, refused] = [this.#socket, this.#token];
    if (!socket || refused === null) return;
    clearTimeout(this.#again);
    if (session.token === refused) {
      if (!session.canRefresh || this.#renewals >= RENEWALS_MAX) return session.ended(`You have to sign in again: ${why}.`, refused);
      try {
        await session.freshToken(refused);
      } catch (error) {
        this.problem = error instanceof Error ? error.message : String(error);
        if (this.#socket === socket) this.#connectLater(socket);
        return;
      }
    }
    if (this.#socket !== socket || !session.signedIn) return;
    this.#renewals += 1;
    socket.disconnect();
    clearTimeout(this.#again);
    socket.connect();
  }

  close(): void {
    clearTimeout(this.#again);
    const socket = this.#socket;
    this.#socket = null;
    socket?.disconnect();
    this.#since = this.#token = null;
    this.#failures = this.#renewals = 0;
    this.problem = "";
    this.connection = "off";
  }
}

export const live = new LiveSocket();
