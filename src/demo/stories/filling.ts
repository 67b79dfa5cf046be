/** Orders that go well: in parts, with a refill, and with two pharmacies at the same moment. */
import { StoryBroken } from '../client.js';
import { scene, type Story } from '../play.js';
import { claim, type Claimed, count, dispense, type Issued, product, report } from '../requests.js';
import type { Stage } from '../stage.js';
import type { PatientRef, Person } from '../cast.js';
import { dailyDoses } from './doses.js';
import { enrols, prescribes } from './prescribing.js';

/** A pharmacy that is short hands over ten tablets, and the other twenty two days later. */
export const partialFill: Story = (stage) => {
  const { elm, corner, mill, pat } = stage.cast;
  const what = product('314076');
  let issued: Issued;
  let claimed: Claimed;
  return [
    scene(1, '09:10', async () => {
      const order = {
        patient: pat,
        product: what,
        quantity: 30,
        daysSupply: 30,
        directions: 'One tablet every morning',
      };
      issued = await prescribes(stage, elm, order);
    }),
    scene(2, '10:05', async () => {
      const rx = issued.prescription;
      const without = 'tried to claim lisinopril without a token';
      stage.refused(mill, without, 'ledger.chain-unknown', await claim(mill, rx));
      const shown = await pat.client.get<{ token: string }>(`/api/prescriptions/${rx.id}/token`);
      stage.say(pat.name, `showed the token at ${corner.name}`);
      claimed = stage.did(
        corner,
        `claimed ${what.words} for ${pat.name} by the token`,
        await claim(corner, rx, shown.token),
      );
    }),
    scene(2, '10:20', async () => {
      const ten = { product: what, quantity: 10, daysSupply: 10 };
      const words = `dispensed 10 of ${count(30, what)} ${what.words} to ${pat.name} (part)`;
      stage.did(corner, words, await dispense(corner, claimed, ten));
    }),
    scene(4, '11:00', async () => {
      const tooMuch = { product: what, quantity: 25, daysSupply: 25 };
      const words = 'tried to dispense 25 more lisinopril';
      stage.refused(corner, words, 'dispense.over-authorised', await dispense(corner, claimed, tooMuch));
      const rest = { product: what, quantity: 20, daysSupply: 20 };
      const key = crypto.randomUUID();
      const dispensed = await dispense(corner, claimed, rest, key);
      stage.did(corner, `dispensed the other ${count(20, what)} ${what.words} to ${pat.name}`, dispensed);
      const again = stage.did(corner, null, await dispense(corner, claimed, rest, key));
      const times = again.prescription.dispenses.length;
      stage.say(corner.name, `sent that again with the same Idempotency-Key: still ${times} handings-over`);
    }),
    ...dailyDoses(stage, pat, () => issued.prescription, {
      medicine: what.words,
      days: [3, 29],
      time: '08:00',
      skipped: { 9: 'forgot', 20: 'side-effect' },
      correctedOn: 10,
    }),
  ];
};

/** Filled by nomination, without a token. The refill stays at the pharmacy and is filled in time. */
export const refill: Story = (stage) => {
  const { harbor, corner, mill, sam } = stage.cast;
  const what = product('861007');
  const full = { product: what, quantity: 14, daysSupply: 14 };
  let issued: Issued;
  return [
    scene(1, '10:40', async () => {
      const directions = 'One tablet with the evening meal';
      const order = { patient: sam, ...full, directions, refills: 2, nominated: mill };
      issued = await prescribes(stage, harbor, order);
    }),
    scene(2, '09:15', async () => {
      const words = `claimed ${what.words} for ${sam.name} by nomination`;
      const claimed = stage.did(mill, words, await claim(mill, issued.prescription));
      stage.did(mill, `dispensed ${count(14, what)} ${what.words} to ${sam.name}`, await dispense(mill, claimed, full));
    }),
    scene(15, '09:30', async () => {
      const { prescription: rx, token } = issued;
      const words = 'tried to claim the metformin refill by the token';
      stage.refused(corner, words, 'prescription.refills-elsewhere', await claim(corner, rx, token));
      const claimed = stage.did(mill, null, await claim(mill, rx));
      const refilled = `refilled ${count(14, what)} ${what.words} for ${sam.name} (refill 1 of 2)`;
      stage.did(mill, refilled, await dispense(mill, claimed, full));
    }),
    ...dailyDoses(stage, sam, () => issued.prescription, {
      medicine: what.words,
      days: [3, 29],
      time: '19:30',
      skipped: { 16: 'felt-well' },
    }),
  ];
};

/** Two pharmacies claim at the same moment: one wins. Days later the other reports that it handed over as well. */
export const race: Story = (stage) => {
  const { elm, corner, mill } = stage.cast;
  const what = product('308192');
  const full = { product: what, quantity: 21, daysSupply: 7 };
  let patient: PatientRef;
  let issued: Issued;
  let loser: Person;
  return [
    scene(3, '09:00', async () => {
      patient = await enrols(stage, elm, {
        name: 'Ines Testcase',
        birthDate: '1984-02-17',
        address: '3 Sample Road, Springfield',
        number: 'demo-patient-3',
      });
      const order = { patient, ...full, directions: 'One tablet three times a day for seven days' };
      issued = await prescribes(stage, elm, order);
    }),
    scene(3, '09:45', async () => {
      const { winner, claimed } = await claimAtOnce(stage, issued, what.words);
      loser = winner === corner ? mill : corner;
      stage.did(
        winner,
        `dispensed ${count(21, what)} ${what.words} to ${patient.name}`,
        await dispense(winner, claimed, full),
      );
    }),
    scene(13, '14:10', async () => {
      const { prescription: rx } = issued;
      const reported = await report(loser, {
        ...full,
        order: { issuer: elm, number: rx.number },
        whenHandedOver: new Date(stage.calendar.instant(12, '17:40')).toISOString(),
        reason: 'outage',
      });
      stage.did(
        loser,
        `reported ${count(21, what)} more for ${patient.name}, handed over yesterday (outage)`,
        reported,
      );
      await stage.found('D07', rx.id, elm, `${what.words}, ${patient.name}`);
    }),
  ];
};

async function claimAtOnce(
  stage: Stage,
  { prescription, token }: Issued,
  words: string,
): Promise<{ winner: Person; claimed: Claimed }> {
  const { corner, mill } = stage.cast;
  // The order is random, since the first request mostly wins.
  const both = Math.random() < 0.5 ? [corner, mill] : [mill, corner];
  // Both sign in beforehand, so that only the claims race.
  await Promise.all(both.map(({ client }) => client.get('/api/self')));
  stage.say('both pharmacies', `claim ${words} at the same moment`);
  const answers = await Promise.all(both.map((pharmacy) => claim(pharmacy, prescription, token)));
  const results = both.map((pharmacy, index) => ({ pharmacy, answer: answers[index] }));
  const won = results.find(({ answer }) => answer?.ok);
  const lost = results.find((result) => result !== won);
  if (!won?.answer || !lost?.answer) throw new StoryBroken('none of two pharmacies could claim');
  const claimed = stage.did(won.pharmacy, `won: it holds ${words}`, won.answer);
  stage.refused(lost.pharmacy, 'lost', 'prescription.claimed-elsewhere', lost.answer);
  return { winner: won.pharmacy, claimed };
}

export const filling: readonly Story[] = [partialFill, refill, race];
