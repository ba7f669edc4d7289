// One transaction's way as a waterfall, and its record as JSON and as bytes.
import { html, useEffect, useRef, useState } from "./html.js";
import { amount, duration, fixed, say, t, timeOfDay } from "./i18n.js";
import { Problem, ask, pretty } from "./net.js";
import { feed } from "./feed.js";
import { curlOf } from "./post.js";
import { Status } from "./transactions.js";

const PATH = "/api/v1/transactions";
const SENT = ["value_in_cents", "description", "customer_id", "merchant_id", "transaction_timestamp", "latitude", "longitude"];
const NAMES = {
  received: "Received",
  logged: "In Kafka",
  assessed: "Assessed",
  published: "Published",
  stored: "Row stored",
  shown: "Shown by GET",
};

function says(step) {
  const found = [];
  const add = (value, text) => value !== null && value !== undefined && found.push(text);
  if (step.step === "assessed") {
    add(step.status, html`<${Status} status=${step.status} />`);
    add(step.replica, step.replica);
    add(
      step.score,
      t("score {score}, threshold {threshold}", { score: fixed(step.score, 3), threshold: fixed(step.threshold, 2) }),
    );
    add(step.model_version, t("model {name}", { name: step.model_version }));
    add(step.batch_size, t("in a batch of {n}", { n: step.batch_size }));
    add(step.reason, t("reason: {why}", { why: step.reason }));
  }
  add(step.topic, html`<code>${step.topic}:${step.partition}:${step.offset}</code>`);
  add(step.consistency, t("at consistency {level}", { level: step.consistency }));
  if (step.known) add(step.store, t("from {store}", { store: step.store }));
  if (step.revision > 1) add(step.revision, t("revision {n}", { n: step.revision }));
  if (step.note && !(step.known && step.store)) add(step.note, say(step.note));
  return found.map((part, n) => html`${n ? " · " : ""}${part}`);
}

/** What is there, and what is still to come. */
function complete(steps) {
  const missing = ["assessed", "published"].filter((name) => !steps.some(({ step }) => step === name));
  const at = steps.findIndex(({ step }) => step === "stored" || step === "shown");
  return steps.toSpliced(
    at < 0 ? steps.length : at,
    0,
    ...missing.map((step) => ({ step, at_ms: null, known: false, note: "not yet" })),
  );
}

/** Whether all that can still change has come: the last verdict is stored and shown. */
function isSettled(steps) {
  const last = (name) => steps.findLast(({ step }) => step === name);
  const verdict = last("published");
  return Boolean(
    verdict && last("stored")?.known && last("shown")?.known && (last("shown").revision ?? 1e9) >= (verdict.revision ?? 1),
  );
}

// A re-assessment comes hours later: each revision has a scale of its own.
function scaled(steps) {
  const groups = [];
  let before = null;
  for (const step of steps) {
    if (!groups.length || (step.step === "assessed" && step.revision > 1)) groups.push([]);
    groups.at(-1).push({ step, from: before, to: step.at_ms ?? null });
    if (step.at_ms !== null && step.at_ms !== undefined) before = step.at_ms;
  }
  return groups.flatMap((group, n) => {
    const times = group.map(({ to }) => to).filter((to) => to !== null);
    const start = Math.min(...times),
      span = Math.max(1, Math.max(...times) - start);
    return group.map(({ step, from, to }, at) => ({
      step,
      later: n > 0 && at === 0 ? (to - from) / 1000 : null,
      after: to === null ? null : (to - start) / 1000,
      x: to === null ? 0 : (Math.max(0, Math.min(from ?? to, to) - start) / span) * 100,
      end: to === null ? 0 : ((to - start) / span) * 100,
    }));
  });
}

function Waterfall({ steps }) {
  return html`<ol class="waterfall">${scaled(complete(steps)).map(
    ({ step, later, after, x, end }, n) => html`<li class=${step.known ? "known" : "guess"} data-step=${step.step}>
    ${later !== null && html`<p class="later">${t("{time} later", { time: duration(later) })}</p>`}
    <b>${t(NAMES[step.step] ?? step.step)}</b>
    <svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
      <path class="rail" d="M0 5H100" />${after !== null && html`<rect x=${Math.min(x, 99)} y="1"
        width=${Math.max(1, end - x)} height="8" />`}</svg>
    <span class="n">
      ${after === null ? (step.known ? "✓" : "") : n === 0 ? timeOfDay(step.at_ms / 1000) : `+${duration(after)}`}</span>
    <span class="says">${says(step)}</span>
  </li>`,
  )}</ol>`;
}

function hexLines(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const lines = [];
  for (let at = 0; at < bytes.length && at < 4096; at += 16) {
    const part = [...bytes.slice(at, at + 16)];
    lines.push([
      at.toString(16).padStart(4, "0"),
      part.map((b) => b.toString(16).padStart(2, "0")),
      part.map((b) => (b > 31 && b < 127 ? String.fromCharCode(b) : ".")).join(""),
    ]);
  }
  return lines;
}

