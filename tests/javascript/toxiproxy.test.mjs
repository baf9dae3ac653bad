// The client of toxiproxy for Node.js, unchanged: its calls, and what they do to connections.
//
// Run with the URL of the control server in CONTROL, and the address of a Redis in REDIS.

import assert from "node:assert/strict";
import net from "node:net";
import { afterEach, beforeEach, test } from "node:test";

import client from "toxiproxy-node-client";

const toxiproxy = new client.Toxiproxy(process.env.CONTROL);
const upstream = process.env.REDIS;

let proxy;

beforeEach(async () => {
    proxy = await toxiproxy.createProxy({ name: "redis", listen: "localhost:0", upstream });
});

afterEach(async () => {
    for (const each of Object.values(await toxiproxy.getAll())) {
        await each.remove();
    }
});

// Send a PING to the proxy; return the reply and how long it took, in milliseconds.
function ping() {
    const port = Number(proxy.listen.split(":")[1]);
    return new Promise((resolve, reject) => {
        const begin = performance.now();
        const socket = net.connect(port, "127.0.0.1", () => socket.write("PING\r\n"));
        let reply = "";
        socket.on("error", reject);
        socket.on("data", (data) => {
            reply += data;
            if (reply.endsWith("\r\n")) {
                socket.end();
            }
        });
        socket.on("close", () => resolve({ reply, took: performance.now() - begin }));
    });
}

test("a proxy is created, found, changed and removed", async () => {
    assert.equal((await ping()).reply, "+PONG\r\n");
    assert.equal((await toxiproxy.get("redis")).upstream, upstream);
    const where = { listen: proxy.listen, upstream };
    const disabled = await proxy.update({ ...where, enabled: false });
    assert.equal(disabled.enabled, false);
    await assert.rejects(ping(), { code: "ECONNREFUSED" });
    const enabled = await proxy.update({ ...where, enabled: true });
    assert.deepEqual([enabled.enabled, enabled.listen], [true, proxy.listen]);
    assert.equal((await ping()).reply, "+PONG\r\n");
    const moved = await proxy.update({ ...where, enabled: true, upstream: "somehost:12345" });
    assert.equal(moved.upstream, "somehost:12345");
    await proxy.remove();
    await assert.rejects(ping(), { code: "ECONNREFUSED" });
    await assert.rejects(toxiproxy.get("redis"), /404/);
});

test("a proxy that is there already is refused", async () => {
    await assert.rejects(
        toxiproxy.createProxy({ name: "redis", listen: "localhost:0", upstream }),
        /409/,
    );
});

test("proxies are populated, listed and reset", async () => {
    const bodies = ["one", "two"].map((name) => ({ name, listen: "localhost:0", upstream }));
    const made = await toxiproxy.populate(bodies);
    assert.deepEqual(Object.keys(made), ["one", "two"]);
    const all = await toxiproxy.getAll();
    assert.deepEqual(Object.keys(all).sort(), ["one", "redis", "two"]);
    assert.equal(all.one.listen, made.one.listen);
    await proxy.update({ listen: proxy.listen, upstream, enabled: false });
    await proxy.addToxic({ type: "timeout", attributes: { timeout: 0 } });
    await toxiproxy.reset();
    assert.equal((await ping()).reply, "+PONG\r\n");
});

test("the version is that of toxiproxy", async () => {
    const answer = await toxiproxy.getVersion();
    assert.match(JSON.stringify(answer), /2\.12\.0/);
});

for (const [type, attributes] of Object.entries({
    latency: { latency: 1000, jitter: 100 },
    bandwidth: { rate: 1000 },
    slow_close: { delay: 1000 },
    timeout: { timeout: 5000 },
    slicer: { average_size: 1000, delay: 1000, size_variation: 1000 },
    reset_peer: { timeout: 1000 },
    limit_data: { bytes: 42 },
})) {
    test(`a ${type} toxic has the attributes that it was created with`, async () => {
        const toxic = await proxy.addToxic({ type, attributes });
        assert.deepEqual(toxic.attributes, attributes);
        assert.deepEqual(
            [toxic.name, toxic.type, toxic.stream, toxic.toxicity],
            [`${type}_downstream`, type, "downstream", 1],
        );
        assert.deepEqual((await proxy.getToxic(toxic.name)).toJson(), toxic.toJson());
        await assert.rejects(proxy.addToxic({ type, attributes }), /409/);
        await toxic.remove();
        await assert.rejects(proxy.getToxic(toxic.name), /404/);
    });
}

test("latency comes, changes and goes", async () => {
    const toxic = await proxy.addToxic({ type: "latency", attributes: { latency: 10_000 } });
    const changed = await toxic.update({ attributes: { latency: 200, jitter: 0 } });
    assert.deepEqual(changed.attributes, { latency: 200, jitter: 0 });
    const slow = await ping();
    assert.equal(slow.reply, "+PONG\r\n");
    assert.ok(slow.took >= 200, `${slow.took} ms`);
    await toxic.remove();
    assert.equal((await ping()).reply, "+PONG\r\n");
});

test("connections are reset, cut off and held up", async () => {
    const reset = await proxy.addToxic({ type: "reset_peer", attributes: { timeout: 0 } });
    await assert.rejects(ping(), { code: "ECONNRESET" });
    await reset.remove();
    const limit = await proxy.addToxic({ type: "limit_data", attributes: { bytes: 3 } });
    assert.equal((await ping()).reply, "+PO");
    await limit.remove();
    const timeout = await proxy.addToxic({ type: "timeout", attributes: { timeout: 100 } });
    const held = await ping();
    assert.equal(held.reply, "");
    assert.ok(held.took >= 100, `${held.took} ms`);
    await timeout.remove();
    assert.equal((await ping()).reply, "+PONG\r\n");
});

test("a toxic that is wrong is refused", async () => {
    await assert.rejects(proxy.addToxic({ type: "down", attributes: {} }), /400/);
    await assert.rejects(proxy.addToxic({ type: "latency", stream: "x", attributes: {} }), /400/);
});
