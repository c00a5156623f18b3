/** What a read certificate has to say: the first twenty sentences, and a count of the others. */

const MAX_REMARKS = 20;

export class Remarks {
  readonly #first: string[] = [];
  #more = 0;

  get any(): boolean {
    return this.#first.length > 0;
  }

  add(remark: string): void {
    if (this.#first.length < MAX_REMARKS) this.#first.push(remark);
    else this.#more++;
  }

  list(): string[] {
    return this.#more === 0 ? [...this.#first] : [...this.#first, `There are ${this.#more} more remarks like these.`];
  }
}
