/** Clients without a token that send a megabyte of nested JSON each, again and again, in a process of their own. */
import { connect } from 'node:net';
import { z } from 'zod';

const Crowd = z.object({ port: z.int(), clients: z.int() });

const BODY = `[${'{},'.repeat(333_333)}{}]`;

function client(port: number): void {
  const socket = connect(port, '127.0.0.1');
  const request =
    `POST /api/prescriptions HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${BODY.length}\r\n\r\n${BODY}`;
  let sent = 0;
  const send = (): void => {
    sent += 1;
    socket.write(request, 'latin1');
  };
  socket.on('connect', send);
  // One answer is one chunk here: it is short.
  socket.on('data', send);
  // A server that hangs up gets the next client at once.
  socket.on('error', () => undefined);
  socket.on('close', () => setTimeout(() => client(port), sent === 0 ? 50 : 0));
}

process.on('message', (message) => {
  const { port, clients } = Crowd.parse(message);
  for (let at = 0; at < clients; at += 1) client(port);
  process.send?.({});
});
