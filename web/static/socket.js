/* Loaded before trame's client, which asks for every message as a blob. The bytes of a blob lie in
   another process of the browser, and are fetched from there in four steps, for each picture. */
(() => {
  const own = Object.getOwnPropertyDescriptor(WebSocket.prototype, "binaryType");
  Object.defineProperty(WebSocket.prototype, "binaryType", {
    ...own,
    set() {
      own.set.call(this, "arraybuffer");
    },
  });
  // What the client calls on a part of a message.
  ArrayBuffer.prototype.arrayBuffer ??= async function () {
    return this;
  };
})();
