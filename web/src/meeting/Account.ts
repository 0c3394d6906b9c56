/**
 * The account that this browser is signed in with: a store of its person's name; null: nobody.
 *
 * What proves it is a cookie that no script can read; all tabs have it, and reloads. Here are only
 * the name, kept so that a page knows at once whom it is for, and the access token of the moment.
 */
import { type AccessToken, ApiError, api } from '../api';
import { Store } from './Store';
import { claimsOf, Lasting } from './tokens';

const NAME_KEY = 'kcs.account';

export class Account extends Store<string | null> {
  #access: Lasting<AccessToken> | null = null;
  #recalling: Promise<void> = Promise.resolve();

  constructor() {
    super(localStorage.getItem(NAME_KEY));
    addEventListener('storage', ({ key, newValue }) => {
      if (key === NAME_KEY) this.#follow(newValue);
    });
  }

  /** Signed in by the identity provider: who that is, the cookie knows. */
  recall(): void {
    this.#recalling = api.sessionToken().then(
      (answer) => this.#take(answer),
      // Then nobody is, and may try again.
      () => undefined,
    );
  }

  /** Who is signed in, once that is known. */
  async known(): Promise<string | null> {
    await this.#recalling;
    return this.get();
  }

  /** @param login an e-mail address or a user id. @throws ApiError */
  async signIn(login: string, password: string): Promise<void> {
    this.#take(await api.signIn(login, password));
  }

  /** In all tabs of this browser. @throws ApiError: nobody was signed out. */
  async signOut(): Promise<void> {
    await api.signOut();
    this.#forget();
  }

  /** An access token; null: nobody is signed in, or not any more. @throws ApiError */
  async token(): Promise<string | null> {
    if ((await this.known()) === null) return null;
    if (!this.#access?.isFresh) await this.#renew();
    return this.#access?.token ?? null;
  }

  /** The server refused the access token: the next one is asked for. False: there was none. */
  drop(): boolean {
    const had = this.#access !== null;
    this.#access = null;
    return had;
  }

  async #renew(): Promise<void> {
    try {
      const answer = await api.sessionToken();
      // Unless signed out meanwhile.
      if (this.get() !== null) this.#take(answer);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      this.#forget();
    }
  }

  #take(answer: AccessToken): void {
    const { userName, user_id } = claimsOf(answer.access_token);
    const name = String(userName || user_id);
    localStorage.setItem(NAME_KEY, name);
    this.#access = new Lasting(answer);
    this.set(name);
  }

  #forget(): void {
    localStorage.removeItem(NAME_KEY);
    this.#follow(null);
  }

  #follow(name: string | null): void {
    this.#access = null;
    this.set(name);
  }
}
