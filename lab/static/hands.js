// In the card beside the picture: every part, and what can be done to the chosen one.
import { html, useEffect, useState, useStore } from "/static/html.js";
import { timeOfDay } from "/static/i18n.js";
import { act, state } from "./state.js";
import { t } from "./words.js";

const LATE = 500; // milliseconds, to begin with
const SHAPES = { running: "up", paused: "degraded" };

/** What a part's process is in, as the page draws states. */
const shape = (part) => (part.state === "running" && part.why_not ? "degraded" : SHAPES[part.state] ?? "down");

// What can be done in a state: action, label, what it is.
const RUNNING = [
  ["kill", "Kill", "SIGKILL, as in a crash: nothing restarts it"],
  ["stop", "Stop", "SIGTERM: it ends in its own way"],
  ["pause", "Pause", "SIGSTOP, as when it hangs: connections stay open and nothing answers"],
  ["restart", "Restart", "stop, then start"],
];
const PAUSED = [["resume", "Resume", "SIGCONT"], ["kill", "Kill", "SIGKILL"]];
const ENDED = [["start", "Start", ""]];

export const State = ({ part }) => html`<span class="state ${shape(part)}"><span class="mark"></span>${t(part.state)}</span>`;

function All({ parts, choose }) {
  return html`<div class="lab-parts"><h4>${t("Choose a part to break")}</h4>
    <ul>${parts.map((part) => html`<li key=${part.name}><button data-hand=${part.name} onClick=${() => choose(part.name)}>
      <span class="state ${shape(part)}"><span class="mark"></span></span>${part.name}
      <span class="unseen"> ${t(part.state)}</span></button></li>`)}</ul></div>`;
}

function Link({ link, busy, say }) {
  const [late, setLate] = useState(LATE);
  const put = (how) => say(() => act("faults", { part: link.part, ...how }));
  const is = link.cut ? t("cut off: bytes vanish, connections stay open") : link.delay_ms ? t("its answers are {n} ms late", { n: link.delay_ms }) : "";
  const slow = (event) => {
    event.preventDefault();
    put({ delay_ms: Math.round(Number(late)) });
  };
  return html`<form class="lab-link" onSubmit=${slow}>
    ${is && html`<p class="state degraded"><span class="mark"></span>${is}</p>`}
    <p class="actions"><label>${t("Late by, ms")} <input type="number" min="1" max="10000" required value=${late} onInput=${(event) => setLate(event.target.value)} /></label>
      <button disabled=${busy} data-act="slow">${t("Slow down")}</button>
      <button type="button" disabled=${busy || link.cut} data-act="cut" onClick=${() => put({ cut: true })}>${t("Cut off")}</button>
      ${is && html`<button type="button" disabled=${busy} data-act="heal" onClick=${() => put({})}>${t("Heal")}</button>`}</p>
    ${link.restarted_at && html`<p><small>${t("{clients} was restarted at {clock}, for the relay: that is no crash.", { clients: link.clients, clock: timeOfDay(link.restarted_at) })}</small></p>`}
    ${!link.relayed && html`<p><small>${t("The first time, {clients} is restarted so that it goes through a relay.", { clients: link.clients })}</small></p>`}
  </form>`;
}

function One({ part, link, playing, choose }) {
  const [busy, setBusy] = useState("");
  const [problem, setProblem] = useState("");
  async function say(doing, what = "…") {
    setBusy(what);
    setProblem("");
    try {
      await doing();
    } catch (error) {
      setProblem(error.message);
    }
    setBusy("");
  }
  const actions = part.state === "paused" ? PAUSED : part.pid ? RUNNING : ENDED;
  return html`<div class="lab-part" data-hands=${part.name}>
    <p class="line"><${State} part=${part} /> <small>${[part.pid && t("pid {n}", { n: part.pid }), part.port !== "-" && t("port {n}", { n: part.port }), part.state === "running" && part.why_not].filter(Boolean).join(", ")}</small></p>
    <p class="actions">${actions.map(([action, label, title]) => html`<button key=${action} data-act=${action} title=${t(title)} disabled=${busy || playing}
      onClick=${() => say(() => act(`parts/${part.name}/${action}`), action)}>${t(label)}</button>`)}</p>
    ${link && html`<${Link} ...${{ link, busy: busy || playing, say }} />`}
    <p role="status">${busy ? t("working…") : playing ? t("Exercise {n} has it now.", { n: playing }) : ""}</p>
    ${problem && html`<pre class="trouble" role="alert">${problem}</pre>`}
    ${part.last_words && html`<h4>${t("The end of its log")}</h4><pre tabindex="0">${part.last_words}</pre>`}
    <p><button class="link" onClick=${() => choose(null)}>${t("All parts")}</button></p>
  </div>`;
}

/** `name`: the chosen part, or null. */
export function Hands({ name, choose }) {
  const { body } = useStore(state);
  const part = body?.parts.find((one) => one.name === name);
  const gone = Boolean(name && body && !part);
  useEffect(() => {
    if (gone) choose(null); // a worker that was scaled away
  }, [gone]);
  if (!body) return null;
  const playing = body.exercise && body.exercise.state !== "ended" ? body.exercise.number : 0;
  return part ? html`<${One} key=${name} part=${part} link=${body.faults.find((one) => one.part === name)} playing=${playing} choose=${choose} />`
    : html`<${All} parts=${body.parts} choose=${choose} />`;
}
