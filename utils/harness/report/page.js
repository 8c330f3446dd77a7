"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
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

// The timeline: one row a stage or segment, one time axis for all.

const timeline = { rows: data.rows, picked: -1, transform: d3.zoomIdentity };

const ORDERS = {
  number: () => data.rows,
  start: () => d3.sort(data.rows, (row) => row.start),
  duration: () => d3.sort(data.rows, (row) => row.start - row.end),
  trouble: () => d3.sort(data.rows, (row) => ({ failed: 0, stopped: 1, running: 1, retried: 2 })[row.outcome] ?? 3),
};

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
  document.getElementById("detail").textContent = timeline.rows[place]?.detail ?? data.words.pick;
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
  document.getElementById("order").onchange = (event) => {
    const picked = timeline.rows[timeline.picked];
    timeline.rows = ORDERS[event.target.value]();
    timeline.picked = timeline.rows.indexOf(picked);
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
  drawTimeline();
}

listen();
let shownWidth = 0;
new ResizeObserver(() => {
  const width = document.body.clientWidth;
  if (!width || width === shownWidth) return;
  shownWidth = width;
  draw();
}).observe(document.body);
