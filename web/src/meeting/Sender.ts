/** What a session sends: one producer per source, made to agree with our own tracks. */
import type { types } from 'mediasoup-client';
import { CAMERA_LAYERS, encodingOf } from './encodings';
import { codeOf } from './errors';
import type { Asks } from './PlaneLine';
import type { Person, Source } from './protocol.generated';
import type { Transports } from './Transports';

interface Sending {
  producer: types.Producer;
  /** What the server was told last. */
  enabled: boolean;
}

export interface ScreenTracks {
  video: MediaStreamTrack | null;
  audio: MediaStreamTrack | null;
}

export class Sender {
  readonly #sending = new Map<Source, Sending>();
  #screenAnnounced = false;
  #frugal = false;

  constructor(
    private readonly meetingId: string,
    private readonly signaling: Asks,
    private readonly transports: Transports,
    private readonly codecs: readonly types.RtpCodecCapability[],
  ) {}

  /** What the server holds us to send, as it was joined (again), so that the rest can be mended. */
  assume(me: Person | undefined): void {
    const mic = this.#sending.get('mic');
    if (mic) mic.enabled = me?.audio_enabled ?? false;
    const camera = this.#sending.get('camera');
    if (camera) camera.enabled = me?.video_enabled ?? false;
    this.#screenAnnounced = me?.screen_sharing ?? false;
  }

  /**
   * The camera is sent in its smallest layer alone: another session sends it, too, and neither the
   * computer nor the connection need bear it twice. False: in all layers (again).
   */
  beFrugal(frugal: boolean): void {
    this.#frugal = frugal;
    const camera = this.#sending.get('camera');
    if (camera) void this.#limit(camera.producer);
  }

  /** Whether the server counts our screen among those that are shared, for all that we said. */
  get screenAnnounced(): boolean {
    return this.#screenAnnounced;
  }

  clear(): void {
    this.#sending.clear();
  }

  /** Makes what the server gets of a device agree with the track; null: nothing is sent. */
  async send(source: 'mic' | 'camera', track: MediaStreamTrack | null): Promise<void> {
    const sending = this.#sending.get(source);
    const enabled = track?.enabled ?? false;
    if (!sending) {
      if (track) await this.#produce(source, track);
      return;
    }
    if (sending.producer.track !== track) await sending.producer.replaceTrack({ track });
    if (sending.enabled === enabled) return;
    const kind = source === 'mic' ? 'audio' : 'video';
    await this.signaling.request('media:toggle', { meeting_id: this.meetingId, kind, enabled });
    sending.enabled = enabled;
  }

  /** The same for the screen, which takes a place of its own. @throws SCREEN_SHARE_TAKEN */
  async sendScreen({ video, audio }: ScreenTracks): Promise<void> {
    const sent = this.#sending.get('screen');
    if (video && sent?.producer.track === video) return;
    if (sent || (this.#screenAnnounced && !video)) await this.#stopScreen();
    if (!video) return;
    await this.signaling.request('screen:start', { meeting_id: this.meetingId });
    this.#screenAnnounced = true;
    await Promise.all([
      this.#produce('screen', video),
      audio && this.#produce('screen_audio', audio),
    ]);
  }

  /** Our role does not allow these (any more): the server has ended them by itself. */
  drop(...sources: Source[]): void {
    for (const source of sources) {
      this.#sending.get(source)?.producer.close();
      this.#sending.delete(source);
    }
    if (sources.includes('screen')) this.#screenAnnounced = false;
  }

  async #produce(source: Source, track: MediaStreamTrack): Promise<void> {
    const transport = await this.transports.get('send');
    const producer = await transport.produce({
      track,
      ...encodingOf(source, this.codecs),
      stopTracks: false,
      // LocalMedia switches its tracks itself.
      disableTrackOnPause: false,
      appData: { source, paused: !track.enabled },
    });
    this.#sending.set(source, { producer, enabled: producer.appData.paused !== true });
    if (source === 'camera' && this.#frugal) await this.#limit(producer);
  }

  async #limit(camera: types.Producer): Promise<void> {
    if (!camera.closed) await camera.setMaxSpatialLayer(this.#frugal ? 0 : CAMERA_LAYERS - 1);
  }

  async #stopScreen(): Promise<void> {
    // What we hear of it from now on is our own doing.
    this.drop('screen', 'screen_audio');
    try {
      await this.signaling.request('screen:stop', { meeting_id: this.meetingId });
    } catch (error) {
      // A host has ended it already.
      if (codeOf(error) === 'NOT_FOUND') return;
      this.#screenAnnounced = true;
      throw error;
    }
  }
}
