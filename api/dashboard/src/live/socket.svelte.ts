// The one Socket.IO connection of this page. It connects when somebody first needs it, and again after each break.

import { io, type Socket } from "socket.io-client";
import { session } from "../session.svelte";

export type Connection = "off" | "connecting" | "on";

class LiveSocket {
  connection = $state<Connection>("off");
  /** Why there is no connection, as the server said. */
  problem = $state("");
  #socket: Socket | null = null;
  #since: string | null = null;

  /** The socket itself; `connect` events of it mean: subscribe again. */
  get socket(): Socket {
    return (this.#socket ??= this.#open());
  }

  #open(): Socket {
    const base = new URL(document.baseURI);
    const socket = io(base.origin, {
      path: `${base.pathname.replace(/[^/]*$/, "")}socket.io/`,
      auth: (give) => void session.freshToken().then((token) => give({ token, since: this.#since })),
      reconnectionDelay: 250,
      reconnectionDelayMax: 5_000,
    });
    this.connection = "connecting";
    socket.on("connect", () => {
      this.connection = "on";
      this.problem = "";
    });
    socket.on("auth:ok", (said: { now: string }) => (this.#since = said.now));
    socket.on("auth:expired", (said: { message?: string }) => void this.#renew(said.message ?? ""));
    socket.on("disconnect", () => (this.connection = "connecting"));
    socket.on("connect_error", (error) => {
      this.connection = "connecting";
      this.problem = error.message;
      if (!socket.active) setTimeout(() => this.#socket === socket && socket.connect(), 2_000);
    });
    return socket;
  }

  async #renew(why: string): Promise<void> {
    if (!session.canRefresh) return session.ended(why || "Your token has ended. Sign in again.");
    await session.freshToken(true);
    this.#socket?.disconnect().connect();
  }

  close(): void {
    this.#socket?.disconnect();
    this.#socket = null;
    this.#since = null;
    this.connection = "off";
  }
}

export const live = new LiveSocket();
