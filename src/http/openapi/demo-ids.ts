/**
 * The ids that development mode gives to its organisations, patients and accounts: examples and tours hold
 * them. Production mode makes none of them; there an example shows the form only.
 */
export const DEMO_IDS = {
  /** Elm Street Practice, where `prescriber` works. */
  practice: '4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1a01',
  /** Harbor Clinic: `prescriber2`. */
  practice2: '4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1a02',
  /** Corner Pharmacy: `pharmacist`. */
  pharmacy: '4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1a03',
  /** Mill Lane Pharmacy: `pharmacist2`. */
  pharmacy2: '4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1a04',
  /** Pat Example, whose account is `patient`. */
  patient: '4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1b01',
  /** Sam Specimen: `patient2`. */
  patient2: '4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1b02',
} as const;

/** Accounts, by user name. */
export const DEMO_ACCOUNT_IDS = {
  prescriber: '4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1c01',
  prescriber2: '4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1c02',
  pharmacist: '4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1c03',
  pharmacist2: '4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1c04',
  patient: '4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1c05',
  patient2: '4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1c06',
  auditor: '4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1c07',
  admin: '4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1c08',
} as const;

/** The identifiers by which the two patients are found. */
export const DEMO_IDENTIFIERS = {
  patient: { system: 'urn:rxledger:demo', value: 'demo-patient-1' },
  patient2: { system: 'urn:rxledger:demo', value: 'demo-patient-2' },
} as const;

/** A drug of the formulary, for examples. */
export const EXAMPLE_MEDICATION = {
  system: 'http://www.nlm.nih.gov/research/umls/rxnorm',
  code: '314076',
  display: 'lisinopril 10 MG Oral Tablet',
} as const;
