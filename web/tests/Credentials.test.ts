/** Who a tab speaks for, with a service of the tests' own behind `fetch`. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError } from '../src/api';
import { Credentials } from '../src/meeting/Credentials';
import { codeOf, returnProblem, signInRefusal } from '../src/meeting/errors';
import { expiryOf } from '../src/meeting/tokens';
import { lasting } from './support';

class FakeStorage {
  readonly items = new Map<string, string>();
  getItem = (key: string) => this.items.get(key) ?? null;
  setItem = (key: string, value: string) => void this.items.set(key, value);
  removeItem = (key: string) => void this.items.delete(key);
}

/** Its cookie is `session`: the browser's, which no script reads. */
class FakeService {
  readonly asked: string[] = [];
  session = false;
  away = false;
  config = { name: 'KCS Meetings', dev_login: false, local_accounts: true, external_login: false };

  readonly fetch = async (address: string, { method, body }: { method: string; body: string }) => {
    const asked = `${method} ${address.replace('/api/v1/', '')}`;
    this.asked.push(asked);
    if (this.away) throw new TypeError('Failed to fetch');
    const answer = (status: number, data: object) =>
      new Response(status === 204 ? null : JSON.stringify(data), {
        status,
        headers: status === 429 ? { 'Retry-After': '30' } : {},
      });
    const token = lasting(900, { user_id: 'ada', userName: 'Ada' });
    const tokens = { access_token: token, expires_in: 900, refresh_token: 'r' };
    switch (asked) {
      case 'GET config':
        return answer(200, this.config);
      case 'POST auth/session': {
        const { password } = JSON.parse(body);
        if (password === 'often') return answer(429, { code: 'RATE_LIMIT_EXCEEDED' });
        this.session = password === 'right';
        return this.session ? answer(200, tokens) : answer(401, { code: 'ACCESS_DENIED' });
      }
      case 'POST auth/session/refresh':
        return this.session ? answer(200, tokens) : answer(401, { code: 'ACCESS_DENIED' });
      case 'DELETE auth/session':
        this.session = false;
        return answer(204, {});
      case 'POST auth/token':
        return answer(200, tokens);
    }
    return answer(404, {});
  };
}

let service: FakeService;
let local: FakeStorage;
let otherTab: (event: { key: string; newValue: string | null }) => void;

