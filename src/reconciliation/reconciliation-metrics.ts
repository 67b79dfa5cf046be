import { ReadDb } from '../ledger/read/read-db.js';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { Clock } from '../time/clock.js';
import { Metrics } from '../http/metrics/metrics.js';
import { Workers } from './workers.js';

/** An index covers this query, and only its open entries are read. */
export const OPEN_BY_CLASS = "SELECT class, count(*) AS n FROM discrepancy_row WHERE status = 'open' GROUP BY class";

@Injectable()
export class ReconciliationMetrics implements OnModuleInit {
  constructor(
    private readonly clock: Clock,
    private readonly db: ReadDb,
    private readonly workers: Workers,
    private readonly metrics: Metrics,
  ) {}

  onModuleInit(): void {
    this.metrics.gauges({
      help: {
        rxledger_relay_lag_entries: 'Entries that reconciliation was not told of yet',
        rxledger_relay_lag_seconds: 'Age of the oldest of them; 0 when there is none',
      },
      read: async () => {
        const { entries, since } = await this.workers.notHandedOver();
        const age = since === null ? 0 : Math.max(0, this.clock.now() - since) / 1000;
        return { rxledger_relay_lag_entries: entries, rxledger_relay_lag_seconds: age };
      },
    });
    this.metrics.gauges({
      help: { rxledger_discrepancies_open: 'Open discrepancies by class' },
      labels: ['class'],
      read: async () => ({ rxledger_discrepancies_open: await this.open() }),
    });
    if (this.workers.runs) {
      this.metrics.gauges({
        help: {
          rxledger_sweep_age_seconds:
            'Time since this process finished a sweep, or since its start; the least of all processes counts',
        },
        read: async () => ({ rxledger_sweep_age_seconds: this.workers.sweepAgeMs / 1000 }),
      });
    }
  }

  private async open() {
    const rows = await this.db.query<{ class: string; n: number }>(OPEN_BY_CLASS);
    return rows.map((row) => ({ labels: { class: row.class }, value: row.n }));
  }
}
