/**
 * Signaling as one media session uses it: whatever it asks is meant for the media server that it
 * is on. So what it asks never reaches another one, while a meeting moves or after it has.
 */
import type { ClientToServer } from './protocol.generated';
import type { SignalingClient } from './SignalingClient';

/** What a session needs of signaling. */
export type Asks = Pick<SignalingClient, 'request' | 'connected' | 'id'>;

/** The events that may name a server: those whose payload has an `epoch`, and no need of one. */
type Aimed = {
  [E in keyof ClientToServer]: undefined extends EpochOf<ClientToServer[E]['payload']> ? E : never;
}[keyof ClientToServer];
type EpochOf<P> = 'epoch' extends keyof P ? P[Extract<'epoch', keyof P>] : never;

const AIMED: Record<Aimed, true> = {
  'transport:create': true,
  'transport:connect': true,
  'transport:restart-ice': true,
  produce: true,
  'produce:close': true,
  consume: true,
  'consume:batch': true,
  'consumer:resume': true,
  'consumers:resume': true,
  'consumer:pause': true,
  'consumer:close': true,
  'quality:change': true,
};

export class PlaneLine implements Asks {
  constructor(
    private readonly signaling: Asks,
    private readonly epoch: number,
  ) {}

  get connected(): boolean {
    return this.signaling.connected;
  }

  get id(): string | undefined {
    return this.signaling.id;
  }

  /** @throws RequestError; NOT_FOUND where the meeting has left that server. */
  readonly request: Asks['request'] = (event, payload, options) =>
    this.signaling.request(
      event,
      event in AIMED ? { ...payload, epoch: this.epoch } : payload,
      options,
    );
}
