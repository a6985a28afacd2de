// Live numbers: a small poller that pauses in hidden tabs and backs off; keys between cases. State changes only by POST.
"use strict";
(() => {
  const poll = (url, show, seconds) => {
    let wait = seconds;
    const step = async () => {
      if (!document.hidden) {
        try {
          const answer = await fetch(url, { headers: { Accept: "application/json" } });
          if (!answer.ok) throw new Error(String(answer.status));
          wait = seconds;
          if (show(await answer.json()) === false) return;
        } catch { wait = Math.min(wait * 2, 60); }
      }
      setTimeout(step, wait * 1000);
    };
    setTimeout(step, wait * 1000);
  };
  const setText = (node, text) => { if (node && node.textContent !== String(text)) node.textContent = text; };

  // A click anywhere on a row opens what its first cells name; links, boxes and marked text stay what they are.
  for (const row of document.querySelectorAll("table.rows tbody tr")) {
    const link = row.cells[0]?.querySelector("a") ?? row.cells[1]?.querySelector("a");
    if (!link) continue;
    row.classList.add("opens");
    row.addEventListener("click", (event) => {
      if (!event.target.closest("a, button, input, select, label, summary") && !String(getSelection())) link.click();
    });
  }

  // On a phone rows become cards: each cell then names its column.
  for (const table of document.querySelectorAll("table.rows")) {
    const heads = [...table.querySelectorAll("thead th")].map((th) => th.textContent.trim());
    for (const row of table.tBodies[0]?.rows ?? []) [...row.cells].forEach((cell, n) => { cell.dataset.label ??= heads[n] ?? ""; });
  }

  // Menus close as menus do: by Escape, by a click elsewhere, by leaving them.
  const menus = [...document.querySelectorAll("details.menu")];
  document.addEventListener("click", (event) => { for (const menu of menus) if (!menu.contains(event.target)) menu.open = false; });
  for (const menu of menus) {
    menu.addEventListener("focusout", (event) => { if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false; });
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  }

  for (const field of document.querySelectorAll("[data-select]")) field.addEventListener("focus", () => field.select());

  const board = document.querySelector("[data-live]");
  if (board) poll(board.dataset.live, (now) => {
    for (const node of document.querySelectorAll("[data-case]")) setText(node, now.cases[node.dataset.case] ?? 0);
    for (const one of now.passes) {
      const card = document.querySelector(`[data-pass="${CSS.escape(one.name)}"]`);
      if (!card) continue;
      const chip = card.querySelector("[data-word]");
      if (chip) { setText(chip, one.word); chip.className = `chip ${one.word}`; }
      if (one.seen !== null) setText(card.querySelector("[data-seen]"), `run ${one.run}: ${one.seen.toLocaleString("en-GB")} seen`);
    }
  }, 3);

  const run = document.querySelector("[data-progress]");
  if (run) poll(run.dataset.progress, (now) => {
    setText(run.querySelector("[data-seen]"), now.seen.toLocaleString("en-GB"));
    const parts = ["created", "updated", "unchanged", "duplicates", "failed", "held"].filter((name) => now[name]);
    setText(run.querySelector("[data-counts]"), now.words ?? parts.map((name) => `${now[name].toLocaleString("en-GB")} ${name}`).join(", "));
    const bar = run.querySelector("progress");
    if (bar && now.total) { bar.max = now.total; bar.value = Math.min(now.seen, now.total); }
    if (now.is_running) return true;
    location.reload();
    return false;
  }, 1);

  const seat = document.querySelector("[data-here]");
  if (seat) {
    const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
    const sit = async () => {
      if (document.hidden) return;
      try {
        const answer = await fetch(seat.dataset.here, { method: "POST", headers: { "X-CSRFToken": token } });
        const { other } = await answer.json();
        seat.hidden = !other;
        setText(seat, other ? `${other} has this case open just now.` : "");
      } catch { /* the next look tells */ }
    };
    sit();
    setInterval(sit, 30000);
  }

  document.querySelectorAll("[data-copy]").forEach((button) => {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
      setText(button, "Copied");
    });
  });

  // How many records a view holds, told as it is chosen.
  for (const choice of document.querySelectorAll("[data-count]")) {
    const said = choice.form.querySelector("[data-counted]");
    const count = async () => {
      const view = choice.value;
      setText(said, "Counting…");
      try {
        const { words } = await (await fetch(`${choice.dataset.count}?view=${encodeURIComponent(view)}`)).json();
        if (choice.value === view) setText(said, words);
      } catch { setText(said, ""); }
    };
    choice.addEventListener("change", count);
    count();
  }

  // Lines that a form takes as many of as are filled in: one more, empty, below the last.
  document.querySelectorAll("[data-another]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => {
      const line = button.previousElementSibling.cloneNode(true);
      line.querySelectorAll("input").forEach((field) => { field.value = ""; });
      line.querySelectorAll("select").forEach((choice) => { choice.selectedIndex = 0; });
      button.before(line);
      line.querySelector("input").focus();
    });
  });

  // Lists whose order people set: by drag, or with Alt and an arrow key on the chosen line. Each change is saved at once.
  document.querySelectorAll("[data-ordered]").forEach((list) => {
    const lines = () => [...list.children];
    const save = (line) => {
      const form = document.createElement("form");
      form.method = "post";
      form.action = list.dataset.ordered;
      const add = (name, value) => {
        const field = document.createElement("input");
        field.type = "hidden"; field.name = name; field.value = value;
        form.append(field);
      };
      add("csrfmiddlewaretoken", document.querySelector("[name=csrfmiddlewaretoken]").value);
      add("back", location.pathname);
      add("moved", line.dataset.key);  // the page that answers puts the focus on it
      lines().forEach((one) => add("order", one.dataset.key));
      document.body.append(form);
      form.submit();
    };
    const before = () => lines().map((line) => line.dataset.key).join();
    let moved = null, order = "";
    lines().forEach((line) => {
      const head = line.querySelector(".ordered-head");
      head.draggable = true;
      head.addEventListener("dragstart", (event) => { moved = line; order = before(); event.dataTransfer.effectAllowed = "move"; });
      line.addEventListener("dragover", (event) => {
        if (!moved || moved === line) return;
        event.preventDefault();
        const box = line.getBoundingClientRect();
        list.insertBefore(moved, event.clientY < box.top + box.height / 2 ? line : line.nextSibling);
      });
      head.addEventListener("dragend", () => { const is_new = before() !== order; moved = null; if (is_new) save(line); });
      line.addEventListener("keydown", (event) => {
        if (event.target !== line || !event.altKey || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
        event.preventDefault();
        const other = event.key === "ArrowUp" ? line.previousElementSibling : line.nextElementSibling?.nextElementSibling;
        if (event.key === "ArrowUp" ? !line.previousElementSibling : !line.nextElementSibling) return;
        list.insertBefore(line, other ?? null);
        save(line);
      });
    });
  });

  document.querySelectorAll("[data-choose-all]").forEach((all) => {
    const boxes = () => [...all.closest("table").querySelectorAll("tbody input[type=checkbox]:not(:disabled)")];
    const show = () => { const n = boxes().filter((it) => it.checked).length; all.checked = n > 0 && n === boxes().length; all.indeterminate = n > 0 && !all.checked; };
    all.hidden = false;
    all.addEventListener("change", () => boxes().forEach((it) => { it.checked = all.checked; }));
    all.closest("table").addEventListener("change", show);
    show();
  });

  const keys = document.querySelector("[data-keys]");
  if (keys) document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=radio]), select, textarea")) return;
    const go = { j: keys.dataset.next, k: keys.dataset.previous }[event.key];
    if (go) location.assign(go);
    if (event.key === "?") { document.getElementById("keys")?.scrollIntoView(); }
    const group = event.target.closest("[data-choices]") || document.querySelector("[data-choices]") || document;
    const choice = group.querySelector(`[data-choice="${CSS.escape(event.key)}"]`);
    const typed = choice?.value === "typed" && choice.closest("tr").querySelector('input[name^="value-"]');
    if (typed) { event.preventDefault(); choice.click(); typed.focus(); }
    else if (choice?.type === "radio") { choice.click(); choice.focus(); }
    else if (choice) { choice.open = true; choice.querySelector("button").focus(); }
  });
})();
