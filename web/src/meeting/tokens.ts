/** What tokens say of themselves, and for how long they are used. */
import type { AccessToken } from '../api';

/** An answer with an access token, fresh while that has more than a minute to live. */
export class Lasting<T extends AccessToken> {
  readonly #until: number;

  constructor(readonly answer: T) {
    this.#until = Date.now() + (answer.expires_in - 60) * 1000;
  }

  get token(): string {
    return this.answer.access_token;
  }

  get isFresh(): boolean {
    return Date.now() < this.#until;
  }
}

/** When a token ends, in ms since 1970; a token that does not say so never does. */
export function expiryOf(token: string): number {
  const { exp } = claimsOf(token);
  return typeof exp === 'number' ? exp * 1000 : Number.POSITIVE_INFINITY;
}

/** What a JWT says, unverified: for a name to show, never for a decision. */
export function claimsOf(token: string): Record<string, unknown> {
  try {
    const payload = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(payload), (char) => char.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
}
