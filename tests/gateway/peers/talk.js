// A WebSocket server that repeats, and a client that checks.
const { WebSocket, WebSocketServer } = require("ws");
const [what, port] = process.argv.slice(2);

if (what === "serve") {
  const server = new WebSocketServer({ host: "127.0.0.1", port: Number(port) });
  server.on("connection", (socket) =>
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })),
  );
} else {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/talk`);
  const large = Buffer.alloc(1 << 20, "ab");
  let texts = 0;
  let same = 0;
  socket.on("open", () => {
    for (let n = 0; n < 1000; n++) socket.send(`message ${n}`);
    socket.send(large);
  });
  socket.on("message", (data, isBinary) => {
    if (!isBinary) {
      if (data.toString() === `message ${texts}`) texts++;
      return;
    }
    same = data.equals(large) ? data.length : 0;
    socket.close(1000);
  });
  socket.on("close", (code) => console.log(`text ${texts} binary ${same} closed ${code}`));
}
