// The live stream: EventSource that resumes by the vector of offsets, and waits while nobody looks.
//
// A browser gives an origin six connections (HTTP/1.1), so a hidden tab gives its own back and resumes from its last id.
import { store } from "./html.js";
import { link, parse } from "./net.js";

const PATH = "/api/v1/transactions/events";
const WAITS = [500, 1000, 2000, 4000, 5000];
const HIDDEN_FOR = 5000;

export const streaming = store("connecting"); // connecting, open, hidden

/** `on`: {opened(resumed), pending(row), status(row), gap(data)}. */
export class Stream {
  constructor(on) {
    this.on = on;
    this.customer = "";
    this.last = "";
    this.failures = 0;
    document.addEventListener("visibilitychange", () => this.#look());
  }

  /** From now on, this customer's alone ("" for all); forgets where it was. */
  follow(customer) {
    this.customer = customer;
    this.last = "";
    this.open();
  }

  open() {
    clearTimeout(this.timer);
    this.source?.close();
    const query = new URLSearchParams();
    if (this.customer) query.set("customer_id", this.customer);
    if (this.last) query.set("last_event_id", this.last);
    const source = (this.source = new EventSource(query.size ? `${PATH}?${query}` : PATH));
    const resumed = Boolean(this.last);
    source.onopen = () => {
      this.failures = 0;
      streaming.set("open");
      this.on.opened(resumed);
    };
    source.onerror = () => this.#again(source);
    source.addEventListener("pending", (event) => this.on.pending(parse(event.data)));
    source.addEventListener("status", (event) => {
      this.last = event.lastEventId || this.last;
      this.on.status(parse(event.data));
    });
    source.addEventListener("gap", (event) => {
      this.last = event.lastEventId || this.last;
      this.on.gap(parse(event.data));
    });
  }

  // EventSource gives up for good after an answer that is no stream, so the waiting is ours.
  #again(source) {
    source.close();
    streaming.set("connecting");
    const wait = WAITS[Math.min(this.failures, WAITS.length - 1)];
    // An id that a living server refuses again and again (another log's) is let go: the list is then loaded anew.
    if (link.get().up && ++this.failures > 6) this.last = "";
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), wait);
  }

  /** At once, without waiting for its turn: the bff is known to be back. */
  hurry() {
    if (streaming.get() === "connecting") this.open();
  }

  #look() {
    clearTimeout(this.hiding);
    if (!document.hidden) return streaming.get() === "hidden" && (streaming.set("connecting"), this.open());
    this.hiding = setTimeout(() => {
      clearTimeout(this.timer);
      this.source?.close();
      streaming.set("hidden");
    }, HIDDEN_FOR);
  }
}
