// The lab's hands on the page: they are put where the page leaves a place for them.
import { added } from "/static/html.js";
import { Hands } from "./hands.js";
import { Strip } from "./strip.js";
import { begin } from "./state.js";

begin();
added.set({ top: Strip, part: Hands });
