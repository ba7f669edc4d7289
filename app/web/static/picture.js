// The picture that the README draws, by hand: each part a node with its state, each arrow with its rate.
import { html, useEffect, useState } from "./html.js";
import { rate, t, ticking } from "./i18n.js";

const W = 132,
  H = 50;
// Centres of the nodes: on a wide screen the log is in the middle, on a phone the way leads down.
const WIDE = {
  size: [1082, 312],
  at: {
    client: [70, 150],
    bff: [264, 150],
    kafka: [458, 150],
    transactions: [652, 150],
    envoy: [842, 150],
    "antifraud-1": [1012, 104],
    "antifraud-2": [1012, 196],
    registry: [458, 38],
    redis: [264, 282],
    "cassandra-1": [506, 282],
    "cassandra-2": [652, 282],
    "cassandra-3": [798, 282],
  },
  // from, to, path, where its rate stands
  arrows: [
    ["client", "bff", "M136 150H196", [166, 143]],
    ["bff", "kafka", "M330 141H390", [360, 134]],
    ["kafka", "bff", "M392 161H332", [362, 179]],
    ["kafka", "transactions", "M524 141H584", [554, 134]],
    ["transactions", "kafka", "M586 161H526", [556, 179]],
    ["transactions", "envoy", "M718 150H774", [746, 143]],
    ["envoy", "antifraud-1", "M908 142C930 142 925 104 944 104", [904, 114, "end"]],
    ["envoy", "antifraud-2", "M908 158C930 158 925 196 944 196", [904, 195, "end"]],
    ["kafka", "registry", "M458 125V65", null],
    ["bff", "redis", "M264 175V255", [272, 224, "start"]],
    ["transactions", "cassandra", "M652 175V255M652 216H506V255M652 216H798V255", [660, 207, "start"]],
    ["bff", "cassandra", "M302 175V238H420V282H438", [310, 231, "start"], "spare"],
  ],
};
const TALL = {
  size: [340, 544],
  at: {
    client: [92, 30],
    bff: [92, 122],
    redis: [272, 122],
    kafka: [92, 214],
    registry: [272, 214],
    transactions: [92, 306],
    envoy: [272, 306],
    "antifraud-1": [272, 400],
    "antifraud-2": [272, 458],
    "cassandra-1": [92, 400],
    "cassandra-2": [92, 458],
    "cassandra-3": [92, 516],
  },
  arrows: [
    ["client", "bff", "M92 55V95", [100, 79, "start"]],
    ["bff", "kafka", "M72 147V187", [66, 171, "end"]],
    ["kafka", "bff", "M112 189V149", [118, 171, "start"]],
    ["kafka", "transactions", "M72 239V279", [66, 263, "end"]],
    ["transactions", "kafka", "M112 281V241", [118, 263, "start"]],
    ["transactions", "envoy", "M158 306H204", [181, 299]],
    ["envoy", "antifraud-1", "M272 331V373", [278, 366, "start"]],
    ["envoy", "antifraud-2", "M272 350H190V458H204", [230, 345]],
    ["kafka", "registry", "M158 214H204", null],
    ["bff", "redis", "M158 122H204", [181, 115]],
    ["transactions", "cassandra", "M92 331V373M92 348H14V458H24M14 458V516H24", [98, 364, "start"]],
    ["bff", "cassandra", "M26 122H6V400H24", null, "spare"],
  ],
};

// Shape and colour say the same: a disc is up, a triangle degraded, a cross down, a ring unknown.
const SHAPES = {
  up: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
  degraded: "M0-6L6 5H-6z",
  down: "M-5-3L-3-5 0-2 3-5 5-3 2 0 5 3 3 5 0 2-3 5-5 3-2 0z",
};
SHAPES.unknown = SHAPES.up;
export const WORDS = { up: "up", degraded: "degraded", down: "down", unknown: "unknown" };

const narrow = matchMedia("(max-width: 700px)");

