// The live page: signs in, follows one venue, and keeps pitch, tables, rail and ops strip in step.
// Everything shown comes from /v1 with the caller's own token; what the role may not see is absent.

import { ask, Feed } from "./feed.js";
import { EventRail, renderCard, renderCompare, renderOps } from "./panels.js";
import { Pitch } from "./pitch.js";
import { ageOf, COLUMNS, reasons, seconds, SquadTable } from "./table.js";

const KEY = "touchline.token", OPS_MS = 2000, TABLE_MS = 250;
const $ = (id) => document.getElementById(id);
const state = {
  token: "", venue: "", rows: new Map(), devices: null, next: null, ops: null, summary: null, metrics: new Map(),
  sort: { key: "number", down: false }, selected: "", feed: null, lost: null, away: null, lastData: 0, dirty: true, timers: [],
};
window.touchline = state;

const pitch = new Pitch($("pitch"), {
  select: (id) => select(id),
  hover: (row, x, y) => (row ? showTip([who(row), `${(3.6 * (row.speed_mps || 0)).toFixed(1)} km/h${row.hr_bpm ? ` · HR ${Math.round(row.hr_bpm)} bpm${row.hr_stale ? " (old)" : ""}` : ""}`, `value ${seconds(ageOf(row))} old · ${row.status}`], x, y) : hideTip()),
});
const on = { sort: (key) => sortBy(key), select: (id) => select(id), tip: attachTip };
const rail = new EventRail($("events"), $("filters"), $("event-count"), on);
let tables = [];

// -- signing in ----------------------------------------------------------------------------------

function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(KEY) || "";
}

function signIn(reason = "") {
  $("sign-in-error").textContent = reason;
  if (!$("sign-in").open) $("sign-in").showModal();
  $("token").focus();
}

$("enter").addEventListener("click", () => {
  const token = $("token").value.trim();
  if (!token) return;
  sessionStorage.setItem(KEY, token); $("token").value = ""; $("sign-in").close(); begin();
});
$("sign-out").addEventListener("click", () => { sessionStorage.removeItem(KEY); location.reload(); });
$("venue").addEventListener("change", () => follow($("venue").value));

async function begin() {
  state.token = takeToken();
  if (!state.token) { signIn(); return; }
  try {
    const about = await ask(state.token, "/v1/catalogue");
    state.metrics = new Map(about.metrics.map((m) => [m.name, m]));
    const has = (metric) => state.metrics.has(metric);
    tables = [["home", "Home"], ["away", "Away"]].map(([team, title]) => new SquadTable($(`squad-${team}`), team, title, on, has));
    $("role").textContent = `${about.caller.subject} · ${about.caller.role}`; $("sign-out").hidden = false;
    await choose();
  } catch (error) {
    if (error.status === 401) { sessionStorage.removeItem(KEY); signIn(`That token is not accepted: ${error.message}`); return; }
    banner(error.status ? `${error.message}` : "No connection to the server; trying again.", "warn");
    setTimeout(begin, 2000);
  }
}

async function choose() {
  const { venues } = await ask(state.token, "/v1/venues");
  if (!venues.length) { banner("No venue yet: waiting for a stadium to publish its roster.", "warn"); setTimeout(choose, 1500); return; }
  $("venue").replaceChildren(...venues.map((v) => new Option(`${v.venue_id} · ${v.match_id}`, v.venue_id)));
  follow(venues[0].venue_id);
}

// -- the feed --------------------------------------------------------------------------------------

function follow(venue) {
  state.feed?.close();
  state.timers.forEach(clearInterval);
  Object.assign(state, { venue, devices: null, next: null, ops: null, lost: null, away: null, selected: "" });
  state.rows.clear(); pitch.clear(); rail.clear();
  $("venue").value = venue;
  state.feed = new Feed(state.token, venue, {
    snapshot: take,
    away: (body) => { state.away = body; },
    state: (name, detail) => { state.lost = name === "lost" ? { ...detail, at: Date.now() } : null; },
    denied: (status, reason) => {
      if (status === 401) { sessionStorage.removeItem(KEY); signIn(`Your sign-in has ended: ${reason}`); } else banner(`Not allowed: ${reason}`);
    },
  });
  state.feed.start();
  refreshOps();
  state.timers = [setInterval(refreshOps, OPS_MS), setInterval(tick, TABLE_MS)];
}

