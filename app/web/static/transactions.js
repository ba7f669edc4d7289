// The live list with its filters, and beside it the form or the way of the one that is open.
import { html, useEffect, useRef, useState, useStore } from "./html.js";
import { amount, duration, fixed, rate, say, t, timeOfDay, whole } from "./i18n.js";
import { feed } from "./feed.js";
import { Post } from "./post.js";
import { Way } from "./way.js";

export const STATUSES = ["pending", "accepted", "rejected"];
const UUID7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7/;

export const Status = ({ status }) => html`<span class="status ${status}"><span class="mark"></span>${t(status)}</span>`;

/** Rejected because no replica could be asked: `make reassess` asks again. */
const isUnassessed = (row) => row.reason === "antifraud_unavailable";

/** Seconds from the id's time to the verdict, when both are known. */
const took = (row) =>
  row.decided_at && UUID7.test(row.transaction_id)
    ? (row.decided_at - parseInt(row.transaction_id.slice(0, 8) + row.transaction_id.slice(9, 13), 16)) / 1000
    : null;

function Row({ row, opened, open }) {
  const id = row.transaction_id;
  return html`<tr class="${row.fresh ? "fresh" : ""} ${opened ? "opened" : ""}" data-id=${id} onClick=${() => open(id)}>
    <td><button class="link" aria-expanded=${opened} aria-label=${t("Open {id}", { id })}>
      ${timeOfDay(row.event_timestamp)}</button></td>
    <td key=${row.status} class=${row.turned ? "turned" : ""}><${Status} status=${row.status} />${
      isUnassessed(row) && html` <b class="unassessed" title=${t("rejected without an assessment: no antifraud replica answered")}>!<span
        class="unseen"> ${t("not assessed")}</span></b>`
    }</td>
    <td class="n">${amount(row.value_in_cents)}</td>
    <td class="text">${row.description}</td>
    <td class="id wide" title=${row.customer_id}>${row.customer_id}</td>
    <td class="id wide" title=${id}>…${id.slice(-12)}</td>
    <td class="n wide">
      ${isUnassessed(row) ? t("not assessed") : row.revision > 1 ? t("revision {n}", { n: row.revision }) : took(row) === null ? "" : duration(took(row))}</td>
  </tr>`;
}

function Filters({ filter, open }) {
  const customer = useRef(),
    wanted = useRef();
  const choose = (event, more) => {
    event?.preventDefault();
    feed.choose({ status: filter.status, customer: customer.current.value.trim(), ...more });
  };
  const search = (event) => {
    event.preventDefault();
    if (wanted.current.value.trim()) open(wanted.current.value.trim());
  };
  return html`<div class="filters">
    <label>${t("Status")} <select id="status-filter" value=${filter.status}
      onChange=${(event) => choose(null, { status: event.target.value })}>
      <option value="">${t("all")}</option>${STATUSES.map((status) => html`<option value=${status}>${t(status)}</option>`)}</select></label>
    <form role="search" onSubmit=${choose}><label>${t("Customer")} <input ref=${customer} id="customer-filter"
      placeholder="customer_id" maxlength="255" spellcheck=${false} /></label>
      <button>${t("Filter")}</button>${filter.customer && html`<button type="button"
        onClick=${(event) => ((customer.current.value = ""), choose(event))}>${t("All")}</button>`}</form>
    <form role="search" onSubmit=${search}><label>${t("Id")} <input ref=${wanted} id="id-search"
      placeholder="transaction_id" maxlength="255" spellcheck=${false} /></label><button>${t("Open")}</button></form>
  </div>`;
}

function Said({ state }) {
  const { gap, oneIn, rate: perSecond, held, paused, waiting, source, problem } = state;
  return html`<div class="said">
    ${oneIn > 1 && html`<p id="sampled">${t("Showing 1 in {k} of {n}/s.", { k: oneIn, n: whole(perSecond) })}</p>`}
    ${held && html`<p>
      ${paused ? t("Paused: {n} new.", { n: whole(waiting) }) : t("On hold while you point at it: {n} new.", { n: whole(waiting) })}</p>`}
    <div role="status">${
      gap &&
      html`<p class="gap">
        ${t("{clock}: this page fell behind and skipped some transactions ({why}). The list was reloaded.", { clock: timeOfDay(gap.at), why: say(gap.reason) })}
      ${gap.from && html` <code>${gap.from} → ${gap.to}</code>`}
      <button class="link" onClick=${() => ((feed.gap = null), feed.hold(false), feed.load())}>${t("Dismiss")}</button></p>`
    }</div>
    ${source === "cassandra" && html`<p>${t("Read from Cassandra: Redis is down or not complete.")}</p>`}
    ${problem && html`<p class="trouble" role="status">
      ${t("The list cannot be loaded: {why}. Retrying.", { why: problem.message })}</p>`}
  </div>`;
}

