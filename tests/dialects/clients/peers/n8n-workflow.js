// What the node needs of n8n: the errors that it raises.
"use strict";

class NodeOperationError extends Error {
  constructor(_node, message) {
    super(typeof message === "string" ? message : message.message);
  }
}

module.exports = { NodeOperationError, NodeApiError: NodeOperationError };
