// The newest transactions as the list shows them: merged by revision, bounded, sampled when they are too many to read.
import { store } from "./html.js";
import { ask } from "./net.js";
import { Stream } from "./stream.js";

const PATH = "/api/v1/transactions";
const KEEP = 200; // rows in memory
const SHOWN = innerWidth < 700 ? 12 : 25; // rows on the page until older ones are asked for
const READABLE = 12; // new rows a second that can still be followed
const OVER = 5; // seconds that the rate is an average of, as the arrows' are
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

const newer = (a, b) => b.event_timestamp - a.event_timestamp || (a.transaction_id < b.transaction_id ? 1 : -1);

// The same transactions are in the sample whichever event of theirs comes first: by the random end of their id.
function inSample(id, oneIn) {
  let sum = 0;
  for (let at = Math.max(0, id.length - 8); at < id.length; at++) sum = (sum * 31 + id.charCodeAt(at)) >>> 0;
  return sum % oneIn === 0;
}

class Feed {
  state = store(null);
  rows = new Map();
  filter = { status: "", customer: "" };
  frozen = null; // the rows on the page while it is held
  waiting = 0; // new ones that came meanwhile
  paused = false;
  oneIn = 1;
  rate = 0;
  gap = null;
  problem = null;
  loading = true;
  cursor = null;
  deep = false; // older pages are on the page
  #redis = "up";
  #sourceAt = 0;
  #listeners = new Map();
  #seconds = []; // the last ones, for the rate that is shown
  #second = { from: 0, pending: 0, status: 0 };

  start() {
    this.stream = new Stream({
      opened: (resumed) => resumed || this.load(),
      pending: (row) => this.#take(row, "pending"),
      status: (row) => this.#take(row, "status"),
      gap: (data) => {
        this.gap = { ...data, at: Date.now() / 1000 };
        this.load();
      },
    });
    this.stream.follow(this.filter.customer);
    this.load(); // what there is, also when no stream can be had
    setInterval(() => this.#measure(), 500);
    this.#draw();
  }

  /** Show what these match from now on; "" is all. */
  choose(filter) {
    const customer = this.filter.customer !== filter.customer;
    this.filter = filter;
    this.rows.clear();
    this.deep = false;
    this.#release();
    this.loading = true;
    if (customer) this.stream.follow(filter.customer);
    this.load();
    this.#draw();
  }

  /** The newest page again; `older` asks for the one after the last. */
  async load(older = false) {
    const query = new URLSearchParams({ limit: SHOWN });
    const asked = this.filter;
    if (asked.status) query.set("status", asked.status);
    if (asked.customer) query.set("customer_id", asked.customer);
    if (older) query.set("cursor", this.cursor);
    try {
      let body,
        got = 0;
      do {
        // a filtered page may be short and yet not the last
        body = await ask(`${PATH}?${query}`);
        if (asked !== this.filter) return;
        for (const row of body.transactions) this.#merge(row);
        got += body.transactions.length;
        query.set("cursor", body.next_cursor);
      } while (body.next_cursor && got < SHOWN);
      this.cursor = body.next_cursor;
      this.source = body.source;
      this.problem = null;
      if (older) this.deep = true;
      if (older && this.frozen) this.frozen = this.#matching();
    } catch (error) {
      if (asked !== this.filter) return;
      this.problem = error;
      clearTimeout(this.retry);
      this.retry = setTimeout(() => this.load(older), 2000);
    }
    this.loading = false;
    this.#draw();
  }

  /** Redis is in this state, the bff says: while another store may answer now than did last, ask which one does. */
  async redisIs(state) {
    const isSettled = state === this.#redis && (state === "up") === (this.source === "redis");
    if (!state || isSettled || performance.now() < this.#sourceAt + 2000) return;
    this.#redis = state;
    this.#sourceAt = performance.now();
    const { source } = await ask(`${PATH}?limit=1`).catch(() => this);
    if (source === this.source) return;
    this.source = source;
    this.#draw();
  }

  pause(on) {
    this.paused = on;
    if (on) this.#freeze();
    else this.#release();
    this.#draw();
  }

  /** While a pointer or the focus is on the rows they stay where they are. */
  hold(on) {
    if (this.paused || on === Boolean(this.frozen)) return;
    if (on) this.#freeze();
    else this.#release();
    this.#draw();
  }

  /** Call `listener` with each newer state of this transaction; returns how to stop. */
  watch(id, listener) {
    this.#listeners.set(listener, id);
    return () => this.#listeners.delete(listener);
  }

  #freeze() {
    this.frozen ??= this.#matching().slice(0, this.deep ? KEEP * 5 : SHOWN);
  }

  #release() {
    this.frozen = null;
    this.waiting = 0;
    this.deep = false;
    this.#evict();
  }

