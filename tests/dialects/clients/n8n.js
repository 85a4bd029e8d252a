// Runs operations of the node for n8n in the folder of its package, as n8n does. A line of standard input is a call with its
// parameters; what is not given has the default of the node's own form. A line of standard output is what was asked and answered.
"use strict";

const path = require("node:path");
const readline = require("node:readline");

const [folder, server] = process.argv.slice(2);
const node = path.join(folder, "dist", "nodes", "EvolutionApi");
const { EvolutionApi } = require(path.join(node, "EvolutionApi.node.js"));
const { resourceOperationsFunctions: operations } = require(path.join(node, "execute"));
const form = new EvolutionApi().description.properties;

function ofForm(call, name) {
  const shown = (property, field) => {
    const wanted = property.displayOptions && property.displayOptions.show && property.displayOptions.show[field];
    return wanted === undefined || wanted.includes(call[field]);
  };
  return form.find((each) => each.name === name && shown(each, "resource") && shown(each, "operation"));
}

function context(call, exchange) {
  return {
    continueOnFail: () => true,
    getCredentials: async () => ({ "server-url": server, apikey: process.env.EVOLUTION_KEY }),
    getInputData: () => [{ json: {} }],
    getNode: () => ({ name: "Evolution API" }),
    getNodeParameter(name, _item, otherwise) {
      if (name in call.parameters) return call.parameters[name];
      const property = ofForm(call, name);
      if (property !== undefined) return property.default;
      // The node asks for some that its form does not have.
      return otherwise === undefined ? "" : otherwise;
    },
    helpers: {
      async request(options) {
        const body = options.body === undefined ? undefined : JSON.stringify(options.body);
        const headers = { ...options.headers, "Content-Type": "application/json" };
        const answer = await fetch(options.uri, { method: options.method, headers, body });
        const text = await answer.text();
        const { pathname, search } = new URL(options.uri);
        exchange.push({ method: options.method, path: pathname + search, body: options.body, status: answer.status, answer: JSON.parse(text) });
        if (!answer.ok) throw new Error(`${answer.status} - ${text}`);
        return JSON.parse(text);
      },
    },
  };
}

async function run(call) {
  const exchange = [];
  const result = await operations[call.resource][call.operation](context(call, exchange));
  return { exchange, result };
}

async function main() {
  const known = Object.entries(operations).flatMap(([resource, names]) => Object.keys(names).map((name) => [resource, name]));
  console.log(JSON.stringify(known));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await run(JSON.parse(line))));
  }
}

main();
