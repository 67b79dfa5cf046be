import { describe, expect, it } from 'vitest';
import { Metrics } from './metrics.js';

describe('gauges', () => {
  it('are read at each scrape; a part that does not answer has no value', async () => {
    const metrics = new Metrics();
    let away = false;
    const unless = <T>(value: T): Promise<T> => (away ? Promise.reject(new Error('away')) : Promise.resolve(value));
    metrics.gauges({ help: { test_lag: 'l', test_age: 'a' }, read: () => unless({ test_lag: 3, test_age: 0.5 }) });
    const jobs = [{ labels: { state: 'waiting' }, value: 7 }];
    metrics.gauges({ help: { test_jobs: 'j' }, labels: ['state'], read: () => unless({ test_jobs: jobs }) });
    const values = async () => (await metrics.text()).split('\n').filter((line) => /^[^#]/.test(line));

    expect(await values()).toEqual(['test_lag 3', 'test_age 0.5', 'test_jobs{state="waiting"} 7']);
    away = true;
    expect(await values()).toEqual(['test_lag Nan', 'test_age Nan']);
    away = false;
    expect(await values()).toEqual(['test_lag 3', 'test_age 0.5', 'test_jobs{state="waiting"} 7']);
  });
});
