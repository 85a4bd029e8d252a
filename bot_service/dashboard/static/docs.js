// Starts Swagger UI on our own description. It sends keys to this address only and keeps none.

window.SwaggerUIBundle({
  domNode: document.getElementById("swagger"),
  url: document.getElementById("swagger").dataset.document,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  persistAuthorization: false,
  validatorUrl: null,
});
