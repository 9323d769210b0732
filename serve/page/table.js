// Squad tables, one per team, sorted alike. Rows are built once; cells change only when their text
// does, so that four updates a second cost next to nothing.

const SVG = "http://www.w3.org/2000/svg";
const num = (v, d = 0) => (v === undefined || v === null ? "–" : v.toFixed(d));

// key, label, width px, metric for the tooltip, value for sorting, text
export const COLUMNS = [
  { key: "number", label: "#", width: 31, value: (r) => r.number, kind: "tag" },
  { key: "name", label: "id", width: 38, left: true, value: (r) => shortName(r), text: shortName },
  { key: "min", label: "min", width: 34, metric: "minutes", value: (r) => r.minutes, text: (r) => num(r.minutes) },
  { key: "dist", label: "dist", width: 44, metric: "distance_m", value: (r) => r.distance_m, text: (r) => num(r.distance_m) },
  { key: "hsr", label: "HSR", width: 38, metric: "hsr_m", value: (r) => r.hsr_m, text: (r) => num(r.hsr_m) },
  { key: "spr", label: "spr", width: 30, metric: "sprint_n", value: (r) => r.sprint_n, text: (r) => num(r.sprint_n) },
  { key: "acc", label: "acc/dec", width: 51, metric: "acc_n", value: (r) => (r.acc_n === undefined ? undefined : r.acc_n + r.dec_n), text: (r) => (r.acc_n === undefined ? "–" : `${r.acc_n}/${r.dec_n}`) },
  { key: "pl", label: "PL", width: 42, metric: "player_load_au", value: (r) => r.player_load_au, text: (r) => num(r.player_load_au, 1) },
  { key: "hr", label: "HR%", width: 38, metric: "hr_pct", value: (r) => r.hr_pct, text: (r) => num(r.hr_pct), old: (r) => r.hr_stale },
  { key: "fi", label: "FI", width: 84, metric: "fatigue_index", value: (r) => r.fatigue_index, kind: "band" },
  { key: "dbal", label: "D′%", width: 38, metric: "dbal_pct", value: (r) => r.dbal_pct, text: (r) => num(r.dbal_pct) },
  { key: "trend", label: "5 min", width: 52, metric: "trend_mpmin", value: (r) => (r.trend_mpmin || []).at(-1), kind: "spark" },
  { key: "age", label: "age", width: 52, tip: "age", value: ageOf, text: (r) => (r.status === "final" ? "final" : seconds(ageOf(r))) },
  { key: "flags", label: "why", width: 0, left: true, tip: "why", value: (r) => -reasons(r).length, kind: "chips" },
];

export function shortName(row) {
  const tail = String(row.subject_id).split("_").at(-1);
  return tail.length <= 8 ? tail.toUpperCase() : tail.slice(0, 8);
}
export function ageOf(row) {
  // Live: the larger of event-time age and silence of the feed; final values do not age.
  if (row.status === "final") return row.age_ms;
  return row.received_age_ms > 3000 ? Math.max(row.age_ms || 0, row.received_age_ms) : row.age_ms;
}
export function seconds(ms) {
  if (ms === undefined || ms === null) return "–";
  if (ms >= 60000) return `${Math.floor(ms / 60000)} m`;
  if (ms < 950) return `${Math.round(ms / 10) * 10} ms`;
  return ms >= 9950 ? `${Math.round(ms / 1000)} s` : `${(ms / 1000).toFixed(1)} s`;
}

// Reasons, most telling first: an alarm without a reason is not shown at all.
export function reasons(row) {
  const out = [];
  if (row.t_ns === undefined) return [{ kind: "grey", text: "no data yet" }];
  if (row.stale) out.push({ kind: "grey", text: `${row.received_age_ms > 3000 ? "no feed" : "no signal"} ${seconds(ageOf(row))}` });
  if (row.low_coverage) out.push({ kind: "grey", text: `coverage ${Math.round(100 * row.coverage)} %` });
  if (row.fatigue_level >= 2) out.push({ kind: "red", text: "■ red" });
  else if (row.fatigue_level >= 1) out.push({ kind: "amber", text: "▲ amber" });
  if (row.dbal_pct !== undefined && row.dbal_pct < 25) out.push({ kind: "amber", text: `D′ ${Math.round(row.dbal_pct)} %` });
  if (row.hr_pct !== undefined && row.hr_pct >= 95 && !row.hr_stale) out.push({ kind: "amber", text: `HR ${Math.round(row.hr_pct)} %` });
  if (row.hot) out.push({ kind: "hot", text: "◎ hot" });
  if (row.hr_bpm !== undefined && row.hr_stale && !row.stale) out.push({ kind: "grey", text: `HR ${seconds(row.hr_age_ms)} old` });
  return out;
}

