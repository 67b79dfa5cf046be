import { createServer } from 'node:http';
import helmet from 'helmet';
import { describe, expect, it } from 'vitest';
import { listenLocally } from '../cli/service/machine.js';
import { API_HEADERS, API_OPTIONS, PAGE_HEADERS } from './security-headers.js';

/** Headers that Node adds to every answer. */
const NODE = ['connection', 'content-length', 'date', 'keep-alive', 'transfer-encoding'];

describe('security headers', () => {
  it('are those that helmet itself would send', async () => {
    const protect = helmet(API_OPTIONS);
    const server = createServer((request, response) => protect(request, response, () => response.end()));
    try {
      const { headers } = await fetch(`http://127.0.0.1:${await listenLocally(server)}`);
      const sent = Object.fromEntries([...headers].filter(([name]) => !NODE.includes(name)));
      expect(Object.keys(sent).length).toBeGreaterThan(10);
      expect(API_HEADERS).toEqual(sent);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it('of the page of the documentation differ only in what may run there', () => {
    const different = Object.keys(API_HEADERS).filter((name) => API_HEADERS[name] !== PAGE_HEADERS[name]);
    expect(different).toEqual(['content-security-policy']);
    expect(PAGE_HEADERS['content-security-policy']).not.toContain('script-src');
  });
});
