/** Exceptions after issuing: never collected, taken back, given without an order, read in an emergency. */
import type { AccessBreakGlass } from '../../patient/state.js';
import type { DiscrepancyView } from '../../reconciliation/discrepancy.service.js';
import { scene, type Story } from '../play.js';
import {
  cancel,
  claim,
  type Claimed,
  count,
  dispense,
  type Issued,
  notDispensed,
  product,
  release,
  report,
  reverse,
} from '../requests.js';
import type { Receipts } from '../../http/write/receipt-schema.js';
import { prescribes } from './prescribing.js';

/** Claimed and never collected. */
export const notCollected: Story = (stage) => {
  const { elm, mill, pat } = stage.cast;
  const what = product('308460');
  let issued: Issued;
  let claimed: Claimed;
  return [
    scene(11, '15:00', async () => {
      const directions = 'Two tablets on the first day, then one a day';
      const order = { patient: pat, product: what, quantity: 6, daysSupply: 5, directions, nominated: mill };
      issued = await prescribes(stage, elm, order);
    }),
    scene(11, '15:30', async () => {
      const words = `claimed ${what.words} for ${pat.name} by nomination`;
      stage.did(mill, words, await claim(mill, issued.prescription));
      // The answer was lost on the way: the holder may ask for its secret again.
      const path = `/api/prescriptions/${issued.prescription.id}/claim`;
      const recovered = await mill.client.get<Claimed['claim']>(path);
      claimed = { ...issued, claim: recovered };
      stage.say(mill.name, 'lost the answer and asked for its claim secret again');
    }),
    scene(18, '17:45', async () => {
      const words = `closed ${what.words} for ${pat.name} as not dispensed (not-collected)`;
      stage.did(mill, words, await notDispensed(mill, claimed, 'not-collected'));
    }),
    scene(19, '09:10', async () => {
      const words = 'tried to cancel azithromycin';
      const reason = 'clinical-change';
      stage.refused(elm, words, 'cancel.not-dispensed', await cancel(elm, issued.prescription, { reason }));
    }),
  ];
};

/** Dispensed into the wrong patient's bag: reversed, given back, and dispensed by the other pharmacy. */
export const takenBack: Story = (stage) => {
  const { elm, corner, mill, pat } = stage.cast;
  const what = product('308135');
  const full = { product: what, quantity: 30, daysSupply: 30 };
  let issued: Issued;
  let claimed: Claimed;
  let dispenseId = '';
  return [
    scene(17, '09:50', async () => {
      issued = await prescribes(stage, elm, { patient: pat, ...full, directions: 'One tablet every evening' });
    }),
    scene(17, '12:30', async () => {
      claimed = stage.did(mill, null, await claim(mill, issued.prescription, issued.token));
      const words = `claimed and dispensed ${count(30, what)} ${what.words} to ${pat.name}`;
      ({ dispenseId } = stage.did(mill, words, await dispense(mill, claimed, full)));
    }),
    scene(17, '12:55', async () => {
      const words = 'reversed that dispense (wrong-product)';
      stage.did(mill, words, await reverse(mill, issued.prescription, dispenseId, 'wrong-product'));
      stage.did(mill, `released ${what.words} (out-of-stock)`, await release(mill, claimed, 'out-of-stock'));
    }),
    scene(17, '15:20', async () => {
      const again = stage.did(corner, null, await claim(corner, issued.prescription, issued.token));
      const words = `claimed and dispensed ${count(30, what)} ${what.words} to ${pat.name}`;
      stage.did(corner, words, await dispense(corner, again, full));
    }),
  ];
};

/** Reports that name unknown orders: one arrives later, one never does. */
export const withoutOrder: Story = (stage) => {
  const { elm, harbor, corner, mill, sam } = stage.cast;
  const steroid = product('312615');
  const other = product('197361');
  const number = 'HC-2041';
  let found: DiscrepancyView | null = null;
  return [
    scene(23, '18:30', async () => {
      const reported = await report(mill, {
        product: steroid,
        quantity: 10,
        daysSupply: 5,
        order: { issuer: harbor, number },
        whenHandedOver: new Date(stage.calendar.instant(23, '17:50')).toISOString(),
        reason: 'emergency-supply',
      });
      const words = `reported ${count(10, steroid)} ${steroid.words} for order ${number} (emergency)`;
      const { id } = stage.did(mill, words, reported);
      found = await stage.found('D12', id, mill, `order ${number} is not known here`);
    }),
    scene(24, '08:50', async () => {
      const directions = 'Two tablets a day for five days';
      const order = { patient: sam, product: steroid, quantity: 10, daysSupply: 5, directions, number };
      await prescribes(stage, harbor, order);
      await stage.gone(found, mill, `is gone: order ${number} has arrived`);
    }),
    scene(26, '10:25', async () => {
      const reported = await report(corner, {
        product: other,
        quantity: 14,
        daysSupply: 14,
        order: { issuer: elm, number: 'EL-9999' },
        whenHandedOver: new Date(stage.calendar.instant(25, '16:00')).toISOString(),
        reason: 'other-system',
      });
      const words = `reported ${count(14, other)} ${other.words} for order EL-9999`;
      const { id } = stage.did(corner, words, reported);
      await stage.found('D12', id, corner, 'order EL-9999 is not known here');
    }),
  ];
};

/** Access control: nobody may look without a reason, and the patient sees who did. */
export const lookedAt: Story = (stage) => {
  const { harbor, auditor, pat } = stage.cast;
  return [
    scene(27, '11:30', async () => {
      const list = await auditor.client.tryGet('/api/prescriptions');
      stage.refused(auditor, 'tried to list prescriptions', 'access.forbidden', list);
    }),
    scene(28, '02:40', async () => {
      const path = `/api/patients/${pat.id}`;
      const words = `tried to open the record of ${pat.name}`;
      stage.refused(harbor, words, 'ledger.chain-unknown', await harbor.client.tryGet(path));
      const body: AccessBreakGlass['data'] = { reason: 'Unconscious in the emergency room' };
      const opened = await harbor.client.post<Receipts>(`${path}/break-glass`, body);
      stage.did(harbor, 'broke the glass for an hour: “Unconscious in the emergency room”', opened);
      await harbor.client.get(path);
    }),
    scene(30, '09:00', async () => {
      const { items } = await pat.client.get<{ items: { type: string }[] }>(`/api/patients/${pat.id}/accesses`);
      const broken = items.filter(({ type }) => type === 'break-glass').length;
      stage.say(pat.name, `looked who opened the record: ${items.length} entries, ${broken} of them break-glass`);
    }),
  ];
};

export const afterwards: readonly Story[] = [notCollected, takenBack, withoutOrder, lookedAt];
