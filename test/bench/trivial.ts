/** The least that an HTTP server can do: what the load generator reaches against it is the generator's own ceiling. */
import { createServer } from 'node:http';
import { listenLocally } from '../../src/cli/service/machine.js';

const answer = '{"ok":true}';
const server = createServer((request, response) => {
  request.resume();
  request.on('end', () => response.writeHead(201, { 'content-length': answer.length }).end(answer));
});
process.send?.({ port: await listenLocally(server) });
