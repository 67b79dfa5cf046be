import type { SubjectKey } from '../keys/subject-cache.js';
import { decrypt, freshKey, VaultError } from '../crypto/aes-gcm.js';
import type { ChainKind } from '../core/record/event.js';
import { ZERO32 } from '../core/record/entry.js';
import { shapeOf, tableName, type TableShape } from '../../database/declare.js';
import type { ChainModel, OutsideName, Row } from '../model.js';
import type { Secret } from '../crypto/sealer.js';
import { type Vault } from '../keys/vault.js';

/** The newest state of one chain as the writer holds it. Never changed in place. */
export interface ChainHead {
  /** Log index of its first entry. */
  readonly num: number;
  readonly id: string;
  readonly kind: ChainKind;
  readonly subject: SubjectKey;
  readonly seq: number;
  readonly leaf: Uint8Array;
  /** 32 bytes. */
  readonly dataKey: Uint8Array;
  readonly wrappedKey: Uint8Array | Secret;
  readonly state: unknown;
  /** Whether {@link ERASED} ended it: it then refuses every command and has no state. */
  readonly erased: boolean;
}

/** A chain before its first entry, under a data key of its own. @param num the log index of that entry */
export function freshHead(vault: Vault, subject: SubjectKey, id: string, kind: ChainKind, num: number): ChainHead {
  const dataKey = freshKey();
  const wrappedKey = vault.wrapDataKey(subject, id, dataKey);
  return { num, id, kind, subject, seq: -1, leaf: ZERO32, dataKey, wrappedKey, state: null, erased: false };
}

/** Type of the last event of an erased chain. Its payload holds nothing personal and is stored in the clear (design 3). */
export const ERASED = 'erased/1';

/** Column `state` of an erased chain: a MAC over the columns that no payload confirms any more. */
export function erasureSeal(vault: Vault, chain: string, kind: string, subject: number): Buffer {
  return vault.index.mac('erased', chain, kind, String(subject));
}

/** A read-model row, its values in column order. */
export interface StoredRow {
  readonly table: string;
  readonly values: readonly (string | number | null)[];
}

/** Columns of `chain` joined with its subject. */
export interface ChainRow {
  num: number;
  id: string;
  kind: ChainKind;
  subject: number;
  seq: number;
  leaf: Buffer;
  data_key: Buffer;
  /** The version of the model that made the snapshot; 0 without a snapshot. */
  state_version: number;
  /** Snapshot, encrypted; {@link NO_SNAPSHOT} of a chain of one entry, {@link erasureSeal} of an erased one. */
  state: Buffer;
  /** Null, like the key, when the subject was erased. */
  subject_id: string | null;
  kek: string;
  wrapped_key: Buffer;
}

/** An erased chain has no data key. `verify` checks by its last event whether the erasure was proper. */
export const isErased = (row: Pick<ChainRow, 'data_key'>): boolean => row.data_key.length === 0;

/**
 * No snapshot. Most chains have only one entry for a long time, and its payload gives the state. It is bound to the
 * chain and to seq 0.
 */
export const NO_SNAPSHOT = Buffer.alloc(0);

/** Whether a chain is stored without snapshot. The log chain always has one, since its payloads are in the clear. */
export const needsNoSnapshot = ({ seq, kind }: Pick<ChainHead, 'seq' | 'kind'>): boolean => seq === 0 && kind !== 'log';

export const CHAIN_COLUMNS =
  'c.num, c.id, c.kind, c.subject, c.seq, c.leaf, c.data_key, c.state_version, c.state, s.id AS subject_id, s.kek, s.wrapped_key';
export const CHAIN_FROM = 'FROM chain c LEFT JOIN subject s ON s.num = c.subject';

/** A chain with everything that its state is read from. */
export interface StateRow extends ChainRow {
  /** Payload of the only entry of a chain without snapshot, encrypted; null of every other chain. */
  sole_body: Buffer | null;
}

export const STATE_COLUMNS = `${CHAIN_COLUMNS}, CASE WHEN later.idx IS NULL THEN sole.body END AS sole_body`;
/**
 * A chain's number is the log index of its first entry. The join also checks that no second entry exists: otherwise a
 * chain row that was set back would give an old state.
 */
export const STATE_FROM = `${CHAIN_FROM}
  LEFT JOIN payload sole ON sole.idx = c.num AND c.seq = 0 AND length(c.state) = 0
  LEFT JOIN entry later ON later.chain = c.num AND later.seq = 1 AND c.seq = 0 AND length(c.state) = 0`;

export function stateColumn(model: ChainModel, version = model.stateVersion): string {
  return `${model.kind}/${version}`;
}

/** Decrypts a stored snapshot. @throws VaultError when it was tampered with */
export function openState(vault: Vault, row: ChainRow, dataKey: Uint8Array): unknown {
  const aad = vault.aad('state', row.id, row.seq, `${row.kind}/${row.state_version}`);
  return JSON.parse(decrypt(dataKey, aad, row.state).toString('utf8'));
}

export function subjectOf(vault: Vault, row: ChainRow): SubjectKey {
  if (row.subject_id === null) throw new VaultError('no such subject');
  return vault.subjectFromRow({ num: row.subject, id: row.subject_id, kek: row.kek, wrapped_key: row.wrapped_key });
}

export function rowsOf(model: ChainModel, state: unknown, num: number, subject: number): Map<string, StoredRow> {
  const rows = new Map<string, StoredRow>();
  for (const row of model.rows(state, { chain: num, subject })) {
    const schema = model.readModels.find((each) => tableName(each) === row.table);
    if (!schema) throw new Error(`read model ${row.table} is not declared by ${model.kind}`);
    const shape = shapeOf(schema);
    const values = shape.columns.map(({ name }) => row.values[name] ?? null);
    rows.set(rowKey(shape, row.values), { table: row.table, values });
  }
  return rows;
}

/** Adds the rows of a chain's next state. Rows of earlier states stay, even if this state does not give them. */
export function keepRows(
  kept: Map<string, StoredRow>,
  model: ChainModel,
  state: unknown,
  num: number,
  subject: number,
): void {
  for (const [key, row] of rowsOf(model, state, num, subject)) kept.set(key, row);
}

/** Identifies a row by table and key. */
export function rowKey({ table, key }: TableShape, values: Row['values']): string {
  return key.reduce((text, name) => `${text}\n${values[name]}`, table);
}

export function sameRow(a: StoredRow, b: StoredRow): boolean {
  return a.values.every((value, at) => value === b.values[at]);
}

/** Outside names with their blind indexes (hex). */
export function namesOf(vault: Vault, names: readonly OutsideName[]): Map<string, string> {
  return new Map(names.map((name) => [nameText(name), blindOf(vault, name)]));
}

export function blindOf(vault: Vault, { domain, parts }: OutsideName): string {
  return vault.index.of(domain, parts).toString('hex');
}

export function nameText(name: OutsideName): string {
  return JSON.stringify([name.domain, ...name.parts]);
}
