// Asks for a token when the bff wants one; the bff keeps it in a cookie, no script does (docs/security.md).
import { html, useState, useStore } from "./html.js";
import { t } from "./i18n.js";
import { locked } from "./net.js";

export function Token() {
  const [said, say] = useState("");
  if (!useStore(locked)) return null;
  async function send(event) {
    event.preventDefault();
    const headers = { Authorization: `Bearer ${event.target.token.value.trim()}` };
    const { ok } = await fetch("/api/v1/session", { method: "POST", headers }).catch(() => ({}));
    if (ok) location.reload();
    else say(t("The bff does not know it."));
  }
  return html`<form class="banner" id="token" onSubmit=${send}>
    <label>${t("This page needs a token with the scope read:")} <input name="token" type="password" autocomplete="off" required /></label>
    <button>${t("Open")}</button> <span role="alert">${said}</span></form>`;
}
