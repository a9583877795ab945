// What the LwM2M objects mean: the project's definitions, and those that a user gave the LwM2M server.

import { get } from "/api.js";

/** Definitions by object id; null when there are none to be had. */
export async function definitions(signal) {
  const own = await get("/api/objects", signal).catch(() => null);
  const specs = await get("/api/lwm2m/objectspecs", signal).catch(() => []);
  if (!own) return null;
  const users = specs.filter((spec) => own[spec.id]?.version !== spec.version);
  return { ...own, ...Object.fromEntries(users.map((spec) => [spec.id, fromSpec(spec)])) };
}

function fromSpec({ name, version, instancetype, resourcedefs }) {
  const resources = resourcedefs.map((resource) => [
    resource.id,
    {
      name: resource.name,
      type: resource.type,
      operations: resource.operations === "NONE" ? "" : resource.operations,
      unit: resource.units || null,
      range: resource.range ? [resource.range] : null,
      multiple: resource.instancetype === "multiple",
    },
  ]);
  return { name, version, multiple: instancetype === "multiple", resources: Object.fromEntries(resources) };
}
