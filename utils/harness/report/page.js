"use strict";

let data = JSON.parse(document.getElementById("data").textContent);
const narrow = () => document.body.clientWidth < 600;

// The state machine, left to right, or top to bottom on a narrow screen.

const BOX = { width: 230, height: 108, gap: 56 };

function levels(stages) {
  const level = new Map(stages.map((stage) => [stage.name, 0]));
  stages.forEach(() =>
    stages.forEach((stage, from) =>
      stage.next.forEach((name) => {
        const to = stages.findIndex((other) => other.name === name);
        if (to > from) level.set(name, Math.max(level.get(name), level.get(stage.name) + 1));
      })));
  return level;
}

function places(stages, vertical) {
  const level = levels(stages);
  const taken = new Map();
  return new Map(stages.map((stage) => {
    const along = level.get(stage.name);
    const across = taken.get(along) ?? 0;
    taken.set(along, across + 1);
    const [main, side] = vertical ? [BOX.height + 36, BOX.width + 24] : [BOX.width + BOX.gap, BOX.height + 24];
    return [stage.name, vertical ? { x: 2 + across * side, y: 2 + along * main } : { x: 2 + along * main, y: 2 + across * side }];
  }));
}

function edgePath(from, to, vertical) {
  const link = vertical ? d3.linkVertical() : d3.linkHorizontal();
  return link(vertical
    ? { source: [from.x + BOX.width / 2, from.y + BOX.height], target: [to.x + BOX.width / 2, to.y - 8] }
    : { source: [from.x + BOX.width, from.y + BOX.height / 2], target: [to.x - 8, to.y + BOX.height / 2] });
}

function drawGraph() {
  const vertical = narrow();
  const at = places(data.stages, vertical);
  const width = 4 + d3.max(at.values(), (place) => place.x) + BOX.width;
  const height = 4 + d3.max(at.values(), (place) => place.y) + BOX.height;
  const svg = d3.select("#graph").html("").append("svg")
    .attr("viewBox", `0 0 ${width} ${height}`).attr("width", width);
  svg.append("marker").attr("id", "arrow").attr("viewBox", "0 0 8 8").attr("refX", 1).attr("refY", 4)
    .attr("markerWidth", 7).attr("markerHeight", 7).attr("orient", "auto")
    .append("path").attr("class", "arrow").attr("d", "M0 0 L8 4 L0 8 Z");
  const edges = data.stages.flatMap((stage) => stage.next.map((name) => [at.get(stage.name), at.get(name)]));
  svg.selectAll(".edge").data(edges).join("path").attr("class", "edge")
    .attr("marker-end", "url(#arrow)").attr("d", ([from, to]) => edgePath(from, to, vertical));
  svg.selectAll(".node").data(data.stages).join("g")
    .attr("class", (stage) => `node ${stage.outcome.replace(" ", "-")}`)
    .attr("transform", (stage) => `translate(${at.get(stage.name).x},${at.get(stage.name).y})`)
    .each(drawNode);
}

function drawNode(stage) {
  const node = d3.select(this);
  if (stage.kind === "Map") {
    node.append("rect").attr("class", "box").attr("x", 5).attr("y", 5)
      .attr("width", BOX.width - 2).attr("height", BOX.height - 2).attr("rx", 6);
  }
  const inset = stage.kind === "Map" ? 8 : 0;
  node.append("rect").attr("class", "box").attr("width", BOX.width - inset).attr("height", BOX.height - inset).attr("rx", 6);
  node.append("text").attr("class", "name").attr("x", 14).attr("y", 26).text(stage.name);
  node.append("text").attr("x", 14).attr("y", 48).text(`${stage.mark} ${stage.word}`);
  const more = [stage.took, stage.segments_word, stage.retries].filter(Boolean).join(" · ");
  node.append("text").attr("class", "more").attr("x", 14).attr("y", 69).text(more);
  drawCounts(node, stage, BOX.width - inset - 28);
}

function drawCounts(node, stage, width) {
  const total = d3.sum(Object.values(stage.counts));
  let x = 14;
  for (const [outcome, count] of Object.entries(stage.counts)) {
    const part = Math.max(3, (width * count) / total);
    node.append("rect").attr("class", `count ${outcome}`).attr("x", x).attr("y", 79).attr("height", 8).attr("width", part - 1);
    x += part;
  }
}

// A square for each segment, as large as all of them fit into their box.

function drawSquares() {
  const box = document.getElementById("squares");
  const fits = (side) => Math.floor(box.clientWidth / side) * Math.floor(box.clientHeight / side) >= data.segments.length;
  const side = d3.range(18, 1, -1).find(fits) ?? 1;
  const columns = Math.floor(box.clientWidth / side);
  const svg = d3.select(box).selectAll("svg").data([0]).join("svg").attr("width", "100%").attr("height", "100%");
  svg.selectAll("rect").data(data.segments).join("rect").attr("class", (each) => `square ${data.outcomes[each]}`)
    .attr("x", (_, n) => (n % columns) * side).attr("y", (_, n) => Math.floor(n / columns) * side)
    .attr("width", side > 3 ? side - 2 : side).attr("height", side > 3 ? side - 2 : side);
}