export class SquadTable {
  // on: {sort(key), select(id), tip(element, spec, row)}; `has` says which metrics the caller may see
  constructor(root, team, title, on, has) {
    this.columns = COLUMNS.filter((c) => !c.metric || has(c.metric));
    this.team = team; this.on = on; this.rows = new Map(); this.focus = "";
    root.replaceChildren();
    const head = el("header"); head.append(el("h2", title)); this.sum = el("span", "", "sum"); head.append(this.sum);
    const scroll = el("div", "", "scroll"), table = el("table");
    table.setAttribute("aria-label", `${title} squad`);
    const group = el("colgroup");
    for (const c of this.columns) { const col = el("col"); if (c.width) col.style.width = `${c.width}px`; group.append(col); }
    const top = el("thead"), line = el("tr"); this.heads = new Map();
    for (const c of this.columns) {
      const th = el("th"), button = el("button", c.label); th.scope = "col"; if (c.left) th.className = "l";
      button.type = "button"; button.addEventListener("click", () => on.sort(c.key));
      on.tip(button, c, () => null);
      th.append(button); line.append(th); this.heads.set(c.key, th);
    }
    top.append(line); this.body = el("tbody"); table.append(group, top, this.body); scroll.append(table); root.append(head, scroll);
    this.body.addEventListener("keydown", (e) => this.keys(e));
  }

  render(rows, sort, selected) {
    const column = COLUMNS.find((c) => c.key === sort.key) || COLUMNS[0];
    const ours = rows.filter((r) => r.team === this.team).sort((a, b) => compare(column.value(a), column.value(b), sort.down) || a.number - b.number);
    for (const [key, th] of this.heads) {
      if (key === sort.key) th.setAttribute("aria-sort", sort.down ? "descending" : "ascending"); else th.removeAttribute("aria-sort");
    }
    ours.forEach((row, place) => {
      let entry = this.rows.get(row.subject_id);
      if (!entry) { entry = this.build(row); this.rows.set(row.subject_id, entry); }
      entry.row = row;
      if (this.body.children[place] !== entry.line) this.body.insertBefore(entry.line, this.body.children[place] || null);
      this.update(entry, row, selected);
    });
    const live = ours.filter((r) => r.distance_m !== undefined);
    const sum = (key) => live.reduce((total, r) => total + (r[key] || 0), 0);
    const fresh = ours.filter((r) => !r.stale && r.t_ns !== undefined).length;
    this.sum.textContent = live.length ? `${(sum("distance_m") / 1000).toFixed(2)} km · ${sum("sprint_n")} sprints · ${fresh}/${ours.length} live` : `${fresh}/${ours.length} live`;
    const first = this.body.querySelector("tr[tabindex='0']") || this.body.firstElementChild;
    if (first) first.tabIndex = 0;
  }

  build(row) {
    const line = el("tr"), cells = new Map();
    line.tabIndex = -1; line.dataset.id = row.subject_id;
    line.addEventListener("click", () => this.on.select(row.subject_id));
    const entry = { line, cells, row };
    for (const c of this.columns) {
      const td = el("td");
      td.className = c.left ? (c.kind === "chips" ? "chips" : "l") : "";
      if (c.metric || c.tip || c.kind) this.on.tip(td, c, () => entry.row);
      cells.set(c.key, { td, text: null }); line.append(td);
    }
    return entry;
  }

  update(entry, row, selected) {
    entry.line.classList.toggle("stale", Boolean(row.stale || row.low_coverage || row.t_ns === undefined));
    entry.line.setAttribute("aria-selected", String(row.subject_id === selected));
    for (const c of this.columns) {
      const cell = entry.cells.get(c.key);
      const text = c.kind ? signature(c, row) : c.text(row);
      if (cell.text === text) continue;
      cell.text = text;
      if (!c.kind) cell.td.textContent = text; else draw(c, cell.td, row);
      if (c.old) cell.td.classList.toggle("old", Boolean(c.old(row)));
    }
  }

