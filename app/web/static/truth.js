// The truth strip: whether everything that was acknowledged is true in every place.
import { html, useClock, useStore } from "./html.js";
import { say, t, ticking, timeOfDay, whole } from "./i18n.js";
import { link } from "./net.js";

const PLACES = [
  ["acknowledged", "Acknowledged", "answered with 201 by this bff since it started"],
  ["in_log", "In the log", "records of transaction_created"],
  ["decided", "Decided", "published in transaction_status"],
  ["stored", "Stored", "rows in Cassandra"],
  ["readable", "Readable", "shown by GET"],
];
const BESIDE = [
  ["pending", "Pending", "not decided yet"],
  ["lost", "Lost", "acknowledged and nowhere"],
  ["twice", "Twice", "decided more than once"],
];
const STATE = { ok: ["up", "All true"], wrong: ["down", "Wrong"], unknown: ["unknown", "Unknown"] };
const ALL_TRUE = "everything that was acknowledged is in the log; everything decided is stored and shown, once";
const NOT_ASKED = /^(.+) cannot be asked; what is there is counted later$/;
const STALE = 4; // seconds: older figures say nothing of now

function Figure({ name, label, title, truth, bad }) {
  return html`<div class="figure ${bad ? "bad" : ""}" title=${t(title)}>
    <dt>${t(label)}</dt><dd data-figure=${name}>${whole(truth?.[name])}</dd>
  </div>`;
}

/** Who must answer before all is checked again; "" when nobody is waited for. */
function awaited({ state, words }) {
  if (state !== "unknown") return "";
  if (words.startsWith("the log cannot be read")) return "Kafka";
  return words.match(NOT_ASKED)?.[1].replaceAll(" and ", ", ") ?? "";
}

/** The verdict in a sentence; what is on its way contradicts it no longer than it is. */
function sentence(truth) {
  const parts = awaited(truth);
  if (parts)
    return `${parts.includes("Kafka") ? t("Nothing is known to be lost.") : t("Nothing acknowledged is lost: it is in the log.")} ${t("It is checked again as soon as {parts} can be asked.", { parts })}`;
  const n = truth.decided - truth.readable;
  return truth.words === ALL_TRUE && n > 0
    ? t("Everything that was acknowledged is in the log; what is decided is stored and shown, once, but for {n} being stored", { n: whole(n) })
    : say(truth.words);
}

export function Truth({ system }) {
  useClock();
  const { body, error, at } = useStore(system);
  const { up } = useStore(link);
  const truth = body?.truth;
  const waiting = body?.unassessed;
  const age = truth?.at ? Math.max(0, body.at - truth.at) + (performance.now() - at) / 1000 : null;
  const old = age !== null && age > STALE;
  const state = truth && up && !old ? truth.state : "unknown";
  const [look, word] = STATE[state] ?? STATE.unknown;
  const parts = truth && up && !old ? awaited(truth) : "";
  const words = !up
    ? t("The bff does not answer, so the counts are unknown.")
    : !truth
      ? error
        ? t("The counts cannot be read: {why}", { why: error.message })
        : t("Counting…")
      : old
        ? t("The counts are old.")
        : sentence(truth);
  return html`<section class="truth ${look}" aria-labelledby="truth-h">
    <div class="verdict">
      <h2 id="truth-h" class="unseen">${t("Consistency of the whole system")}</h2>
      <p class="state ${look}" role="status"><span class="mark"></span><strong>
        ${parts ? t("Waiting for {parts}", { parts }) : t(word)}</strong></p>
      <p class="words">${words}</p>
      <p class="age">
        ${age !== null && t("since {time}, updated {age} ago", { time: timeOfDay(truth.since), age: ticking(age) })}</p>
      ${waiting?.count > 0 && html`<p class="unassessed" role="status"><b>!</b> ${t("{n} rejected without an assessment since {clock}:", {
        n: whole(waiting.count),
        clock: timeOfDay(waiting.since),
      })} <code>make reassess</code></p>`}
    </div>
    <dl class="places">${PLACES.map(([name, label, title]) => html`<${Figure} ...${{ name, label, title, truth }} />`)}</dl>
    <dl class="places rest">${BESIDE.map(
      ([name, label, title]) => html`<${Figure} ...${{ name, label, title, truth }}
      bad=${name !== "pending" && truth?.[name] > 0} />`,
    )}</dl>
  </section>`;
}
