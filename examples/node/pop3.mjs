// The client under test: it reads the number of messages of a POP3 mailbox.

import net from "node:net";

export async function countMessages(port, { user, password, timeout = 2000 }) {
  const socket = net.connect(port, "127.0.0.1");
  socket.setTimeout(timeout, () => socket.destroy(new Error("the server does not answer")));
  const lines = linesOf(socket);
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error("the server has closed the connection");
    if (!value.startsWith("+OK")) throw new Error(`the server refuses: ${value}`);
    return value;
  };
  const ask = (request) => {
    socket.write(`${request}\r\n`);
    return next();
  };
  try {
    await next();
    await ask(`USER ${user}`);
    await ask(`PASS ${password}`);
    const [, count] = (await ask("STAT")).split(" ");
    await ask("QUIT");
    return Number(count);
  } finally {
    socket.destroy();
  }
}

async function* linesOf(socket) {
  let rest = "";
  for await (const data of socket) {
    const lines = (rest + data.toString("latin1")).split("\r\n");
    rest = lines.pop();
    yield* lines;
  }
}
