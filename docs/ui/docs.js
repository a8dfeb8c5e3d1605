// Starts Swagger UI on the service's own document. Every address is relative to the page, so that
// it also works behind a path prefix; nothing is asked of any other host.
'use strict';

window.ui = window.SwaggerUIBundle({
  url: 'openapi.yaml',
  dom_id: '#swagger-ui',
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  presets: [window.SwaggerUIBundle.presets.apis],
});
