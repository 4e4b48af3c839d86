// The console works without this script. It shows times in the reader's zone, says when a page is out of date, and asks before a form
// that cannot be undone is sent.
"use strict";

for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.getTime())) {
    time.title = time.textContent.trim();
    time.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  }
}

for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!window.confirm(form.dataset.confirm)) event.preventDefault();
  });
}

const live = document.querySelector("[data-events]");
if (live && "EventSource" in window) {
  const source = new EventSource(live.dataset.events);
  const tell = () => {
    live.hidden = false;
  };
  source.addEventListener("changed", tell);
  source.addEventListener("record", (event) => {
    if (Number(event.lastEventId) > Number(live.dataset.seen || 0)) tell();
  });
  window.addEventListener("pagehide", () => source.close());
}
