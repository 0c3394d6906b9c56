import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Reconciler } from '../src/meeting/Reconciler';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A step that waits until it is let go, and counts how many of it run at once. */
function gatedStep() {
  const gates: (() => void)[] = [];
  const seen = { runs: 0, atOnce: 0, most: 0, stale: 0 };
  const step = async (stale: () => boolean) => {
    seen.runs += 1;
    seen.atOnce += 1;
    seen.most = Math.max(seen.most, seen.atOnce);
    await new Promise<void>((resolve) => gates.push(resolve));
    seen.atOnce -= 1;
    if (stale()) seen.stale += 1;
  };
  const release = async () => {
    gates.shift()?.();
    await vi.advanceTimersByTimeAsync(0);
  };
  return { step, seen, release };
}

describe('Reconciler', () => {
  it('never runs two steps at once, and runs once more for all kicks during a step', async () => {
    const { step, seen, release } = gatedStep();
    const reconciler = new Reconciler(step, () => 1000);
    reconciler.kick();
    reconciler.kick();
    reconciler.kick();
    await release();
    await release();
    expect(seen).toMatchObject({ runs: 2, most: 1 });
  });

  it('tries again after the time that the failure handler names, counting failures in a row', async () => {
    const failures: number[] = [];
    let healthy = false;
    const reconciler = new Reconciler(
      async () => {
        if (!healthy) throw new Error('not yet');
      },
      (_, count) => {
        failures.push(count);
        return 500;
      },
    );
    reconciler.kick();
    await vi.advanceTimersByTimeAsync(499);
    expect(failures).toEqual([1]);
    await vi.advanceTimersByTimeAsync(501);
    expect(failures).toEqual([1, 2, 3]);
    healthy = true;
    await vi.advanceTimersByTimeAsync(500);
    healthy = false;
    reconciler.kick();
    await vi.advanceTimersByTimeAsync(0);
    expect(failures).toEqual([1, 2, 3, 1]);
  });

  it('does not wait for a step that hangs when interrupted, and tells that step it is stale', async () => {
    const { step, seen, release } = gatedStep();
    const reconciler = new Reconciler(step, () => 1000);
    reconciler.kick();
    reconciler.interrupt(100);
    await vi.advanceTimersByTimeAsync(100);
    expect(seen.runs).toBe(2);
    await release();
    expect(seen.stale).toBe(1);
    await release();
    expect(seen.stale).toBe(1);
    reconciler.kick();
    expect(seen.runs).toBe(3);
  });

  it('does nothing after stop', async () => {
    const { step, seen } = gatedStep();
    const reconciler = new Reconciler(step, () => 1000);
    reconciler.kickIn(50);
    reconciler.stop();
    reconciler.kick();
    await vi.advanceTimersByTimeAsync(100);
    expect(seen.runs).toBe(0);
  });
});
