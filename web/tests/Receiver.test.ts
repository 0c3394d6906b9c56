import type { types } from 'mediasoup-client';
import { describe, expect, it } from 'vitest';
import { RequestError } from '../src/meeting/errors';
import type { Layer, Stream } from '../src/meeting/protocol.generated';
import { chunks, Receiver } from '../src/meeting/Receiver';
import type { Transports } from '../src/meeting/Transports';
import { FakeServer } from './support';

const camera = (id: string): Stream => ({
  producer_id: id,
  user_id: `user-${id}`,
  kind: 'video',
  source: 'camera',
  paused: false,
});
const mic = (id: string): Stream => ({ ...camera(id), kind: 'audio', source: 'mic' });

/** A receiver whose browser takes up everything, and a server that has everything. */
function receiver(layers: Record<string, Layer | null> = {}) {
  const server = new FakeServer();
  const refused: string[] = [];
  const streams = new Map<string, Stream>();
  server.answers['consume:batch'] = ({ producer_ids }) => ({
    consumers: producer_ids
      .filter((id) => streams.has(id))
      .map((id) => ({
        ...(streams.get(id) as Stream),
        consumer_id: `c-${id}`,
        type: streams.get(id)?.kind === 'video' ? ('simulcast' as const) : ('simple' as const),
        rtp_parameters: {} as types.RtpParameters,
        producer_paused: false,
      })),
    failed: producer_ids
      .filter((id) => !streams.has(id))
      .map((id) => ({ producer_id: id, code: 'NOT_FOUND', message: '' })),
  });
  const transport = {
    consume: async ({ id }: { id: string }) => ({ id, track: {}, close: () => undefined }),
  };
  const transports = { get: async () => transport } as unknown as Transports;
  const receiver = new Receiver(
    server.client,
    transports,
    {},
    {
      changed: () => undefined,
      layerOf: ({ producer_id }) =>
        producer_id in layers ? (layers[producer_id] ?? null) : 'high',
      refused: (id, code) => refused.push(`${id} ${code}`),
    },
  );
  const receive = (all: Stream[]) => {
    for (const stream of all) streams.set(stream.producer_id, stream);
    return receiver.receive(all);
  };
  return { server, receiver, receive, layers, refused, streams };
}

describe('a receiver', () => {
  it('asks for 60 streams in batches of 25 that wait for nothing, voices first', async () => {
    const { server, receive, receiver: received } = receiver();
    const all = Array.from({ length: 30 }, (_, n) => [camera(`v${n}`), mic(`a${n}`)]).flat();
    const done = receive(all);
    expect(server.events).toEqual(['consume:batch', 'consume:batch', 'consume:batch']);
    await done;
    const asked = server.asked.slice(0, 3);
    const batches = asked.map(([, said]) => said.producer_ids as string[]);
    expect(asked.map(([, said]) => said.paused)).toEqual([false, true, true]);
    expect(batches.map((batch) => batch.length)).toEqual([25, 25, 10]);
    expect(batches[0]?.every((id) => id.startsWith('a'))).toBe(true);
    expect(asked.map(([, said]) => 'rtp_capabilities' in said)).toEqual([true, false, false]);
    expect(received.receiving.size).toBe(60);
  });

  it('has what is seen flow at once, in the layer in which it is shown, and the rest held back', async () => {
    const { server, receive } = receiver({ shown: 'low', hidden: null });
    await receive([camera('shown'), camera('hidden'), mic('voice')]);
    expect(server.asked).toMatchObject([
      ['consume:batch', { producer_ids: ['voice', 'shown'], paused: false }],
      ['consume:batch', { producer_ids: ['hidden'], paused: true }],
      ['quality:change', { producer_id: 'shown', layer: 'low' }],
    ]);
  });

  it('lets what comes later flow only when the browser has taken it up', async () => {
    const { server, receive } = receiver({ second: 'low' });
    await receive([mic('first')]);
    server.asked.length = 0;
    await receive([camera('second'), mic('third')]);
    expect(server.asked).toMatchObject([
      ['consume:batch', { producer_ids: ['third', 'second'], paused: true }],
      ['quality:change', { producer_id: 'second', layer: 'low' }],
      ['consumers:resume', { consumer_ids: ['c-third', 'c-second'] }],
    ]);
  });

  it('pauses what goes off the screen, and resumes all that come onto it in one request', async () => {
    const { server, receive, receiver: received, layers } = receiver({ b: null, c: null });
    await receive([camera('a'), camera('b'), camera('c')]);
    server.asked.length = 0;
    Object.assign(layers, { a: null, b: 'medium', c: 'medium' });
    await received.show();
    expect(server.asked).toEqual([
      ['consumer:pause', { consumer_id: 'c-a' }],
      ['quality:change', { producer_id: 'b', layer: 'medium' }],
      ['quality:change', { producer_id: 'c', layer: 'medium' }],
      ['consumers:resume', { consumer_ids: ['c-b', 'c-c'] }],
    ]);
    server.asked.length = 0;
    await received.show();
    expect(server.asked).toEqual([]);
  });

  it('tells the server the next time what it could not tell it now', async () => {
    const { server, receive, receiver: received, layers } = receiver();
    await receive([camera('a')]);
    layers.a = null;
    server.answers['consumer:pause'] = new RequestError('UNAVAILABLE', '');
    await expect(received.show()).rejects.toThrow();
    server.answers['consumer:pause'] = undefined;
    server.asked.length = 0;
    await received.show();
    expect(server.events).toEqual(['consumer:pause']);
  });

  it('does without a stream that is gone, and takes up the others of its batch', async () => {
    const { receiver: received, refused, streams } = receiver();
    streams.set('here', camera('here'));
    await received.receive([camera('here'), camera('gone')]);
    expect([...received.receiving.keys()]).toEqual(['here']);
    expect(refused).toEqual(['gone NOT_FOUND']);
    expect(received.has('gone')).toBe(false);
  });

  it('may ask again for what a failed request was about', async () => {
    const { server, receive, receiver: received } = receiver();
    const answer = server.answers['consume:batch'];
    server.answers['consume:batch'] = new RequestError('UNAVAILABLE', '');
    await expect(receive([camera('a')])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(received.has('a')).toBe(false);
    server.answers['consume:batch'] = answer;
    await receive([camera('a')]);
    expect(server.asked.at(-1)?.[1]).toHaveProperty('rtp_capabilities');
    expect(received.receiving.size).toBe(1);
  });
});

describe('chunks', () => {
  it('hold everything once, in order', () => {
    expect(chunks([1, 2, 3, 4, 5], 2)).toEqual([[1, 2], [3, 4], [5]]);
    expect(chunks([], 2)).toEqual([]);
  });
});
