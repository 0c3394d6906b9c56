import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Credentials, expiryOf } from '../src/meeting/Credentials';
import { TokenKeeper } from '../src/meeting/TokenKeeper';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A token that ends so many seconds from now. */
const lasting = (seconds: number) =>
  `h.${btoa(JSON.stringify({ exp: Math.floor(Date.now() / 1000) + seconds }))}.s`;

describe('the keeper of a token', () => {
  it('hands a longer one over before the present one ends, again and again', async () => {
    const handed: string[] = [];
    const keeper = new TokenKeeper(
      async () => lasting(900),
      async (token) => void handed.push(token),
    );
    keeper.follow(lasting(900));
    await vi.advanceTimersByTimeAsync(800_000);
    expect(handed).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(handed).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(900_000);
    expect(handed).toHaveLength(2);
    keeper.stop();
  });

  it('tries again when the service was away', async () => {
    let away = true;
    const handed: string[] = [];
    const keeper = new TokenKeeper(
      async () => lasting(900),
      async (token) => {
        if (away) throw new Error('away');
        handed.push(token);
      },
    );
    keeper.follow(lasting(60));
    await vi.advanceTimersByTimeAsync(20_000);
    expect(handed).toEqual([]);
    away = false;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(handed).toHaveLength(1);
    keeper.stop();
  });

  it('rests where there is no longer one, and where the token never ends', async () => {
    const asked: string[] = [];
    const keeper = new TokenKeeper(
      async (token) => {
        asked.push(token);
        return null;
      },
      async () => undefined,
    );
    keeper.follow('no-jwt');
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(asked).toEqual([]);
    keeper.follow(lasting(10));
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(asked).toHaveLength(1);
  });
});

describe('credentials', () => {
  it('know a token that lasts longer than the present one, and no shorter one', async () => {
    const credentials = new Credentials();
    credentials.setResumeToken('m', lasting(500));
    expect(await credentials.longerThan('m', lasting(100))).toSatisfy(
      (token: string) => expiryOf(token) > Date.now() + 400_000,
    );
    expect(await credentials.longerThan('m', lasting(900))).toBeNull();
    expect(await credentials.longerThan('other', lasting(1))).toBeNull();
  });
});
