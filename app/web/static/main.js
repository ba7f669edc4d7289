// The page, top to bottom.
import { Added, html, render, useEffect, useLayoutEffect, useStore } from "./html.js";
import { choose, language, preferred, t } from "./i18n.js";
import { link, polled, saysLink } from "./net.js";
import { feed } from "./feed.js";
import { remembered } from "./series.js";
import { Banner, Top } from "./top.js";
import { Token } from "./token.js";
import { Truth } from "./truth.js";
import { System } from "./system.js";
import { Transactions } from "./transactions.js";
import { Charts } from "./charts.js";
import { Workbench } from "./workbench.js";

const system = polled("/api/v1/system", 0.5, 2.5, (wait) => {
  const wasUp = link.get().up;
  saysLink(wait);
  if (!wasUp && wait === null) feed.stream?.hurry();
});
system.follow(() => feed.redisIs(system.get().body?.parts.find((part) => part.name === "redis")?.state));
const series = remembered(polled("/api/v1/system/series", 5, 10));

function Page() {
  useStore(language);
  useEffect(() => feed.start(), []);
  useLayoutEffect(() => document.documentElement.classList.add("ready"), []);
  return html`
    <a class="skip" href="#transactions">${t("Skip to the transactions")}</a>
    <a class="skip" href="#post">${t("Skip to the form")}</a>
    <${Top} system=${system} />
    <main>
      <${Token} />
      <${Banner} system=${system} />
      <${Added} place="top" />
      <${Truth} system=${system} />
      <${System} system=${system} />
      <${Transactions} />
      <${Charts} series=${series} />
      <${Workbench} system=${system} />
    </main>`;
}

await choose(preferred());
const page = document.getElementById("page");
page.replaceChildren();
render(html`<${Page} />`, page);
