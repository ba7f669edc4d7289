// The last 15 minutes as lines on a canvas, with a mark where a part died and where it came back.
import { html, store, useEffect, useRef, useStore } from "./html.js";
import { duration, rate, t, timeOfDay, whole } from "./i18n.js";

const HEIGHT = 150,
  LEFT = 54,
  RIGHT = 6,
  TOP = 8,
  BOTTOM = 20;
const BRIDGED = 12; // seconds
const perSecond = (value) => (value === null || value === undefined ? "–" : `${rate(value)}/s`);
// name, title, how a value is written, the smallest top of the axis, lines: key, label, colour
const CHARTS = [
  [
    "rates",
    "Arrivals and verdicts",
    perSecond,
    1,
    [
      ["posts", "posts", "--a"],
      ["verdicts", "verdicts", "--b"],
    ],
  ],
  [
    "post",
    "POST",
    duration,
    0.01,
    [
      ["post_p50", "p50", "--a"],
      ["post_p99", "p99", "--c"],
    ],
  ],
  [
    "end",
    "POST to verdict",
    duration,
    0.01,
    [
      ["end_to_end_p50", "p50", "--a"],
      ["end_to_end_p99", "p99", "--c"],
    ],
  ],
  ["lag", "Lag", whole, 4, [["lag", "records", "--b"]]],
  ["retries", "Retries", perSecond, 1, [["retries", "retries", "--c"]]],
];
const COLOURS = { up: "--ok", down: "--bad", degraded: "--warn" };

/** The time under the pointer, for all charts at once; null when it is on none. */
const pointed = store(null);

/** The least of 1, 2, 4, 10, 20, … that is not below a value. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 10].map((n) => n * power).find((n) => n >= value * 0.999);
}

/** Where the time axis begins: 15 minutes back, or where what is known begins, but two minutes at least. */
const beginOf = (times) => Math.max((times.at(-1) ?? 0) - 900, Math.min(times[0] ?? 0, (times.at(-1) ?? 0) - 120));

function indexAt(times, time) {
  let low = 0,
    high = times.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

function draw(canvas, body, show, least, lines) {
  const width = canvas.clientWidth,
    scale = devicePixelRatio;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== HEIGHT * scale) canvas.height = HEIGHT * scale;
  const style = getComputedStyle(canvas),
    c = canvas.getContext("2d");
  const colour = (name) => style.getPropertyValue(name);
  c.setTransform(scale, 0, 0, scale, 0, 0);
  c.clearRect(0, 0, width, HEIGHT);
  const times = body.at,
    end = times.at(-1) ?? 0,
    begin = beginOf(times);
  let most = least;
  for (const [key] of lines) for (const value of body[key] ?? []) if (value > most) most = value;
  const top = ceiling(most),
    inside = [width - LEFT - RIGHT, HEIGHT - TOP - BOTTOM];
  const x = (time) => LEFT + ((time - begin) / (end - begin)) * inside[0];
  const y = (value) => TOP + inside[1] * (1 - value / top);
  const line = (from, to, how, dashes = []) => {
    c.strokeStyle = how;
    c.setLineDash(dashes);
    c.beginPath();
    c.moveTo(...from);
    c.lineTo(...to);
    c.stroke();
  };
  c.font = `11px ${style.fontFamily}`;
  c.fillStyle = style.color;
  c.lineWidth = 1;
  c.textAlign = "right";
  for (const part of [0, 0.5, 1]) {
    const at = Math.round(y(top * part)) + 0.5;
    line([LEFT, at], [width - RIGHT, at], colour("--line"));
    c.fillText(show(top * part).replace(/[.,]0{1,2}(?=[ /]|$)/, ""), LEFT - 6, at + 4);
  }
  c.textAlign = "center";
  const step = end - begin > 400 ? 300 : 60;
  for (let time = Math.ceil(begin / step) * step; time < end; time += step) {
    if (x(time) > LEFT + 16 && x(time) < width - 20) c.fillText(timeOfDay(time).slice(0, 5), x(time), HEIGHT - 4);
  }
  c.lineWidth = 1.5;
  for (const mark of body.marks ?? []) {
    if (mark.at > begin)
      line(
        [x(mark.at), TOP],
        [x(mark.at), HEIGHT - BOTTOM],
        colour(COLOURS[mark.state] ?? "--muted"),
        mark.state === "up" ? [] : [3, 3],
      );
  }
  for (const [key, , name] of lines) {
    c.strokeStyle = colour(name);
    c.setLineDash([]);
    c.beginPath();
    let before = -Infinity; // few requests leave seconds without a latency: the line goes on over these
    (body[key] ?? []).forEach((value, n) => {
      if (value === null || times[n] < begin) return;
      if (times[n] - before > BRIDGED) c.moveTo(x(times[n]) - 1, y(value)); // one value alone is seen too
      c.lineTo(x(times[n]), y(value));
      before = times[n];
    });
    c.stroke();
  }
  if (pointed.get() !== null) line([x(pointed.get()), TOP], [x(pointed.get()), HEIGHT - BOTTOM], style.color);
}

