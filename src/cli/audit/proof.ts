import { type CommonOptions, EXIT, type ExitCode, type Terminal } from '../terminal.js';
import { checkDocument, comparisonsOf } from './check-document.js';
import { holds, inJson, inWords, type CheckedFiles, type Unchecked } from './document-report.js';
import { contentOf } from '../files.js';
import { documentsIn, type KeptDocument } from './kept-documents.js';
import { pinnedBy, type PinOptions } from './pinned.js';

export interface ProofOptions extends CommonOptions, PinOptions {}

const NOTHING: KeptDocument = { kind: 'unknown' };

/** `rxledger audit proof`: needs only files, no settings, no database, no network. */
export async function runProof(files: readonly string[], options: ProofOptions, terminal: Terminal): Promise<ExitCode> {
  const pinned = await pinnedBy(options);
  const documents: { file: string; document: KeptDocument }[] = [];
  const unchecked: Unchecked[] = [];
  for (const file of files) {
    const { documents: found, beside } = documentsIn(await contentOf(file));
    // An empty list proves nothing.
    for (const [at, document] of (found.length > 0 ? found : [NOTHING]).entries()) {
      documents.push({ file: found.length > 1 ? `${file} (${at + 1} of ${found.length})` : file, document });
    }
    if (beside.length > 0) unchecked.push({ file, members: beside });
  }
  const results = documents.map(({ file, document }) => checkDocument(file, document, pinned));
  const checked: CheckedFiles = { results, unchecked, comparisons: comparisonsOf(results, pinned.policy ?? {}) };
  if (options.json) terminal.out(JSON.stringify(inJson(checked)));
  else for (const line of inWords(checked)) terminal.out(line);
  return holds(checked) ? EXIT.ok : EXIT.finding;
}