/** Bytes as hex; the first `marked` stand out. */
export function Hex({ base64, marked = 0 }) {
  return html`<pre class="hex" tabindex="0">${hexLines(base64).map(
    ([at, hex, text], line) =>
      html`<span class="at">${at}</span>  ${
        line === 0 && marked
          ? html`<mark>${hex.slice(0, marked).join(" ")}</mark> ${hex.slice(marked).join(" ")}`
          : hex.join(" ").padEnd(47)
      }  <span class="ascii">${text}</span>${"\n"}`,
  )}</pre>`;
}

function Record({ title, record }) {
  if (!record) return null;
  return html`<details><summary>${title} <code>${record.topic}:${record.partition}:${record.offset}</code></summary>
    <h4>JSON</h4><pre tabindex="0">${pretty(record.json)}</pre>
    <h4>Avro, ${t("{n} bytes, schema {id} (the marked bytes: 0, then the schema's id)", { n: record.bytes, id: record.schema_id })}</h4>
    <${Hex} base64=${record.base64} marked=${5} /></details>`;
}

/** What somebody who knows says of it afterwards. */
function Label({ id, label, labelled }) {
  const [error, setError] = useState(null);
  const options = (word) => ({
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ label: word }),
  });
  const say = (word) =>
    ask(`${PATH}/${encodeURIComponent(id)}/label`, options(word), 15).then(
      (answer) => (setError(null), labelled(answer.label)),
      setError,
    );
  return html`<div class="actions label" role="status">
    ${label && html`<span>${t("Labelled:")} <b>${t(label)}</b></span>`}
    ${["fraud", "genuine"].map(
      (word) => word !== label && html`<button type="button" key=${word} onClick=${() => say(word)}>${t("Label as {label}", { label: t(word) })}</button>`,
    )}
    ${error && html`<span class="wrong">${error instanceof Problem ? error.message : t("The bff does not answer.")}</span>`}
  </div>`;
}

export function Way({ id, close }) {
  const [found, set] = useState({});
  const [row, setRow] = useState(null);
  const heading = useRef();
  useEffect(() => {
    let open = true,
      timer;
    async function look(tries = 0) {
      clearTimeout(timer);
      try {
        const body = await ask(`${PATH}/${encodeURIComponent(id)}/history`);
        if (!open) return;
        set({ body });
        if (!isSettled(body.steps) && tries < 8) timer = setTimeout(() => look(tries + 1), 400 * 1.6 ** tries);
      } catch (error) {
        if (!open) return;
        set((before) => ({ ...before, error }));
        if (tries < 60 && ![400, 404].includes(error.status)) timer = setTimeout(() => look(tries + 1), 1500);
      }
      ask(`${PATH}/${encodeURIComponent(id)}`).then(
        (it) => open && setRow(it),
        () => {},
      );
    }
    look();
    heading.current?.focus({ preventScroll: true });
    const stop = feed.watch(id, () => look());
    const escape = (event) => event.key === "Escape" && close(event);
    addEventListener("keydown", escape);
    return () => ((open = false), clearTimeout(timer), stop(), removeEventListener("keydown", escape));
  }, [id]);
  const { body, error } = found;
  const sent = body?.record?.json ?? row;
  return html`<article class="way" aria-labelledby="way-h">
    <h3 id="way-h" tabindex="-1" ref=${heading}>${t("Timeline")} <button class="close" onClick=${close}>${t("Back to the form")}</button></h3>
    <p class="id">${id}</p>
    ${row && html`<p class="line"><${Status} status=${row.status} /> <b>${amount(row.value_in_cents)}
      </b> <span class="text">${row.description}</span></p>
      <ul class="reasons">${row.reasons?.map(({ words }) => html`<li>${words}</li>`)}</ul>
      <${Label} id=${id} label=${row.label} labelled=${(label) => setRow({ ...row, label })} />`}
    ${error && html`<p class="trouble">
      ${error.status === 404 ? t("No transaction has this id.") : error instanceof Problem ? `${t(error.title)}: ${error.message}` : t("The bff does not answer.")}</p>`}
    ${!body && !error && html`<p class="empty">${t("Loading…")}</p>`}
    ${
      body &&
      html`<${Waterfall} steps=${body.steps} />
      <${Record} title=${t("The record")} record=${body.record} />
      <${Record} title=${t("The status record")} record=${body.status_record} />`
    }
    ${sent && html`<details><summary>${t("Repeat as curl")}</summary><pre tabindex="0">
      ${curlOf(pretty(Object.fromEntries(SENT.map((name) => [name, sent[name]]))))}</pre></details>`}
  </article>`;
}
