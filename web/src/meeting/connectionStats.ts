/**
 * How the connection is, in the four numbers of the guides, from `RTCPeerConnection.getStats`. Pure.
 *
 * Losses and bytes are counted since the reading before; without one, loss and bitrate are 0.
 */
import type { ConnectionStats } from './protocol.generated';

/** A report of `getStats`, with the fields that matter here. */
export interface Report {
  id: string;
  type: string;
  kind?: string;
  bytesSent?: number;
  bytesReceived?: number;
  packetsReceived?: number;
  packetsLost?: number;
  fractionLost?: number;
  jitter?: number;
  roundTripTime?: number;
  currentRoundTripTime?: number;
  nominated?: boolean;
  qualityLimitationReason?: string;
}

export interface Reading {
  at: number;
  bytes: number;
  received: number;
  lost: number;
}

export function summarize(
  reports: readonly Report[],
  before: Reading | null,
  at: number,
): { stats: ConnectionStats; reading: Reading } {
  const of = (type: string) => reports.filter((report) => report.type === type);
  const inbound = of('inbound-rtp');
  const outbound = of('outbound-rtp');
  const reading: Reading = {
    at,
    bytes:
      sum(inbound.map(({ bytesReceived }) => bytesReceived)) +
      sum(outbound.map(({ bytesSent }) => bytesSent)),
    received: sum(inbound.map(({ packetsReceived }) => packetsReceived)),
    lost: sum(inbound.map(({ packetsLost }) => packetsLost)),
  };
  const roundTrips = [
    ...of('candidate-pair')
      .filter(({ nominated }) => nominated !== false)
      .map(({ currentRoundTripTime }) => currentRoundTripTime),
    ...of('remote-inbound-rtp').map(({ roundTripTime }) => roundTripTime),
  ];
  const jitters = inbound.filter(({ kind }) => kind === 'audio').map(({ jitter }) => jitter);
  // What the server lost of ours.
  const theirs = of('remote-inbound-rtp').map(({ fractionLost }) => (fractionLost ?? 0) * 100);
  return {
    reading,
    stats: {
      rtt: within(greatest(roundTrips) * 1000, 60_000),
      jitter: within(greatest(jitters) * 1000, 60_000),
      packetLoss: within(Math.max(lostSince(reading, before), greatest(theirs)), 100),
      bitrate: within(bitrateSince(reading, before), 1e10),
      limitedBy: limited(outbound),
    },
  };
}

function lostSince(now: Reading, before: Reading | null): number {
  if (!before) return 0;
  const lost = Math.max(0, now.lost - before.lost);
  const received = Math.max(0, now.received - before.received);
  return lost === 0 ? 0 : (lost / (lost + received)) * 100;
}

function bitrateSince(now: Reading, before: Reading | null): number {
  if (!before || now.at <= before.at) return 0;
  return Math.max(0, ((now.bytes - before.bytes) * 8 * 1000) / (now.at - before.at));
}

function limited(outbound: readonly Report[]): NonNullable<ConnectionStats['limitedBy']> {
  const reasons = outbound.map(({ qualityLimitationReason }) => qualityLimitationReason);
  if (reasons.includes('bandwidth')) return 'bandwidth';
  return reasons.includes('cpu') ? 'cpu' : 'none';
}

function sum(values: readonly (number | undefined)[]): number {
  return values.reduce<number>((total, value) => total + (value ?? 0), 0);
}

function greatest(values: readonly (number | undefined)[]): number {
  return values.reduce<number>((most, value) => Math.max(most, value ?? 0), 0);
}

/** What the server takes: a number within its bounds, to two digits. */
function within(value: number, most: number): number {
  return Number.isFinite(value) ? Math.round(Math.min(value, most) * 100) / 100 : 0;
}
