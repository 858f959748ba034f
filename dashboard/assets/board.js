// Follows what happens: brings the parts of the page that are marked data-live up to date, and
// draws the charts. Without it the page is complete, but still.
const every = 1000; // ms between two looks
const span = 15 * 60; // seconds that the charts show at most
const shown = 6; // functions that a chart shows one by one

const main = document.getElementById("main");
const connection = document.getElementById("connection");
const pause = document.getElementById("pause");
let paused = false;

// morph makes an element like another one without replacing what is the same, so that focus,
// selection and open details stay.
function morph(old, next) {
	if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName) {
		old.replaceWith(next.cloneNode(true));
		return;
	}
	if (old.nodeType === Node.TEXT_NODE) {
		if (old.data !== next.data) old.data = next.data;
		return;
	}
	if (old.nodeType !== Node.ELEMENT_NODE) return;
	for (const { name } of [...old.attributes]) {
		if (!next.hasAttribute(name) && name !== "open") old.removeAttribute(name);
	}
	for (const { name, value } of next.attributes) {
		if (old.getAttribute(name) !== value && name !== "open") old.setAttribute(name, value);
	}
	const a = [...old.childNodes], b = [...next.childNodes];
	for (let i = 0; i < Math.max(a.length, b.length); i++) {
		if (i >= b.length) a[i].remove();
		else if (i >= a.length) old.append(b[i].cloneNode(true));
		else morph(a[i], b[i]);
	}
}

async function refreshPage() {
	const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
	if (answer.redirected || answer.status === 404) {
		location.reload(); // signed out, or the function is gone
		return;
	}
	if (!answer.ok) throw new Error(answer.statusText);
	const next = new DOMParser().parseFromString(await answer.text(), "text/html");
	for (const part of document.querySelectorAll("[data-live]")) {
		const other = next.getElementById(part.id);
		if (other) morph(part, other);
	}
}

// past holds the history: columns of samples, and of each function by name.
const past = { time: [], samples: [], functions: new Map() };

async function refreshHistory() {
	const last = past.time.length ? past.time[past.time.length - 1] : 0;
	const answer = await fetch(main.dataset.history + "?after=" + last);
	if (!answer.ok) throw new Error(answer.statusText);
	const { Samples, Functions } = await answer.json();
	const nothing = { Concurrency: 0, Invocations: 0, Errors: 0, Throttles: 0, Cold: 0 };
	for (const name of Object.keys(Functions)) {
		if (!past.functions.has(name)) past.functions.set(name, past.time.map(() => nothing));
	}
	Samples.forEach((s, i) => {
		past.time.push(s.Time);
		past.samples.push(s);
		for (const [name, list] of past.functions) list.push(Functions[name] ? Functions[name][i] : nothing);
	});
	const extra = past.time.length - span;
	if (extra > 0) {
		past.time.splice(0, extra);
		past.samples.splice(0, extra);
		for (const list of past.functions.values()) list.splice(0, extra);
	}
}

// top splits a figure of the functions into the largest ones and the rest, each stacked on
// those before it.
function top(key) {
	const all = [...past.functions].map(([name, list]) => ({ name, values: list.map((f) => f[key]) }))
		.map((f) => ({ ...f, max: Math.max(0, ...f.values) })).filter((f) => f.max > 0)
		.sort((a, b) => b.max - a.max || (a.name < b.name ? -1 : 1));
	const rows = all.slice(0, shown);
	if (all.length > shown) {
		const rest = all.slice(shown);
		rows.push({ name: rest.length + " others", values: past.time.map((_, i) => rest.reduce((n, f) => n + f.values[i], 0)) });
	}
	const sum = past.time.map(() => 0);
	for (const row of rows) {
		row.stacked = row.values.map((v, i) => (sum[i] += v));
	}
	return rows;
}

const only = (key) => {
	const list = past.functions.get(main.dataset.function);
	return past.time.map((_, i) => (list ? list[i][key] : 0));
};

const area = (name, values, color) => ({ name, values, stacked: values, color, fill: true });
const line = (name, values, color, dash) => ({ name, values, stacked: values, color, dash });

