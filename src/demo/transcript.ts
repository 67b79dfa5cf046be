import { styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

/** Wide enough for the longest name of the cast. */
const WHO_WIDTH = 19;

/** Prints the events as aligned lines: day, time, who, what. */
export class Transcript {
  private day = '';

  /**
   * @param out takes a line; null: nothing is printed
   * @param coloured whether the output is a terminal
   */
  constructor(
    private readonly out: ((line: string) => void) | null,
    private readonly coloured: boolean,
  ) {}

  /** @param date for example `Oct 26` */
  begin(day: number, date: string): void {
    this.day = `Day ${String(day).padStart(2, '0')} · ${date}`;
  }

  did(time: string, who: string, what: string): void {
    this.say(time, who, what);
  }

  refused(time: string, who: string, what: string, why: string): void {
    this.say(time, who, `${what}: ${this.paint('yellow', `refused, ${why}`)}`);
  }

  /** @param details lines printed below */
  discrepancy(time: string, what: string, ...details: string[]): void {
    this.say(time, 'reconciliation', this.paint(['red', 'bold'], `! ${what}`));
    for (const detail of details) this.below(this.paint('red', detail));
  }

  resolved(time: string, what: string): void {
    this.say(time, 'reconciliation', this.paint('green', `✓ ${what}`));
  }

  failed(time: string, what: string): void {
    this.say(time, 'reconciliation', this.paint(['red', 'bold'], `✗ ${what}`));
  }

  line(text = '', style: Style | null = null): void {
    this.out?.(style ? this.paint(style, text) : text);
  }

  private say(time: string, who: string, what: string): void {
    // Only the first line of a day names the day. A day without lines is not printed.
    if (this.day !== '') this.out?.('');
    const day = this.paint('bold', this.day.padEnd(DAY_WIDTH));
    this.day = '';
    this.out?.(`${day}  ${this.paint('dim', time)}  ${this.paint('cyan', who.padEnd(WHO_WIDTH))}  ${what}`);
  }

  private below(text: string): void {
    this.out?.(`${' '.repeat(DAY_WIDTH + 2 + 5 + 2 + WHO_WIDTH + 4)}${text}`);
  }

  private paint(style: Style, text: string): string {
    return this.coloured ? styleText(style, text, { validateStream: false }) : text;
  }
}

const DAY_WIDTH = 'Day 30 · Nov 30'.length;
