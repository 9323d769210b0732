// The panels beside the pitch: team comparison, the chosen athlete, event rail, ops strip.

import { ageOf, band, el, seconds, shortName, spark } from "./table.js";

const GROUPS = [
  ["all", "All", null],
  ["ball", "Ball", ["kick", "pass", "shot", "goal_candidate", "ball_out", "possession_gain", "possession_loss", "carry", "kick_off", "throw_in", "corner", "goal_kick", "free_kick", "penalty"]],
  ["run", "Running", ["sprint", "acceleration", "deceleration", "high_intensity_bout", "change_of_direction"]],
  ["contact", "Contact", ["impact", "collision", "fall", "man_down", "jump"]],
  ["fatigue", "Fatigue", ["fatigue_amber", "fatigue_red", "fatigue_clear"]],
  ["device", "Devices", ["device_degraded", "device_failed", "device_recovered", "device_failure_predicted", "feed_gap", "feed_restored", "clock_fault", "device_anomaly"]],
];
const QUIET = new Set(["kick", "possession_gain", "change_of_direction", "acceleration", "deceleration", "possession_loss", "carry"]);
const LOOK = {
  sprint: ["»", "Sprint"], acceleration: ["↗", "Acceleration"], deceleration: ["↘", "Deceleration"],
  high_intensity_bout: ["≫", "HI bout"], change_of_direction: ["↱", "Change of direction"],
  impact: ["✸", "Impact"], collision: ["✖", "Collision"], fall: ["↓", "Fall"], jump: ["↑", "Jump"], man_down: ["✚", "MAN DOWN"],
  kick: ["•", "Kick"], pass: ["→", "Pass"], shot: ["➤", "Shot"], goal_candidate: ["◉", "Goal candidate"], ball_out: ["▭", "Ball out"], possession_gain: ["◐", "Possession"], possession_loss: ["◑", "Possession lost"], carry: ["⇢", "Carry"],
  kick_off: ["⊙", "Kick-off"], throw_in: ["⇤", "Throw-in"], corner: ["◣", "Corner"], goal_kick: ["⊓", "Goal kick"], free_kick: ["⊡", "Free kick"], penalty: ["◎", "PENALTY"],
  fatigue_amber: ["▲", "Fatigue amber"], fatigue_red: ["■", "Fatigue red"], fatigue_clear: ["●", "Fatigue clear"],
  device_degraded: ["◍", "Device degraded"], device_failed: ["⊘", "Device failed"], device_recovered: ["✓", "Device recovered"], device_failure_predicted: ["◔", "Failure predicted"],
  feed_gap: ["⌁", "Feed gap"], feed_restored: ["✓", "Feed restored"], clock_fault: ["◷", "Clock fault"], device_anomaly: ["◇", "Device anomaly"],
};
const URGENT = new Set(["man_down", "goal_candidate", "fatigue_red", "feed_gap", "device_failed"]);
const RAIL = 80, HELD = 1500;

export class EventRail {
  constructor(list, filters, count, on) {
    this.list = list; this.count = count; this.on = on; this.events = []; this.ids = new Set(); this.group = "all"; this.first = true;
    for (const [key, label] of GROUPS) {
      const button = el("button", label); button.type = "button"; button.setAttribute("aria-pressed", String(key === "all"));
      button.addEventListener("click", () => {
        this.group = key;
        for (const other of filters.children) other.setAttribute("aria-pressed", String(other === button));
        this.render(new Set());
      });
      filters.append(button);
    }
  }

  clear() { this.events = []; this.ids.clear(); this.first = true; this.render(new Set()); }

  take(events) {
    const fresh = new Set(), superseded = new Set();
    for (const event of events) {
      if (this.ids.has(event.event_id)) continue;
      this.ids.add(event.event_id); this.events.push(event); fresh.add(event.event_id);
      if (this.ids.delete(event.supersedes)) superseded.add(event.supersedes);
    }
    if (superseded.size) this.events = this.events.filter((e) => !superseded.has(e.event_id));
    while (this.events.length > HELD) this.ids.delete(this.events.shift().event_id);
    if (fresh.size || this.first) this.render(this.first ? new Set() : fresh);
    this.first = false;
  }

  render(fresh) {
    const wanted = GROUPS.find((g) => g[0] === this.group)[2];
    // "All" leaves out what happens every second; its own filter shows it.
    const shown = this.events.filter((e) => (wanted ? wanted.includes(e.type) : !QUIET.has(e.type)));
    const newest = shown.slice(-RAIL).sort((a, b) => b.t_event_ns - a.t_event_ns);
    this.count.textContent = `${shown.length} shown of ${this.events.length}`;
    if (!newest.length) { this.list.replaceChildren(el("li", "Nothing yet.", "none")); return; }
    this.list.replaceChildren(...newest.map((e) => this.line(e, fresh.has(e.event_id))));
  }

