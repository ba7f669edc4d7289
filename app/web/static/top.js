// The bar on top: what this is, whether it is live, language and colours; and the banner while the bff is away.
import { html, keep, kept, useClock, useState, useStore } from "./html.js";
import { LANGUAGES, choose, language, t, ticking } from "./i18n.js";
import { link, notLookedFor } from "./net.js";
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

export function Top({ system }) {
  const [colours, setColours] = useState(document.documentElement.dataset.theme);
  useClock();
  const { up } = useStore(link);
  const stream = useStore(streaming);
  const old = notLookedFor(system) > 0;
  const [state, word] = !up ? ["down", "Offline"] : old ? ["degraded", "Old"] : STREAM[stream];
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

/** Shown while the bff does not answer, or answers with what it saw long ago. */
export function Banner({ system }) {
  useClock(0.5);
  const { up, since, retryAt } = useStore(link);
  const blind = notLookedFor(system);
  const now = performance.now();
  if (up && blind)
    return html`<div class="banner"><p role="alert"><span class="mark"></span> <strong>
      ${t("The bff answers, but has not looked at the system")}</strong></p>
      <p class="more">${t("for {time}: the state below is old.", { time: ticking(blind) })}</p></div>`;
  return html`<div class=${up ? "" : "banner"}>
    <p role="alert">${!up && html`<span class="mark"></span> <strong>${t("The bff does not answer")}</strong>`}</p>
    ${
      !up &&
      html`<p class="more">
        ${t("for {time}. Everything below is from before that.", { time: ticking((now - since) / 1000) })} ${t("Nothing acknowledged is lost: it is in the log.")}</p>
    <p class="countdown">
      ${retryAt > now ? t("Next try in {n} s", { n: Math.ceil((retryAt - now) / 1000) }) : t("Trying…")}</p>
    <button onClick=${() => system.now()}>${t("Try now")}</button>`
    }
  </div>`;
}
