// node draw.mjs URL TOKEN BACKTEST: follows one backtest with the official Socket.IO client, and prints what it has.
import { io } from "socket.io-client";
import { Drawing } from "./drawing.mjs";

const [url, token, backtestId] = process.argv.slice(2);
const drawing = new Drawing();
const say = (said) => console.log(JSON.stringify(said));
const socket = io(url, { auth: { token }, transports: ["websocket"], reconnectionDelay: 100, reconnectionDelayMax: 500 });

socket.on("connect", async () => {
  drawing.connections += 1;
  const ask = { backtestId, ...(drawing.after && { after: drawing.after }) };
  say({ joined: await socket.emitWithAck("backtest:subscribe", ask) });
});
socket.onAny((event, said) => {
  drawing.at(said);
  if (event === "backtest:state") {
    drawing.state(said);
    say({ bar: drawing.bar });
  }
  if (event === "backtest:trade") drawing.trade(said);
  if (event === "backtest:complete" || event === "backtest:error") {
    say({ end: event, ...drawing.drawn() });
    socket.disconnect();
  }
});
