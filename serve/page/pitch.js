// The pitch on a canvas. States come four times a second; between them every dot glides from where it
// is drawn to where it was last measured, so that motion is smooth at 30 frames a second.

const FRAME_MS = 33;
const COLOUR = { home: "#45b8ff", away: "#f4f1ea", official: "#8f9eae", ball: "#ffe14d", hot: "#ff8a3d" };
const GLIDE_MS = 290;

export class Pitch {
  // on: {hover(row|null, x, y), select(id)}
  constructor(canvas, on) {
    this.canvas = canvas; this.on = on; this.ctx = canvas.getContext("2d");
    this.length = 105; this.width = 68; this.attack = 1; this.lost = false;
    this.dots = new Map(); this.trail = []; this.last = 0; this.frames = 0; this.selected = "";
    this.background = null;
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
    canvas.addEventListener("pointermove", (e) => this.hover(e));
    canvas.addEventListener("pointerleave", () => on.hover(null));
    canvas.addEventListener("click", (e) => { const dot = this.near(e); if (dot) on.select(dot.row.subject_id); });
    canvas.addEventListener("keydown", (e) => this.step(e));
    requestAnimationFrame((t) => this.frame(t));
  }

  setVenue(venue) {
    const changed = this.length !== venue.pitch_length_m || this.width !== venue.pitch_width_m || this.attack !== venue.home_attacks;
    this.length = venue.pitch_length_m; this.width = venue.pitch_width_m; this.attack = venue.home_attacks;
    if (changed) this.resize();
  }

  clear() { this.dots.clear(); this.trail = []; }

  take(rows, trail) {
    const now = performance.now();
    for (const row of rows) {
      if (row.x_m === undefined || row.y_m === undefined) continue;
      let dot = this.dots.get(row.subject_id);
      if (!dot) {
        dot = { x0: row.x_m, y0: row.y_m, x1: row.x_m, y1: row.y_m, t0: row.t_ns, t1: row.t_ns, at: now };
        this.dots.set(row.subject_id, dot);
      } else if (row.t_ns !== dot.t1) {
        const here = where(dot, now);
        Object.assign(dot, { x0: here.x, y0: here.y, t0: here.t, x1: row.x_m, y1: row.y_m, t1: row.t_ns, at: now });
      }
      dot.row = row;
    }
    if (trail) this.trail = trail;
  }

  resize() {
    const box = this.canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    if (!box.width || !box.height) return;
    this.canvas.width = Math.round(box.width * ratio); this.canvas.height = Math.round(box.height * ratio);
    this.ratio = ratio; this.w = box.width; this.h = box.height;
    const margin = 4;
    this.scale = Math.min(this.w / (this.length + 2 * margin), this.h / (this.width + 2 * margin));
    this.background = this.paintField();
  }

  px(x) { return this.w / 2 + x * this.scale; }
  py(y) { return this.h / 2 - y * this.scale; }

  paintField() {
    const layer = document.createElement("canvas");
    layer.width = this.canvas.width; layer.height = this.canvas.height;
    const g = layer.getContext("2d"); g.scale(this.ratio, this.ratio);
    g.fillStyle = "#0c1a15"; g.fillRect(0, 0, this.w, this.h);
    const L = this.length / 2, W = this.width / 2, s = this.scale;
    const stripe = this.length / 14;
    for (let i = 0; i < 14; i++) {
      g.fillStyle = i % 2 ? "#10251c" : "#122a20";
      g.fillRect(this.px(-L + i * stripe), this.py(W), stripe * s + 0.5, this.width * s);
    }
    g.strokeStyle = "#4d7a65"; g.lineWidth = Math.max(1, 0.14 * s);
    const rect = (x, y, w, h) => g.strokeRect(this.px(x), this.py(y), w * s, h * s);
    rect(-L, W, this.length, this.width);
    g.beginPath(); g.moveTo(this.px(0), this.py(W)); g.lineTo(this.px(0), this.py(-W)); g.stroke();
    const arc = (x, y, r, a = 0, b = 2 * Math.PI) => { g.beginPath(); g.arc(this.px(x), this.py(y), r * s, a, b); g.stroke(); };
    arc(0, 0, 9.15); this.disc(g, 0, 0, 0.3, "#4d7a65");
    for (const side of [-1, 1]) {
      const x = side * L;
      rect(Math.min(x, x - side * 16.5), 20.16, 16.5, 40.32);
      rect(Math.min(x, x - side * 5.5), 9.16, 5.5, 18.32);
      rect(Math.min(x, x + side * 2), 3.66, 2, 7.32);
      this.disc(g, x - side * 11, 0, 0.3, "#4d7a65");
      const cut = Math.acos(5.5 / 9.15);
      if (side > 0) arc(x - 11, 0, 9.15, Math.PI - cut, Math.PI + cut); else arc(x + 11, 0, 9.15, -cut, cut);
    }
    for (const [x, y, a] of [[-L, W, 0], [L, W, 0.5], [L, -W, 1], [-L, -W, 1.5]]) arc(x, y, 1, a * Math.PI, (a + 0.5) * Math.PI);
    g.font = "600 11px system-ui, sans-serif"; g.fillStyle = "#5d8a75"; g.textAlign = "center";
    g.fillText(this.attack > 0 ? "HOME  ▶" : "◀  HOME", this.px(-L * this.attack * 0.55), this.py(-W) + 14);
    g.fillText(this.attack > 0 ? "◀  AWAY" : "AWAY  ▶", this.px(L * this.attack * 0.55), this.py(-W) + 14);
    return layer;
  }

  disc(g, x, y, r, colour) { g.fillStyle = colour; g.beginPath(); g.arc(this.px(x), this.py(y), r * this.scale, 0, 7); g.fill(); }

