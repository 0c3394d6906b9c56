import { describe, expect, it } from 'vitest';
import { RequestError } from '../src/meeting/errors';
import { Sender } from '../src/meeting/Sender';
import type { Transports } from '../src/meeting/Transports';
import { FakeServer, person } from './support';

interface FakeProducer {
  track: MediaStreamTrack | null;
  source: string;
  closed: boolean;
  /** The highest layer that is sent; undefined: all. */
  layer?: number;
}

const track = (enabled = true) => ({ enabled }) as MediaStreamTrack;

function sender() {
  const server = new FakeServer();
  const produced: FakeProducer[] = [];
  const transport = {
    produce: async ({ track, appData }: { track: MediaStreamTrack; appData: object }) => {
      const { source } = appData as { source: string };
      const producer = { track, source, closed: false };
      produced.push(producer);
      return Object.assign(producer, {
        appData,
        close: () => Object.assign(producer, { closed: true }),
        setMaxSpatialLayer: async (layer: number) => void Object.assign(producer, { layer }),
        replaceTrack: async (next: { track: MediaStreamTrack | null }) =>
          void Object.assign(producer, next),
      });
    },
  };
  const transports = { get: async () => transport } as unknown as Transports;
  return { server, produced, sender: new Sender('m', server.client, transports, []) };
}

describe('a sender', () => {
  it('tells the server once that a microphone went off, and when it is on again', async () => {
    const { server, produced, sender: sends } = sender();
    const mic = track();
    await sends.send('mic', mic);
    Object.assign(mic, { enabled: false });
    await sends.send('mic', mic);
    await sends.send('mic', mic);
    Object.assign(mic, { enabled: true });
    await sends.send('mic', mic);
    expect(produced).toHaveLength(1);
    expect(server.asked.map(([, said]) => said.enabled)).toEqual([false, true]);
  });

  it('sends the camera small while another session sends it, too, and then as it is', async () => {
    const { produced, sender: sends } = sender();
    sends.beFrugal(true);
    await sends.send('camera', track());
    await sends.send('mic', track());
    expect(produced.map(({ layer }) => layer)).toEqual([0, undefined]);
    sends.beFrugal(false);
    await Promise.resolve();
    expect(produced[0]?.layer).toBe(2);
  });

  it('takes a place before it sends a screen with its sound, and gives it back', async () => {
    const { server, produced, sender: sends } = sender();
    await sends.sendScreen({ video: track(), audio: track() });
    expect(server.events).toEqual(['screen:start']);
    expect(produced.map(({ source }) => source)).toEqual(['screen', 'screen_audio']);
    expect(sends.screenAnnounced).toBe(true);
    await sends.sendScreen({ video: null, audio: null });
    await sends.sendScreen({ video: null, audio: null });
    expect(server.events).toEqual(['screen:start', 'screen:stop']);
    expect(produced.every(({ closed }) => closed)).toBe(true);
  });

  it('sends no screen where all places are taken', async () => {
    const { server, produced, sender: sends } = sender();
    server.answers['screen:start'] = new RequestError('SCREEN_SHARE_TAKEN', '');
    await expect(sends.sendScreen({ video: track(), audio: null })).rejects.toMatchObject({
      code: 'SCREEN_SHARE_TAKEN',
    });
    expect(produced).toEqual([]);
    expect(sends.screenAnnounced).toBe(false);
  });

  it('ends at the server a screen that it still has of us after we came back without', async () => {
    const { server, sender: sends } = sender();
    sends.assume(person('ann', { screen_sharing: true }));
    await sends.sendScreen({ video: null, audio: null });
    expect(server.events).toEqual(['screen:stop']);
  });

  it('says again that a screen has ended, if the server did not hear it', async () => {
    const { server, sender: sends } = sender();
    await sends.sendScreen({ video: track(), audio: null });
    server.answers['screen:stop'] = new RequestError('DISCONNECTED', '');
    await expect(sends.sendScreen({ video: null, audio: null })).rejects.toThrow();
    server.answers['screen:stop'] = new RequestError('NOT_FOUND', 'a host was faster');
    await sends.sendScreen({ video: null, audio: null });
    expect(server.events).toEqual(['screen:start', 'screen:stop', 'screen:stop']);
    expect(sends.screenAnnounced).toBe(false);
  });

  it('sends anew what a role took away and another role gave back', async () => {
    const { server, produced, sender: sends } = sender();
    await sends.send('mic', track());
    sends.drop('mic');
    expect(produced[0]?.closed).toBe(true);
    await sends.send('mic', track());
    expect(produced).toHaveLength(2);
    expect(server.events).toEqual([]);
  });
});
