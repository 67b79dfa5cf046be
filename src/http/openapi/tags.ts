/** The groups of the API, in the order in which people need them. */
export const TAGS = {
  prescribing: 'Issue and cancel prescriptions, look them up, search the formulary. For practices.',
  dispensing:
    'Claim a prescription, hand it over, give it back; report what was handed over elsewhere. For pharmacies.',
  adherence: 'Log doses that were taken or skipped, and correct them. For patients.',
  patients: 'Enrol and find patients, see who read their data, keep or erase a record.',
  discrepancies: 'What the records of practice, pharmacy and patient disagree about, and what became of it.',
  people: 'Sign in; organisations, accounts, machines and the keys with which people sign.',
  log: 'The tamper-evident log: receipts, disclosures, checkpoints, tiles and proofs. For everybody who checks.',
  health: 'Whether the service runs, and jobs that failed. For operators.',
} as const;

export type Tag = keyof typeof TAGS;
