/* What only the browser can do: uploads, downloads, keys, the user's colour scheme. */
window.elasticHyperReg = (() => {
  const here = new URL(".", window.location.href);
  const page = new URL("index.html", here);
  const DOWNLOADED = `downloaded ${here.pathname}`;

  async function upload(role, event) {
    const file = event.target.files[0];
    event.target.value = "";
    if (!file) return;
    await trame.trigger("uploading", [role]);
    try {
      const answer = await fetch(new URL(`upload/${role}`, here), {
        method: "POST",
        body: file,
        headers: { "X-File-Name": encodeURIComponent(file.name) },
      });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}: ${await answer.text()}`);
    } catch (error) {
      await trame.trigger("upload_failed", [role, String(error)]);
    }
  }

  function download(what) {
    if (!what || String(what.number) === sessionStorage.getItem(DOWNLOADED)) return;
    sessionStorage.setItem(DOWNLOADED, what.number);
    const link = document.createElement("a");
    link.href = new URL(`result.zip?${what.number}`, here);
    link.download = what.name;
    link.click();
  }

  // A letter is the one printed on the key, which keyboards place differently; where they have
  // other letters, and for digits, it is the place that counts.
  function nameOf({ key, code, ctrlKey, shiftKey }) {
    if (key === HELP) return HELP;
    const letter = /^[a-z]$/i.test(key) ? `Key${key.toUpperCase()}` : code;
    return (ctrlKey ? "ctrl+" : "") + (shiftKey ? "shift+" : "") + letter;
  }

  function onKey(event) {
    const field = event.target.closest?.("input:not([type=range]), textarea, [role=listbox]");
    if ((field && field.type !== "checkbox") || event.altKey || event.metaKey) return;
    const name = nameOf(event);
    if (!KEYS.has(name) || (name !== HELP && document.querySelector(OVERLAY))) return;
    event.preventDefault();
    if (!event.repeat || REPEATED.test(name)) trame.trigger("key", [name]);
  }

  // The front knows why the connection ended: at this tab's address it gives the session back, or
  // says what became of it. It sends elsewhere whoever asks for what another tab has.
  async function lost() {
    for (let pause = FIRST_MS; ; pause = Math.min(2 * pause, MOST_MS)) {
      await new Promise((later) => setTimeout(later, pause));
      const answer = await fetch(page, { method: "HEAD", redirect: "manual" }).catch(() => null);
      if (answer?.type === "opaqueredirect") return show(TAKEN);
      if (answer && answer.status < 500) return window.location.replace(page);
      show(UNREACHABLE);
    }
  }

  function show(text) {
    document.body.innerHTML =
      "<main style='margin: 30vh auto; max-width: 30em; text-align: center; color: CanvasText'>" +
      `${text}</main>`;
  }

  const FIRST_MS = 500;
  const MOST_MS = 15000;
  const UNREACHABLE =
    "<h2>The server was stopped, or cannot be reached</h2>" +
    "<p>Trying again; the session is kept for a while. If the server was stopped, start it again " +
    "and open the address that it prints.</p>";
  const TAKEN =
    "<h2>This session is open in another tab</h2>" +
    `<p>Close it there and <a href="${page}">come back</a>, or <a href="/">start a new one</a>.</p>`;
  const HELP = "?";
  const OVERLAY = ".v-overlay--active:not(.v-snackbar)";
  const KEYS = new Set([
    ..."123456".split("").flatMap((n) => [`Digit${n}`, `shift+Digit${n}`]),
    ..."JGKQWASZXEODT".split("").map((letter) => `Key${letter}`),
    "ctrl+KeyZ", "ctrl+KeyY", "ctrl+shift+KeyZ", "Escape", HELP,
  ]);

  // A key that is held steps through slices and through what was done; nothing else twice.
  const REPEATED = /^(Key[QWASZX]$|ctrl)/;

  // Before the page's own: Escape closes a dialog there, which would then seem to have been none.
  window.addEventListener("keydown", onKey, true);
  trame.client.onConnectionClose(lost);
  if (matchMedia("(prefers-color-scheme: light)").matches) trame.state.set("theme", "light");
  return { upload, download };
})();
