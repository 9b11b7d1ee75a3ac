// A Node server for tests: / says "node", /bytes/N sends N bytes without a length, PUT or POST anywhere answers the SHA-256 of the body.
//   node node_server.js PORT
'use strict';
const crypto = require('crypto');
const http = require('http');

const PART = Buffer.alloc(65536, 'n');

function sendBytes(response, left) {
  while (left > 0) {
    const part = PART.subarray(0, Math.min(left, PART.length));
    left -= part.length;
    if (!response.write(part)) {
      response.once('drain', () => sendBytes(response, left));
      return;
    }
  }
  response.end();
}

function hashBody(request, response) {
  const hash = crypto.createHash('sha256');
  request.on('data', (part) => hash.update(part));
  request.on('end', () => response.end(hash.digest('hex') + '\n'));
}

const server = http.createServer((request, response) => {
  const bytes = /^\/bytes\/(\d+)$/.exec(request.url);
  if (request.method === 'PUT' || request.method === 'POST') hashBody(request, response);
  else if (bytes) sendBytes(response, Number(bytes[1]));
  else response.end('node\n');
});
server.keepAliveTimeout = 60000;
server.requestTimeout = 0;
server.listen(Number(process.argv[2]), '::');
