/**
 * Who this tab speaks for, and the tokens that prove it.
 *
 * Two ways in: an invitation (`#token=` in the link: a meeting token), or the development login
 * with a user id that is random per tab. After a join, the server's resume token comes first.
 */
import { ApiError, api, type Tokens } from '../api';
import { RequestError } from './errors';

const USER_KEY = 'kcs.user';
const invitationKey = (meetingId: string) => `kcs.invitation.${meetingId}`;

export class Credentials {
  #tokens: Tokens | null = null;
  #expiresAt = 0;
  #signingIn: Promise<string> | null = null;
  #resume = new Map<string, string>();

  /** Keeps an invitation, for reloads of this tab too. */
  rememberInvitation(meetingId: string, token: string): void {
    sessionStorage.setItem(invitationKey(meetingId), token);
  }

  /** The name that the invitation was made out to. */
  invitedName(meetingId: string): string {
    const token = sessionStorage.getItem(invitationKey(meetingId));
    return token ? String(claimsOf(token).userName ?? '') : '';
  }

  /** What the server gave for a meeting or a breakout room: from now on this comes first. */
  setResumeToken(meetingId: string, token: string): void {
    this.#resume.set(meetingId, token);
  }

  /** A proof that lasts longer than this one; null: there is none. */
  async longerThan(meetingId: string, token: string): Promise<string | null> {
    const resume = this.#resume.get(meetingId);
    if (resume && expiryOf(resume) > expiryOf(token)) return resume;
    if (!this.#tokens) return null;
    const account = await this.account();
    return expiryOf(account) > expiryOf(token) ? account : null;
  }

  /** For the socket of a meeting or a breakout room: the newest proof that we have. */
  async forSocket(meetingId: string): Promise<string> {
    return this.#resume.get(meetingId) ?? this.forMeeting(meetingId);
  }

  /** For REST calls about a meeting. */
  async forMeeting(meetingId: string): Promise<string> {
    return sessionStorage.getItem(invitationKey(meetingId)) ?? this.account();
  }

  /** The server refused our proof. False where there is no other left to try. */
  dropRefused(meetingId: string): boolean {
    if (this.#resume.delete(meetingId)) return true;
    if (sessionStorage.getItem(invitationKey(meetingId))) return false;
    const had = this.#tokens !== null;
    this.#tokens = null;
    return had;
  }

  /** An access token with at least a minute to live. */
  account(): Promise<string> {
    if (this.#tokens && Date.now() < this.#expiresAt - 60_000) {
      return Promise.resolve(this.#tokens.access_token);
    }
    this.#signingIn ??= this.#signIn().finally(() => {
      this.#signingIn = null;
    });
    return this.#signingIn;
  }

  async #signIn(): Promise<string> {
    const tokens = (await this.#refreshed()) ?? (await this.#devLogin());
    this.#tokens = tokens;
    this.#expiresAt = Date.now() + tokens.expires_in * 1000;
    return tokens.access_token;
  }

  async #refreshed(): Promise<Tokens | null> {
    if (!this.#tokens) return null;
    try {
      return await api.refresh(this.#tokens.refresh_token);
    } catch (error) {
      if (error instanceof ApiError && error.status > 0 && error.status < 500) return null;
      throw error;
    }
  }

  async #devLogin(): Promise<Tokens> {
    const config = await api.config();
    if (!config.dev_login) {
      throw new RequestError('NO_INVITATION', 'no invitation, and no development login here');
    }
    return api.devLogin(tabUserId(), localStorage.getItem('kcs.name') || 'Guest');
  }
}

function tabUserId(): string {
  let id = sessionStorage.getItem(USER_KEY);
  if (!id) {
    const bytes = crypto.getRandomValues(new Uint8Array(6));
    id = `u-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
    sessionStorage.setItem(USER_KEY, id);
  }
  return id;
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