// The timeline: one row a stage or segment, one time axis for all.

const untouched = document.getElementById("detail").textContent;
const timeline = { rows: data.rows, picked: -1, transform: d3.zoomIdentity };

const ORDERS = {
  number: () => data.rows,
  start: () => d3.sort(data.rows, (row) => row.start),
  duration: () => d3.sort(data.rows, (row) => row.start - row.end),
  trouble: () => d3.sort(data.rows, (row) => ({ failed: 0, stopped: 1, running: 1, retried: 2 })[row.outcome] ?? 3),
};

const isSame = (row, other) => row.index === other?.index && row.label === other?.label;

function arrange() {
  const picked = timeline.rows[timeline.picked];
  timeline.rows = ORDERS[document.getElementById("order").value]();
  timeline.picked = timeline.rows.findIndex((row) => isSame(row, picked));
}

function drawTimeline() {
  const box = document.getElementById("timeline");
  const compact = document.getElementById("compact").checked;
  const stageLabels = d3.max(data.rows, (row) => (row.index === null ? row.label.length : 0)) ?? 0;
  const gutter = compact ? 8 : Math.min(150, 30 + 7.5 * stageLabels);
  Object.assign(timeline, { compact, gutter, height: compact ? 5 : 20, width: box.clientWidth });
  timeline.base = d3.scaleLinear([0, data.elapsed * 1.01 || 1], [gutter, timeline.width - 14]);
  const root = d3.select(box).html("");
  timeline.axis = root.append("svg").attr("class", "axis").attr("width", timeline.width).attr("height", 26)
    .append("g").attr("transform", "translate(0,22)");
  const svg = root.append("svg").attr("class", "bars").attr("width", timeline.width)
    .attr("height", timeline.rows.length * timeline.height + 4);
  svg.append("clipPath").attr("id", "plot").append("rect").attr("x", gutter - 1)
    .attr("width", timeline.width - gutter).attr("height", "100%");
  timeline.lines = svg.selectAll(".row").data(timeline.rows).join("g")
    .attr("class", "row").attr("transform", (_, n) => `translate(0,${n * timeline.height})`)
    .on("pointerenter click", (_, row) => pick(timeline.rows.indexOf(row)));
  timeline.lines.append("rect").attr("class", (_, n) => (n % 2 ? "band odd" : "band"))
    .attr("width", timeline.width).attr("height", timeline.height);
  if (!compact) drawLabels();
  timeline.parts = timeline.lines.append("g").attr("clip-path", "url(#plot)");
  svg.call(zoom).on("dblclick.zoom", null);
  svg.call(zoom.transform, timeline.transform);
  pick(timeline.picked);
}

function drawLabels() {
  timeline.lines.append("text").attr("x", timeline.gutter - 8).attr("y", 14.5).attr("text-anchor", "end")
    .attr("class", (row) => `${row.index === null ? "stage" : ""} ${row.outcome}`)
    .text((row) => (row.outcome === "succeeded" ? row.label : `${row.mark} ${row.label}`));
}

function drawParts(scale) {
  const [top, tall] = timeline.compact ? [1, 3] : [4, 12];
  timeline.parts.each(function (row) {
    const group = d3.select(this).html("");
    const bar = (kind, from, to, y, height) => {
      if (to <= from) return;
      group.append("rect").attr("class", kind).attr("x", scale(from)).attr("y", y)
        .attr("width", Math.max(1.5, scale(to) - scale(from))).attr("height", height);
    };
    bar("waiting", row.start, row.end, top + tall / 3, tall / 3);
    row.calls.forEach((call) => {
      bar("cold", call.cold, call.work, top, tall);
      bar(call.failed ? "bad" : "work", call.work, call.end, top, tall);
      if (call.failed && !timeline.compact) {
        group.append("path").attr("class", "cross")
          .attr("d", `M${(scale(call.work) + scale(call.end)) / 2 - 3} 7 l6 6 m0 -6 l-6 6`);
      }
    });
  });
}

const zoom = d3.zoom().scaleExtent([1, 2000])
  .filter((event) => (event.type === "wheel" ? event.ctrlKey || event.metaKey : !event.button))
  .on("zoom", (event) => {
    timeline.transform = event.transform;
    showTime();
  });

