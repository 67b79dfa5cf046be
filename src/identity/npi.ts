/** @returns whether ten digits carry the check digit of a National Provider Identifier: Luhn over 80840 || npi (45 CFR 162.406) */
export function hasNpiChecksum(npi: string): boolean {
  if (!/^\d{10}$/.test(npi)) return false;
  const digits = Array.from(`80840${npi}`, Number).toReversed();
  const sum = digits.reduce((total, digit, position) => {
    if (position % 2 === 0) return total + digit;
    return total + (digit > 4 ? digit * 2 - 9 : digit * 2);
  }, 0);
  return sum % 10 === 0;
}
