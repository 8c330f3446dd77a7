"use strict";

// Tables that are dropped or chosen: checked by their beginning, sent one after another, started.

const HEAD_BYTES = 64 * 1024;
const form = place("drop");

async function ask(path, body) {
  const answer = await fetch(path, { method: "POST", body }).catch(() => null);
  if (!answer) throw new Error(place("lost").textContent);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

// fetch tells nothing of how far an upload is.
function send(path, file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.upload.onprogress = (event) => (progress.value = event.loaded);
    request.onload = () => (request.status === 201 ? resolve() : reject(new Error(request.responseText)));
    request.onerror = () => reject(new Error(place("lost").textContent));
    request.open("POST", path);
    request.send(file);
  });
}

async function begin(file, key, line) {
  const progress = line.querySelector("progress");
  const [etl, rejects, encoding] = ["etl", "rejects", "encoding"].map((id) => place(id).value);
  const query = new URLSearchParams({ key, size: file.size, encoding });
  const asks = await ask(`/check?${query}`, file.slice(0, HEAD_BYTES));
  if (asks.length && !confirm(`${key}\n${asks.join("\n")}`)) return line.remove();
  const replace = asks[0]?.startsWith("s3://") ? { replace: "1" } : {}; // what is asked first names the object
  await send(`/objects?${new URLSearchParams({ key, ...replace })}`, file, progress);
  return ask("/executions", JSON.stringify({ input_obj: key, etl, rejects, encoding }));
}

async function take_all(files) {
  const started = [];
  for (const [key, file] of files) {
    const line = document.createElement("li");
    const progress = document.createElement("progress");
    progress.max = file.size || 1;
    progress.setAttribute("aria-label", key);
    line.append(`${key} `, progress);
    place("sent").append(line);
    try {
      const address = await begin(file, key, line);
      if (address) started.push(address);
    } catch (error) {
      line.className = "bad";
      line.replaceChildren(error.message.startsWith(key) ? error.message : `${key}: ${error.message}`);
    }
  }
  if (files.length === 1 && started.length) location.href = started[0];
}

// A file by its name, one of a folder by its path there.
async function found_in(entry) {
  if (entry.isFile) return [[entry.fullPath.slice(1), await new Promise((resolve, reject) => entry.file(resolve, reject))]];
  const reader = entry.createReader(), all = [];
  for (let some; (some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))).length; ) all.push(...some);
  return (await Promise.all(all.map(found_in))).flat();
}

for (const id of ["files", "folder"]) {
  place(id).onchange = (event) => {
    const files = [...event.target.files].map((file) => [file.webkitRelativePath || file.name, file]);
    event.target.value = "";
    take_all(files);
  };
}
addEventListener("dragover", (event) => {
  event.preventDefault();
  form.classList.add("over");
});
addEventListener("dragleave", () => form.classList.remove("over"));
addEventListener("drop", async (event) => {
  event.preventDefault();
  form.classList.remove("over");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  const files = [...event.dataTransfer.files].map((file) => [file.name, file]);
  take_all(entries.length ? (await Promise.all(entries.map(found_in))).flat() : files);
});
