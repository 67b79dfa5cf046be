import { ed25519 } from '@noble/curves/ed25519.js';
import { isEd25519Key } from '../ed25519-key.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concat, EncodingError, equal, fromBase64, hasLoneSurrogate, toBase64, toHex, utf8 } from '../bytes.js';

// Unicode spaces, `+`, control characters (forbidden in notes) and half surrogate pairs.
const NOT_IN_A_NAME = /[\p{White_Space}\p{Cc}\p{Surrogate}+]/u;

/**
 * True when `text` can name a key, and therefore a log: a log's origin is its key's name.
 * Not empty, no Unicode space, no plus (C2SP signed-note), no control character.
 */
export function isKeyName(text: string): boolean {
  return text !== '' && !NOT_IN_A_NAME.test(text);
}

/** A text, verifier key or signature line is invalid by C2SP signed-note, or a signature is wrong. */
export class NoteError extends Error {
  override readonly name = 'NoteError';
}

/** Signature types of C2SP signed-note. */
export const KEY_TYPE = { ed25519: 0x01, cosignature: 0x04 } as const;
export type KeyType = (typeof KEY_TYPE)[keyof typeof KEY_TYPE];

export interface VerifierKey {
  /** Key name; for a log's key, the log's origin. */
  readonly name: string;
  /** 4 bytes, see {@link keyId}. */
  readonly keyId: Uint8Array;
  readonly type: KeyType;
  /** Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array;
}

export interface NoteSigner {
  readonly name: string;
  readonly keyId: Uint8Array;
  /** Signs the note's text, its last newline included. Returns the bytes after the key id in the signature line. */
  sign(text: Uint8Array): Uint8Array;
}

export interface Verified {
  readonly key: VerifierKey;
  /** POSIX seconds that a cosignature states; undefined for a plain signature. */
  readonly time?: bigint;
}

/** One signature line of a note, checked for its form only. */
export interface SignatureLine {
  /** Verbatim, without its newline. */
  readonly line: string;
  readonly name: string;
  /** 4 bytes. */
  readonly id: Uint8Array;
  /** The bytes after the key id. */
  readonly signature: Uint8Array;
}

export interface OpenedNote {
  readonly text: string;
  /** One for each known key that signed, in the order of the note. */
  readonly verified: readonly Verified[];
  /** Number of signature lines by unknown keys, which have no effect. */
  readonly ignored: number;
}

const PUBLIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const KEY_ID_BYTES = 4;
const TIME_BYTES = 8;
/** Limits the work that a hostile note can cause; the same number as in Go's sumdb/note. */
const MAX_SIGNATURES = 100;
const DASH = '—';
const SIGNATURE_LINE = /^— (\S+) (\S+)$/u;
// oxlint-disable-next-line no-control-regex -- control characters are what C2SP signed-note forbids in a text
const CONTROL = /[\u0000-\u0009\u000b-\u001f]/;

/** Key id: the first 4 bytes of SHA-256(name || 0x0A || type || public key). */
export function keyId(name: string, type: KeyType, publicKey: Uint8Array): Uint8Array {
  return sha256(concat(utf8(`${name}\n`), Uint8Array.of(type), publicKey)).slice(0, KEY_ID_BYTES);
}

/** `name+<8 hex of the key id>+base64(type || public key)`. @throws NoteError when the name cannot name a key. */
export function formatVerifierKey(name: string, type: KeyType, publicKey: Uint8Array): string {
  if (!isKeyName(name)) throw new NoteError('key name');
  if (publicKey.length !== PUBLIC_KEY_BYTES) throw new NoteError('public key is not 32 bytes');
  return `${name}+${toHex(keyId(name, type, publicKey))}+${toBase64(concat(Uint8Array.of(type), publicKey))}`;
}

/** Reads a verifier key: split on the first two `+` only, since base64 may hold more. @throws NoteError */
export function parseVerifierKey(vkey: string): VerifierKey {
  const first = vkey.indexOf('+');
  const second = vkey.indexOf('+', first + 1);
  if (first < 0 || second < 0) throw new NoteError('verifier key has no two plus signs');
  const name = vkey.slice(0, first);
  const blob = decode(vkey.slice(second + 1), 'verifier key');
  const type = blob[0];
  const publicKey = blob.slice(1);
  if (!isKeyName(name)) throw new NoteError('key name');
  if (type !== KEY_TYPE.ed25519 && type !== KEY_TYPE.cosignature) throw new NoteError('unknown key type');
  if (publicKey.length !== PUBLIC_KEY_BYTES) throw new NoteError('public key is not 32 bytes');
  if (!isEd25519Key(publicKey)) throw new NoteError('public key is not a point of the group in which keys are made');
  const id = keyId(name, type, publicKey);
  if (vkey.slice(first + 1, second) !== toHex(id)) throw new NoteError('key id is not that of the key');
  return { name, keyId: id, type, publicKey };
}

/**
 * The text that a cosignature/v1 covers: a header with its time in POSIX seconds, then the note's text (C2SP
 * tlog-cosignature).
 */
export function cosignedText(text: string, seconds: bigint): string {
  return `cosignature/v1\ntime ${seconds}\n${text}`;
}

/**
 * A note: the text, an empty line, a line for each signer. @throws NoteError when the text does not end in a newline
 * or holds other control characters, or when there is no signer.
 */
export function signNote(text: string, signers: readonly NoteSigner[]): string {
  checkText(text);
  if (signers.length === 0) throw new NoteError('no signer');
  const bytes = utf8(text);
  return `${text}\n${signers.map((signer) => signatureLine(signer, signer.sign(bytes))).join('')}`;
}

