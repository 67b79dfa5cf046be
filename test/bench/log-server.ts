/** The real service on the data folder of the settings, in the role `api`; tells its memory when asked. */
import { AppModule } from '../../src/app.module.js';
import { Config } from '../../src/config/config.js';
import { createLogger } from '../../src/config/logging.js';
import { createServer } from '../../src/http/server.js';

const config = Config.parse({ ...process.env, ROLE: 'api', PORT: '0' });
const app = await createServer(AppModule.for(config), config, createLogger(config));
await app.listen(0, '127.0.0.1');

process.on('message', () => {
  const { user, system } = process.cpuUsage();
  const busy = performance.eventLoopUtilization().active * 1000;
  process.send?.({ cpu: user + system, busy, memory: process.memoryUsage().rss });
});
process.send?.({ port: Number(new URL(await app.getUrl()).port) });