function take(body) {
  state.away = null; state.lastData = Date.now(); state.summary = body.venue; state.dirty = true;
  if (body.full) { state.rows.clear(); pitch.clear(); }
  for (const row of body.athletes) { row.heard = Date.now(); state.rows.set(row.subject_id, row); }
  if (body.devices) state.devices = body.devices;
  if (body.predictions) state.next = body.predictions.next_failure;
  pitch.setVenue(body.venue);
  pitch.take(body.athletes, body.trail);
  rail.take(body.events);
}

async function refreshOps() {
  if (!state.token || document.hidden) return;
  try { state.ops = await ask(state.token, "/v1/ops"); } catch { /* the feed says when the server is gone; the strip keeps its last figures */ }
  renderOps($("ops"), state.ops, state.devices, state.next, attachTip);
  const p95 = state.ops?.stages?.total?.p95;
  $("lag").textContent = p95 === undefined ? "–" : p95 >= 1000 ? `${(p95 / 1000).toFixed(1)} s` : `${Math.round(p95)} ms`;
  const s = state.ops?.samples;
  if (s?.in) $("loss").textContent = `${((100 * Object.values(s.rejected).reduce((a, b) => a + b, 0)) / s.in).toFixed(2)} %`;
}

function tick() {
  const gone = state.lost ? Date.now() - state.lastData : 0;
  pitch.lost = Boolean(state.lost || state.away);
  age();
  const rows = [...state.rows.values()];
  for (const table of tables) table.render(rows, state.sort, state.selected);
  if (state.dirty) renderCompare($("compare"), rows);
  if (state.dirty || state.lost) renderCard($("card"), $("card-title"), $("card-status"), state.rows.get(state.selected), attachTip, rail.events);
  if (!state.selected) pick(rows);
  state.dirty = false;
  header();
  if (state.lost) banner(`Connection lost (${state.lost.reason}). Reconnecting, try ${state.lost.tries}. Values are ${seconds(gone)} old.`);
  else if (state.away) banner(`The ${state.away.part} does not answer (${state.away.reason}). Values are ${seconds(Date.now() - state.lastData)} old.`, "warn");
  else banner("");
}

// Rows grow old here too: a silent server must not leave fresh-looking numbers on the screen.
function age() {
  for (const row of state.rows.values()) {
    if (row.status === "final" || row.t_ns === undefined) continue;
    const here = Date.now() - row.heard;
    if (here < 1500) continue;
    row.received_age_ms = Math.max(row.received_age_ms || 0, here);
    if (row.hr_bpm !== undefined) row.hr_age_ms = Math.max(row.hr_age_ms || 0, here);
    if (row.received_age_ms > 3000) { row.stale = true; row.hr_stale = true; row.hot = false; }
  }
}

function pick(rows) {
  const tired = rows.filter((r) => r.team && r.fatigue_index !== undefined).sort((a, b) => b.fatigue_index - a.fatigue_index)[0];
  const any = tired || rows.filter((r) => r.team && r.speed_mps !== undefined)[0];
  if (any) select(any.subject_id);
}

function header() {
  const v = state.summary;
  if (!v) return;
  $("clock").textContent = v.clock || "–:––";
  $("period").textContent = (v.period || v.status).replaceAll("_", " ");
  const name = state.lost ? "lost" : v.status, badge = $("live");
  badge.dataset.state = name; badge.textContent = { lost: "NO CONNECTION", live: "LIVE", final: "FINAL", waiting: "WAITING" }[name] || name;
  $("feed-age").textContent = v.status === "final" ? "final" : seconds(Date.now() - state.lastData + (v.received_age_ms || 0));
  const counts = v.devices || {}, all = Object.values(counts).reduce((a, b) => a + b, 0);
  $("dev-count").textContent = all ? `${counts.ok || 0}/${all}` : "–";
}

function banner(text, kind = "") {
  const box = $("banner");
  if (box.textContent !== text) box.textContent = text;
  box.hidden = !text; box.dataset.kind = kind;
}

// -- choosing and sorting --------------------------------------------------------------------------

function select(id) { state.selected = id; pitch.selected = id; state.dirty = true; }

function sortBy(key) {
  const same = state.sort.key === key;
  state.sort = { key, down: same ? !state.sort.down : !["number", "name"].includes(key) };
  const rows = [...state.rows.values()];
  for (const table of tables) table.render(rows, state.sort, state.selected);
}

// -- tooltips --------------------------------------------------------------------------------------

