import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TokenKeeper } from '../src/meeting/TokenKeeper';
import { lasting } from './support';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

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
