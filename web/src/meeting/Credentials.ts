/**
 * Who this tab speaks for, and the tokens that prove it.
 *
 * Three ways in: an invitation (`#token=` in the link: a meeting token), the account that the
 * browser is signed in with, or the development login with a user id that is random per tab. After
 * a join, the server's resume token comes first.
 */
import { ApiError, api, type ServiceConfig, type Tokens } from '../api';
import { Account } from './Account';
import { RequestError } from './errors';
import { claimsOf, expiryOf, Lasting } from './tokens';

const USER_KEY = 'kcs.user';
const invitationKey = (meetingId: string) => `kcs.invitation.${meetingId}`;

export class Credentials {
  readonly account = new Account();
  #development: Lasting<Tokens> | null = null;
  #asking: Promise<string> | null = null;
  /** Whether somebody speaks here without an invitation. */
  #usesAccess = false;
  #config: Promise<ServiceConfig> | null = null;
  #resume = new Map<string, string>();

  /** Keeps an invitation, for reloads of this tab too. */
  rememberInvitation(meetingId: string, token: string): void {
    sessionStorage.setItem(invitationKey(meetingId), token);
  }

  isInvited(meetingId: string): boolean {
    return sessionStorage.getItem(invitationKey(meetingId)) !== null;
  }

  /** What the person is called by whoever knows them here: their invitation, or their account. */
  knownName(meetingId: string): string {
    const token = sessionStorage.getItem(invitationKey(meetingId));
    return token ? String(claimsOf(token).userName ?? '') : (this.account.get() ?? '');
  }

  /** What the service offers; asked once. */
  config(): Promise<ServiceConfig> {
    this.#config ??= api.config().catch((error) => {
      this.#config = null;
      throw error;
    });
    return this.#config;
  }

  /** Whether something here says who the person is, without asking anybody. */
  isSomebody(meetingId: string): boolean {
    return this.isInvited(meetingId) || this.account.get() !== null;
  }

  /** Whether the person has to sign in first, and can. */
  async needsSignIn(meetingId: string): Promise<boolean> {
    if (this.isInvited(meetingId) || (await this.account.known()) !== null) return false;
    const config = await this.config();
    return canSignIn(config) && !config.dev_login;
  }

  /** What the server gave for a meeting or a breakout room: from now on this comes first. */
  setResumeToken(meetingId: string, token: string): void {
    this.#resume.set(meetingId, token);
  }

  /** A proof that lasts longer than this one; null: there is none. */
  async longerThan(meetingId: string, token: string): Promise<string | null> {
    const resume = this.#resume.get(meetingId);
    if (resume && expiryOf(resume) > expiryOf(token)) return resume;
    if (!this.#usesAccess) return null;
    const access = await this.access();
    return expiryOf(access) > expiryOf(token) ? access : null;
  }

  /** For the socket of a meeting or a breakout room: the newest proof that we have. */
  async forSocket(meetingId: string): Promise<string> {
    return this.#resume.get(meetingId) ?? this.forMeeting(meetingId);
  }

  /** For REST calls about a meeting. */
  async forMeeting(meetingId: string): Promise<string> {
    return sessionStorage.getItem(invitationKey(meetingId)) ?? this.access();
  }

  /** The server refused our proof. False where there is no other left to try. */
  dropRefused(meetingId: string): boolean {
    if (this.#resume.delete(meetingId)) return true;
    if (this.isInvited(meetingId)) return false;
    const had = this.#development !== null;
    this.#development = null;
    return this.account.drop() || had;
  }

  /**
   * An access token with at least a minute to live: the account's, or of the development login.
   *
   * @throws RequestError `SIGN_IN`: that would help; `NO_INVITATION`: only a link with a token does.
   */
  access(): Promise<string> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #ask(): Promise<string> {
    const token = (await this.account.token()) ?? (await this.#developmentToken());
    this.#usesAccess = true;
    return token;
  }

  async #developmentToken(): Promise<string> {
    if (!this.#development?.isFresh) {
      this.#development = new Lasting((await this.#refreshed()) ?? (await this.#devLogin()));
    }
    return this.#development.token;
  }

  async #refreshed(): Promise<Tokens | null> {
    if (!this.#development) return null;
    try {
      return await api.refresh(this.#development.answer.refresh_token);
    } catch (error) {
      if (error instanceof ApiError && error.status > 0 && error.status < 500) return null;
      throw error;
    }
  }

  async #devLogin(): Promise<Tokens> {
    const config = await this.config();
    if (config.dev_login) {
      return api.devLogin(tabUserId(), localStorage.getItem('kcs.name') || 'Guest');
    }
    if (canSignIn(config)) throw new RequestError('SIGN_IN', 'nobody is signed in');
    throw new RequestError('NO_INVITATION', 'no invitation, and no accounts here');
  }
}

/** Whether people sign in on the page, by whichever way. */
export function canSignIn({ local_accounts, external_login }: ServiceConfig): boolean {
  return local_accounts || external_login;
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
