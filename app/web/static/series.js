// The charts' data as this page remembers it: a bff that was started again knows nothing of before, and only the page
// knows when it was away.
import { store } from "./html.js";
import { link } from "./net.js";

const KEPT = 900; // seconds

/** What `before` has of the time before `body` begins, then `body`. */
function joined(before, body, marks) {
  const begin = body.at.at(-1) - KEPT;
  const found = { ...body, marks: [...marks, ...body.marks] };
  if (before) {
    const from = before.at.findIndex((time) => time > begin);
    const to = before.at.findIndex((time) => time >= body.at[0]);
    const old = (column) => (from < 0 ? [] : column.slice(from, to < 0 ? undefined : to));
    for (const [name, column] of Object.entries(body)) {
      if (Array.isArray(column) && name !== "marks") found[name] = [...old(before[name] ?? []), ...column];
    }
    found.marks.push(...before.marks.filter((mark) => mark.at < body.at[0]));
  }
  const own = new Map(found.marks.map((mark) => [`${mark.at} ${mark.part}`, mark]));
  found.marks = [...own.values()].filter((mark) => mark.at > begin).sort((a, b) => a.at - b.at);
  return found;
}

/** A store like `source`, with what its last answers no longer have. */
export function remembered(source) {
  const known = store(source.get());
  const marks = [];
  let body = null,
    wasUp = true;
  link.follow(() => {
    const { up } = link.get();
    if (up === wasUp) return;
    wasUp = up;
    marks.push({ at: Date.now() / 1000, part: "bff", state: up ? "up" : "down" });
    if (body) known.set({ ...known.get(), body: (body = { ...body, marks: [...body.marks, marks.at(-1)] }) });
  });
  source.follow(() => {
    const found = source.get();
    if (!found.error && found.body?.at.length) body = joined(body, found.body, marks);
    known.set({ ...found, body: body ?? found.body });
  });
  return known;
}
