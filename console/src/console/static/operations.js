// Requests to one resource and the small forms that they need.

import { send } from "/api.js";
import { h, say } from "/dom.js";

/** Do it and show what came of it; a device's refusal counts as wrong, too. Null when it failed. */
export async function act(answer, request) {
  answer.className = "answer";
  answer.textContent = "asking the device…";
  try {
    const found = await request();
    if (found.failure) throw new Error(`${found.status}: ${found.errormessage ?? "the device refused"}`);
    answer.className = "answer good";
    answer.textContent = found.delayed ? "waits in the queue: the device sleeps or is offline" : found.status ?? "done";
    say(answer.textContent);
    return found;
  } catch (error) {
    answer.className = "answer bad";
    answer.textContent = error.message;
    return null;
  }
}

/** A resource's value in words. */
export function valueText(resource, unit) {
  const { kind, values, value } = resource;
  if (kind === "multiResource") {
    const all = Object.entries(values).map(([index, one]) => `${index}: ${one !== null && typeof one === "object" ? one.value : one}`);
    return all.join(", ") || "empty";
  }
  if (value === undefined || value === null) return "";
  return unit ? `${value} ${unit}` : String(value);
}

/** Open or close a form below a row. `done` is asked with the form's input; it closes when that is true. */
function toggleForm(row, answer, key, input, hint, done) {
  const open = row.querySelector("form");
  open?.remove();
  if (open?.dataset.key === key) return;
  const form = h("form", { "data-key": key }, input, h("button", { type: "submit", class: "small primary" }, "Send"), hint ? h("span", { class: "soft" }, hint) : null);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (await done()) form.remove();
  });
  answer.before(form);
  input.focus();
}

/** Write a new value. */
export function writeForm(row, url, resource, definition, answer, refresh) {
  const label = `New value of ${definition?.name ?? resource.id}`;
  const isBoolean = definition?.type === "boolean";
  const input = isBoolean
    ? h("select", { "aria-label": label }, h("option", {}, "true"), h("option", {}, "false"))
    : h("input", { type: "text", value: resource.value ?? "", "aria-label": label });
  const range = definition?.range?.join(" to ");
  toggleForm(row, answer, "write", input, range && (["string", "opaque"].includes(definition.type) ? `${range} bytes` : range), async () => {
    const value = isBoolean ? input.value === "true" : input.value;
    const done = await act(answer, () => send("PUT", url, { id: resource.id, value }));
    if (done && !done.delayed) await refresh();
    return done;
  });
}

/** Set or unset notification attributes. */
export function attributesForm(row, url, name, answer, note) {
  const input = h("input", { type: "text", placeholder: "pmin=1 pmax=60 gt=25", "aria-label": `Attributes of ${name}` });
  toggleForm(row, answer, "attributes", input, "pmin pmax gt lt st epmin epmax edge con hqmax; “pmin=” unsets", async () => {
    const pairs = input.value.trim().split(/\s+/).filter(Boolean).map((word) => word.split("="));
    const query = new URLSearchParams(pairs.map(([key, value = ""]) => [key, value]));
    const done = await act(answer, () => send("PUT", `${url}/attributes?${query}`));
    if (done) note(Object.fromEntries(pairs.filter(([, value]) => value)));
    return done;
  });
}