function showTime() {
  const { base, gutter, width } = timeline;
  zoom.translateExtent([[gutter, 0], [width - 14, 0]]).extent([[gutter, 0], [width - 14, 1]]);
  const scale = timeline.transform.rescaleX(base);
  timeline.axis.call(d3.axisTop(scale).ticks(Math.max(3, width / 110)).tickFormat((value) => `${+value.toFixed(6)} s`).tickSizeOuter(0));
  drawParts(scale);
}

function pick(place) {
  timeline.picked = place;
  timeline.lines.classed("picked", (_, n) => n === place);
  document.getElementById("detail").textContent = timeline.rows[place]?.detail ?? untouched;
}

function step(by) {
  const place = Math.min(timeline.rows.length - 1, Math.max(0, timeline.picked + by));
  pick(place);
  const box = document.getElementById("timeline");
  const top = place * timeline.height;
  if (top < box.scrollTop) box.scrollTop = top;
  if (top + timeline.height + 30 > box.scrollTop + box.clientHeight) box.scrollTop = top + timeline.height + 30 - box.clientHeight;
}

const bars = () => d3.select("#timeline .bars");

function zoomBy(factor) {
  const row = timeline.rows[timeline.picked];
  const calls = row?.calls.at(-1);
  const around = calls && timeline.transform.applyX(timeline.base((calls.work + calls.end) / 2));
  const shown = around >= timeline.gutter && around <= timeline.width;
  bars().call(zoom.scaleBy, factor, shown ? [around, 0] : undefined);
}

// The charts of a summary: for each column of numbers in its table one, with an axis of its own.

const CHART = { height: 190, top: 32, bottom: 24, row: 18 };
const CHARTS = { column: drawUpright, line: drawUpright, bar: drawBars, pie: drawPie };

function drawCharts(box) {
  const table = box.parentElement.querySelector("table");
  const rows = [...table.tBodies[0].rows].map((row) => [...row.cells]);
  const labels = rows.map((cells) => cells.slice(0, box.dataset.keys).map((cell) => cell.textContent).join(" / "));
  const heads = [...table.tHead.rows[0].cells].filter((head) => head.className === "n");
  const kind = box.dataset.chart;
  box.replaceChildren();
  d3.select(box).selectAll("svg").data(kind === "pie" ? heads.slice(0, 1) : heads).join("svg")
    .attr("class", "chart").attr("width", "100%").attr("height", CHART.height)
    .each(function (head) {
      const points = rows.map((cells, n) => ({ n, label: labels[n], figure: cells[head.cellIndex].querySelector("data") }))
        .filter((point) => point.figure).map((point) => ({ ...point, value: +point.figure.value }));
      const svg = d3.select(this), width = this.clientWidth;
      svg.append("text").attr("class", "title").attr("y", 14).text(short(head.textContent, width));
      CHARTS[kind](svg, width, points, labels);
    });
}

// About as wide as it is drawn; a kanji is as wide as two letters.
const textWidth = (text) => d3.sum(text, (character) => (character > "\u2e7f" ? 13 : 7));

function short(text, width) {
  if (textWidth(text) <= width) return text;
  const cut = [...text];
  while (cut.length && textWidth(cut) > width - 13) cut.pop();
  return `${cut.join("")}…`;
}

const range = (points) => d3.extent([0, ...points.map((point) => point.value)]);

function titled(marks, shown = (point) => point.figure.textContent) {
  marks.attr("class", "mark").append("title").text((point) => `${point.label}: ${shown(point)}`);
}

function drawUpright(svg, width, points, labels) {
  const { height, top, bottom } = CHART;
  const y = d3.scaleLinear(range(points), [height - bottom, top]).nice(4);
  const axis = svg.append("g").call(d3.axisLeft(y).ticks(4).tickSizeOuter(0));
  const left = Math.ceil(axis.node().getBBox().width) + 2;
  axis.attr("transform", `translate(${left},0)`);
  const x = d3.scaleBand(d3.range(labels.length), [left, width]).padding(0.2);
  const middle = (n) => x(n) + x.bandwidth() / 2;
  const named = labels.map((label) => short(label, 90));
  const every = Math.ceil((d3.max(named, textWidth) + 6) / x.step());
  // One in `every`; the last one only if it need not be moved into the one before.
  const shown = d3.range(0, named.length, every).filter((n) => !n || middle(n) + textWidth(named[n]) / 2 < width + 6);
  svg.append("g").selectAll("text").data(shown).join("text").attr("y", height - 7).attr("text-anchor", "middle")
    .attr("x", (n) => Math.max(textWidth(named[n]) / 2, Math.min(width - textWidth(named[n]) / 2, middle(n)))).text((n) => named[n]);
  svg.append("line").attr("class", "zero").attr("x1", left).attr("x2", width).attr("y1", y(0)).attr("y2", y(0));
  const marks = svg.append("g").selectAll("*").data(points);
  if (svg.node().parentElement.dataset.chart === "line") {
    svg.append("path").attr("class", "line").attr("d", d3.line((point) => middle(point.n), (point) => y(point.value))(points));
    titled(marks.join("circle").attr("r", Math.min(3, x.step() / 2)).attr("cx", (point) => middle(point.n)).attr("cy", (point) => y(point.value)));
  } else {
    titled(marks.join("rect").attr("x", (point) => x(point.n)).attr("width", x.bandwidth())
      .attr("y", (point) => y(Math.max(0, point.value))).attr("height", (point) => Math.abs(y(point.value) - y(0))));
  }
}

