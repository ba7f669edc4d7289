// English is in the code; other languages are looked up by it: pt.json. What is not there stays English.
import { kept, store } from "./html.js";

export const LANGUAGES = ["en", "pt"];
let words = {};
let numbers, decimals, clock, point;

export const language = store("en");

/** The text in the reader's language, with {name} replaced by values.name. */
export function t(text, values) {
  const found = words[text] ?? text;
  return values ? found.replace(/\{(\w+)\}/g, (_, name) => values[name]) : found;
}

/** A sentence of the bff's, in the reader's language: also part by part, and whatever its numbers are. */
export function say(sentence) {
  const one = (part) => {
    const figures = part.match(/\d+/g) ?? [];
    return words[part] ?? words[part.replace(/\d+/g, "#")]?.replace(/#/g, () => figures.shift()) ?? part;
  };
  const said = words[sentence] ?? sentence.split("; ").map(one).join("; ");
  return said.charAt(0).toUpperCase() + said.slice(1);
}

/** Read and show a language from now on. */
export async function choose(chosen) {
  if (chosen !== "en" && !words[""]) {
    try {
      words = await (await fetch(`/static/${chosen}.json`)).json();
    } catch {
      chosen = "en"; // the server is away: English is here
    }
  }
  if (chosen === "en") words = {};
  document.documentElement.lang = chosen === "pt" ? "pt-BR" : "en";
  const locale = chosen === "pt" ? "pt-BR" : "en-GB";
  numbers = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
  decimals = [0, 1, 2, 3].map((n) => new Intl.NumberFormat(locale, { minimumFractionDigits: n, maximumFractionDigits: n }));
  clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  point = decimals[1].format(0.5)[1];
  document.title = t("Payments, live");
  language.set(chosen);
}

/** What the reader chose before, or else the browser's language. */
export const preferred = () => kept("language") ?? (/^pt/i.test(navigator.language) ? "pt" : "en");

const none = (value) => value === null || value === undefined;

export const whole = (value) => (none(value) ? "–" : numbers.format(value));
export const fixed = (value, digits) => (none(value) ? "–" : decimals[digits].format(value));
/** Three figures are enough for a rate. */
export const rate = (value) => (none(value) ? "–" : fixed(value, value >= 99.5 || value === 0 ? 0 : value >= 9.95 ? 1 : 2));
export const percent = (part) => (none(part) ? "–" : `${Math.round(part * 100)} %`);
/** Cents as an amount; a BigInt keeps all its figures. */
export function amount(cents) {
  if (none(cents)) return "–";
  const text = String(cents).padStart(3, "0");
  return numbers.format(BigInt(text.slice(0, -2))) + point + text.slice(-2);
}
/** A time of day; takes seconds since 1970. */
export const timeOfDay = (seconds) => (none(seconds) ? "–" : clock.format(seconds * 1000));

/** A length of time in its largest unit that makes sense; takes seconds. */
export function duration(seconds) {
  if (none(seconds)) return "–";
  const s = Math.max(0, seconds);
  if (s < 0.0005) return "0 ms";
  if (s < 0.01) return `${fixed(s * 1000, 1)} ms`;
  if (s < 1) return `${fixed(s * 1000, 0)} ms`;
  if (s < 10) return `${fixed(s, 1)} s`;
  if (s < 120) return `${fixed(s, 0)} s`;
  if (s < 7200) return `${fixed(s / 60, 0)} min`;
  if (s < 172800) return `${fixed(s / 3600, 0)} h`;
  return t("{n} days", { n: fixed(s / 86400, 0) });
}
/** The same in whole seconds: for what ticks. */
export const ticking = (seconds) => (seconds < 120 ? `${Math.max(0, Math.floor(seconds))} s` : duration(seconds));
