// A form that posts one transaction, and what became of it.
import { html, useState } from "./html.js";
import { duration, t } from "./i18n.js";
import { Problem, ask } from "./net.js";
import { Status } from "./transactions.js";

const PATH = "/api/v1/transactions";
const EXAMPLE = {
  value_in_cents: "39859385",
  description: "teste sem scylla-1",
  customer_id: "c408a342-5c78-4e31-afc8-c7c710b07340",
  merchant_id: "0f3eaa5d-79eb-48bc-ad0d-c775efa3646e",
  transaction_timestamp: "1624079756",
  latitude: "93.1334",
  longitude: "12.0445",
};
const HINTS = {
  value_in_cents: "1 or more, in cents",
  description: "1 to 1,000 characters",
  customer_id: "1 to 255 characters",
  merchant_id: "1 to 255 characters",
  transaction_timestamp: "seconds since 1970",
  latitude: "degrees, -180 to 180",
  longitude: "degrees, -180 to 180",
};
const NUMBERS = new Set(["value_in_cents", "transaction_timestamp", "latitude", "longitude"]);
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$/;

/** The body as it is sent: a number keeps the figures that were typed, whatever is none is sent as text. */
const bodyOf = (fields) =>
  `{${Object.entries(fields)
    .map(([name, text]) => `"${name}": ${NUMBERS.has(name) && NUMBER.test(text.trim()) ? text.trim() : JSON.stringify(text)}`)
    .join(", ")}}`;

export const curlOf = (body) => `curl -X POST ${location.origin}${PATH} \\
  -H "Content-Type: application/json" \\
  --data '${body.replaceAll("'", "'\\''")}'`;

export function Post({ open }) {
  const [fields, setFields] = useState(EXAMPLE);
  const [result, setResult] = useState(null);
  const wrong = Object.fromEntries((result?.error?.errors ?? []).map((e) => [e.field, e.reason]));

  async function post(event) {
    event.preventDefault();
    setResult({ busy: true });
    const began = performance.now();
    try {
      const { transaction_id: id } = await ask(
        PATH,
        { method: "POST", headers: { "Content-Type": "application/json" }, body: bodyOf(fields) },
        15,
      );
      const answered = performance.now();
      setResult({ id, status: "pending", acknowledged: (answered - began) / 1000 });
      const row = await ask(`${PATH}/${encodeURIComponent(id)}?wait=30`, {}, 40);
      setResult({
        id,
        status: row.status,
        acknowledged: (answered - began) / 1000,
        final: row.status === "pending" ? null : (performance.now() - began) / 1000,
      });
    } catch (error) {
      setResult((before) => ({ ...before, busy: false, error }));
    }
  }

  return html`<form class="post" onSubmit=${post} noValidate>
    <h3>${t("Post one")}</h3>
    ${Object.keys(EXAMPLE).map(
      (name) => html`<div class="field" key=${name}>
      <label for="f-${name}">${name}</label>
      <input id="f-${name}" value=${fields[name]}
        onInput=${(event) => setFields((before) => ({ ...before, [name]: event.target.value }))} spellcheck=${false}
        inputmode=${NUMBERS.has(name) ? "decimal" : "text"} aria-invalid=${Boolean(wrong[name])} aria-describedby="h-${name}" />
      <small id="h-${name}" class=${wrong[name] ? "wrong" : ""}>${wrong[name] ? t(wrong[name]) : t(HINTS[name])}</small>
    </div>`,
    )}
    <p class="actions"><button class="main" disabled=${result?.busy}>${t("Post")}</button>
      <button type="button" onClick=${() => (setFields(EXAMPLE), setResult(null))}>${t("Example values")}</button></p>
    <div role="status" class="result">
      ${result?.busy && html`<p>${t("Waiting for Kafka's acknowledgement…")}</p>`}
      ${
        result?.id &&
        html`<p id="posted" data-id=${result.id}>201 ${t("after {time}", { time: duration(result.acknowledged) })}: <${Status} status=${result.status} />
        ${result.final ? ` ${t("after {time}", { time: duration(result.final) })}` : ""} <button type="button"
          class="link" onClick=${() => open(result.id)}>${t("See its timeline")}</button></p>
        <p class="id">${result.id}</p>`
      }
      ${
        result?.error &&
        html`<p class="trouble">${
          result.error instanceof Problem
            ? html`<b>${result.error.status} ${t(result.error.title)}
              </b> ${Object.keys(wrong).length ? t("See the fields marked above.") : result.error.message} <small>
              ${t("request")} <code>${result.error.requestId}</code></small>`
            : t("The bff does not answer. Whether it took the transaction is not known.")
        }</p>`
      }
    </div>
    <details><summary>${t("The same as curl")}</summary><pre tabindex="0">${curlOf(bodyOf(fields))}</pre></details>
  </form>`;
}