function drawBars(svg, width, points, labels) {
  const { top, row } = CHART;
  const named = labels.map((label) => short(label, width / 3));
  const left = d3.max(named, textWidth) + 8;
  const right = d3.max(points, (point) => textWidth(point.figure.textContent)) + 8;
  const x = d3.scaleLinear(range(points), [left, width - right]);
  const middle = (n) => top - 4 + n * row + row / 2;
  svg.attr("height", top + row * labels.length);
  svg.append("g").selectAll("text").data(named).join("text").attr("x", left - 6).attr("y", (_, n) => middle(n) + 4)
    .attr("text-anchor", "end").text((label) => label);
  titled(svg.append("g").selectAll("rect").data(points).join("rect").attr("x", (point) => x(Math.min(0, point.value)))
    .attr("width", (point) => Math.abs(x(point.value) - x(0))).attr("y", (point) => middle(point.n) - 6).attr("height", 12));
  svg.append("g").selectAll("text").data(points).join("text").attr("x", (point) => x(Math.max(0, point.value)) + 4)
    .attr("y", (point) => middle(point.n) + 4).text((point) => point.figure.textContent);
}

// Excel takes the size of a number, whatever its sign; so does this.
function drawPie(svg, width, points) {
  const { height, top, row } = CHART;
  const radius = (height - top) / 2;
  const shade = (n) => 1 - (0.85 * n) / points.length;
  const sum = d3.sum(points, (point) => Math.abs(point.value)) || 1;
  const share = (point) => `${point.figure.textContent} (${d3.format(".1%")(Math.abs(point.value) / sum)})`;
  const arcs = d3.pie().sort(null).value((point) => Math.abs(point.value))(points);
  titled(svg.append("g").attr("transform", `translate(${radius},${top - 6 + radius})`).selectAll("path").data(points).join("path")
    .attr("d", (_, n) => d3.arc()({ innerRadius: 0, outerRadius: radius, ...arcs[n] }))
    .attr("fill-opacity", (_, n) => shade(n)), share);
  const legend = svg.append("g").attr("transform", `translate(${2 * radius + 20},${top - 6})`).selectAll("g")
    .data(points.slice(0, Math.floor((2 * radius) / row))).join("g").attr("transform", (_, n) => `translate(0,${n * row})`);
  legend.append("rect").attr("class", "swatch").attr("width", 11).attr("height", 11).attr("fill-opacity", (_, n) => shade(n));
  legend.append("text").attr("x", 17).attr("y", 10).text((point) => short(`${point.label}: ${share(point)}`, width - 2 * radius - 40));
}

const ACTIONS = {
  "+": () => zoomBy(1.5),
  "=": () => zoomBy(1.5),
  "-": () => zoomBy(1 / 1.5),
  "0": () => bars().call(zoom.transform, d3.zoomIdentity),
  ArrowLeft: () => bars().call(zoom.translateBy, 80 / timeline.transform.k, 0),
  ArrowRight: () => bars().call(zoom.translateBy, -80 / timeline.transform.k, 0),
  ArrowUp: () => step(-1),
  ArrowDown: () => step(1),
};

function listen() {
  document.getElementById("zoom-in").onclick = ACTIONS["+"];
  document.getElementById("zoom-out").onclick = ACTIONS["-"];
  document.getElementById("zoom-reset").onclick = ACTIONS["0"];
  document.getElementById("compact").onchange = drawTimeline;
  document.getElementById("order").onchange = () => {
    arrange();
    drawTimeline();
  };
  document.getElementById("timeline").addEventListener("keydown", (event) => {
    const action = ACTIONS[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });
}

function draw() {
  drawGraph();
  drawSquares();
  drawTimeline();
  document.querySelectorAll(".charts").forEach(drawCharts);
}

// Other data of the same execution, as it goes on; whoever drags the timeline is not disturbed.
function show(next) {
  data = next;
  if (document.querySelector("#timeline:active")) return;
  const { scrollTop } = document.getElementById("timeline");
  arrange();
  draw();
  document.getElementById("timeline").scrollTop = scrollTop;
}

listen();
let shownWidth = 0;
new ResizeObserver(() => {
  const width = document.body.clientWidth;
  if (!width || width === shownWidth) return;
  shownWidth = width;
  draw();
}).observe(document.body);
