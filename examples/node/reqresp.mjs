// Starts reqresp, and steers one of its services over HTTP.

import { spawn } from "node:child_process";
import { once } from "node:events";
import readline from "node:readline";

// Starts twistd with these options of `twistd reqresp`, on free ports.
export async function start(...options) {
  const command = process.env.TWISTD ?? "twistd";
  const common = ["--nodaemon", "--pidfile=", "--logfile=-", "reqresp"];
  const child = spawn(command, [...common, "--port=0", "--control=0", ...options], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  child.on("error", (error) => console.error(`${command}: ${error.message}`));
  const log = [];
  let control;
  for await (const line of readline.createInterface(child.stdout)) {
    log.push(line);
    control = / Listening on (\S+) for control$/.exec(line); // when all ports are open
    if (control) break;
  }
  if (!control) throw new Error(`reqresp has not started:\n${log.join("\n")}`);
  child.stdout.resume();
  const service = new Service(child, `http://${control[1]}`);
  const { listen } = await service.ask("GET", "");
  service.port = Number(listen[0].split(":").at(-1));
  return service;
}

export class Service {
  constructor(child, server, name = "default") {
    this.child = child;
    this.url = `${server}/api/services/${name}`;
  }

  // Calls the API; the error of the response becomes an Error.
  async ask(method, path, body = {}) {
    const request = { method, headers: { "Content-Type": "application/json", Connection: "close" } };
    if (method !== "GET") request.body = JSON.stringify(body);
    const response = await fetch(`${this.url}${path}`, request);
    const text = await response.text();
    const found = text ? JSON.parse(text) : undefined;
    if (!response.ok) throw new Error(found.error);
    return found;
  }

  reset = () => this.ask("POST", "/reset");
  on = (expectation) => this.ask("POST", "/expectations", { kind: "on", ...expectation });
  expect = (expectation) => this.ask("POST", "/expectations", { kind: "expect", ...expectation });
  expectNext = (expectation) =>
    this.ask("POST", "/expectations", { kind: "expect_next", ...expectation });
  fault = (fault) => this.ask("POST", "/faults", { stream: "downstream", ...fault });
  requests = async (predicates = {}) => (await this.ask("POST", "/requests", predicates)).requests;

  // Throws the verdict, with the conversation, unless all is as expected.
  async verify(options = {}) {
    const { report } = await this.ask("POST", "/verify", options);
    if (report !== null) throw new Error(report);
  }

  async stop() {
    this.child.kill("SIGTERM");
    if (this.child.exitCode === null) await once(this.child, "exit");
  }
}