/** The note with one more signature line at its end. @throws NoteError when it is not a note. */
export function appendSignature(note: string, key: Pick<NoteSigner, 'name' | 'keyId'>, signature: Uint8Array): string {
  splitNote(note);
  return note + signatureLine(key, signature);
}

/**
 * Opens a note (C2SP signed-note). At least one of `verifiers` must have signed it. A wrong signature by one of them
 * rejects the note; lines by others are ignored.
 * @throws NoteError
 */
export function openNote(note: string, verifiers: readonly VerifierKey[]): OpenedNote {
  const { text, lines } = splitNote(note);
  const verified: Verified[] = [];
  let ignored = 0;
  for (const { name, id, signature } of lines) {
    const known = verifiers.filter((verifier) => verifier.name === name && equal(verifier.keyId, id));
    if (known.length > 1) throw new NoteError('two known keys have the same name and id');
    const key = known[0];
    if (!key) {
      ignored++;
      continue;
    }
    const result = verify(key, text, signature);
    if (!result) throw new NoteError('a signature by a known key does not hold');
    if (!verified.some((other) => other.key === key)) verified.push(result);
  }
  if (verified.length === 0) throw new NoteError('no known key has signed');
  return { text, verified, ignored };
}

/**
 * The text that a key has signed, even if it or other signature lines are malformed. It tells a signer of malformed
 * texts from somebody who only claims to be that signer.
 * @returns the text; null when the key has no valid signature on it
 */
export function signedText(note: string, key: VerifierKey): string | null {
  const split = note.lastIndexOf('\n\n');
  const text = note.slice(0, split + 1);
  const lines = split < 0 ? [] : note.slice(split + 2).split('\n', MAX_SIGNATURES);
  return lines.some((line) => isSignature(line, key, text)) ? text : null;
}

/** Whether the text has the form of a note's text. */
export function isNoteText(text: string): boolean {
  return text.endsWith('\n') && !CONTROL.test(text) && !hasLoneSurrogate(text);
}

/** A signer of type 0x01 from an Ed25519 seed of 32 bytes, for environments without node:crypto. */
export function ed25519Signer(name: string, seed: Uint8Array): NoteSigner & { readonly vkey: string } {
  const publicKey = ed25519.getPublicKey(seed);
  return {
    name,
    keyId: keyId(name, KEY_TYPE.ed25519, publicKey),
    vkey: formatVerifierKey(name, KEY_TYPE.ed25519, publicKey),
    sign: (text) => ed25519.sign(text, seed),
  };
}

/** "MUST NOT exceed 2^63 - 1" (C2SP tlog-cosignature). */
const LATEST_TIME = 2n ** 63n - 1n;

function isSignature(line: string, key: VerifierKey, text: string): boolean {
  try {
    const { name, id, signature } = parseSignatureLine(line);
    return name === key.name && equal(id, key.keyId) && verify(key, text, signature) !== undefined;
  } catch (error) {
    if (error instanceof NoteError) return false;
    throw error;
  }
}

function verify(key: VerifierKey, text: string, blob: Uint8Array): Verified | undefined {
  if (key.type === KEY_TYPE.ed25519) return holds(key, text, blob) ? { key } : undefined;
  if (blob.length !== TIME_BYTES + SIGNATURE_BYTES) return undefined;
  const time = new DataView(blob.buffer, blob.byteOffset).getBigUint64(0);
  if (time > LATEST_TIME) return undefined;
  return holds(key, cosignedText(text, time), blob.slice(TIME_BYTES)) ? { key, time } : undefined;
}

function holds(key: VerifierKey, message: string, signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false;
  try {
    // RFC 8032, not ZIP 215, whose laxer rules accept more than one encoding of a point.
    return ed25519.verify(signature, utf8(message), key.publicKey, { zip215: false });
  } catch {
    return false;
  }
}

/**
 * The parts of a note; signatures are NOT verified. For callers that must read the text to know which keys to use.
 * @throws NoteError
 */
export function splitNote(note: string): { text: string; lines: SignatureLine[] } {
  const split = note.lastIndexOf('\n\n');
  if (split < 0 || !note.endsWith('\n')) throw new NoteError('not a note');
  const text = note.slice(0, split + 1);
  checkText(text);
  const lines = note.slice(split + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) throw new NoteError('too many signatures');
  return { text, lines: lines.map(parseSignatureLine) };
}

function parseSignatureLine(line: string): SignatureLine {
  const [, name, base64] = SIGNATURE_LINE.exec(line) ?? [];
  if (name === undefined || base64 === undefined || !isKeyName(name)) throw new NoteError('malformed signature line');
  const blob = decode(base64, 'signature line');
  if (blob.length <= KEY_ID_BYTES) throw new NoteError('malformed signature line');
  return { line, name, id: blob.slice(0, KEY_ID_BYTES), signature: blob.slice(KEY_ID_BYTES) };
}

function signatureLine(key: Pick<NoteSigner, 'name' | 'keyId'>, signature: Uint8Array): string {
  if (!isKeyName(key.name)) throw new NoteError('key name');
  return `${DASH} ${key.name} ${toBase64(concat(key.keyId, signature))}\n`;
}

function checkText(text: string): void {
  if (!text.endsWith('\n')) throw new NoteError('text does not end in a newline');
  if (!isNoteText(text)) throw new NoteError('text holds what no note may hold');
}

function decode(base64: string, where: string): Uint8Array {
  try {
    return fromBase64(base64);
  } catch (error) {
    if (error instanceof EncodingError) throw new NoteError(`${where} is not strict base64`);
    throw error;
  }
}
