import { describe, expect, it } from 'vitest';
import { type Report, summarize } from '../src/meeting/connectionStats';

const reports = (received: number, lost: number, bytes: number): Report[] => [
  { id: 'pair', type: 'candidate-pair', nominated: true, currentRoundTripTime: 0.08 },
  { id: 'old', type: 'candidate-pair', nominated: false, currentRoundTripTime: 3 },
  {
    id: 'in',
    type: 'inbound-rtp',
    kind: 'audio',
    jitter: 0.012,
    packetsReceived: received,
    packetsLost: lost,
    bytesReceived: bytes,
  },
  { id: 'out', type: 'outbound-rtp', kind: 'video', bytesSent: bytes },
];

describe('the summary of a connection', () => {
  it('is in ms, per cent and bits per second, since the reading before', () => {
    const first = summarize(reports(100, 0, 1000), null, 0);
    expect(first.stats).toEqual({
      rtt: 80,
      jitter: 12,
      packetLoss: 0,
      bitrate: 0,
      limitedBy: 'none',
    });
    const second = summarize(reports(190, 10, 126_000), first.reading, 5000);
    expect(second.stats).toMatchObject({ packetLoss: 10, bitrate: 400_000 });
  });

  it('counts what the server lost of ours, where that is more', () => {
    const theirs: Report = { id: 'r', type: 'remote-inbound-rtp', fractionLost: 0.25 };
    expect(summarize([...reports(1, 0, 0), theirs], null, 0).stats.packetLoss).toBe(25);
  });

  it('says what holds our picture down, and only what the server knows', () => {
    const limited = (...reasons: string[]) =>
      summarize(
        reasons.map((qualityLimitationReason, index) => ({
          id: String(index),
          type: 'outbound-rtp',
          qualityLimitationReason,
        })),
        null,
        0,
      ).stats.limitedBy;
    expect(limited('none', 'cpu', 'bandwidth')).toBe('bandwidth');
    expect(limited('none', 'cpu')).toBe('cpu');
    expect(limited('other')).toBe('none');
  });

  it('stays within what the server takes, when connections were made anew', () => {
    const before = summarize(reports(1000, 50, 10_000_000), null, 0).reading;
    const { stats } = summarize(reports(10, 0, 100), before, 5000);
    expect(stats).toMatchObject({ packetLoss: 0, bitrate: 0 });
  });
});