  #take(row, kind) {
    for (const [listener, id] of this.#listeners) if (id === row.transaction_id) listener(row);
    if (!this.rows.has(row.transaction_id)) {
      const count = ++this.#second[kind];
      const fast = count > READABLE ? this.#step(count) : 1;
      if (!inSample(row.transaction_id, Math.max(this.oneIn, fast))) return;
      if (this.frozen && ++this.waiting > KEEP) return;
    } else if (row.revision === 0) return;
    this.#merge({ ...row, fresh: true });
    this.#draw();
  }

  // Rows are changed in place, so that a held list shows its pending ones become final.
  #merge(row) {
    const known = this.rows.get(row.transaction_id);
    if (known && (row.revision ?? (row.status === "pending" ? 0 : known.revision || 1)) <= (known.revision ?? 0)) return;
    if (known) Object.assign(known, row, { turned: known.status !== row.status });
    else this.rows.set(row.transaction_id, { ...row, revision: row.revision ?? (row.status === "pending" ? 0 : 1) });
    if (this.rows.size > KEEP * 1.5 && !this.deep && !this.frozen) this.#evict();
  }

  #evict() {
    const keep = [...this.rows.values()].sort(newer).slice(0, KEEP);
    this.rows = new Map(keep.map((row) => [row.transaction_id, row]));
  }

  #matching() {
    const all = [...this.rows.values()].sort(newer);
    return this.filter.status ? all.filter((row) => row.status === this.filter.status) : all;
  }

  #step = (perSecond) => STEPS.find((step) => perSecond / step <= READABLE) ?? STEPS.at(-1);

  #measure() {
    const now = performance.now();
    // One that is not in the sample comes twice, pending and decided; another bff's comes decided alone.
    const { from, pending, status } = this.#second,
      count = Math.max(pending, status);
    if (now - from < 1000) return;
    if (from) this.#seconds.push({ ms: now - from, pending, status });
    if (this.#seconds.length > OVER) this.#seconds.shift();
    const sum = (what) => this.#seconds.reduce((before, one) => before + one[what], 0);
    this.rate = (Math.max(sum("pending"), sum("status")) * 1000) / (sum("ms") || 1);
    const rateNow = from ? (count * 1000) / (now - from) : 0;
    this.#second = { from: now, pending: 0, status: 0 };
    const before = this.oneIn;
    this.oneIn = this.#step(rateNow);
    this.#draw();
  }

  // Drawn at most ten times a second, three times when much comes: what the eye does not see costs frames.
  #draw() {
    if (this.timer) return;
    this.timer = setTimeout(
      () =>
        requestAnimationFrame(() => {
          this.timer = 0;
          this.state.set({
            rows: this.frozen ?? this.#matching().slice(0, this.deep ? KEEP * 5 : SHOWN),
            held: Boolean(this.frozen),
            paused: this.paused,
            waiting: this.waiting,
            filter: this.filter,
            gap: this.gap,
            oneIn: this.oneIn,
            rate: this.rate,
            problem: this.problem,
            loading: this.loading,
            source: this.source,
            more: Boolean(this.cursor),
          });
        }),
      this.oneIn > 1 ? 300 : 60,
    );
  }
}

export const feed = new Feed();
