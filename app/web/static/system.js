// The system: the picture, what an outage costs now, how busy each step is, how far behind, who assesses.
import { Added, html, useClock, useState, useStore } from "./html.js";
import { duration, percent, rate, t, ticking, whole } from "./i18n.js";
import { Impact, grouped } from "./impact.js";
import { link, notLookedFor } from "./net.js";
import { Picture, WORDS } from "./picture.js";

// What the workers' steps do, where their names do not tell.
const STEPS = { remember: "put into Redis" };

/** The parts as known now: with the bff away, it is down; of the others nothing is known then, nor while it is `blind`. */
function partsNow(body, { up, since }, now, blind) {
  if (!body || (up && !blind)) return body?.parts ?? [];
  const gone = up ? body.at : now - (performance.now() - since) / 1000;
  const word = up ? t("the bff has not looked") : t("the bff does not answer");
  const own = body.parts.find((part) => part.name === "bff")?.process;
  return body.parts.map((part) => {
    if (part.process !== own) return { ...part, state: "unknown", since: gone, since_known: true, word, cost: "" };
    if (up) return part;
    const cost =
      own === "main"
        ? t("No POST and no GET is answered, and nothing is decided. What was acknowledged is in the log and is decided once it is back.")
        : t("No POST and no GET is answered. What was acknowledged is in the log and is still processed.");
    return { ...part, state: "down", since: gone, since_known: true, word: t("does not answer"), cost };
  });
}

function Steps({ steps }) {
  return html`<div class="card steps"><h3>${t("Steps")} <span class="key"><i class="busy"></i>
    ${t("busy")} <i class="waiting"></i>${t("waiting")} <i class="idle"></i>${t("idle")}</span></h3>
    ${!steps?.length && html`<p class="calm">${t("No step has reported yet.")}</p>`}
    <table>${steps?.map(
      (step) => html`<tr key=${step.worker + step.step}>
      <th scope="row">${t(STEPS[step.step] ?? step.step)} <small>${step.worker}</small></th>
      <td><svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
        <rect class="idle" width="100" height="8" /><rect class="busy" width=${step.busy * 100} height="8" />
        <rect class="waiting" x=${step.busy * 100} width=${step.waiting * 100} height="8" /></svg></td>
      <td class="n">${percent(step.busy)}<span class="unseen"> ${t("busy")}</span>
        ${step.waiting >= 0.005 && html`<em> + ${percent(step.waiting)}<span class="unseen"> ${t("waiting")}</span></em>`}</td>
    </tr>`,
    )}</table></div>`;
}

function Lag({ lag }) {
  if (!lag) return html`<div class="card lag"><h3>${t("Lag")}</h3><p class="calm">${t("Unknown so far.")}</p></div>`;
  const trend = lag.per_second;
  const direction =
    !trend || Math.abs(trend) < 0.5
      ? ["→", t("steady")]
      : trend < 0
        ? ["↘", t("falling by {n}/s", { n: rate(-trend) })]
        : ["↗", t("growing by {n}/s", { n: rate(trend) })];
  return html`<div class="card lag"><h3>${t("Lag")} <small>${t("not committed yet")}</small></h3>
    <p class="big"><b>${whole(lag.records)}</b> ${lag.records === 1 ? t("record") : t("records")} <b>
      ${duration(lag.seconds)}</b> ${t("behind")}</p>
    <p><span aria-hidden="true">${direction[0]}</span> ${direction[1]}
      ${lag.seconds_to_zero >= 1 ? html`, ${t("zero in {time}", { time: ticking(lag.seconds_to_zero) })}` : ""}</p>
    <table><thead><tr><th scope="col">${t("Partition")}</th>${lag.partitions?.map((p) => html`<th scope="col" class="n">
      ${p.partition}</th>`)}</tr></thead>
      <tbody><tr><th scope="row">${t("records")}</th>${lag.partitions?.map((p) => html`<td class="n">${whole(p.records)}</td>`)}</tr>
      <tr><th scope="row">${t("behind")}</th>${lag.partitions?.map((p) => html`<td class="n">${duration(p.seconds)}
        </td>`)}</tr></tbody></table></div>`;
}

function Rates({ title, of, hint }) {
  const entries = Object.entries(of ?? {});
  const most = Math.max(...entries.map(([, n]) => n), 0.001);
  return html`<div class="rates"><h4>${title}</h4>
    ${!entries.length && html`<p class="calm">${hint}</p>`}
    <table>${entries.map(
      ([name, n]) => html`<tr key=${name}><th scope="row">${name}</th>
      <td><svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
        <rect class="idle" width="100" height="8" /><rect class="busy" width=${(n / most) * 100} height="8" /></svg></td>
      <td class="n">${rate(n)}/s</td></tr>`,
    )}</table></div>`;
}

export function System({ system }) {
  useClock();
  const { body, error, at } = useStore(system);
  const reached = useStore(link);
  const blind = notLookedFor(system) > 0;
  const [chosen, choose] = useState(null);
  const now = body ? body.at + (performance.now() - at) / 1000 : 0;
  const parts = partsNow(body, reached, now, blind);
  const arrows = reached.up && !blind ? (body?.arrows ?? []) : [];
  const rates = Object.fromEntries(arrows.map((a) => [`${a.from}>${a.to}`, a.per_second]));
  const none = t("Nothing in the last few seconds.");
  return html`<section id="system" aria-labelledby="system-h">
    <h2 id="system-h">${t("System")}</h2>
    <p class="unseen" role="status">${grouped(
      parts.filter((part) => part.state !== "up"),
      parts,
    )
      .map(([cost, group]) => `${group.map((part) => `${part.name} ${t(WORDS[part.state])}`).join(", ")}. ${cost}`)
      .join(" ")}</p>
    ${!body && error && html`<p class="trouble">
      ${t("The state of the system cannot be read: {why}", { why: error.message })}</p>`}
    <div class="grid three system">
      <div class="card drawn"><${Picture} ...${{ parts, rates, now, chosen, choose }} /></div>
      <div class="card"><h3>${chosen ?? t("Impact on clients")}</h3>
        ${body ? html`<${Impact} ...${{ parts, now, chosen }} />` : html`<p class="calm">${error ? "" : t("Loading…")}</p>`}
        <${Added} place="part" ...${{ name: parts.find((part) => part.name === chosen)?.process ?? chosen, choose }} /></div>
      <${Lag} lag=${body?.lag} />
      <${Steps} steps=${body?.steps} />
      <div class="card who"><h3>${t("Who does the work")}</h3>
        <${Rates} title=${t("assessments by")} of=${body?.assessed_by} hint=${none} />
        <${Rates} title=${t("writes, by consistency reached")} of=${body?.consistency?.write} hint=${none} />
        <${Rates} title=${t("reads, by consistency reached")} of=${body?.consistency?.read} hint=${none} /></div>
    </div>
  </section>`;
}