function useLayout() {
  const [isNarrow, set] = useState(narrow.matches);
  useEffect(() => {
    const look = () => set(narrow.matches);
    narrow.addEventListener("change", look);
    return () => narrow.removeEventListener("change", look);
  }, []);
  return isNarrow ? TALL : WIDE;
}

// More workers of a kind stand above the first; on a phone there is room for one. All are in the list beside it.
const ABOVE = { bff: [[264, 94], [264, 38], [70, 94], [70, 38]], transactions: [[652, 94], [652, 38], [842, 94], [842, 38]] };

function places(layout, parts) {
  const found = { ...layout.at };
  for (const kind of Object.keys(ABOVE)) {
    const more = parts.map(({ name }) => name).filter((name) => name.startsWith(`${kind}-`));
    const free = layout === WIDE ? ABOVE[kind] : Object.keys(found).length === 12 ? [[272, 30]] : [];
    more.slice(0, free.length).forEach((name, n) => (found[name] = free[n]));
  }
  return found;
}

function Arrow({ from, to, path, label, spare, perSecond, broken }) {
  return html`<g class="arrow ${spare ?? ""} ${perSecond > 0 ? "busy" : ""} ${broken ? "broken" : ""}">
    <path d=${path} />
    ${label && !broken && perSecond >= (spare ? 0.001 : 0) && html`<text x=${label[0]} y=${label[1]}
      text-anchor=${label[2] ?? "middle"}>${rate(perSecond)}/s</text>`}
  </g>`;
}

function Node({ name, part, at: [x, y], now, chosen, choose }) {
  const state = part?.state ?? "none";
  const since = part?.since ? `${part.since_known === false ? "≥ " : ""}${ticking(now - part.since)}` : "";
  const says = part ? `${t(WORDS[state] ?? "unknown")}${since ? ` ${since}` : ""}` : t("customers");
  const act = (event) => {
    if (event.type === "keydown" && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose(chosen ? null : name);
  };
  return html`<g class="node ${state} ${chosen ? "chosen" : ""}" transform="translate(${x} ${y})" data-part=${name}
      ...${part && { role: "button", tabindex: 0, "aria-pressed": chosen, "aria-label": `${name}: ${says}`, onClick: act, onKeyDown: act }}>
    <rect class="box" x=${-W / 2} y=${-H / 2} width=${W} height=${H} rx="5" />
    ${part && html`<path class="shape" d=${SHAPES[state] ?? SHAPES.unknown} transform="translate(${-W / 2 + 15} -7)" />`}
    <text class="name" x=${-W / 2 + (part ? 27 : 12)} y="-3">${name}</text>
    <text class="says" x=${-W / 2 + (part ? 27 : 12)} y="14">${says}</text>
  </g>`;
}

/** `parts` by name, `rates` by "from>to". */
export function Picture({ parts, rates, now, chosen, choose }) {
  const layout = useLayout();
  const by = Object.fromEntries(parts.map((part) => [part.name, part]));
  const at = places(layout, parts);
  const isDown = (name) => by[name]?.state === "down";
  const rateOf = (from, to) =>
    to === "cassandra"
      ? Math.max(...["", "-1", "-2", "-3"].map((n) => rates[`${from}>${to}${n}`] ?? -1))
      : (rates[`${from}>${to}`] ?? -1);
  const [width, height] = layout.size;
  return html`<svg class="picture" viewBox="0 0 ${width} ${height}" role="group"
    aria-label=${t("The parts of the system and what flows between them")}>
    <defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
      <path d="M0 0L8 4L0 8z" /></marker></defs>
    ${layout.arrows.map(
      ([from, to, path, label, spare]) => html`<${Arrow} key=${from + to} ...${{ from, to, path, label, spare }}
      perSecond=${rateOf(from, to)} broken=${isDown(from) || isDown(to)} />`,
    )}
    ${Object.keys(at).map(
      (name) => html`<${Node} key=${name} name=${name} part=${by[name]} at=${at[name]} now=${now}
      chosen=${chosen === name} choose=${choose} />`,
    )}
  </svg>`;
}