  line(event, isNew) {
    const [icon, label] = LOOK[event.type] || ["·", event.type.replaceAll("_", " ")];
    const line = el("li"); line.className = (isNew ? "new " : "") + (event.status === "retracted" ? "retracted " : "") + (event.priority === "medical" ? "p0" : URGENT.has(event.type) || event.priority === "high" ? "high" : "");
    const what = el("span", "", "what");
    if (event.number && event.team) what.append(el("span", String(event.number), `tag ${event.team}`));
    else if (event.role === "official") what.append(el("span", `R${event.number}`, "tag none"));
    what.append(el("b", label), ` ${detail(event)}`);
    const status = event.status === "provisional" ? "" : event.status;
    const right = [figure(event), event.confidence < 0.995 ? `p ${event.confidence.toFixed(2)}` : "", status].filter(Boolean).join(" · ");
    line.append(el("time", event.clock || "–"), el("span", icon, "ico"), what, el("span", right, "num"));
    this.on.tip(line, { event }, () => event);
    if (event.subject_id) line.addEventListener("click", () => this.on.select(event.subject_id));
    return line;
  }
}

function detail(event) {
  if (event.type === "possession_gain") return event.sub_type;
  return (event.sub_type || "").replaceAll("_", " ");
}
function figure(event) {
  const m = event.metrics || {}, kmh = (v) => `${(3.6 * v).toFixed(1)} km/h`;
  switch (event.type) {
    case "sprint": case "high_intensity_bout": return m.peak_mps === undefined ? "" : kmh(m.peak_mps);
    case "shot": case "kick": return m.speed_mps === undefined ? "" : kmh(m.speed_mps);
    case "pass": return m.length_m === undefined ? "" : `${m.length_m.toFixed(0)} m`;
    case "impact": case "collision": case "fall": return m.peak_g === undefined ? "" : `${m.peak_g.toFixed(1)} g`;
    case "jump": return m.height_m === undefined ? "" : `${(100 * m.height_m).toFixed(0)} cm`;
    case "goal_candidate": return m.probability === undefined ? "" : `p ${m.probability.toFixed(2)}`;
    case "acceleration": case "deceleration": return m.peak_mps2 === undefined ? "" : `${m.peak_mps2.toFixed(1)} m/s²`;
    case "fatigue_amber": case "fatigue_red": case "fatigue_clear": return m.index === undefined ? "" : `FI ${m.index.toFixed(2)}`;
    case "man_down": return m.down_s === undefined ? "" : `${m.down_s.toFixed(0)} s`;
    default: return "";
  }
}

export function renderCompare(root, rows) {
  const ball = rows.find((r) => r.role === "ball") || {};
  const of = (team, key) => rows.filter((r) => r.team === team && r[key] !== undefined).map((r) => r[key]);
  const sum = (team, key) => { const v = of(team, key); return v.length ? v.reduce((a, b) => a + b, 0) : undefined; };
  const top = (team, key) => { const v = of(team, key); return v.length ? Math.max(...v) : undefined; };
  const lines = [
    ["Possession", ball.poss_home_s, ball.poss_away_s, (v, all) => `${Math.round((100 * v) / (all || 1))} %`],
    ["Distance, km", sum("home", "distance_m"), sum("away", "distance_m"), (v) => (v / 1000).toFixed(2)],
    ["High-speed running, m", sum("home", "hsr_m"), sum("away", "hsr_m"), (v) => v.toFixed(0)],
    ["Sprints", sum("home", "sprint_n"), sum("away", "sprint_n"), (v) => v.toFixed(0)],
    ["Top speed, km/h", top("home", "max_speed_mps"), top("away", "max_speed_mps"), (v) => (3.6 * v).toFixed(1)],
    ["PlayerLoad, au", sum("home", "player_load_au"), sum("away", "player_load_au"), (v) => v.toFixed(0)],
  ].filter((line) => line[1] !== undefined && line[2] !== undefined);
  if (!lines.length) { root.replaceChildren(el("p", "No team figures yet.", "dim")); return; }
  root.replaceChildren(...lines.map(([label, home, away, text]) => {
    const line = el("div", "", "cmp"), bar = el("div", "", "bar"), track = el("div", "", "track");
    const all = home + away, share = all > 0 ? (100 * home) / all : 50;
    const a = el("i"), b = el("i"); a.style.width = `${share}%`; b.style.width = `${100 - share}%`;
    track.append(a, b); bar.append(label, track);
    line.append(el("b", text(home, all)), bar, el("b", text(away, all)));
    return line;
  }));
}

