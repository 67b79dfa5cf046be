/** Types of events that an actor with a key in force signs. In a file of their own: a verifier needs no read models. */

export const SIGNABLE_ON_PRESCRIPTION: readonly string[] = [
  'order.issued/1',
  // Nobody imports in the name of a person who signs: whoever invents such an order would have to sign it.
  'order.imported/1',
  'order.cancel-requested/1',
  'dispense.claimed/1',
  'dispense.released/1',
  'dispense.recorded/1',
  'dispense.not-dispensed/1',
  'dispense.reversed/1',
  'dispense.reported/1',
];

export const SIGNABLE_ON_SUPPLY: readonly string[] = ['dispense.reported/1'];
