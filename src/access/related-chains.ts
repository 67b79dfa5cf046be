/**
 * Which chains an actor stands in a relation to, told from read models: for one chain, and page by page for lists.
 * `relations.ts` tells the same from states, and a property test holds the two equal. Whoever changes a rule changes both.
 */
import { type Action, may, type Relation, relationsFor } from '../identity/guard/policy.js';
import type { ChainKind } from '../ledger/core/record/event.js';
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
  /** Where the columns of the kind's own row are found; absent: in `t`. */
  readonly row?: 'r';
}

type Kind = Extract<ChainKind, 'prescription' | 'supply' | 'patient'>;
type Sources = Partial<Record<Relation, (who: string) => Source>>;

const NUMBER_OF_SUBJECT = '(SELECT num FROM subject WHERE id = ?)';

/** The orders of patient `t`. A prescription row without a status is no order yet: a report or a cancel opened it. */
const ORDERS_OF_PATIENT = `patient_row t JOIN chain p ON p.num = t.chain
  JOIN prescription_row r ON r.patient = p.subject AND r.order_status IS NOT NULL`;

/** By kind of chain and relation; `who` is the actor's patient for `own`, the actor's organisation for the others. */
const SOURCES: Readonly<Record<Kind, Sources>> = {
  prescription: {
    own: (who) => ({
      from: 'prescription_row t',
      where: `t.patient = ${NUMBER_OF_SUBJECT} AND t.order_status IS NOT NULL`,
      value: who,
    }),
    practice: (who) => ({ from: 'prescription_row t', where: 't.issuer = ?', value: who }),
    holder: (who) => ({
      from: 'custody t JOIN prescription_row r ON r.chain = t.chain',
      where: 't.org = ?',
      value: who,
      row: 'r',
    }),
    nominated: (who) => ({ from: 'prescription_row t', where: 't.nominated = ?', value: who }),
  },
  supply: {
    own: (who) => ({ from: 'supply_row t', where: `t.patient = ${NUMBER_OF_SUBJECT}`, value: who }),
    holder: (who) => ({ from: 'supply_row t', where: 't.org = ?', value: who }),
  },
  patient: {
    own: (who) => ({ from: 'patient_row t', where: 't.chain = (SELECT num FROM chain WHERE id = ?)', value: who }),
    practice: (who) => ({ from: ORDERS_OF_PATIENT, where: 'r.issuer = ?', value: who }),
    holder: (who) => ({
      from: `${ORDERS_OF_PATIENT} JOIN custody k ON k.chain = r.chain`,
      where: 'k.org = ?',
      value: who,
    }),
    nominated: (who) => ({ from: ORDERS_OF_PATIENT, where: 'r.nominated = ?', value: who }),
  },
};

/** What makes the actor somebody who can stand in this relation: a patient, or an organisation in a role. */
function whoFor(relation: Relation, { role, org, patient }: Actor): string | null {
  if (relation === 'own') return patient;
  if (relation === 'practice') return role === 'prescriber' ? org : null;
  if (relation === 'holder' || relation === 'nominated') return role === 'pharmacist' ? org : null;
  return null;
}

/** @returns the sources of the relations under which the actor's role may do this to chains of the kind */
function sourcesOf(actor: Actor, action: Action, kind: Kind): Source[] {
  return relationsFor(actor.role, action).flatMap((relation) => sourceOf(actor, relation, kind) ?? []);
}

function sourceOf(actor: Actor, relation: Relation, kind: Kind): Source | null {
  const who = whoFor(relation, actor);
  return who === null ? null : (SOURCES[kind][relation]?.(who) ?? null);
}

/** A column of the kind's row that has this value. */
export interface Filter {
  readonly column: string;
  readonly value: string;
  /** SQL of the value; absent: `?`. */
  readonly is?: string;
}

/** Rows of one patient, told by the patient's id. */
export function ofPatient(id: string): Filter {
  return { column: 'patient', value: id, is: NUMBER_OF_SUBJECT };
}

/**
 * One page of the numbers of the chains that are on the actor's list, newest first. Each relation reads no more than a
 * page of its index.
 * @param after chain number of the last item of the previous page
 * @returns null for an actor who can have no such chain
 */
export function pageOfChains(
  actor: Actor,
  action: 'prescription.list' | 'supply.read',
  kind: Kind,
  { after, limit, filters = [] }: { after?: number | undefined; limit: number; filters?: readonly Filter[] },
): Sql | null {
  const pages = sourcesOf(actor, action, kind).map(({ from, where, value, row = 't' }): Sql => {
    const conditions = [where, ...filters.map(({ column, is = '?' }) => `${row}.${column} = ${is}`)];
    if (after !== undefined) conditions.push('t.chain < ?');
    return {
      text: `SELECT t.chain FROM ${from} WHERE ${conditions.join(' AND ')} ORDER BY t.chain DESC LIMIT ?`,
      values: [value, ...filters.map((filter) => filter.value), ...(after === undefined ? [] : [after]), limit],
    };
  });
  const [first, ...others] = pages;
  if (!first || others.length === 0) return first ?? null;
  return {
    text: `${pages.map(({ text }, at) => `SELECT chain FROM (${text}) s${at}`).join(' UNION ')} ORDER BY chain DESC LIMIT ?`,
    values: [...pages.flatMap(({ values }) => values), limit],
  };
}

/** What everybody stands in: the log's own chain is about the log. */
const PUBLIC = "c.kind = 'log'";

/** Condition on chain `c`: whether the actor is related to it as the action needs. */
export function relatedToChain(actor: Actor, action: 'chain.head' | 'receipt.read' | 'payload.disclose'): Sql {
  if (may(actor.role, action)) return { text: '1 = 1', values: [] };
  const sources = (['prescription', 'supply', 'patient'] as const).flatMap((kind) => sourcesOf(actor, action, kind));
  return {
    text: [PUBLIC, ...sources.map(isRelated)].join(' OR '),
    values: sources.map(({ value }) => value),
  };
}

const isRelated = ({ from, where }: Source): string =>
  `EXISTS (SELECT 1 FROM ${from} WHERE t.chain = c.num AND ${where})`;

/**
 * In which relations the actor stands to the patient with chain `c`: a column for each that the role can use, 1 or 0.
 * @returns null for an actor who can stand in none
 */
export function relationsToPatientChain(actor: Actor): { readonly sql: Sql; readonly relations: Relation[] } | null {
  const found = relationsFor(actor.role, 'patient.read').flatMap((relation) => {
    const source = sourceOf(actor, relation, 'patient');
    return source ? [{ relation, source }] : [];
  });
  if (found.length === 0) return null;
  const columns = found.map(
    ({ relation, source }) => `CASE WHEN ${isRelated(source)} THEN 1 ELSE 0 END AS "${relation}"`,
  );
  return {
    sql: { text: columns.join(', '), values: found.map(({ source }) => source.value) },
    relations: found.map(({ relation }) => relation),
  };
}
