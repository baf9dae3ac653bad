// node --test examples/node

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";

import { countMessages } from "./pop3.mjs";
import { start } from "./reqresp.mjs";

const ann = { user: "ann", password: "secret" };
let server;

before(async () => {
  server = await start(`--script=${fileURLToPath(new URL("pop3.toml", import.meta.url))}`);
});
after(() => server.stop());
beforeEach(() => server.reset());

test("the messages are counted", async () => {
  await server.expectNext({ equals: "USER ann", reply: "+OK" });
  await server.expectNext({ equals: "PASS secret", reply: "+OK" });
  await server.expectNext({ equals: "STAT", reply: "+OK 2 320" });
  await server.expectNext({ equals: "QUIT", reply: "+OK", close: true });
  assert.equal(await countMessages(server.port, ann), 2);
  await server.verify();
});

test("a wrong password is reported", async () => {
  await server.on({ starts_with: "PASS", reply: "-ERR wrong password" });
  await assert.rejects(countMessages(server.port, ann), /refuses: -ERR wrong password/);
  const [, pass] = await server.requests();
  assert.equal(pass.data, "PASS secret");
});

test("a silent server is given up", async () => {
  await server.expect({ equals: "STAT", silent: true });
  await assert.rejects(countMessages(server.port, { ...ann, timeout: 200 }), /does not answer/);
  await server.verify();
});

test("a reply that arrives in pieces is read", async () => {
  await server.fault({ kind: "slicer", size: 1 });
  assert.equal(await countMessages(server.port, ann), 3);
});

test("a request that is missing is named", async () => {
  await server.expect({ equals: "NOOP", reply: "+OK", name: "a keep-alive" });
  await countMessages(server.port, ann);
  const verdict = /unmet: expect "NOOP" \(a keep-alive\): received 0 of 1/;
  await assert.rejects(server.verify({ timeout: 0 }), verdict);
});
