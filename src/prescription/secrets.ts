import { hash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Vault } from '../ledger/keys/vault.js';

/**
 * Patients' tokens and claim secrets. Neither is stored: each is an HMAC of what it is for, so that a lost
 * answer can be given again. Payloads hold its hash, which whoever has a copy of the record cannot use (design 4).
 */
@Injectable()
export class Secrets {
  constructor(private readonly vault: Vault) {}

  /** What the patient shows at a pharmacy; 128 bits, base64url. Another generation is another token. */
  token(chain: string, generation: number): string {
    return short(this.vault.index.mac('patient-token', chain, String(generation)));
  }

  /** What the holder shows to dispense or give back; 128 bits, base64url. */
  claimSecret(chain: string, issue: number, claimId: string): string {
    return short(this.vault.index.mac('claim-secret', chain, String(issue), claimId));
  }
}

/** base64 SHA-256, as payloads hold it. */
export function hashSecret(secret: string): string {
  return hash('sha256', secret, 'base64');
}

const short = (mac: Buffer): string => mac.subarray(0, 16).toString('base64url');