  keys(event) {
    const line = event.target.closest("tr");
    if (!line) return;
    if (event.key === "Enter" || event.key === " ") { this.on.select(line.dataset.id); event.preventDefault(); return; }
    const next = event.key === "ArrowDown" ? line.nextElementSibling : event.key === "ArrowUp" ? line.previousElementSibling : null;
    if (next) { line.tabIndex = -1; next.tabIndex = 0; next.focus(); event.preventDefault(); }
  }
}

function compare(a, b, down) {
  const none = (v) => v === undefined || v === null || Number.isNaN(v);
  if (none(a) || none(b)) return none(a) - none(b);
  const order = typeof a === "string" ? a.localeCompare(b) : a - b;
  return down ? -order : order;
}

function signature(c, row) {
  if (c.kind === "tag") return `${row.number}${row.role}`;
  if (c.kind === "band") return [row.fatigue_index, row.fatigue_low, row.fatigue_high, row.fatigue_level].join();
  if (c.kind === "spark") return (row.trend_mpmin || []).join();
  return reasons(row).map((r) => r.text).join("|");
}

function draw(c, td, row) {
  if (c.kind === "tag") {
    const tag = el("span", String(row.number), `tag ${row.team}`); if (row.role === "goalkeeper") tag.title = "goalkeeper"; td.replaceChildren(tag);
  } else if (c.kind === "band") td.replaceChildren(band(row));
  else if (c.kind === "spark") td.replaceChildren(spark(row.trend_mpmin || [], 50, 16));
  else {
    // Two fit; the rest is counted, and told by the tooltip.
    const all = reasons(row), shown = all.slice(0, 2).map((r) => el("span", r.text, `chip ${r.kind}`));
    if (all.length > 2) shown.push(el("span", `+${all.length - 2}`, "chip grey"));
    td.replaceChildren(...shown);
  }
}

export function band(row) {
  const svg = node("svg", { viewBox: "0 0 78 16", "aria-hidden": "true" });
  if (row.fatigue_index === undefined) { svg.append(node("text", { x: 76, y: 12, "text-anchor": "end", fill: "#5f6e7d", "font-size": 12 }, "–")); return svg; }
  const level = row.fatigue_level || 0, colour = level >= 2 ? "#ff5a5f" : level >= 1 ? "#ffb020" : "#3ddc97";
  const x = (v) => 1 + 44 * Math.max(0, Math.min(1, v));
  const low = row.fatigue_low ?? row.fatigue_index, high = row.fatigue_high ?? row.fatigue_index;
  svg.append(node("rect", { x: 1, y: 6, width: 44, height: 4, rx: 2, fill: "#243140" }));
  svg.append(node("rect", { x: x(low), y: 5, width: Math.max(2, x(high) - x(low)), height: 6, rx: 3, fill: colour, "fill-opacity": 0.42 }));
  svg.append(node("rect", { x: x(row.fatigue_index) - 1.25, y: 2, width: 2.5, height: 12, rx: 1, fill: colour }));
  svg.append(node("text", { x: 78, y: 12.2, "text-anchor": "end", fill: "currentColor", "font-size": 12 }, row.fatigue_index.toFixed(2)));
  return svg;
}

export function spark(values, width, height, colour = "#7fb7dd") {
  const svg = node("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  if (values.length < 2) return svg;
  const top = Math.max(60, ...values), step = width / (values.length - 1);
  const points = values.map((v, i) => `${(i * step).toFixed(1)},${(height - 1.5 - (v / top) * (height - 3)).toFixed(1)}`);
  svg.append(node("polygon", { points: `0,${height} ${points.join(" ")} ${width},${height}`, fill: colour, "fill-opacity": 0.16 }));
  svg.append(node("polyline", { points: points.join(" "), fill: "none", stroke: colour, "stroke-width": 1.4, "vector-effect": "non-scaling-stroke" }));
  return svg;
}

export function el(name, text = "", cls = "") {
  const e = document.createElement(name);
  if (text) e.textContent = text;
  if (cls) e.className = cls;
  return e;
}
function node(name, attributes, text = "") {
  const e = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  if (text) e.textContent = text;
  return e;
}