beforeEach(() => {
  vi.useFakeTimers();
  service = new FakeService();
  local = new FakeStorage();
  vi.stubGlobal('fetch', service.fetch);
  vi.stubGlobal('localStorage', local);
  vi.stubGlobal('sessionStorage', new FakeStorage());
  vi.stubGlobal('addEventListener', (_: string, hear: typeof otherTab) => {
    otherTab = hear;
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => error,
  );

describe('a browser that is signed in', () => {
  it('is known by its name after a reload, and gets tokens by its cookie', async () => {
    const before = new Credentials();
    await before.account.signIn('ada', 'right');
    expect(before.account.get()).toBe('Ada');
    const after = new Credentials();
    expect(after.isSomebody('m')).toBe(true);
    expect(after.knownName('m')).toBe('Ada');
    const token = await after.access();
    expect(await after.access()).toBe(token);
    expect(service.asked).toEqual(['POST auth/session', 'POST auth/session/refresh']);
    expect([...local.items.values()]).toEqual(['Ada']);
  });

  it('knows whom the identity provider signed in, as soon as anybody asks', async () => {
    service.session = true;
    const credentials = new Credentials();
    credentials.account.recall();
    expect(await credentials.needsSignIn('m')).toBe(false);
    expect(credentials.account.get()).toBe('Ada');
    service.session = false;
    local.items.clear();
    const nobody = new Credentials();
    nobody.account.recall();
    expect(await nobody.needsSignIn('m')).toBe(true);
  });

  it('asks for the next token in the last minute of the present one, once for all', async () => {
    const credentials = new Credentials();
    await credentials.account.signIn('ada', 'right');
    await vi.advanceTimersByTimeAsync(839_000);
    await credentials.access();
    expect(service.asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(2_000);
    const tokens = await Promise.all([credentials.access(), credentials.access()]);
    expect(service.asked).toHaveLength(2);
    expect(expiryOf(tokens[0])).toBeGreaterThan(Date.now() + 890_000);
  });

  it('stays signed in while the service is away, and not when its session has ended', async () => {
    await new Credentials().account.signIn('ada', 'right');
    const credentials = new Credentials();
    service.away = true;
    expect(codeOf(await failure(credentials.access()))).toBe('UNREACHABLE');
    expect(credentials.account.get()).toBe('Ada');
    service.away = false;
    service.session = false;
    expect(codeOf(await failure(credentials.access()))).toBe('SIGN_IN');
    expect(credentials.account.get()).toBeNull();
    expect(await credentials.needsSignIn('m')).toBe(true);
  });

  it('signs out in all its tabs, unless the service is away', async () => {
    const one = new Credentials();
    await one.account.signIn('ada', 'right');
    service.away = true;
    expect(await failure(one.account.signOut())).toBeInstanceOf(ApiError);
    expect(one.account.get()).toBe('Ada');
    service.away = false;
    const other = new Credentials();
    await other.access();
    await one.account.signOut();
    otherTab({ key: 'kcs.account', newValue: null });
    for (const each of [one, other]) {
      expect(each.account.get()).toBeNull();
      expect(codeOf(await failure(each.access()))).toBe('SIGN_IN');
    }
  });

  it('gets another token where the server refused one, and gives up where that is no other', async () => {
    const credentials = new Credentials();
    await credentials.account.signIn('ada', 'right');
    await credentials.access();
    expect(credentials.dropRefused('m')).toBe(true);
    expect(credentials.dropRefused('m')).toBe(false);
    await credentials.access();
    expect(service.asked.at(-1)).toBe('POST auth/session/refresh');
  });
});

describe('somebody who is not signed in', () => {
  it.each([
    [{ dev_login: false, local_accounts: true, external_login: false }, true],
    [{ dev_login: false, local_accounts: false, external_login: true }, true],
    [{ dev_login: true, local_accounts: true, external_login: true }, false],
    [{ dev_login: false, local_accounts: false, external_login: false }, false],
  ])('is asked to sign in where there is a way to: %j', async (offers, asked) => {
    Object.assign(service.config, offers);
    const credentials = new Credentials();
    expect(await credentials.needsSignIn('m')).toBe(asked);
    const code = codeOf(await failure(credentials.access()));
    expect(code === 'SIGN_IN').toBe(asked);
    expect(service.asked).not.toContain('POST auth/session/refresh');
  });

  it('is told to come by an invitation where there are none', async () => {
    service.config.local_accounts = false;
    expect(codeOf(await failure(new Credentials().access()))).toBe('NO_INVITATION');
  });

  it('comes in by an invitation, whoever is signed in, and asks nobody', async () => {
    await new Credentials().account.signIn('ada', 'right');
    service.asked.length = 0;
    const credentials = new Credentials();
    const invitation = lasting(100, { userName: 'Ben' });
    credentials.rememberInvitation('m', invitation);
    expect(await credentials.needsSignIn('m')).toBe(false);
    expect(await credentials.forSocket('m')).toBe(invitation);
    expect(credentials.knownName('m')).toBe('Ben');
    expect(await credentials.longerThan('m', invitation)).toBeNull();
    expect(service.asked).toEqual([]);
  });
});

describe('a longer token', () => {
  it('is the resume token, else the account’s, and never a shorter one', async () => {
    const credentials = new Credentials();
    credentials.setResumeToken('m', lasting(500));
    expect(await credentials.longerThan('m', lasting(100))).toSatisfy(
      (token: string) => expiryOf(token) > Date.now() + 400_000,
    );
    expect(await credentials.longerThan('m', lasting(900))).toBeNull();
    expect(await credentials.longerThan('other', lasting(1))).toBeNull();
    await credentials.account.signIn('ada', 'right');
    const first = await credentials.access();
    await vi.advanceTimersByTimeAsync(860_000);
    const next = await credentials.longerThan('m', first);
    expect(expiryOf(next ?? '')).toBeGreaterThan(expiryOf(first) + 800_000);
  });
});

describe('what a refused password brings', () => {
  it('has words for each way back from the identity provider', () => {
    const words = ['away', 'late', 'refused'].map(returnProblem);
    expect(new Set(words).size).toBe(3);
    expect([null, 'done', 'nonsense'].map(returnProblem)).toEqual(['', '', '']);
  });

  it('has words for each reason, and the wait', async () => {
    const { account } = new Credentials();
    const wrong = await failure(account.signIn('ada', 'wrong'));
    expect(signInRefusal(wrong)).toMatch(/that name and that password/);
    const often = (await failure(account.signIn('ada', 'often'))) as ApiError;
    expect(signInRefusal(often)).toMatch(/too many tries/);
    expect(often.retryAfter).toBe(30);
    service.away = true;
    expect(signInRefusal(await failure(account.signIn('ada', 'right')))).toMatch(/does not answer/);
    expect(account.get()).toBeNull();
  });
});