export function renderCard(root, title, status, row, tip, events) {
  if (!row) { title.textContent = "Athlete"; status.textContent = ""; status.hidden = true; return; }
  title.replaceChildren();
  if (row.number && row.team) title.append(el("span", String(row.number), `tag ${row.team}`));
  title.append(`${row.role === "ball" ? "Ball" : shortName(row)} · ${row.role}`);
  status.hidden = false;
  status.textContent = row.stale ? `stale ${seconds(ageOf(row))}` : `${row.status || "no data"} · ${seconds(ageOf(row))}`;
  status.className = `chip ${row.stale ? "grey" : ""}`;
  const tiles = el("div", "", "tiles");
  const add = (metric, label, value, unit, digits, stale) => {
    if (value === undefined || value === null) return;
    const tile = el("div", "", `tile${stale ? " stale" : ""}`), b = el("b", Number(value).toFixed(digits));
    tile.append(el("span", label), b, el("small", unit)); tip(tile, { metric }, () => row); tiles.append(tile);
  };
  add("speed_mps", "Speed", row.speed_mps === undefined ? undefined : 3.6 * row.speed_mps, "km/h", 1, row.stale);
  add("max_speed_mps", "Top speed", row.max_speed_mps === undefined ? undefined : 3.6 * row.max_speed_mps, "km/h", 1, row.stale);
  add("hr_bpm", row.hr_stale ? `HR, ${seconds(row.hr_age_ms)} old` : "Heart rate", row.hr_bpm, "bpm", 0, row.hr_stale);
  add("metabolic_power_wkg", "Met. power", row.metabolic_power_wkg, "W/kg", 1, row.stale);
  add("hmld_m", "HMLD", row.hmld_m, "m", 0, row.stale);
  add("trimp", "TRIMP", row.trimp, "au", 1, row.hr_stale);
  add("kick_n", "Kicks", row.kick_n, "", 0, row.stale);
  add("pass_n", "Passes", row.pass_n, "", 0, row.stale);
  add("shot_n", "Shots", row.shot_n, "", 0, row.stale);
  add("dbal_m", "D′ left", row.dbal_m, "m", 0, row.stale);
  add("coverage", "Coverage", row.coverage === undefined ? undefined : 100 * row.coverage, "%", 0, row.low_coverage);
  const parts = [tiles];
  if (row.fatigue_index !== undefined) {
    const gauge = el("div", "", "gauge"), low = (row.fatigue_low ?? row.fatigue_index).toFixed(2), high = (row.fatigue_high ?? row.fatigue_index).toFixed(2);
    const word = row.fatigue_level >= 2 ? "■ red" : row.fatigue_level >= 1 ? "▲ amber" : "● clear";
    gauge.append("Fatigue", band(row), el("b", `${word} ${low}–${high}`)); tip(gauge, { metric: "fatigue_index" }, () => row); parts.push(gauge);
  }
  if (row.trend_mpmin?.length > 1) {
    const holder = el("div"), line = spark(row.trend_mpmin, 260, 30); line.setAttribute("class", "spark");
    holder.append(el("span", `Metres per minute, last ${Math.round(row.trend_mpmin.length / 6)} min: now ${row.trend_mpmin.at(-1)}`, "dim"), line);
    tip(holder, { metric: "trend_mpmin" }, () => row); parts.push(holder);
  }
  const list = el("ol", "", "last");
  for (const event of events.filter((e) => e.subject_id === row.subject_id).slice(-6).reverse()) {
    const [icon, label] = LOOK[event.type] || ["·", event.type.replaceAll("_", " ")], line = el("li");
    line.append(el("time", event.clock || "–"), el("span", icon), el("span", `${label} ${detail(event)}`), el("span", figure(event), "num"));
    tip(line, { event }, () => event); list.append(line);
  }
  parts.push(list);
  root.replaceChildren(...parts);
}

const STAGE_NAMES = { edge: "edge", log: "log", worker: "worker", net: "net", delivery: "delivery", total: "total" };

