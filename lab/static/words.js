// The lab's own texts: English in the code, Portuguese in pt.json, as the page's.
import { language } from "/static/i18n.js";

const portuguese = await fetch("/lab/pt.json").then((answer) => answer.json(), () => ({}));

/** The text in the reader's language, with {name} replaced by values.name. */
export function t(text, values = {}) {
  const found = (language.get() === "pt" && portuguese[text]) || text;
  return found.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}