const HELP = {
  lag: ["Total latency, p95", "From the arrival of the oldest sample behind an event until the event can be served."],
  feed: ["Age of the feed", "Wall-clock time since the newest state row was made durable."],
  loss: ["Rejected samples", "Share of all samples that were refused by the edge; the reasons are in the strip below."],
  devices: ["Devices", "Sensor streams that are healthy, of all on the roster."],
  stages: ["Latency by stage, ms", "edge: arrival to durable telemetry. log: durable to picked up. worker: picked up to durable effects. net: one model call. delivery: event durable to here. total: arrival to here."],
  pool: ["Flow pool", "Workers that compute twins and events. Lag is the oldest unprocessed record of any flow; hot is the backlog of high-priority flows."],
  samples: ["Samples", "Conservation: in = forwarded + thinned + buffered + rejected. Thinned samples are merged, not lost."],
  next: ["Next predicted failure", "The device most likely to become unusable for 30 s or more within ten minutes."],
  tiers: ["Storage tiers", "Hot: the event log. Warm: Parquet at full rate, per match. Cold: aggregated and pseudonymised."],
  age: ["Age", "Event time since the value was measured; grey after three periods."],
  why: ["Why", "The reason for every alarm and every grey row."],
};

function attachTip(element, spec, rowOf) {
  const show = (event) => {
    const box = element.getBoundingClientRect();
    const x = event.clientX || box.left + box.width / 2, y = event.clientY || box.bottom;
    showTip(describe(spec, rowOf()), x, y);
  };
  element.addEventListener("pointermove", show);
  element.addEventListener("focus", show);
  element.addEventListener("pointerleave", hideTip);
  element.addEventListener("blur", hideTip);
}
for (const box of document.querySelectorAll("[data-tip]")) attachTip(box, { tip: box.dataset.tip }, () => null);

function describe(spec, row) {
  if (spec.event) {
    const e = row, figures = Object.entries(e.metrics || {}).filter(([k]) => !k.startsWith("limit_")).map(([k, v]) => `${k} ${Number(v).toFixed(2)}`).join(" · ");
    return [`${e.type.replaceAll("_", " ")} ${e.sub_type}`.trim(), figures, `${e.status} · confidence ${e.confidence} · ${e.algo_version || e.stream}`, `detected ${((e.t_detected_ns - e.t_event_ns) / 1e9).toFixed(2)} s after it happened · id ${e.event_id.slice(0, 8)}`];
  }
  if (spec.kind === "chips" && row) return ["Why", ...reasons(row).map((r) => r.text)];
  const m = state.metrics.get(spec.metric);
  if (spec.tip && HELP[spec.tip]) return HELP[spec.tip];
  if (!m) return row ? [who(row), row.subject_id] : [spec.label || "", ""];
  const lines = [`${m.label}${m.unit ? `, ${m.unit}` : ""}`, m.formula, `window: ${m.window}`];
  if (row) {
    const heart = m.data_class === "health_biometric";
    lines.push(`${row.status || "no data"} · ${row.algo_version || "version unknown"} · ${seconds(heart ? row.hr_age_ms : ageOf(row))} old · coverage ${row.coverage === undefined ? "–" : `${Math.round(100 * row.coverage)} %`}`);
  }
  return lines;
}

function who(row) { return row.role === "ball" ? "Ball" : `${row.team || row.role} ${row.number || ""}`.trim(); }

function showTip(lines, x, y) {
  const tip = $("tip"), [title, ...rest] = lines.filter(Boolean);
  if (!title) return;
  tip.replaceChildren(Object.assign(document.createElement("b"), { textContent: title }), ...rest.map((text) => Object.assign(document.createElement("div"), { textContent: text, className: "row" })));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(6, Math.min(innerWidth - box.width - 8, x + 14))}px`;
  tip.style.top = `${y + 18 + box.height > innerHeight ? Math.max(6, y - box.height - 12) : y + 18}px`;
}
function hideTip() { $("tip").hidden = true; }
addEventListener("keydown", (e) => {
  if (e.key === "Escape") hideTip();
  // Keyboard sort: the digits pick a column, as long as nothing is being typed.
  if (/^[1-9]$/.test(e.key) && !e.ctrlKey && !e.metaKey && !e.altKey && !["TEXTAREA", "SELECT", "INPUT"].includes(document.activeElement?.tagName)) sortBy(COLUMNS[Number(e.key) - 1].key);
});

begin();