export function renderOps(root, ops, devices, next, tip) {
  const cells = [];
  const cell = (title, lines, key) => {
    const box = el("section", "", "cell"); box.append(el("h3", title));
    for (const [text, cls] of lines) { const p = el("p", "", cls || ""); p.append(...(Array.isArray(text) ? text : [text])); box.append(p); }
    if (key) tip(box, { tip: key }, () => null);
    cells.push(box); return box;
  };
  const ms = (v) => (v === undefined ? "–" : v >= 1000 ? `${(v / 1000).toFixed(1)} s` : `${v < 10 ? v.toFixed(1) : Math.round(v)}`);
  const stages = Object.entries(ops?.stages || {});
  const box = cell("Latency, ms: p50 / p95 / p99", [], "stages"), grid = el("div", "", "stages");
  for (const [name, v] of stages) { grid.append(el("span", STAGE_NAMES[name] || name)); const b = el("b", `${ms(v.p50)}`); b.append(el("small", ` / ${ms(v.p95)} / ${ms(v.p99)}`)); grid.append(b); }
  if (!stages.length) grid.append(el("span", "no measurements yet"));
  box.append(grid); box.classList.add("wide");
  if (ops && !ops.pool) { cell("Operations", [["Figures of the system are not for this role.", "dim"]]); root.replaceChildren(...cells); return; }
  const pool = ops?.pool || { status: "away", reason: "no answer yet" };
  const workers = pool.size ?? Object.keys(pool.workers || {}).length;
  const scale = pool.scale?.reason ? `${String(pool.scale.reason).replaceAll("_", " ")}` : "steady";
  if (pool.status === "away") cell("Flow pool", [[`away: ${pool.reason}`, "bad"]], "pool");
  else cell("Flow pool", [[[strong(`${workers}`), ` worker${workers === 1 ? "" : "s"} · ${Math.round(100 * (pool.utilisation || 0))} % busy`]], [`lag ${pool.lag_records ?? "–"} records · hot ${(pool.hot_backlog_s ?? 0).toFixed(1)} s · ${scale}`, (pool.hot_backlog_s || 0) > 0.5 ? "warn" : "dim"]], "pool");
  const s = ops?.samples;
  if (s) {
    const rejected = Object.values(s.rejected || {}).reduce((a, b) => a + b, 0);
    const worst = Object.entries(s.rejected || {}).sort((a, b) => b[1] - a[1])[0];
    cell("Samples", [[[strong(count(s.in)), ` in · ${count(s.forwarded)} forwarded`]], [`thinned ${count(s.thinned)} · rejected ${count(rejected)}${worst ? ` (${worst[0].replaceAll("_", " ")})` : ""}`, "dim"]], "samples").classList.add("big");
  }
  if (devices?.length) {
    const bad = devices.filter((d) => ["failed", "silent", "degraded"].includes(d.status));
    const word = bad[0] ? `${bad[0].status}: ${bad[0].id.slice(0, 26)}${bad[0].faults.length ? `, ${bad[0].faults.at(-1)}` : ""}` : "all healthy";
    cell("Devices", [[[strong(`${devices.filter((d) => d.status === "ok").length}/${devices.length}`), " ok"]], [word, bad.length ? "warn" : "dim"]], "devices");
  }
  cell("Next failure", next ? [[[strong(next.device_id.slice(0, 28))], "warn"], [`p ${next.scores.p_fail.toFixed(2)} within 10 min · ${likeliest(next)} · ${next.source}`, "dim"]] : [["none above p 0.5", "dim"]], "next").classList.add("big");
  const tiers = ops?.tiers;
  if (tiers && tiers.status !== "away") {
    const sized = Object.entries(tiers).filter(([, v]) => v && typeof v === "object" && v.bytes !== undefined);
    if (sized.length) cell("Tiers", [[[...sized.flatMap(([name, v], i) => [i ? " · " : "", `${name} `, strong(bytes(v.bytes))])]], [sized.map(([name, v]) => `${name} ${count(v.rows)} rows`).slice(1).join(" · ") || " ", "dim"]], "tiers").classList.add("big");
  }
  root.replaceChildren(...cells);
}

function strong(text) { return el("b", text); }
function count(n) { return n >= 1e6 ? `${(n / 1e6).toFixed(2)} M` : n >= 1e4 ? `${(n / 1e3).toFixed(0)} k` : String(n); }
function bytes(n) { return n >= 1e9 ? `${(n / 1e9).toFixed(2)} GB` : n >= 1e6 ? `${(n / 1e6).toFixed(0)} MB` : `${Math.round(n / 1e3)} kB`; }
function likeliest(prediction) {
  const scores = Object.entries(prediction.scores).filter(([k]) => k !== "p_fail" && k !== "none").sort((a, b) => b[1] - a[1]);
  return scores[0] ? scores[0][0] : "";
}
