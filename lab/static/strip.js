// Above the page: load, everything back, and which exercise is open.
import { html, useEffect, useState, useStore } from "/static/html.js";
import { language, ticking } from "/static/i18n.js";
import { Exercise } from "./exercise.js";
import { act, state, texts } from "./state.js";
import { said, t } from "./words.js";

function Load({ load, playing, say }) {
  const [rate, setRate] = useState(50);
  const begin = (event) => {
    event.preventDefault();
    say(() => act("load", { rate: Number(rate) }));
  };
  const since = load.rate ? Date.now() / 1000 - load.since : 0;
  return html`<form class="lab-load" onSubmit=${begin}>
    <label>${t("Load, per second")} <input id="lab-rate" type="number" min="0.1" max=${load.max_rate} step="any" required value=${rate} onInput=${(event) => setRate(event.target.value)} /></label>
    <button disabled=${playing}>${load.rate ? t("Change") : t("Send")}</button>
    ${load.rate > 0 && html`<button type="button" data-act="end-load" onClick=${() => say(() => act("load/stop"))}>${t("Stop")}</button>
      <span>${t("{rate}/s for {time}", { rate: load.rate, time: ticking(since) })}</span>`}
    <small class="said">${said(load.said)}</small>
  </form>`;
}

/** Every part runs again; the generator is left as it is, for somebody may have stopped it on purpose. */
const backAgain = (parts) => Promise.all(parts.filter((part) => part.name !== "generator" && part.state !== "running")
  .map((part) => act(`parts/${part.name}/${part.state === "paused" ? "resume" : "start"}`)));

function useTexts() {
  const spoken = useStore(language);
  const [found, set] = useState([]);
  useEffect(() => {
    let wanted = true;
    texts(spoken).then((it) => wanted && set(it), () => {});
    return () => (wanted = false);
  }, [spoken]);
  return found;
}

export function Strip() {
  const { body, problem } = useStore(state);
  const exercises = useTexts();
  const [chosen, choose] = useState(0);
  const [trouble, setTrouble] = useState("");
  const run = body?.exercise;
  const playing = run && run.state !== "ended" ? run.number : 0;
  useEffect(() => {
    if (run) choose(run.number); // also one that was begun, or has ended, before the page was loaded
  }, [run?.since]);
  async function say(doing) {
    setTrouble("");
    try {
      await doing();
    } catch (error) {
      setTrouble(error.message);
    }
  }
  const text = exercises.find((one) => one.number === chosen);
  const ended = body?.parts.filter((part) => part.name !== "generator" && part.state !== "running") ?? [];
  return html`<section id="lab" class="lab card" aria-labelledby="lab-h">
    <div class="lab-strip"><h2 id="lab-h">${t("Lab")}</h2>
      ${problem && html`<p class="trouble" role="alert">${problem.status === 403 ? t("The hands need the link that make lab has printed: open that.") : t("The lab does not answer. Has make lab ended?")}</p>`}
      ${body && !body.up && html`<p class="trouble">${t("Nothing is up: run make up.")}</p>`}
      ${body && html`<${Load} load=${body.load} playing=${playing} say=${say} />
        <label class="lab-choice">${t("Exercise")} <select id="lab-exercise" value=${chosen} onChange=${(event) => choose(Number(event.target.value))}>
          <option value="0" selected=${!chosen}>${t("none")}</option>
          ${exercises.map((one) => html`<option value=${one.number} selected=${one.number === chosen}>${one.number}. ${one.title}</option>`)}</select></label>
        ${ended.length > 0 && !playing && html`<button data-act="all-back" onClick=${() => say(() => backAgain(body.parts))}>${t("Bring all back ({n})", { n: ended.length })}</button>`}`}
    </div>
    ${trouble && html`<pre class="trouble" role="alert">${trouble}</pre>`}
    ${text && html`<${Exercise} key=${chosen} text=${text} run=${run?.number === chosen ? run : null} playing=${playing} say=${say} />`}
  </section>`;
}
