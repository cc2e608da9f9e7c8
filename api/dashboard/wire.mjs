// Types of all that crosses the wire, from the contract's documents: src/wire/openapi.ts and src/wire/messages.ts.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { compile } from "json-schema-to-typescript";
import openapiTS, { astToString } from "openapi-typescript";

const contract = new URL("../../docs/contract/", import.meta.url);
const into = new URL("src/wire/", import.meta.url);
const banner = "// Made from docs/contract by `npm run wire`. Not edited by hand.\n\n";

const openapi = await openapiTS(new URL("openapi.json", contract));
writeFileSync(new URL("openapi.ts", into), banner + astToString(openapi));

// One module for all of them: what several schemas define alike is written once.
const written = new Set();
let messages = banner;
for (const file of readdirSync(new URL("schemas/", contract)).sort()) {
  const schema = JSON.parse(readFileSync(new URL(`schemas/${file}`, contract), "utf8"));
  schema.title = file.replace(".json", "");
  const text = await compile(schema, schema.title, {
    additionalProperties: false,
    bannerComment: "",
    unreachableDefinitions: false,
    format: false,
  });
  for (const part of text.split(/(?=^(?:\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n)?export )/m)) {
    const name = part.match(/export (?:interface|type) (\w+)/)?.[1];
    if (name && !written.has(name)) {
      written.add(name);
      messages += part;
    }
  }
}
writeFileSync(new URL("messages.ts", into), messages);

// What a request for a backtest takes, for the form that makes one. Which strategies there are, a gateway says itself.
const schemas = JSON.parse(readFileSync(new URL("openapi.json", contract), "utf8")).components.schemas;
const { strategies: _, strategyParams: __, ...properties } = schemas.BacktestRequest.properties;
const inlined = JSON.stringify(properties, (name, value) => {
  if (name === "title" && typeof value === "string") return undefined;
  if (!value?.$ref) return value;
  const { $ref, ...beside } = value;
  return { ...schemas[$ref.split("/").at(-1)], ...beside };
});
const request = JSON.parse(inlined);
delete request.weights.propertyNames;
writeFileSync(new URL("request.json", into), `${JSON.stringify({ type: "object", properties: request }, null, 1)}\n`);
