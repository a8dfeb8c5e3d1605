// client.js ADDRESS MODULES [CALLS]: the service as @grpc/grpc-js sees it. Loads proto/ itself, makes every kind of
// call and one of each failure, and prints what came as one line of JSON. MODULES is the folder that
// holds node_modules; CALLS is how many Predicts are in the air at once.
'use strict';

const path = require('node:path');
const { createRequire } = require('node:module');

const [address, modules, calls = '100'] = process.argv.slice(2);
const load = createRequire(path.join(path.resolve(modules), 'package.json'));
const grpc = load('@grpc/grpc-js');
const loader = load('@grpc/proto-loader');

const PROTO = path.resolve(__dirname, '../../../proto');
const FILES = ['onnx_serving_grpc/inference.proto', 'grpc/health/v1/health.proto'];

function unary(client, method, request, options = {}) {
  const limits = { deadline: Date.now() + 60000, ...options };
  return new Promise((resolve) => {
    let trailers = {};
    const call = client[method](request, new grpc.Metadata({ waitForReady: true }), limits, (error, reply) => {
      resolve({ code: error ? error.code : grpc.status.OK, details: error ? error.details : '', reply });
    });
    if (options.cancel) call.cancel();
  });
}

function predict(client, text, contentType = '', accept = '', options = {}) {
  const request = { payload: Buffer.from(text), content_type: contentType, accept };
  return unary(client, 'Predict', request, options).then(({ code, details, reply }) => ({
    code,
    details,
    body: reply ? reply.body.toString() : null,
    content_type: reply ? reply.content_type : null,
    metadata: reply ? reply.metadata : null,
  }));
}

function firstOfWatch(client) {
  return new Promise((resolve, reject) => {
    const call = client.Watch({ service: '' });
    call.on('error', (error) => { if (error.code !== grpc.status.CANCELLED) reject(error); });
    call.once('data', (reply) => { call.cancel(); resolve(reply.status); });
  });
}

async function main() {
  const definition = loader.loadSync(FILES, { includeDirs: [PROTO], keepCase: true, enums: String, defaults: true });
  const loaded = grpc.loadPackageDefinition(definition);
  const credentials = grpc.credentials.createInsecure();
  const options = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };
  const inference = new loaded.onnxserving.grpc.InferenceService(address, credentials, options);
  const zipped = new loaded.onnxserving.grpc.InferenceService(address, credentials, {
    ...options, 'grpc.default_compression_algorithm': 2, 'grpc.use_local_subchannel_pool': 1,
  });
  const health = new loaded.grpc.health.v1.Health(address, credentials);

  const rows = Array.from({ length: 5000 }, (_, i) => [i, -i]);
  const found = {
    live: (await unary(inference, 'Live', {})).reply,
    ready: (await unary(inference, 'Ready', {})).reply,
    json: await predict(inference, '[[1,2]]'),
    csv: await predict(inference, '1,2\n', 'text/csv', 'text/csv'),
    invalid: await predict(inference, '[[1,'),
    cancelled: await predict(inference, '[[1,2]]', '', '', { cancel: true }),
    zipped: await predict(zipped, JSON.stringify(rows)),
    health: (await unary(health, 'Check', { service: '' })).reply.status,
    unknown: (await unary(health, 'Check', { service: 'nope' })).code,
    watch: await firstOfWatch(health),
  };
  const many = await Promise.all(
    Array.from({ length: Number(calls) }, (_, i) => predict(inference, `[[${i},0]]`)));
  found.many = many.map(({ body }) => body);
  console.log(JSON.stringify(found));
  for (const client of [inference, zipped, health]) client.close();
}

main().catch((problem) => {
  console.error(problem);
  process.exitCode = 1;
});