function Legend({ body, show, lines }) {
  const time = useStore(pointed),
    at = body && (time === null ? body.at.length - 1 : indexAt(body.at, time));
  return html`<ul class="legend">${lines.map(
    ([key, label, name]) => html`<li key=${key}>
    <svg viewBox="0 0 18 4" class=${name.slice(2)} aria-hidden="true"><path d="M0 2H18" /></svg>
    ${t(label)} <b>${show(body?.[key]?.[at])}</b></li>`,
  )}${time !== null && html`<li class="when">${timeOfDay(time)}</li>`}</ul>`;
}

function Chart({ chart: [name, title, show, least, lines], body }) {
  const canvas = useRef(),
    newest = useRef();
  newest.current = body;
  useEffect(() => {
    let asked = 0;
    const again = () =>
      (asked ||= requestAnimationFrame(() => {
        asked = 0;
        if (newest.current) draw(canvas.current, newest.current, show, least, lines);
      }));
    canvas.current.again = again;
    const sized = new ResizeObserver(again),
      dark = matchMedia("(prefers-color-scheme: dark)");
    sized.observe(canvas.current);
    dark.addEventListener("change", again);
    addEventListener("theme", again);
    const stop = pointed.follow(again);
    return () => (
      sized.disconnect(),
      dark.removeEventListener("change", again),
      removeEventListener("theme", again),
      stop(),
      cancelAnimationFrame(asked)
    );
  }, []);
  useEffect(() => canvas.current.again());
  const point = (event) => {
    const times = newest.current?.at,
      { left, width } = canvas.current.getBoundingClientRect();
    if (!times?.length) return;
    const time = times.at(-1) - (times.at(-1) - beginOf(times)) * (1 - (event.clientX - left - LEFT) / (width - LEFT - RIGHT));
    pointed.set(time < times[0] || time > times.at(-1) ? null : times[indexAt(times, time)]);
  };
  const last = lines.map(([key, label]) => `${t(label)} ${show(body?.[key]?.at(-1))}`).join(", ");
  return html`<div class="card chart" data-chart=${name}><h3>${t(title)}</h3><${Legend} ...${{ body, show, lines }} />
    <canvas ref=${canvas} role="img"
      aria-label=${`${t(title)}: ${last}`} onPointerMove=${point} onPointerLeave=${() => pointed.set(null)}></canvas>
      </div>`;
}

function Marks({ body }) {
  const { marks, at } = body ?? { marks: [], at: [] };
  const isWhole = !at.length || at.at(-1) - at[0] > 890;
  return html`<div class="card"><h3>${t("Failures and recoveries")}</h3>
    ${!marks.length && html`<p class="calm">
      ${isWhole ? t("No part failed in the last 15 minutes.") : t("No part failed since {clock}, when the bff began to look.", { clock: timeOfDay(at[0]) })}</p>`}
    <ol class="marks">${marks
      .slice(-30)
      .reverse()
      .map(
        (mark) => html`<li key=${mark.at + mark.part}><time>${timeOfDay(mark.at)}</time>
      <span class="state ${mark.state}"><span class="mark"></span>${mark.part} ${t(mark.state)}</span></li>`,
      )}</ol></div>`;
}

export function Charts({ series }) {
  const { body, error } = useStore(series);
  return html`<section id="charts" aria-labelledby="charts-h"><h2 id="charts-h">${t("Last 15 minutes")}</h2>
    ${error && !body && html`<p class="trouble">${t("The charts cannot be loaded: {why}", { why: error.message })}</p>`}
    <div class="grid three">${CHARTS.map((chart) => html`<${Chart} key=${chart[0]} chart=${chart} body=${body} />`)}
      <${Marks} body=${body} /></div></section>`;
}
