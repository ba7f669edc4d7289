// What an outage costs clients now: each sentence once, with the parts that it is of, and how to bring them back.
import { html } from "./html.js";
import { say, t, ticking, timeOfDay } from "./i18n.js";
import { WORDS } from "./picture.js";

const ORDER = { down: 0, degraded: 1, unknown: 2, up: 3 };

// While a clause like the first holds, one like the second does not.
const STRONGER = [
  [/^POST answers 503/, /^POST (answers 201|and GET work|with an Idempotency-Key)/],
  [/GET answers 503|older ones are 503/, /^GET works$/],
  [/^transactions stay pending in Kafka/, /transactions are rejected|until a replica answers|replicas that are left|of its partitions/],
];

const clauses = (cost) => cost.replace(/\.$/, "").split("; ");

const isWeaker = (clause, all) => STRONGER.some(([strong, weak]) => weak.test(clause) && all.some((one) => strong.test(one)));

/** A cost in the reader's language, without the clauses that another's contradict, and then without what others say too. */
function inForce(cost, all) {
  const said = clauses(say(cost));
  const left = clauses(cost)
    .map((clause, n) => [clause, said[n]])
    .filter(([clause]) => !isWeaker(clause, all));
  const isCut = left.length < said.length;
  const own = left.filter(([clause]) => !isCut || all.indexOf(clause) === all.lastIndexOf(clause));
  const text = own.map(([, words]) => words).join("; ");
  return text && `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

/** Some of the parts by what they cost: [[sentence, parts], …]; the worst first. */
export function grouped(some, parts) {
  const all = parts.flatMap((part) => clauses(part.cost));
  const groups = new Map();
  for (const part of some.toSorted((a, b) => ORDER[a.state] - ORDER[b.state])) {
    const cost = part.cost && inForce(part.cost, all);
    if (!groups.has(cost)) groups.set(cost, []);
    groups.get(cost).push(part);
  }
  return [...groups];
}

/** What brings it back natively; "" where it comes by itself. */
function repair({ process, state, word }) {
  const action = word === "stuck" ? "restart" : state !== "down" ? "" : word.startsWith("no answer within") ? "resume" : "start";
  return action && `make ${action} NAME=${process}`;
}

/** How long it has been in its state: what the bff found at its start may have been so for longer. */
function sinceOf(part, now) {
  if (!part.since) return "";
  const values = { time: ticking(now - part.since), clock: timeOfDay(part.since) };
  return part.since_known === false ? t("for {time} at least: found so at {clock}", values) : t("for {time}, since {clock}", values);
}

function Part({ part, now }) {
  const command = repair(part);
  return html`<span class="state ${part.state}"><span class="mark"></span><b>${part.name}</b> ${t(WORDS[part.state])}</span>
    <span class="since">${sinceOf(part, now)}</span>
    <small class="word">${part.word && part.word !== "ok" && say(part.word)}
      ${command && html` <code title=${t("brings it back, natively")}>${command}</code>`}</small>`;
}

/** Of the `chosen` part, or of all that are not up. */
export function Impact({ parts, now, chosen }) {
  const isBad = (part) => part.state === "down" || part.state === "degraded";
  const shown = parts.filter((part) => (chosen ? part.name === chosen || part.process === chosen : isBad(part)));
  if (!shown.length) {
    if (chosen) return null;
    const silent = parts.filter((part) => part.state === "unknown");
    return html`<p class="calm">
      ${silent.length ? t("The state of {n} parts is unknown.", { n: silent.length }) : t("Everything is up. Select a part for details.")}</p>`;
  }
  return html`<ul class="costs">${grouped(shown, parts).map(
    ([cost, group]) => html`<li key=${group[0].name} data-cost=${group.map((part) => part.name).join(" ")}>
    ${group.map((part) => html`<${Part} key=${part.name} part=${part} now=${now} />`)}
    <span class="cost">${cost || (group[0].state === "up" ? t("It answers; the bff sees no impact.") : "")}</span>
  </li>`,
  )}</ul>`;
}