// charts say what each chart shows: rows from the bottom up.
const charts = {
	concurrency: () => [
		...top("Concurrency").map((r, i) => ({ ...r, color: "--c" + i, fill: true })),
		line("unreserved", past.samples.map((s) => s.Unreserved), "--limit", [6, 4]),
		line("limit", past.samples.map((s) => s.Limit), "--fg", [2, 3]),
	],
	throttles: () => top("Throttles").map((r, i) => ({ ...r, color: "--c" + i, fill: true })),
	cold: () => top("Cold").map((r, i) => ({ ...r, color: "--c" + i, fill: true })),
	async: () => [
		area("waiting", past.samples.map((s) => s.Queued), "--c1"),
		line("oldest, s", past.samples.map((s) => s.QueueAge), "--c0", [6, 4]),
	],
	function: () => {
		const rows = [area("running", only("Concurrency"), "--c0")];
		const reserved = Number(main.querySelector("[data-reserved]").dataset.reserved);
		if (reserved >= 0) rows.push(line("reserved", past.time.map(() => reserved), "--limit", [6, 4]));
		return rows;
	},
	"function-throttles": () => [area("throttles", only("Throttles"), "--c4")],
	"function-cold": () => [area("cold starts", only("Cold"), "--c1")],
};

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const clock = (time) => (time ? new Date(time * 1000).toISOString().slice(11, 19) : "–");
const utc = (time) => uPlot.tzDate(new Date(time * 1000), "Etc/UTC");

// limitOf is the upper end of a chart: a limit is shown once half of it is in use.
function limitOf(rows) {
	const most = (r) => Math.max(0, ...r.stacked);
	const used = Math.max(0, ...rows.filter((r) => r.fill || !/^(limit|unreserved|reserved)$/.test(r.name)).map(most));
	const limits = rows.filter((r) => !r.fill).map(most).filter((n) => n <= 2 * used);
	return Math.max(4, Math.ceil(1.1 * Math.max(used, ...limits)));
}

function draw(element) {
	const rows = charts[element.dataset.chart]();
	const names = rows.map((r) => r.name).join("\n");
	element.rows = rows;
	// The highest is drawn first, and those below it over it.
	const order = rows.map((_, i) => i).reverse();
	const data = [past.time, ...order.map((i) => rows[i].stacked)];
	if (element.plot && element.names === names) {
		element.plot.setData(data);
		return;
	}
	if (element.plot) element.plot.destroy();
	element.names = names;
	const axis = { stroke: color("--dim"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line"), width: 1 } };
	element.plot = new uPlot({
		width: element.clientWidth, height: 200, tzDate: utc,
		scales: {
			x: { range: (_, from, to) => [Math.min(from ?? 0, (to ?? 0) - 60), to ?? 1] },
			y: { range: () => [0, limitOf(element.rows)] },
		},
		axes: [{ ...axis, space: 80, values: (_, times) => times.map(clock) }, { ...axis, size: 46, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 100000, 1000000] }],
		series: [{ label: "UTC", value: (_, time) => clock(time ?? past.time[past.time.length - 1]) }, ...order.map((i) => ({
			label: rows[i].name, stroke: color(rows[i].color), width: 1.5, dash: rows[i].dash,
			fill: rows[i].fill ? color(rows[i].color) + (rows[i].stacked === rows[i].values ? "66" : "") : undefined,
			points: { show: false },
			value: (_, __, ___, at) => {
				const values = element.rows[i] && element.rows[i].values;
				return values && values.length ? values[at ?? values.length - 1] : "–";
			},
		}))],
		legend: { live: true },
	}, data, element);
}

const drawAll = () => document.querySelectorAll(".chart").forEach(draw);

function redraw() {
	for (const element of document.querySelectorAll(".chart")) element.names = undefined;
	drawAll();
}

function say(state, text) {
	connection.className = state;
	if (connection.textContent !== text) connection.textContent = text;
}

async function look() {
	if (!paused && !document.hidden) {
		try {
			await Promise.all([refreshPage(), refreshHistory()]);
			drawAll();
			if (!paused) say("live", "live");
		} catch {
			say("lost", "no answer");
		}
	}
	setTimeout(look, every);
}

if (main && main.dataset.history && connection) {
	pause.hidden = false;
	pause.addEventListener("click", () => {
		paused = !paused;
		pause.setAttribute("aria-pressed", paused);
		say(paused ? "" : "live", paused ? "paused" : "live");
	});
	document.querySelectorAll(".script-only").forEach((e) => (e.hidden = false));
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
	addEventListener("resize", () => document.querySelectorAll(".chart").forEach((e) => e.plot && e.plot.setSize({ width: e.clientWidth, height: 200 })));
	look();
}
