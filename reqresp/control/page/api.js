// Requests to the control server, and its stream of events. It must not know elements.

const TOKEN = "reqresp-token";
const MIN_RETRY = 500; // milliseconds
const MAX_RETRY = 5000;

/** A request that failed, with the problems that the server has found. */
export class ApiError extends Error {
  constructor(status, message, problems = []) {
    super(message);
    this.status = status;
    this.problems = problems;
  }
}

/** The path of a service in the API, and what is below it. */
export const servicePath = (name, rest = "") => `/api/services/${encodeURIComponent(name)}${rest}`;

export function setToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

/**
 * Return the answer to a request; null: it is empty.
 *
 * @throws {ApiError} the server refuses it or cannot be reached.
 */
export async function request(method, path, body, signal) {
  const headers = authorization();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const options = { method, headers, signal, cache: "no-store" };
  if (body !== undefined) options.body = JSON.stringify(body);
  const response = await reach(path, options);
  const text = await response.text();
  const answer = text ? parse(text) : null;
  if (response.ok) return answer;
  const message = answer?.error ?? `the server answers ${response.status} ${response.statusText}`;
  throw new ApiError(response.status, message, answer?.problems ?? []);
}

export const get = (path, signal) => request("GET", path, undefined, signal);
export const post = (path, body = {}) => request("POST", path, body);

/**
 * Replace the script of a service, unless it has changed since *before* was loaded.
 *
 * @param hint what to do if it has changed.
 * @throws {ApiError} with status 409: it has changed.
 */
export async function replaceScript(service, before, script, hint) {
  const path = servicePath(service, "/script");
  const { script: current } = await get(path);
  if (current !== before) throw new ApiError(409, `the script has changed meanwhile; ${hint}`);
  await request("PUT", path, { script });
}

async function reach(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "the control server cannot be reached");
  }
}

function authorization() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * The events of a path, which begin again after the last one when the connection is lost.
 *
 * They are read with fetch: an EventSource sends no token.
 */
export class Events {
  /**
   * @param path the path.
   * @param told functions: `event(kind, data)`, `up()`, `down(error)`.
   */
  constructor(path, told) {
    this.path = path;
    this.told = told;
    this.last = null; // the id of the last event
    this.retry = MIN_RETRY;
    this.stopped = new AbortController();
    this.run();
  }

  stop() {
    this.stopped.abort();
  }

  async run() {
    const { signal } = this.stopped;
    while (!signal.aborted) {
      try {
        await this.read(signal);
        this.told.down(new ApiError(0, "the control server has ended the stream"));
      } catch (error) {
        if (signal.aborted) return;
        this.told.down(error);
      }
      await new Promise((resolve) => setTimeout(resolve, this.retry));
      this.retry = Math.min(MAX_RETRY, this.retry * 2);
    }
  }

  async read(signal) {
    const headers = { ...authorization(), Accept: "text/event-stream" };
    if (this.last !== null) headers["Last-Event-ID"] = this.last;
    const response = await reach(this.path, { headers, signal, cache: "no-store" });
    if (!response.ok) {
      const answer = parse(await response.text());
      throw new ApiError(response.status, answer?.error ?? `the server answers ${response.status}`);
    }
    this.retry = MIN_RETRY;
    this.told.up();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const events = (text + read.value).split(/\r?\n\r?\n/);
      text = events.pop();
      for (const event of events) this.take(event);
    }
  }

  take(text) {
    let kind = "message";
    const data = [];
    for (const line of text.split(/\r?\n/)) {
      const [, name, value] = line.match(/^([^:]*):? ?([^]*)$/);
      if (name === "event") kind = value;
      else if (name === "data") data.push(value);
      else if (name === "id") this.last = value;
    }
    if (data.length) this.told.event(kind, JSON.parse(data.join("\n")));
  }
}