function List({ state, opened, open }) {
  const { rows, loading, problem, oneIn, filter, more } = state;
  if (!rows.length) {
    return html`<p class="empty">${
      loading
        ? t("Loading…")
        : problem
          ? t("Nothing can be shown right now.")
          : filter.status || filter.customer
            ? t("None of the newest matches this filter.")
            : t("No transaction yet. Post one, and it appears here.")
    }</p>`;
  }
  return html`<table class="list ${oneIn > 1 ? "fast" : ""}">
    <thead><tr><th scope="col">${t("Time")}</th><th scope="col">${t("Status")}</th><th scope="col" class="n">
      ${t("Amount")}</th><th scope="col" class="text">${t("Description")}</th>
      <th scope="col" class="wide">${t("Customer")}</th><th scope="col" class="wide">${t("Id")}</th>
        <th scope="col" class="n wide">${t("Took")}</th></tr></thead>
    <tbody onMouseEnter=${() => feed.hold(true)} onMouseLeave=${() => feed.hold(false)} onFocusIn=${() => feed.hold(true)}
      onFocusOut=${(event) => event.currentTarget.contains(event.relatedTarget) || feed.hold(false)}>
      ${rows.map((row) => html`<${Row} key=${row.transaction_id} row=${row} opened=${row.transaction_id === opened} open=${open} />`)}</tbody>
  </table>
  ${more && html`<button class="older" onClick=${() => (feed.pause(true), feed.load(true))}>${t("Older")}</button>`}`;
}

const narrow = matchMedia("(max-width: 1100px)");
function idInAddress() {
  try {
    return decodeURIComponent(location.hash.match(/^#id=(.+)/)?.[1] ?? "").slice(0, 255);
  } catch {
    return ""; // what is there is no id
  }
}

export function Transactions() {
  const state = useStore(feed.state);
  const [opened, setOpened] = useState(idInAddress());
  const beside = useRef(),
    lastOpened = useRef("");
  useEffect(() => {
    const follow = () => setOpened(idInAddress());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  const open = (id) => {
    history.replaceState(null, "", id ? `#id=${encodeURIComponent(id)}` : location.pathname);
    setOpened(id);
    if (id) lastOpened.current = id;
    if (id && beside.current.offsetTop > 0 && innerWidth < 1100) beside.current.scrollIntoView({ block: "start" });
  };
  /** Who works by keyboard is back on the row; a pointer's focus there would hold the list. */
  const close = (event) => {
    open("");
    if (event.detail) return;
    const row = [...document.querySelectorAll(".list tr")].find((one) => one.dataset.id === lastOpened.current);
    (row?.querySelector("button") ?? document.getElementById("transactions")).focus();
  };
  return html`<section id="transactions" aria-labelledby="transactions-h" tabindex="-1">
    <div class="head"><h2 id="transactions-h">${t("Transactions")}</h2>
      <button class="pause" aria-pressed=${Boolean(state?.paused)} onClick=${() => feed.pause(!state.paused)}>
        ${state?.paused ? `▶ ${t("Resume")}` : `❚❚ ${t("Pause")}`}</button>
      <small>${state && t("{n} new a second", { n: rate(state.rate) })}</small></div>
    <div class="grid beside-list">
      <div class="card">
        <${Filters} filter=${state?.filter ?? feed.filter} open=${open} />
        ${state && html`<${Said} state=${state} />`}
        ${state ? html`<${List} state=${state} opened=${opened} open=${open} />` : html`<p class="empty">${t("Loading…")}</p>`}
      </div>
      <div class="card aside" ref=${beside}>
        ${opened && html`<${Way} key=${opened} id=${opened} close=${close} />`}
        <div id="post" tabindex="-1" hidden=${Boolean(opened)}>${
          narrow.matches
            ? html`<details class="fold"><summary>${t("Post one")}</summary><${Post} open=${open} /></details>`
            : html`<${Post} open=${open} />`
        }</div>
      </div>
    </div>
  </section>`;
}
