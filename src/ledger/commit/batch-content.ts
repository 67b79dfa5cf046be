import type { Changed } from './batch-state.js';
import type { SubjectKey } from '../keys/subject-cache.js';
import type { ChainModel } from '../model.js';
import type { Secret } from '../crypto/sealer.js';
import { BatchRows, type BatchTable } from '../store/batch-statement.js';
import {
  type ChainHead,
  erasureSeal,
  nameText,
  needsNoSnapshot,
  NO_SNAPSHOT,
  rowsOf,
  sameRow,
  stateColumn,
} from '../store/chain-row.js';
import { type RememberedRequest, requestRow } from '../store/remembered-requests.js';
import type { StagedEvent } from './staging.js';
import { T } from '../store/tables.js';
import type { Vault } from '../keys/vault.js';

/** What a batch adds to the log and changes beside it. */
export interface BatchContent {
  /** In log order. */
  readonly entries: readonly StagedEvent[];
  /** By chain id: every chain of {@link entries}. */
  readonly changed: ReadonlyMap<string, Changed>;
  readonly madeSubjects: readonly SubjectKey[];
  readonly remembered: readonly (readonly [key: Buffer, request: RememberedRequest])[];
}

/** Everything that a batch writes but for its tiles: entries, payloads, snapshots, read-model rows, names, subjects, remembered requests. */
export function contentOf(content: BatchContent, vault: Vault, tables: readonly BatchTable[]): BatchRows {
  const rows = new BatchRows(tables);
  for (const { event, entry, body, clear } of content.entries) {
    const { head } = content.changed.get(event.chain) as Changed;
    rows.add(T.entry, [event.index, head.num, event.seq, entry]);
    const aad = vault.aad('payload', event.chain, event.seq, 'payload');
    rows.add(T.payload, [event.index, clear ? body : { key: head.dataKey, aad, plain: body }]);
  }
  const position = new Map(tables.map(({ table }, at) => [table, at]));
  for (const changed of content.changed.values()) addChain(rows, position, vault, changed);
  for (const subject of content.madeSubjects) {
    const { kek, wrapped } = vault.wrapSubjectKey(subject);
    rows.add(T.subject, [subject.num, subject.id, kek, wrapped]);
    rows.needsKek(kek);
  }
  for (const [key, request] of content.remembered) rows.add(T.idempotency, requestRow(vault, key, request));
  return rows;
}

/** What columns `state_version` and `state` of a chain hold. */
function snapshotOf(vault: Vault, head: ChainHead, model: ChainModel): { version: number; state: Uint8Array | Secret } {
  const { id, kind, subject, seq, dataKey } = head;
  if (head.erased) return { version: 0, state: erasureSeal(vault, id, kind, subject.num) };
  if (needsNoSnapshot(head)) return { version: 0, state: NO_SNAPSHOT };
  const aad = vault.aad('state', id, seq, stateColumn(model));
  return { version: model.stateVersion, state: { key: dataKey, aad, plain: Buffer.from(JSON.stringify(head.state)) } };
}

function addChain(
  rows: BatchRows,
  position: ReadonlyMap<string, number>,
  vault: Vault,
  { head, before, model, rows: readModel, names }: Changed,
): void {
  const { num, id, kind, subject, seq, leaf, wrappedKey, erased } = head;
  const { version, state } = snapshotOf(vault, head, model);
  rows.add(T.chain, [num, id, kind, subject.num, seq, leaf, wrappedKey, version, state]);
  // An erased chain gives no rows and no names; what it had is deleted, not compared.
  if (erased) return;
  const stored = before && rowsOf(model, before.state, num, before.subject.num);
  for (const [key, row] of readModel) {
    const earlier = stored?.get(key);
    if (!earlier || !sameRow(earlier, row)) rows.add(position.get(row.table) as number, row.values);
  }
  const given = before && new Set(model.names(before.state).map(nameText));
  for (const [text, blind] of names) if (!given?.has(text)) rows.add(T.name, [blind, num]);
}
