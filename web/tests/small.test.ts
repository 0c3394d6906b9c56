import { describe, expect, it } from 'vitest';
import { loudness } from '../src/meeting/AudioLevel';
import { claimsOf } from '../src/meeting/Credentials';
import { encodingOf, layerFor } from '../src/meeting/encodings';
import { deviceAdvice, passes, problemOf, RequestError } from '../src/meeting/errors';
import { readMeetingLink } from '../src/ui/meetingLink';
import { initials } from '../src/ui/Tile';

describe('readMeetingLink', () => {
  it.each([
    ['k7f-x2mq-9tb', 'k7f-x2mq-9tb', null],
    ['  k7f-x2mq-9tb ', 'k7f-x2mq-9tb', null],
    ['/m/k7f-x2mq-9tb', 'k7f-x2mq-9tb', null],
    ['https://meet.example.org/m/k7f-x2mq-9tb', 'k7f-x2mq-9tb', null],
    ['https://meet.example.org/m/k7f-x2mq-9tb/?name=Ann#token=a.b.c', 'k7f-x2mq-9tb', 'a.b.c'],
  ])('reads %j', (text, meetingId, token) => {
    expect(readMeetingLink(text)).toEqual({ meetingId, token });
  });

  it.each(['', 'two words', 'https://example.org/', 'https://example.org/m/', '../etc'])(
    'refuses %j',
    (text) => {
      expect(readMeetingLink(text)).toBeNull();
    },
  );
});

describe('layerFor', () => {
  it('asks for the smallest layer that fills the picture', () => {
    expect([90, 180, 225].map(layerFor)).toEqual(['low', 'low', 'low']);
    expect([226, 360, 450].map(layerFor)).toEqual(['medium', 'medium', 'medium']);
    expect([451, 720, 2160].map(layerFor)).toEqual(['high', 'high', 'high']);
  });
});

describe('encodingOf', () => {
  const codecs = ['audio/opus', 'video/VP8', 'video/VP9'].map((mimeType) => ({
    kind: mimeType.startsWith('audio') ? ('audio' as const) : ('video' as const),
    mimeType,
    preferredPayloadType: 100,
    clockRate: 90_000,
  }));

  it('sends the camera in three layers, smallest first, as VP8', () => {
    const { encodings, codec } = encodingOf('camera', codecs);
    expect(codec?.mimeType).toBe('video/VP8');
    expect(encodings?.map((encoding) => encoding.scaleResolutionDownBy)).toEqual([4, 2, 1]);
  });

  it('leaves the codec to the router where the browser lacks the preferred one', () => {
    expect(encodingOf('screen', codecs.slice(0, 2)).codec).toBeUndefined();
  });
});

describe('errors', () => {
  it('does not try again by itself what only a person can change', () => {
    expect(passes(new RequestError('MEETING_NOT_FOUND', ''))).toBe(false);
    expect(passes(new RequestError('NO_CAPACITY', '', 5))).toBe(true);
    expect(passes(new RequestError('UNAVAILABLE', ''))).toBe(true);
    expect(passes(new Error('anything'))).toBe(true);
  });

  it('says what to do for every failure, unknown ones too', () => {
    expect(problemOf(new RequestError('MEETING_FULL', '')).retry).toBeTruthy();
    expect(problemOf(new Error('x')).advice).toMatch(/try again/i);
    expect(deviceAdvice('Your camera', new DOMException('', 'NotAllowedError'))).toMatch(
      /^Your camera is blocked\. Allow it/,
    );
  });
});

describe('claimsOf', () => {
  it('reads names beyond ASCII, and nothing from what is no token', () => {
    const payload = btoa(String.fromCharCode(...new TextEncoder().encode('{"userName":"Zoë"}')));
    expect(claimsOf(`h.${payload}.s`).userName).toBe('Zoë');
    expect(claimsOf('nonsense')).toEqual({});
  });
});

describe('loudness', () => {
  it('is 0 in silence, 1 at full voice, and rises between', () => {
    const tone = (amplitude: number) =>
      new Float32Array(1024).map((_, i) => amplitude * Math.sin(i));
    expect(loudness(new Float32Array(1024))).toBe(0);
    expect(loudness(tone(1))).toBe(1);
    expect(loudness(tone(0.02))).toBeGreaterThan(0);
    expect(loudness(tone(0.02))).toBeLessThan(loudness(tone(0.1)));
  });
});

describe('initials', () => {
  it.each([
    ['Ann', 'A'],
    ['ann marie lee', 'AL'],
    ['  ', '?'],
    ['𝒵oe Ög', '𝒵Ö'],
  ])('of %j are %j', (name, expected) => {
    expect(initials(name)).toBe(expected);
  });
});
