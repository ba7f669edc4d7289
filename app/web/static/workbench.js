// What went wrong lately: problem answers by type and endpoint, and dead letters, which can be sent back.
import { html, useEffect, useState, useStore } from "./html.js";
import { t, timeOfDay, whole } from "./i18n.js";
import { ask } from "./net.js";
import { Hex } from "./way.js";

const PATH = "/api/v1/dead-letters";

function grouped(answers) {
  const groups = new Map();
  for (const answer of answers) {
    const key = `${answer.status} ${answer.method} ${answer.path} ${answer.type}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(answer);
  }
  return [...groups];
}

function Answers({ answers }) {
  return html`<div class="card"><h3>${t("Problem answers")}</h3>
    ${!answers ? html`<p class="calm">${t("Unknown so far.")}</p>` : !answers.length && html`<p class="calm">
      ${t("No request was refused lately.")}</p>`}
    ${grouped(answers ?? []).map(
      ([key, group]) => html`<details key=${key} class="group"><summary>
      <b class="code">${group[0].status}</b> <span>${t(group[0].title)}</span> <code>${group[0].method} ${group[0].path}</code>
      <span class="n">${whole(group.length)} × <time>${timeOfDay(group[0].at)}</time></span></summary>
      ${group[0].type?.startsWith("/problems/") && html`<p><a href=${group[0].type}>${t("What this problem means")}</a>
        </p>`}
      <table><thead><tr><th scope="col">${t("Time")}</th><th scope="col">${t("Request")}</th><th scope="col">
        ${t("Detail")}</th></tr></thead>
      <tbody>${group.slice(0, 20).map((answer) => html`<tr key=${answer.request_id + answer.at}><td>
        ${timeOfDay(answer.at)}</td><td class="id">${answer.request_id}</td><td class="text">${answer.detail}</td></tr>`)}
        </tbody></table>
    </details>`,
    )}</div>`;
}

function DeadLetters({ count }) {
  const [found, set] = useState({});
  const [sure, ask_] = useState("");
  const [said, say] = useState("");
  const load = async () => {
    try {
      set({ body: await ask(PATH) });
    } catch (error) {
      set((before) => ({ ...before, error }));
    }
  };
  useEffect(() => {
    load();
    const timer = setInterval(() => document.hidden || load(), 15000);
    return () => clearInterval(timer);
  }, [count]);
  async function send(which) {
    if (sure !== which) return ask_(which);
    ask_("");
    try {
      const { sent_back: n } = await ask(
        `${PATH}/${which}/send-back`,
        { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" },
        30,
      );
      say(t("{n} sent back into transaction_created.", { n }));
    } catch (error) {
      say(t("Not sent back: {why}", { why: error.message }));
    }
    load();
  }
  const { body, error } = found;
  const label = (which, text) => (sure === which ? t("Confirm") : text);
  return html`<div class="card" id="dead-letters"><h3>${t("Dead letters")} ${
    body?.total > 0 &&
    html`<span class="count">${whole(body.total)}</span>
      <button onClick=${() => send("all")} onBlur=${() => ask_("")}>${label("all", t("Send all back"))}</button>`
  }</h3>
    <p role="status">${said}</p>
    ${error && html`<p class="trouble">${t("The dead letters cannot be read: {why}", { why: error.message })}</p>`}
    ${body && !error && !body.total && html`<p class="calm">${t("None: every record was processed.")}</p>`}
    ${body?.dead_letters.map(
      (letter) => html`<details key=${letter.id} class="group"><summary>
      <time>${timeOfDay(letter.at)}</time> <span class="reason">${letter.reason}</span> <code>
        ${letter.origin.topic}:${letter.origin.partition}:${letter.origin.offset}</code></summary>
      <p>${t("{n} bytes, key {key}", { n: whole(letter.bytes), key: letter.key ?? "–" })}
        ${
          letter.can_be_sent_back === false
            ? html` <small>${t("It does not hold the whole record, so it cannot be sent back.")}</small>`
            : html`<button onClick=${() => send(letter.id)} onBlur=${() => ask_("")}>${label(letter.id, t("Send back"))}</button>`
        }</p>
      ${letter.text && html`<pre tabindex="0">${letter.text}</pre>`}
      ${letter.base64 && html`<${Hex} base64=${letter.base64} />`}
    </details>`,
    )}</div>`;
}

export function Workbench({ system }) {
  const { body } = useStore(system);
  return html`<section id="workbench" aria-labelledby="workbench-h"><h2 id="workbench-h">${t("What went wrong")}</h2>
    <div class="grid half"><${Answers} answers=${body?.answers} /><${DeadLetters} count=${body?.dead_letters?.count} />
      </div></section>`;
}
