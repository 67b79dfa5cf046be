/** Which chains an actor stands in a relation to, told by the read models: for one chain and for all of them. */
import { type Action, may, type Relation } from '../identity/guard/policy.js';
import type { Actor } from '../ledger/model.js';

/** A piece of SQL with the values of its `?`. */
export interface Sql {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** Rows `t` whose column `chain` is the number of a chain to which the actor is related. */
interface Source {
  readonly from: string;
  readonly where: string;
  readonly value: string;
}

const OF_SUBJECT = 't.patient = (SELECT num FROM subject WHERE id = ?)';

/** A patient's own: themselves, their orders, their supplies. A prescription row without a status is no order yet. */
const own = (patient: string): Source[] => [
  { from: 'patient_row t', where: 't.chain = (SELECT num FROM chain WHERE id = ?)', value: patient },
  { from: 'prescription_row t', where: `${OF_SUBJECT} AND t.order_status IS NOT NULL`, value: patient },
  { from: 'supply_row t', where: OF_SUBJECT, value: patient },
];

/** What a practice issued. */
const practice = (org: string): Source[] => [{ from: 'prescription_row t', where: 't.issuer = ?', value: org }];

/** What a pharmacy holds or held under a claim, and the supplies that it reported. */
const holder = (org: string): Source[] => [
  { from: 'custody t', where: 't.org = ?', value: org },
  { from: 'supply_row t', where: 't.org = ?', value: org },
];

/** Patients to whom a practice has issued something, or for whom a pharmacy holds or held something. */
const PATIENTS = `patient_row t JOIN chain p ON p.num = t.chain
  JOIN prescription_row r ON r.patient = p.subject AND r.order_status IS NOT NULL`;
const patientsOfPractice = (org: string): Source => ({ from: PATIENTS, where: 'r.issuer = ?', value: org });
const patientsOfHolder = (org: string): Source => ({
  from: `${PATIENTS} JOIN custody k ON k.chain = r.chain`,
  where: 'k.org = ?',
  value: org,
});

function sourcesOf({ role, org, patient }: Actor, action: Action): Source[] {
  const related: [Relation, Source[]][] = [];
  if (patient !== null) related.push(['own', own(patient)]);
  if (org !== null && role === 'prescriber') related.push(['practice', practice(org)]);
  if (org !== null && role === 'pharmacist') related.push(['holder', holder(org)]);
  return related.flatMap(([relation, sources]) => (may(role, action, [relation]) ? sources : []));
}

/** Numbers of the chains that are on the actor's list. */
export function listedChains(actor: Actor): Sql {
  const sources = sourcesOf(actor, 'chain.list');
  if (sources.length === 0) return { text: 'SELECT num AS chain FROM chain WHERE 1 = 0', values: [] };
  return {
    text: sources.map(({ from, where }) => `SELECT t.chain FROM ${from} WHERE ${where}`).join(' UNION '),
    values: sources.map(({ value }) => value),
  };
}

/** What everybody stands in: the log's own chain is about the log. */
const PUBLIC = "c.kind = 'log'";

/** Condition on chain `c`: whether the actor is related to it as the action needs. */
export function relatedToChain(
  actor: Actor,
  action: 'chain.head' | 'receipt.read' | 'payload.disclose' | 'payload.clear',
): Sql {
  if (may(actor.role, action)) return { text: '1 = 1', values: [] };
  const sources = sourcesOf(actor, action);
  const { role, org } = actor;
  // A patient's chain is not on the lists of staff, but the relations to a patient hold for it too.
  if (org !== null && may(role, action, ['practice'])) sources.push(patientsOfPractice(org));
  if (org !== null && may(role, action, ['holder'])) sources.push(patientsOfHolder(org));
  return {
    text: [
      PUBLIC,
      ...sources.map(({ from, where }) => `EXISTS (SELECT 1 FROM ${from} WHERE t.chain = c.num AND ${where})`),
    ].join(' OR '),
    values: sources.map(({ value }) => value),
  };
}