  frame(t) {
    requestAnimationFrame((next) => this.frame(next));
    if (t - this.last < FRAME_MS - 2 || !this.background) return;
    this.last = t; this.frames += 1;
    const g = this.ctx;
    g.setTransform(1, 0, 0, 1, 0, 0); g.drawImage(this.background, 0, 0);
    g.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    g.globalAlpha = this.lost ? 0.45 : 1;
    let ball = null;
    const order = [...this.dots.values()].sort((a, b) => rank(a.row) - rank(b.row));
    for (const dot of order) {
      const here = where(dot, t);
      dot.px = this.px(here.x); dot.py = this.py(here.y);
      if (dot.row.role === "ball") ball = { dot, here }; else this.person(g, dot, t);
    }
    if (ball) this.ball(g, ball.dot, ball.here);
    g.globalAlpha = 1;
  }

  person(g, dot, t) {
    const row = dot.row, x = dot.px, y = dot.py, r = Math.max(7, Math.min(12, this.scale * 1.45));
    const stale = row.stale || row.low_coverage, side = row.team || "official";
    if (row.hot) {
      g.strokeStyle = COLOUR.hot; g.lineWidth = 2; g.globalAlpha *= 0.75 + 0.25 * Math.sin(t / 160);
      g.beginPath(); g.arc(x, y, r + 4, 0, 7); g.stroke(); g.globalAlpha = this.lost ? 0.45 : 1;
    }
    if (row.subject_id === this.selected) {
      g.strokeStyle = "#ffffff"; g.lineWidth = 1.5; g.setLineDash([3, 3]);
      g.beginPath(); g.arc(x, y, r + 7, 0, 7); g.stroke(); g.setLineDash([]);
    }
    g.fillStyle = stale ? "#3d4a57" : COLOUR[side] || COLOUR.official;
    g.strokeStyle = "#06100b"; g.lineWidth = 1.5;
    g.beginPath();
    if (side === "away") g.roundRect(x - r * 0.9, y - r * 0.9, 1.8 * r, 1.8 * r, 3);
    else if (side === "home") g.arc(x, y, r, 0, 7);
    else { g.moveTo(x, y - r * 0.8); g.lineTo(x + r * 0.8, y + r * 0.6); g.lineTo(x - r * 0.8, y + r * 0.6); g.closePath(); }
    g.fill(); g.stroke();
    if (side !== "official" && row.number) {
      g.fillStyle = stale ? "#9aa8b5" : "#07131d"; g.font = `700 ${Math.round(r * 1.12)}px system-ui, sans-serif`;
      g.textAlign = "center"; g.textBaseline = "middle"; g.fillText(String(row.number), x, y + 0.5); g.textBaseline = "alphabetic";
    }
    if (row.fatigue_level >= 1) {
      g.fillStyle = row.fatigue_level >= 2 ? "#ff5a5f" : "#ffb020"; g.font = "700 11px system-ui, sans-serif"; g.textAlign = "left";
      g.fillText(row.fatigue_level >= 2 ? "■" : "▲", x + r - 1, y - r + 3);
    }
  }

  ball(g, dot, here) {
    const points = this.trail.filter((p) => p[0] <= here.t).map((p) => [this.px(p[1]), this.py(p[2])]);
    points.push([dot.px, dot.py]);
    g.lineCap = "round";
    for (let i = 1; i < points.length; i++) {
      g.strokeStyle = COLOUR.ball; g.globalAlpha = (this.lost ? 0.4 : 0.75) * (i / points.length); g.lineWidth = 0.8 + 2 * (i / points.length);
      g.beginPath(); g.moveTo(...points[i - 1]); g.lineTo(...points[i]); g.stroke();
    }
    g.globalAlpha = this.lost ? 0.45 : 1;
    const lift = Math.max(0, Math.min(5, dot.row.z_m || 0)), r = 4.5 + lift * 0.5;
    g.fillStyle = "#00000066"; g.beginPath(); g.ellipse(dot.px, dot.py + 3 + lift * 2, r, r * 0.6, 0, 0, 7); g.fill();
    g.fillStyle = dot.row.stale ? "#8a8346" : COLOUR.ball; g.strokeStyle = "#1b1804"; g.lineWidth = 1.2;
    g.beginPath(); g.arc(dot.px, dot.py, r, 0, 7); g.fill(); g.stroke();
  }

  near(event) {
    const box = this.canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    let best = null, reach = 18;
    for (const dot of this.dots.values()) {
      const d = Math.hypot(dot.px - x, dot.py - y);
      if (d < reach) { reach = d; best = dot; }
    }
    return best;
  }

  hover(event) {
    const dot = this.near(event);
    this.on.hover(dot ? dot.row : null, event.clientX, event.clientY);
  }

  step(event) {
    if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
    const ids = [...this.dots.values()].filter((d) => d.row.team).sort((a, b) => a.px - b.px).map((d) => d.row.subject_id);
    if (!ids.length) return;
    const at = ids.indexOf(this.selected), move = event.key === "ArrowRight" ? 1 : -1;
    this.on.select(ids[(at + move + ids.length) % ids.length]);
    event.preventDefault();
  }
}

function where(dot, now) {
  const f = Math.max(0, Math.min(1, (now - dot.at) / GLIDE_MS));
  return { x: dot.x0 + (dot.x1 - dot.x0) * f, y: dot.y0 + (dot.y1 - dot.y0) * f, t: dot.t0 + (dot.t1 - dot.t0) * f };
}

function rank(row) { return row.role === "official" ? 0 : row.stale ? 1 : row.hot ? 3 : 2; }
