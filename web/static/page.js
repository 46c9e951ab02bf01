/* What only the browser can do: uploads, downloads, keys, the user's colour scheme. */
window.elasticHyperReg = (() => {
  const here = new URL(".", window.location.href);
  let downloaded = 0;

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
    if (!what || what.number === downloaded) return;
    downloaded = what.number;
    const link = document.createElement("a");
    link.href = new URL(`result.zip?${what.number}`, here);
    link.download = what.name;
    link.click();
  }

  function onKey(event) {
    const field = event.target.closest?.("input:not([type=range]), textarea, [role=listbox]");
    if ((field && field.type !== "checkbox") || event.altKey || event.metaKey) return;
    const name = (event.ctrlKey ? "ctrl+" : "") + (event.shiftKey ? "shift+" : "") + event.code;
    if (!KEYS.has(name)) return;
    event.preventDefault();
    trame.trigger("key", [name]);
  }

  // The front knows why the connection ended, and says so at this tab's address.
  async function lost() {
    await new Promise((later) => setTimeout(later, LOOK_AGAIN_MS));
    try {
      await fetch(here, { method: "HEAD" });
      window.location.replace(here);
    } catch {
      document.body.innerHTML = STOPPED;
    }
  }

  const LOOK_AGAIN_MS = 500;
  const STOPPED =
    "<main style='margin: 30vh auto; max-width: 30em; text-align: center; color: CanvasText'>" +
    "<h2>The server was stopped, or cannot be reached</h2>" +
    "<p>Start it again, then open the address that it prints.</p></main>";
  const KEYS = new Set([
    ..."123456".split("").flatMap((n) => [`Digit${n}`, `shift+Digit${n}`]),
    ..."JGKQWASZXEODT".split("").map((letter) => `Key${letter}`),
    "ctrl+KeyZ", "ctrl+KeyY", "ctrl+shift+KeyZ", "Escape", "shift+Slash", "shift+Minus",
  ]);

  window.addEventListener("keydown", onKey);
  trame.client.onConnectionClose(lost);
  if (matchMedia("(prefers-color-scheme: light)").matches) trame.state.set("theme", "light");
  return { upload, download };
})();
