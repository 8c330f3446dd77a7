"use strict";

// What keeps a page alive: news while it is seen; a server that is lost is asked until it is back.

const place = (id) => document.getElementById(id);
let stream;

function connect() {
  stream?.close();
  if (document.hidden || !document.body.dataset.events) return;
  stream = new EventSource(document.body.dataset.events);
  stream.onopen = () => lose(false);
  stream.onmessage = (event) => take(JSON.parse(event.data));
  stream.onerror = () => {
    lose(true);
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 1000);
  };
}

function lose(lost) {
  place("lost").hidden = !lost;
}

// The reader's place is kept: what is replaced may hold the focus.
function replacing(change) {
  const focused = document.activeElement?.id;
  change();
  if (focused && focused !== document.activeElement?.id) place(focused)?.focus();
}

function fill(id, html) {
  if (place(id).innerHTML !== html) replacing(() => (place(id).innerHTML = html));
}

const take = place("rows") ? (rows) => fill("rows", rows) : takeExecution;

function takeExecution(news) {
  for (const [id, html] of Object.entries(news.parts)) fill(id, html);
  place("status").className = `status ${news.outcome}`;
  if (place("said").textContent !== news.word) place("said").textContent = news.word;
  const rows = data.rows.slice(0, news.count);
  for (const [n, row] of news.rows) rows[n] = row;
  show({ ...news, rows });
  if (news.ended) end();
}

// What only the end tells, and the log, is read once, as the page of an execution that has ended.
async function end() {
  stream.close();
  delete document.body.dataset.events;
  try {
    const answer = await fetch(location.href);
    const whole = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!answer.ok) throw new Error(answer.status);
    replacing(() => {
      for (const part of ["title", "header", "main", "footer", "#data"]) document.querySelector(part).replaceWith(whole.querySelector(part));
    });
    lose(false);
    listen();
    show(JSON.parse(place("data").textContent));
  } catch {
    lose(true);
    setTimeout(end, 1000);
  }
}

addEventListener("pageshow", connect);
document.addEventListener("visibilitychange", connect);
