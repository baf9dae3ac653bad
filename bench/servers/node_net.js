// Node's net module: one listener for each socket's data.
const net = require("net");
const reply = process.argv[2];

net
  .createServer({ noDelay: true }, (socket) => {
    socket.on("data", () => socket.write(reply));
    socket.on("error", () => socket.destroy());
  })
  .listen({ host: "127.0.0.1", port: 0, backlog: 4096 });
