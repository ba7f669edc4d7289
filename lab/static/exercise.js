// One exercise: what will happen, play, its lines as they come, what was promised and kept, its questions.
import { html, useClock, useEffect, useRef, useState } from "/static/html.js";
import { ticking } from "/static/i18n.js";
import { act, follow } from "./state.js";
import { t } from "./words.js";

const SECOND = /^ *(\d+) s  POST (.*?) *(?:p99 +(\d+) ms)? +GET (.*?) *(?:p99 +(\d+) ms)? +lag (\S+)$/;
const COLUMNS = [["s", "n"], ["POST", ""], ["p99, ms", "n"], ["GET", ""], ["p99, ms", "n"], ["Lag", "n"]];

/** Text with `code` in backticks. */
const marked = (text) => text.split("`").map((part, n) => (n % 2 ? html`<code>${part}</code>` : part));

function Line({ line }) {
  const second = line.match(SECOND);
  if (second) return html`<tr class="second">${second.slice(1).map((text, n) => html`<td class=${COLUMNS[n][1]}>${text}</td>`)}</tr>`;
  if (line.startsWith("> ")) return html`<tr><th colspan="6" scope="colgroup">${line.slice(2)}</th></tr>`;
  const look = /^ {2}(kill|stopped)/.test(line) ? "blow" : /^ {2}(BROKEN|!) /.test(line) ? "broken" : "";
  return html`<tr><td colspan="6" class="whole ${look}">${line}</td></tr>`;
}

function Lines({ lines }) {
  const box = useRef(), before = useRef(0), below = useRef(true);
  useEffect(() => {
    if (below.current) box.current.scrollTop = box.current.scrollHeight; // unless the reader has scrolled up
  }, [lines.length]);
  const scrolled = () => {
    const { scrollTop: now, clientHeight, scrollHeight } = box.current;
    if (now < before.current) below.current = false;
    if (now + clientHeight > scrollHeight - 30) below.current = true;
    before.current = now;
  };
  return html`<div class="lab-lines" role="region" aria-label=${t("Lines of the exercise")} tabindex="0" ref=${box} onScroll=${scrolled}><table>
    <thead><tr>${COLUMNS.map(([name, look]) => html`<th scope="col" class=${look}>${t(name)}</th>`)}</tr></thead>
    <tbody>${lines.map((line, n) => line.trim() && html`<${Line} key=${n} line=${line} />`)}</tbody></table></div>`;
}

function verdict({ promises, status, stopped, said, control }) {
  const broken = promises.filter((promise) => !promise.kept).length;
  if (stopped) return ["unknown", t("Stopped; every part is as it was.")];
  if (!promises.length) return ["down", t("It did not run: {why}", { why: said })];
  if (!broken && status === 0) return ["up", t("Every promise kept")];
  const words = t("{n} of {all} promises broken", { n: broken, all: promises.length });
  return control ? ["degraded", `${words}, ${t("as a control must be")}`] : ["down", words];
}

function Outcome({ outcome }) {
  const [look, words] = verdict(outcome);
  return html`<div class="lab-outcome"><p class="state ${look}" role="status" id="lab-verdict"><span class="mark"></span><strong>${words}</strong></p>
    <ul>${outcome.promises.map(({ kept, text }, n) => html`<li key=${n}><span class="state ${kept ? "up" : "down"}"><span class="mark"></span><span class="unseen">${kept ? t("kept") : t("broken")}: </span></span>
      <span>${text}</span></li>`)}</ul></div>`;
}

export function Exercise({ text, run, playing, say }) {
  useClock();
  const [lines, setLines] = useState([]);
  const [outcome, setOutcome] = useState(null);
  const [asked, setAsked] = useState(false);
  const { number } = text, since = run?.since, isStarting = run?.state === "starting";
  useEffect(() => {
    setLines([]);
    setOutcome(null);
    if (!since || isStarting) return;
    const enough = new AbortController();
    follow(number, { line: (line) => setLines((before) => [...before, line]), end: setOutcome }, enough.signal);
    return () => enough.abort();
  }, [number, since, isStarting]);
  const play = async (control) => {
    setAsked(true);
    await say(() => act(`exercises/${number}/play`, { control }));
    setAsked(false);
  };
  const runs = playing === number, busy = Boolean(playing || asked);
  const step = lines.findLast((line) => line.startsWith("> "))?.slice(2);
  return html`<article class="lab-exercise" aria-labelledby="lab-exercise-h">
    <div>
      <h3 id="lab-exercise-h">${number}. ${text.title}</h3>
      <p>${marked(text.what)}</p>
      <p class="actions"><button class="main" data-act="play" disabled=${busy} onClick=${() => play(false)}>${t("Play")}</button>
        <button data-act="control" disabled=${busy} onClick=${() => play(true)}>${t("Play the control")}</button>
        ${runs && !isStarting && html`<button data-act="end-exercise" disabled=${run.state === "stopping"} onClick=${() => say(() => act(`exercises/${number}/stop`))}>${t("Stop")}</button>
          <span>${run.control ? t("the control, for {time}", { time: ticking(Date.now() / 1000 - since) }) : t("for {time}", { time: ticking(Date.now() / 1000 - since) })}</span>`}</p>
      <p><small>${t("The control is the same with its safeguard switched off, so it must fail.")} ${marked(text.control)}</small></p>
      <p role="status" class="step">${isStarting ? t("Starting: relays are taken out first, and who went through one is restarted…")
        : run?.state === "stopping" ? t("Stopping: every part is restored first, which may take a minute…") : busy ? step ?? t("Starting…") : ""}</p>
      ${outcome && html`<${Outcome} outcome=${outcome} />`}
      <details open=${Boolean(outcome)}><summary>${t("Questions")}</summary>
        <ol class="questions">${text.questions.map((question) => html`<li>${marked(question)}</li>`)}</ol></details>
    </div>
    <${Lines} lines=${lines} />
  </article>`;
}
