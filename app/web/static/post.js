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

export const curlOf = (body, ...headers) => `curl -X POST ${location.origin}${PATH} \\
${["Content-Type: application/json", ...headers].map((header) => `  -H "${header}" \\\n`).join("")}  --data '${body.replaceAll("'", "'\\''")}'`;

const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Whether a second try may change the answer; what is wrong in it stays wrong. */
const canBeTriedAgain = (error) => !(error instanceof Problem) || error.status === 409 || error.status >= 500;

function Failed({ error, hasFields, sent, send }) {
  const isOurs = error instanceof Problem;
  const tookNothing = isOurs && error.type.endsWith("/idempotency-store-unavailable") && !sent.isAgain;
  const again = (event, how) => {
    event.currentTarget.form.querySelector("button.main").focus(); // this one goes
    send({ ...sent, ...how });
  };
  return html`<div class="trouble">
    <p>${
      isOurs
        ? html`<b>${error.status} ${t(error.title)}:</b> ${hasFields ? t("See the fields marked above.") : error.message}`
        : t("The bff does not answer. Whether it took the transaction is not known.")
    }</p>
    ${isOurs && html`<p><small>${t("request")} <code>${error.requestId}</code></small></p>`}
    ${
      sent.key &&
      canBeTriedAgain(error) &&
      html`<p class="actions"><button type="button" onClick=${(event) => again(event, { isAgain: true })}>${t("Try again")}</button>
      ${tookNothing && html`<button type="button" onClick=${(event) => again(event, { key: null })}>${t("Post without a key")}</button>`}</p>
      <p><small>${t("It is sent with the same Idempotency-Key, so it is taken once, however often you try.")}</small></p>`
    }
  </div>`;
}

export function Post({ open }) {
  const [fields, setFields] = useState(EXAMPLE);
  const [result, setResult] = useState(null);
  const wrong = Object.fromEntries((result?.error?.errors ?? []).map((e) => [e.field, e.reason]));

  /** `sent`: {body, key, isAgain}; what is sent again is the same, whatever the fields are by then. */
  async function send(sent) {
    setResult({ busy: true });
    const began = performance.now();
    const headers = { "Content-Type": "application/json", ...(sent.key && { "Idempotency-Key": sent.key }) };
    try {
      const { transaction_id: id } = await ask(PATH, { method: "POST", headers, body: sent.body }, 15);
      const answered = performance.now();
      setResult({ id, status: "pending", acknowledged: (answered - began) / 1000 });
      const row = await ask(`${PATH}/${encodeURIComponent(id)}?wait=30`, {}, 40).catch(() => null);
      setResult({
        id,
        status: row?.status ?? "pending",
        acknowledged: (answered - began) / 1000,
        final: !row || row.status === "pending" ? null : (performance.now() - began) / 1000,
      });
    } catch (error) {
      setResult({ error, sent });
    }
  }

  const post = (event) => {
    event.preventDefault();
    if (!result?.busy) send({ body: bodyOf(fields), key: newKey() });
  };

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
    <p class="actions"><button class="main" aria-disabled=${Boolean(result?.busy)}>${t("Post")}</button>
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
      ${result?.error && html`<${Failed} ...${{ error: result.error, sent: result.sent, send, hasFields: Object.keys(wrong).length > 0 }} />`}
    </div>
    <details><summary>${t("The same as curl")}</summary><pre tabindex="0">${curlOf(bodyOf(fields), "Idempotency-Key: $(uuidgen)")}</pre></details>
  </form>`;
}
