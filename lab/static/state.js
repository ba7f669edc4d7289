// What the lab knows, asked each second; its calls; and the lines of an exercise as they come.
import { store } from "/static/html.js";
import { Problem, ask, pause, visible } from "/static/net.js";

const KEY = "lab-token";
const EVERY = 1000; // milliseconds

// The link's token is kept for this tab alone, and does not stay in the address.
const given = location.hash.match(/^#token=([\w-]+)$/)?.[1];
if (given) {
  sessionStorage.setItem(KEY, given);
  history.replaceState(null, "", location.pathname + location.search);
}
const token = sessionStorage.getItem(KEY) ?? "";

/** {body, problem}: what the lab answered last, and why it does not answer now; 403 is a wrong token. */
export const state = store({ body: null, problem: null });

const headers = { "X-Lab-Token": token };

async function look() {
  try {
    state.set({ body: await ask("/lab/api/state", { headers }), problem: null });
  } catch (problem) {
    state.set({ ...state.get(), problem });
  }
}

/** Look from now on. */
export async function begin() {
  for (;;) {
    await visible();
    await look();
    if (state.get().problem?.status === 403) return; // no other token will come
    await pause(EVERY);
  }
}

/** Do something; how the lab is then. Problem when it is refused. */
export async function act(path, body = {}) {
  const how = { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body) };
  try {
    state.set({ body: await ask(`/lab/api/${path}`, how, 120), problem: null });
  } catch (problem) {
    if (!(problem instanceof Problem)) state.set({ ...state.get(), problem });
    throw problem;
  }
}

/** The exercises' texts in a language. */
export const texts = async (language) => (await ask(`/lab/api/exercises?lang=${language}`, { headers })).exercises;

/** Call `on.line(text)` for each line of an exercise and `on.end(outcome)` at last; until the signal. */
export async function follow(number, on, signal) {
  for (let seen = ""; !signal.aborted; await pause(1000)) {
    try {
      const last = seen === "" ? {} : { "Last-Event-ID": seen };
      const answer = await fetch(`/lab/api/exercises/${number}/lines`, { headers: { ...headers, ...last }, signal });
      if (!answer.ok) return;
      for await (const { event, id, data } of events(answer.body)) {
        if (event === "end") return on.end(JSON.parse(data));
        seen = id;
        on.line(JSON.parse(data));
      }
    } catch {
      // cut: again from the line after the last one
    }
  }
}

// Not EventSource: that cannot send the token.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = "", got; !(got = await reader.read()).done; ) {
    const blocks = (text + got.value).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s)));
      if (fields.event) yield fields;
    }
  }
}
