import { describe, expect, it } from 'vitest';
import { Crossing, shown } from '../src/meeting/Crossing';
import { PlaneLine } from '../src/meeting/PlaneLine';
import type { Source, Stream } from '../src/meeting/protocol.generated';
import type { Receiving } from '../src/meeting/Receiver';
import { FakeServer } from './support';

const stream = (producer_id: string, user_id: string, source: Source = 'camera'): Stream => ({
  producer_id,
  user_id,
  source,
  kind: source === 'mic' ? 'audio' : 'video',
  paused: false,
});
const receiving = (...streams: Stream[]) => streams.map((producer) => ({ producer }) as Receiving);
const ids = (all: Receiving[]) => all.map(({ producer }) => producer.producer_id);

describe('what is shown while there are two sessions', () => {
  const older = receiving(stream('a1', 'ann'), stream('a2', 'ann', 'mic'), stream('b1', 'ben'));
  const newer = receiving(stream('x1', 'ann'), stream('x2', 'ann', 'mic'), stream('x3', 'cy'));

  it('is each source once: the older track until something comes by the newer one', () => {
    expect(ids(shown(older, newer, () => false))).toEqual(['a1', 'a2', 'b1', 'x3']);
    const heard = ({ producer }: Receiving) => producer.kind === 'audio';
    expect(ids(shown(older, newer, heard))).toEqual(['a1', 'x2', 'b1', 'x3']);
    expect(ids(shown(older, newer, () => true))).toEqual(['x1', 'x2', 'b1', 'x3']);
  });

  it('is the newer one where there is no older one, ready or not', () => {
    expect(ids(shown([], newer, () => false))).toEqual(['x1', 'x2', 'x3']);
  });
});

describe('a crossing', () => {
  const move = { meeting_id: 'm', node: 'n', epoch: 7, generation: 0 };

  it('knows what others send there', () => {
    const crossing = new Crossing({ ...move, streams: [stream('a', 'ann')] });
    crossing.hear(stream('b', 'ben'), false);
    crossing.hear({ ...stream('a', 'ann'), paused: true }, false);
    expect([...crossing.streams.values()].map((each) => each.paused)).toEqual([true, false]);
    crossing.hear(stream('a', 'ann'), true);
    expect([...crossing.streams.keys()]).toEqual(['b']);
    crossing.know([stream('c', 'cy')]);
    expect([...crossing.streams.keys()]).toEqual(['c']);
  });

  it('is given up after three failures', () => {
    const crossing = new Crossing({ ...move, streams: [] });
    for (const hopeless of [false, false, true]) {
      crossing.failed();
      expect(crossing.hopeless).toBe(hopeless);
    }
    expect(crossing.alive).toBe(false);
  });
});

describe('the line of a session', () => {
  it('names the server that is meant, where a request may', async () => {
    const server = new FakeServer();
    const line = new PlaneLine(server.client, 7);
    await line.request('transport:create', { meeting_id: 'm', direction: 'send' });
    await line.request('media:toggle', { meeting_id: 'm', kind: 'audio', enabled: true });
    expect(server.asked).toEqual([
      ['transport:create', { meeting_id: 'm', direction: 'send', epoch: 7 }],
      ['media:toggle', { meeting_id: 'm', kind: 'audio', enabled: true }],
    ]);
  });
});
