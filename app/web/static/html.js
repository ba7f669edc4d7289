// Preact with htm: `html` makes elements from text in backticks. Text is always text, never markup.
import { h, render, Fragment } from "./vendor/preact.mjs";
import { useEffect, useLayoutEffect, useRef, useState } from "./vendor/hooks.mjs";
import htm from "./vendor/htm.mjs";

export const html = htm.bind(h);
export { render, Fragment, useEffect, useLayoutEffect, useRef, useState };

/** A value that components follow: get, set, follow(f) which returns how to stop. */
export function store(value) {
  const followers = new Set();
  return {
    get: () => value,
    set(next) {
      value = next;
      for (const follower of [...followers]) follower();
    },
    follow(follower) {
      followers.add(follower);
      return () => followers.delete(follower);
    },
  };
}

/** The store's value; the component is drawn again whenever it is set. */
export function useStore(followed) {
  const [, redraw] = useState(0);
  useLayoutEffect(() => followed.follow(() => redraw((n) => n + 1)), [followed]);
  return followed.get();
}

/** What this browser keeps for the reader; nothing where it may keep nothing. */
export function kept(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}
export function keep(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // it holds until the page is closed
  }
}

/** Draw again every `seconds`: for ages and countdowns. */
export function useClock(seconds = 1) {
  const [, redraw] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || redraw((n) => n + 1), seconds * 1000);
    return () => clearInterval(timer);
  }, [seconds]);
}

/** What another program that serves this page adds to it, by place: components. By itself it has none. */
export const added = store({});

export function Added({ place, ...props }) {
  const component = useStore(added)[place];
  return component ? html`<${component} ...${props} />` : null;
}
