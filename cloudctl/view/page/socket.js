// The connection to the node: it is made again whenever it ends, and asks again for what the page looks at.

import { decode, FormatError } from "./format.js";

const RETRY_MS = [500, 1000, 2000, 5000];
const PROTOCOL = "cloudctl.view.1";

export class Connection {
  /** `onFrame(kind, value)` gets every frame; `onState(state, words)` says how the connection is: "live", "waiting" or "refused". */
  constructor(token, onFrame, onState) {
    this.token = token;
    this.onFrame = onFrame;
    this.onState = onState;
    this.wanted = {};
    this.attempts = 0;
    this.bytes = 0;
    this.opened = false;
    this.open();
  }

  open() {
    const address = new URL("socket", location.href.replace(/^http/, "ws").replace(/[?#].*$/, ""));
    const protocols = this.token ? [PROTOCOL, `token.${this.token}`] : [PROTOCOL];
    this.socket = new WebSocket(address, protocols);
    this.socket.binaryType = "arraybuffer";
    this.opened = false;
    this.socket.onopen = () => {
      this.opened = true;
      this.attempts = 0;
      this.onState("live", "connected");
      this.send(this.wanted);
    };
    this.socket.onmessage = (event) => this.receive(event.data);
    this.socket.onclose = (event) => this.closed(event);
  }

  receive(data) {
    this.bytes += data.byteLength;
    try {
      for (const { kind, value } of decode(data)) this.onFrame(kind, value);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.onState("refused", error.message);
      this.socket.onclose = null;
      this.socket.close();
    }
  }

  closed(event) {
    const wait = RETRY_MS[Math.min(this.attempts, RETRY_MS.length - 1)];
    this.attempts += 1;
    // A browser does not tell a page why a connection was refused: the node is asked over HTTP, which says so in words.
    if (!this.opened) this.askWhy();
    else this.onState("waiting", event.reason || "the connection has ended; trying again");
    setTimeout(() => this.open(), wait);
  }

  async askWhy() {
    try {
      const headers = this.token ? { Authorization: `Bearer ${this.token}` } : {};
      const answer = await fetch("access", { headers });
      if (answer.ok) return this.onState("waiting", "trying again");
      const why = await answer.json();
      this.onState("refused", `${why.rule}: ${why.remedy}`);
    } catch {
      this.onState("waiting", "no node answers; trying again");
    }
  }

  /** Ask for something; what stays wanted (`watch`, `zone`, `select`) is asked for again after each new connection. */
  ask(request) {
    for (const name of ["watch", "zone", "select"]) if (name in request) this.wanted[name] = request[name];
    this.send(request);
  }

  send(request) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(request));
  }
}
