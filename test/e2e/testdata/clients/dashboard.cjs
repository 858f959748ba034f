// Looks at the dashboard as a person does, in a real browser. The server is under way: batch has
// taken the unreserved concurrency and checkout is being throttled.
"use strict";
const assert = require("node:assert");
const path = require("node:path");
const { createRequire } = require("node:module");
const modules = createRequire(path.join(process.env.MODULES, "node_modules", "_"));
const { chromium } = modules("playwright-core");
const axe = modules.resolve("axe-core");
const { URL: url, BROWSER, SHOTS, ACCOUNT } = process.env;
const home = `${url}/_weir/a/${ACCOUNT}/us-east-1`;

// watch notes what a page must not do: fail in a script, or load from elsewhere.
function watch(page, bad) {
	page.on("pageerror", (e) => bad.push(`error: ${e.message}`));
	page.on("console", (m) => m.type() === "error" && !/400 \(Bad Request\)/.test(m.text()) && bad.push(`console: ${m.text()}`));
	page.on("request", (r) => r.url().startsWith(url + "/") || bad.push(`request to ${r.url()}`));
}

async function shoot(page, name, width) {
	await page.setViewportSize({ width, height: 900 });
	await page.waitForFunction(() => [...document.querySelectorAll(".chart")].every((c) => c.querySelector("canvas") && c.firstElementChild.offsetWidth <= c.offsetWidth + 1));
	const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
	assert.ok(wide <= 0, `${name} at ${width}: ${wide} pixels too wide`);
	await page.screenshot({ path: path.join(SHOTS, `${name}-${width}.png`), ...(name === "dashboard" && width > 1000 && { fullPage: true, clip: { x: 0, y: 0, width, height: 1750 } }) });
}

async function accessible(browser, address, colorScheme) {
	const context = await browser.newContext({ bypassCSP: true, colorScheme });
	const page = await context.newPage();
	await page.goto(address);
	await page.locator("#connection.live").waitFor();
	await page.addScriptTag({ path: axe });
	const { violations } = await page.evaluate(() => axe.run());
	assert.deepStrictEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" ")}`), [], `${address}, ${colorScheme}`);
	await context.close();
}

async function look(browser) {
	const bad = [];
	const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
	watch(page, bad);
	await page.goto(`${url}/_weir/`);
	await page.goto(home);
	await page.locator("#connection.live").waitFor();

	// The reader's test: who starved whom, when, and what to change.
	const starving = page.locator("#starving li", { hasText: "batch starved checkout" });
	await starving.waitFor();
	const text = (await starving.innerText()).replace(/\s+/g, " ");
	assert.match(text, /going on/);
	assert.match(text, /\d+ throttled, \d\d:\d\d:\d\d–\d\d:\d\d:\d\d UTC/);
	assert.match(text, /At worst batch held 120 of 120 unreserved/);
	assert.match(text, /reserve concurrency for checkout, up to 20; or cap batch, which held 120, by reserving up to 20 for it; or raise the account's limit/);
	console.log("starving:", text.replace(/^.*?To avoid/, "To avoid"));

	await page.waitForFunction((want) => [...document.querySelectorAll("svg.budget svg.part title")].map((e) => e.textContent).join() === want,
		"reserved for payments: 1 of 8 in use,provisioned for search: 0 of 4 in use,unreserved, in use by batch: 120 of 120 in use");

	// It follows: the count of throttles grows without a reload, and does not while paused.
	const count = async () => Number((await starving.locator("strong").first().innerText()).replace(/,/g, ""));
	const before = await count();
	await page.waitForFunction((n) => Number(document.querySelector("#starving strong").textContent.replace(/,/g, "")) > n, before);
	await page.waitForFunction(() => document.querySelectorAll("[data-chart=throttles] canvas").length === 1);
	await shoot(page, "dashboard", 1280);
	await shoot(page, "dashboard", 400);
	await page.setViewportSize({ width: 1280, height: 900 });
	await page.locator("#pause").press("Enter");
	assert.strictEqual(await page.locator("#pause").getAttribute("aria-pressed"), "true");
	await page.locator("#pause").press("Enter");

	// By keyboard: the first stop skips to the content.
	await page.goto(home);
	await page.keyboard.press("Tab");
	assert.strictEqual(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");

	// The advice leads to the control. What the API refuses is refused here, and said.
	await page.getByRole("link", { name: /^cap batch/ }).click();
	await page.waitForURL(/\/f\/batch#controls$/);
	await page.getByLabel("Concurrent executions").fill("21");
	await page.getByRole("button", { name: "Reserve", exact: true }).click();
	const alert = await page.getByRole("alert").innerText();
	assert.match(alert, /Not changed: .*below its minimum value of \[100\]/);
	console.log("refused:", alert);
	await page.getByRole("button", { name: "Stop batch" }).click();
	await page.getByText("Stopped: reserved concurrency is 0").waitFor();
	await page.getByText("Before: no reservation.").waitFor();
	await page.locator("#now .badge", { hasText: "stopped" }).waitFor();
	console.log("stopped: batch");
	await page.locator("#log pre", { hasText: "START RequestId" }).waitFor();
	await shoot(page, "function", 1280);
	await shoot(page, "function", 400);
	await page.getByRole("button", { name: "Remove" }).first().click();
	await page.getByText("The reservation is gone").waitFor();
	await page.getByText("Before: 0 reserved.").waitFor();
	console.log("released: batch");
	assert.deepStrictEqual(bad, []);

	for (const address of [home, `${home}/f/batch`]) {
		for (const scheme of ["light", "dark"]) await accessible(browser, address, scheme);
	}
	console.log("accessible");
}

(async () => {
	const browser = await chromium.launch({ executablePath: BROWSER, args: ["--no-sandbox", "--disable-gpu"] });
	try {
		await look(browser);
	} finally {
		await browser.close();
	}
})().catch((e) => {
	console.error(e);
	process.exit(1);
});
