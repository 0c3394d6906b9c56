import { describe, expect, it } from 'vitest';
import { loudness } from '../src/meeting/AudioLevel';
import { encodingOf, layerFor } from '../src/meeting/encodings';
import {
  closedProblem,
  deviceAdvice,
  passes,
  problemOf,
  RequestError,
  refusal,
  withReason,
} from '../src/meeting/errors';
import { claimsOf } from '../src/meeting/tokens';
import { readMeetingLink } from '../src/ui/meetingLink';
import { invitedText } from '../src/ui/panels/AddPeople';
import { initials } from '../src/ui/stage/Tile';

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

describe('pages that end a meeting', () => {
  it('say when a meeting opens that is not open yet', () => {
    const now = new Date(2025, 0, 15, 8, 30);
    const soon = problemOf(new RequestError('MEETING_NOT_OPEN', '', 900), now);
    expect(soon.advice).toMatch(/^It opens at .*45/);
    const later = problemOf(new RequestError('MEETING_NOT_OPEN', '', 86_400), now);
    expect(later.advice).toMatch(/^It opens on .*16/);
    expect(passes(new RequestError('MEETING_NOT_OPEN', '', 900))).toBe(false);
  });

  it('say why it is over, and what a host said', () => {
    const reasons = ['ended_by_host', 'expired', 'idle', 'deleted', 'breakout_closed'] as const;
    expect(new Set(reasons.map((reason) => closedProblem(reason).advice)).size).toBe(5);
    const removed = problemOf(new RequestError('REMOVED', ''));
    expect(withReason(removed, 'Wrong room').advice).toMatch(/^“Wrong room” Only a host/);
    expect(withReason(removed, '')).toBe(removed);
  });

  it('each have words of their own for a locked, a full and a refused meeting', () => {
    const codes = ['MEETING_LOCKED', 'MEETING_FULL', 'DENIED', 'REMOVED', 'REPLACED'];
    const titles = codes.map((code) => problemOf(new RequestError(code, '')).title);
    expect(new Set(titles).size).toBe(codes.length);
  });
});

describe('refusal', () => {
  it('says how long to wait, and otherwise what to do', () => {
    expect(refusal(new RequestError('RATE_LIMIT_EXCEEDED', '', 3.4))).toMatch(/in 4 s/);
    expect(refusal(new RequestError('SCREEN_SHARE_TAKEN', ''))).toMatch(/shares their screen/);
    expect(refusal(new RequestError('DISCONNECTED', ''))).toMatch(/try again/i);
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

describe('invitedText', () => {
  const email = 'dee@example.org';
  const join_url = 'https://meet.example.org/m/k7f-x2mq-9tb';

  it.each([
    [{ email, join_url, sent: true, mail: 'sent' as const }, /has a mail/],
    [{ email, join_url, sent: false, mail: 'sending' as const }, /is on its way/],
    [{ email, join_url, sent: false, mail: 'not_sent' as const }, /^Send dee@example.org/],
    [{ email, join_url, sent: false }, /^Send dee@example.org/],
  ])('says of %j what became of the mail', (invited, text) => {
    expect(invitedText(invited)).toMatch(text);
  });
});
