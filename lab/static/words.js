// The lab's own texts: English in the code, Portuguese in pt.json, as the page's.
import { language } from "/static/i18n.js";

const portuguese = await fetch("/lab/pt.json").then((answer) => answer.json(), () => ({}));

/** The text in the reader's language, with {name} replaced by values.name. */
export function t(text, values = {}) {
  const found = (language.get() === "pt" && portuguese[text]) || text;
  return found.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** What the generator said last, in the reader's language. */
export const said = (text) => text.replace(/(\d+) acknowledged/, (_, n) => t("{n} acknowledged", { n }))
  .replace(/(\d+) failed/, (_, n) => t("{n} failed", { n }))
  .replace(/slowest (\d+) ms/, (_, n) => t("slowest {n} ms", { n }))
  .replace(/; stopped$/, () => `; ${t("stopped")}`);
