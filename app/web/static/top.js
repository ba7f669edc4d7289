// The bar on top: what this is, whether it is live, language and colours; and the banner while the bff is away.
import { html, keep, kept, useClock, useState, useStore } from "./html.js";
import { LANGUAGES, choose, language, t, ticking } from "./i18n.js";
import { link } from "./net.js";
import { streaming } from "./stream.js";

const THEMES = ["auto", "light", "dark"];

function theme(chosen) {
  document.documentElement.dataset.theme = chosen;
  keep("theme", chosen);
  dispatchEvent(new Event("theme"));
}
theme(kept("theme") ?? "auto");

function Choice({ label, of, chosen, choose }) {
  return html`<label><span class="unseen">${label}</span>
    <select value=${chosen} onChange=${(event) => choose(event.target.value)}>
      ${of.map(([value, name]) => html`<option value=${value} selected=${value === chosen}>${name}</option>`)}
    </select></label>`;
}

const STREAM = { open: ["up", "Live"], connecting: ["degraded", "Connecting…"], hidden: ["unknown", "Paused"] };

export function Top() {
  const [colours, setColours] = useState(document.documentElement.dataset.theme);
  const { up } = useStore(link);
  const stream = useStore(streaming);
  const [state, word] = up ? STREAM[stream] : ["down", "Offline"];
  return html`<header class="top">
    <h1>Faust payments</h1>
    <p class="state ${state}" role="status"><span class="mark"></span>${t(word)}</p>
    <nav>
      <a href="/docs">${t("API")}</a>
      <a href="/metrics">${t("Metrics")}</a>
      <${Choice} label=${t("Language")} of=${LANGUAGES.map((l) => [l, l.toUpperCase()])} chosen=${language.get()}
        choose=${(l) => (keep("language", l), choose(l))} />
      <${Choice} label=${t("Colours")}
        of=${THEMES.map((name) => [name, t({ auto: "Auto", light: "Light", dark: "Dark" }[name])])}
        chosen=${colours} choose=${(chosen) => (setColours(chosen), theme(chosen))} />
    </nav>
  </header>`;
}

/** Shown while the bff does not answer. */
export function Banner({ retry }) {
  useClock(0.5);
  const { up, since, retryAt } = useStore(link);
  const now = performance.now();
  return html`<div class=${up ? "" : "banner"}>
    <p role="alert">${!up && html`<span class="mark"></span> <strong>${t("The bff does not answer")}</strong>`}</p>
    ${
      !up &&
      html`<p class="more">
        ${t("for {time}. Everything below is from before that.", { time: ticking((now - since) / 1000) })}
      ${t("Nothing acknowledged is lost: it is in the log.")}</p>
    <p class="countdown">
      ${retryAt > now ? t("Next try in {n} s", { n: Math.ceil((retryAt - now) / 1000) }) : t("Trying…")}</p>
    <button onClick=${retry}>${t("Try now")}</button>`
    }
  </div>`;
}
