// Hold documents against their kinds' current schemas: a JSON list on standard input, a JSON list of faults on output.
//   node validate.mjs FOLDER          FOLDER is where ./install has put the schemas
// The schemas let unknown fields pass, so a field that the check never looked at is a fault too.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const PACKAGES = {
  "gateway.networking.k8s.io": "@kubernetes-models/gateway-api/",
  "monitoring.coreos.com": "@kubernetes-models/prometheus-operator/",
};

function watched(value, seen) {
  if (value === null || typeof value !== "object") return value;
  const children = new Map();
  const looked = new Set();
  seen.push({ value, looked });
  return new Proxy(value, {
    get(target, key) {
      looked.add(key);
      if (!children.has(key)) children.set(key, watched(target[key], seen));
      return children.get(key);
    },
  });
}

async function faults(document) {
  const group = document.apiVersion.includes("/") ? document.apiVersion.split("/")[0] : "";
  const module = `${PACKAGES[group] ?? "kubernetes-models/"}${document.apiVersion}/${document.kind}.js`;
  const Model = (await import(pathToFileURL(`${process.argv[2]}/node_modules/${module}`)))[document.kind];
  const seen = [];
  const { apiVersion, kind, ...rest } = document;
  const parts = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, watched(value, seen)]));
  try {
    Object.assign(new Model({}), parts).validate(); // given at the start, they would be copied
  } catch (error) {
    return [error.message];
  }
  const known = new Set([
    ...["metadata", "spec", "data", "rules", "roleRef", "subjects", "automountServiceAccountToken"],
    ...(kind === "PriorityClass" ? ["value", "preemptionPolicy", "description"] : []),
  ]);
  const strange = Object.keys(rest).filter((key) => !known.has(key));
  for (const { value, looked } of seen) {
    if (!Array.isArray(value)) strange.push(...Object.keys(value).filter((key) => !looked.has(key)));
  }
  return strange.map((key) => `no such field: ${key}`);
}

const found = [];
for (const document of JSON.parse(readFileSync(0, "utf8"))) {
  const name = `${document.kind}/${document.metadata.name}`;
  found.push(...(await faults(document)).map((fault) => `${name}: ${fault}`));
}
console.log(JSON.stringify(found));
