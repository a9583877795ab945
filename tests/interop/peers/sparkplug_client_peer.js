// The npm sparkplug-client as edge node (`edge`), its codec as reader (`read`); JSON lines in and out.
const [role, port, group, node] = process.argv.slice(2);
const url = `mqtt://127.0.0.1:${port}`;
const codec = require("sparkplug-payload").get("spBv1.0");
const readline = require("readline");

const replacer = (_, value) => (typeof value === "bigint" ? Number(value) : value);
const say = (content) => process.stdout.write(JSON.stringify(content, replacer) + "\n");
const plain = (value) => (value && typeof value.toNumber === "function" ? value.toNumber() : value);
const tell = (topic, payload) => ({
  topic,
  metrics: Object.fromEntries((payload.metrics || []).map((metric) => [metric.name, plain(metric.value)])),
});
const lines = readline.createInterface({ input: process.stdin });

if (role === "read") {
  const client = require("mqtt").connect(url);
  client.on("connect", () => client.subscribe(`spBv1.0/${group}/#`, { qos: 1 }, () => say({ ready: true })));
  client.on("message", (topic, payload) => say({ seen: tell(topic, codec.decodePayload(payload)) }));
  lines.on("line", () => client.end(false, () => process.exit(0)));
} else {
  const types = { Temperature: "Double", Count: "Int32", Small: "Int8", Name: "String", Flag: "Boolean" };
  const first = { Temperature: 20.5, Count: -87, Small: -3, Name: "peer", Flag: true };
  const payload = (values) => ({
    timestamp: Date.now(),
    metrics: Object.entries(values).map(([name, value]) => ({
      name, value, type: types[name], timestamp: Date.now(),
    })),
  });
  const client = require("sparkplug-client").newClient({
    serverUrl: url, username: "", password: "", groupId: group, edgeNode: node, clientId: node, publishDeath: true,
  });
  const rebirth = { name: "Node Control/Rebirth", type: "Boolean", value: false, timestamp: Date.now() };
  const births = () => {
    client.publishNodeBirth({ timestamp: Date.now(), metrics: [{ ...rebirth }] });
    client.publishDeviceBirth("pump", payload(first), { compress: process.argv[6] === "compress" });
  };
  client.on("birth", births);
  client.on("ncmd", (content) => {
    say({ command: tell("NCMD", content) });
    births();
  });
  client.on("dcmd", (device, content) => say({ command: tell(device, content) }));
  lines.on("line", (line) => {
    const request = JSON.parse(line);
    if (request.stop) {
      client.stop();
      setTimeout(() => process.exit(0), 500);
    } else {
      client.publishDeviceData("pump", payload(request.set), { compress: process.argv[6] === "compress" });
    }
  });
}
