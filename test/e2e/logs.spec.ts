import supertest from 'supertest';
import { describe, expect, it } from 'vitest';
import { Clock } from '../../src/time/clock.js';
import { Config } from '../../src/config/config.js';
import { createLogger } from '../../src/config/logging.js';
import { serve } from '../../src/main.js';
import { temporaryFolder } from '../support/ledger.js';

const MRN = 'https://clinic.example/mrn';

describe('logs', () => {
  it('hold no name, identifier, reason, directions, token or password, at the finest level', async () => {
    const folder = temporaryFolder();
    const lines: string[] = [];
    const password = 'correct horse battery';
    const config = Config.parse({ DATA_DIR: folder.path, PORT: '0', DEMO_PASSWORD: password, LOG_LEVEL: 'debug' });
    const service = await serve(config, new Clock(), createLogger(config, { write: (line) => void lines.push(line) }));
    const request = supertest(service.address ?? '');
    try {
      const { body } = await request.post('/api/auth/sign-in').send({ username: 'prescriber', password });
      const call = (path: string, sent: object) =>
        request.post(path).auth(body.accessToken, { type: 'bearer' }).set('Idempotency-Key', 'key-of-mine').send(sent);
      const identifiers = [{ system: MRN, value: 'IDENTIFIER-77' }];
      const enrolled = await call('/api/patients', {
        name: 'Ada Sample',
        birthDate: '1970-02-28',
        identifiers,
        address: '1 Test Road, Springfield',
      }).expect(201);
      await call('/api/patients/search', identifiers[0] ?? {}).expect(200);
      await call('/api/patients/search', { system: MRN, value: ['IDENTIFIER-77'] }).expect(400);
      const { id } = enrolled.body.patient;
      await request
        .post(`/api/patients/${id}/break-glass`)
        .auth(body.accessToken, { type: 'bearer' })
        .send({ reason: 'REASON-88' })
        .expect(200);
      const order = { patient: id, directions: 'DIRECTIONS-99', medication: { code: '1', display: 'DRUG-11' } };
      const quantity = { value: '1', unit: '{tablet}' };
      const issued = await request
        .post('/api/prescriptions')
        .auth(body.accessToken, { type: 'bearer' })
        .send({ ...order, quantity, daysSupply: 1 })
        .expect(201);
      await request
        .get('/api/patients/IDENTIFIER-77?name=Ada%20Sample')
        .auth(body.accessToken, { type: 'bearer' })
        .expect(400);
      const secrets = [
        password,
        body.accessToken,
        'key-of-mine',
        'IDENTIFIER-77',
        MRN,
        'Ada',
        'Sample',
        'Test Road',
        '1970-02-28',
        'REASON-88',
        'DIRECTIONS-99',
        'DRUG-11',
        issued.body.token,
        id,
      ];
      const log = lines.join('');
      expect(log).toContain('/api/patients/search');
      expect(secrets.filter((secret) => log.includes(secret))).toEqual([]);
    } finally {
      await service.close();
      folder.remove();
    }
  });
});
