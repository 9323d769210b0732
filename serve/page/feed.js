// The live feed: server-sent events over fetch, so that the token stays in a header and out of URLs.
// Reconnects for ever with a bounded wait, and resumes with the last id that it has seen.

const WAITS_MS = [500, 1000, 2000, 4000, 8000];
const SILENT_MS = 15000;

export class Feed {
  // on: {snapshot(body), away(body), state(name, detail), denied(status)}
  constructor(token, venue, on) {
    this.token = token; this.venue = venue; this.on = on;
    this.cursor = ""; this.tries = 0; this.closed = false; this.heard = 0;
  }

  start() { this.run(); }

  close() { this.closed = true; this.abort?.abort(); }

  async run() {
    while (!this.closed) {
      try {
        await this.once();
      } catch (error) {
        if (this.closed) return;
        if (error.status === 401 || error.status === 403) { this.on.denied(error.status, error.message); return; }
        this.reason = error.message || "no connection";
      }
      if (this.closed) return;
      const wait = WAITS_MS[Math.min(this.tries, WAITS_MS.length - 1)];
      this.tries += 1;
      this.on.state("lost", { wait, reason: this.reason || "the stream has ended", tries: this.tries });
      await new Promise((done) => setTimeout(done, wait));
    }
  }

  async once() {
    this.abort = new AbortController();
    const headers = { Authorization: `Bearer ${this.token}`, Accept: "text/event-stream" };
    if (this.cursor) headers["Last-Event-ID"] = this.cursor;
    const url = `/v1/live?venue=${encodeURIComponent(this.venue)}`;
    const answer = await fetch(url, { headers, signal: this.abort.signal, cache: "no-store" });
    if (!answer.ok) throw Object.assign(new Error(await reasonOf(answer)), { status: answer.status });
    this.tries = 0; this.heard = Date.now();
    const watch = setInterval(() => {
      // The server speaks at least every five seconds: silence means a dead connection.
      if (Date.now() - this.heard > SILENT_MS) { this.reason = "no heartbeat"; this.abort.abort(); }
    }, 1000);
    try { await this.read(answer.body.getReader()); } finally { clearInterval(watch); }
  }

  async read(reader) {
    const decoder = new TextDecoder();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) { this.reason = "the server closed the stream"; return; }
      this.heard = Date.now();
      text += decoder.decode(value, { stream: true });
      let end;
      while ((end = text.indexOf("\n\n")) >= 0) {
        this.take(text.slice(0, end));
        text = text.slice(end + 2);
      }
    }
  }

  take(block) {
    let kind = "message", data = "", id = "";
    for (const line of block.split("\n")) {
      if (line.startsWith("data: ")) data += line.slice(6);
      else if (line.startsWith("event: ")) kind = line.slice(7);
      else if (line.startsWith("id: ")) id = line.slice(4);
    }
    if (!data) return;
    const body = JSON.parse(data);
    if (id) this.cursor = id;
    if (kind === "snapshot") { this.on.state("live"); this.on.snapshot(body); }
    else if (kind === "away") this.on.away(body);
    else if (kind === "heartbeat") this.on.state("live");
    else if (kind === "end") { this.on.denied(401, body.reason); this.close(); }
  }
}

export async function ask(token, path) {
  const answer = await fetch(path, { headers: { Authorization: `Bearer ${token}` }, cache: "no-store" });
  if (!answer.ok) throw Object.assign(new Error(await reasonOf(answer)), { status: answer.status });
  return answer.json();
}

async function reasonOf(answer) {
  try { return (await answer.json()).detail || `HTTP ${answer.status}`; } catch { return `HTTP ${answer.status}`; }
}
