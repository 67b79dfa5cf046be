import type { ServerResponse } from 'node:http';

/** Answers with endless spaces until the client stops reading. @param told called with the size of each chunk */
export function endlessly(response: ServerResponse, told: (bytes: number) => void): void {
  const chunk = Buffer.alloc(65_536, ' ');
  const send = () => {
    do told(chunk.length);
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', send);
  send();
}
