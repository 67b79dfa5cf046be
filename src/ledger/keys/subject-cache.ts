/** Unwrapped subject keys kept in memory. */
const CACHED_SUBJECTS = 50_000;

/** A subject's key, unwrapped: 32 bytes. */
export interface SubjectKey {
  readonly num: number;
  readonly id: string;
  readonly key: Uint8Array;
}

/** Unwrapped subject keys, found by id or number. When it is full, the oldest entry is dropped. */
export class SubjectCache {
  private readonly subjects = new Map<number, SubjectKey>();
  private readonly numbers = new Map<string, number>();

  byId(id: string): SubjectKey | undefined {
    const num = this.numbers.get(id);
    return num === undefined ? undefined : this.subjects.get(num);
  }

  byNumber(num: number): SubjectKey | undefined {
    return this.subjects.get(num);
  }

  remember(subject: SubjectKey): SubjectKey {
    if (this.subjects.size >= CACHED_SUBJECTS) {
      const oldest = this.subjects.values().next().value;
      if (oldest) this.forget(oldest.id);
    }
    this.subjects.set(subject.num, subject);
    this.numbers.set(subject.id, subject.num);
    return subject;
  }

  forget(id: string): void {
    const num = this.numbers.get(id);
    if (num !== undefined) this.subjects.delete(num);
    this.numbers.delete(id);
  }

  forgetNumber(num: number): void {
    const subject = this.subjects.get(num);
    if (subject) this.forget(subject.id);
  }

  clear(): void {
    this.subjects.clear();
    this.numbers.clear();
  }
}
