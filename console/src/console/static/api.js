// Requests to the console's own origin. Nothing is asked for while the page is hidden.

const TOKEN = "testbed-token";
// A console that hangs must not look like one where nothing happens.
const PATIENCE = 20000;
const SILENCE = 30000;

export const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? "",
  set: (text) => (text ? sessionStorage.setItem(TOKEN, text) : sessionStorage.removeItem(TOKEN)),
};

/** An answer that is an error; `message` is for a person. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function headers(more = {}) {
  return token.get() ? { ...more, Authorization: `Bearer ${token.get()}` } : more;
}

async function failure(response) {
  const body = await response.json().catch(() => ({}));
  const allowed = body.allowed === undefined ? "" : `; allowed: ${[].concat(body.allowed).join(", ")}`;
  if (response.status === 401) document.dispatchEvent(new CustomEvent("token-needed"));
  const detail = String(body.detail ?? response.statusText);
  return new ApiError(response.status, detail.includes("allowed") ? detail : detail + allowed);
}

async function call(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, error.name === "TimeoutError" ? "the console has not answered in time" : "the console does not answer");
  }
  if (!response.ok) throw await failure(response);
  return response;
}

/** GET as JSON. A view's look, which has a signal, ends after some seconds; a person's own request does not. */
export async function get(path, signal) {
  const within = signal && AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]);
  return (await call(path, { headers: headers(), signal: within })).json();
}

/** A request with a JSON body, or with none. */
export async function send(method, path, body) {
  const content = body === undefined ? {} : { body: JSON.stringify(body) };
  const typed = body === undefined ? {} : { "Content-Type": "application/json" };
  const response = await call(path, { method, headers: headers(typed), ...content });
  const text = await response.text();
  return text ? JSON.parse(text) : {};
}

/** Save an answer as a file. */
export async function download(path, name) {
  const response = await call(path, { headers: headers() });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

const pause = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });

const shown = (signal) =>
  new Promise((resolve) => {
    if (!document.hidden || signal.aborted) return resolve();
    const look = () => { if (!document.hidden) { document.removeEventListener("visibilitychange", look); resolve(); } };
    document.addEventListener("visibilitychange", look, { signal });
    signal.addEventListener("abort", resolve, { once: true });
  });

/** Call `look(signal)` every `ms` while the page is visible, until the signal. Errors go to `fail`. */
export async function poll(ms, signal, look, fail) {
  while (!signal.aborted) {
    await shown(signal);
    if (signal.aborted) return;
    try {
      await look(signal);
    } catch (error) {
      if (signal.aborted) return;
      fail(error);
    }
    await pause(ms, signal);
  }
}

/** Server-sent events, `on(name, data)`, again and again until the signal; none while the page is hidden. */
export async function stream(path, signal, on) {
  while (!signal.aborted) {
    await shown(signal);
    const hidden = new AbortController();
    const hide = () => document.hidden && hidden.abort();
    document.addEventListener("visibilitychange", hide);
    try {
      const response = await call(path, { headers: headers(), signal: AbortSignal.any([signal, hidden.signal]) });
      await read(response.body.getReader(), on);
      throw new ApiError(0, "the console ended the stream");
    } catch (error) {
      if (!signal.aborted && !hidden.signal.aborted) on("state", { connected: false, detail: error.message });
    } finally {
      document.removeEventListener("visibilitychange", hide);
    }
    if (!hidden.signal.aborted) await pause(2000, signal);
  }
}

/** The next piece of a stream; the console says every ten seconds at least that it is alive. */
async function next(reader) {
  let timer;
  const silence = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new ApiError(0, "the console has not answered in time")), SILENCE);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } finally {
    clearTimeout(timer);
  }
}

async function read(reader, on) {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await next(reader);
    if (done) return;
    text += decoder.decode(value, { stream: true });
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) {
      const name = /^event: (.*)$/m.exec(event)?.[1];
      const data = /^data: (.*)$/m.exec(event)?.[1];
      if (name && data) on(name, JSON.parse(data));
    }
  }
}

export const enc = encodeURIComponent;
