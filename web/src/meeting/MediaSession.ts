/**
 * One life of our media: a device, its two connections, and what flows over them.
 *
 * `MediaFlow` opens one after joining and closes it when the server's media plane is new or our
 * connection cannot be mended; nothing is ever revived. While the meeting moves to another media
 * server there are two, each on its own plane. It closes from the top: `close()` closes
 * the transports, they close all producers and consumers, and what was being asked of the server
 * fails quietly. Local tracks are not its own and stay live.
 */

import { RequestError } from './errors';
import type { MediaDevice } from './MediaDevice';
import { PlaneLine } from './PlaneLine';
import type { MediaPlane, RoomJoined } from './protocol.generated';
import { Receiver, type ReceiverHandlers } from './Receiver';
import { Sender } from './Sender';
import type { SignalingClient } from './SignalingClient';
import { Transports } from './Transports';

export interface MediaSessionOptions {
  /** Media goes through a TURN server, even where a direct way exists. */
  relayOnly: boolean;
}

export interface MediaSessionHandlers extends ReceiverHandlers {
  /** A connection could not be mended: the session is closed, another is needed after so long. */
  broken(afterMs: number): void;
}

export class MediaSession {
  #closed = false;

  private constructor(
    readonly plane: MediaPlane,
    readonly transports: Transports,
    readonly sender: Sender,
    readonly receiver: Receiver,
  ) {}

  /** Loads the device; connections are made when they are needed. @throws as `MediaFlow.open`. */
  static async open(
    signaling: SignalingClient,
    room: RoomJoined,
    mediaDevice: MediaDevice,
    options: MediaSessionOptions,
    handlers: MediaSessionHandlers,
  ): Promise<MediaSession> {
    if (options.relayOnly && room.ice_ttl_seconds === null) {
      throw new RequestError('NO_RELAY', 'the server offers no TURN server');
    }
    const device = await mediaDevice.for(room.rtp_capabilities);
    const id = room.meeting_id;
    const line = new PlaneLine(signaling, room.media.epoch);
    const transports = new Transports(id, line, device, options.relayOnly, (afterMs) => {
      session.close();
      handlers.broken(afterMs);
    });
    const { sendRtpCapabilities, recvRtpCapabilities } = device;
    const session: MediaSession = new MediaSession(
      room.media,
      transports,
      new Sender(id, line, transports, sendRtpCapabilities.codecs ?? []),
      new Receiver(line, transports, recvRtpCapabilities, handlers),
    );
    return session;
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.transports.close();
    this.sender.clear();
    this.receiver.clear();
  }
}
