import { describe, expect, it } from 'vitest';
import { hasNpiChecksum } from './npi.js';

describe('NPI', () => {
  it.each(['1234567893', '1245319599', '1679576722'])('accepts %s', (npi) => expect(hasNpiChecksum(npi)).toBe(true));
  it.each(['1234567890', '1234567839', '123456789', '12345678933', '123456789a', ''])('refuses %j', (npi) =>
    expect(hasNpiChecksum(npi)).toBe(false),
  );
});
