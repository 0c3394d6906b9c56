/**
 * What this person's own devices give: microphone, camera, screen.
 *
 * It owns the tracks, from the lobby on, through every reconnection; `MeetingClient` watches
 * the state and makes the server's producers agree with it. A microphone that is off keeps its
 * track, disabled, so that unmuting is instant; a camera that is off is stopped, so that its
 * light goes out.
 */
import { AudioLevel } from './AudioLevel';
import {
  type CaptureKind,
  type Chosen,
  capture,
  captureScreen,
  type DeviceKind,
  listDevices,
  readChosen,
  writeChosen,
} from './devices';
import { deviceAdvice } from './errors';
import { Store } from './Store';

export interface DeviceState {
  /** What the person asked for. What is sent is the track, if it is there and enabled. */
  on: boolean;
  track: MediaStreamTrack | null;
  /** Being opened. */
  busy: boolean;
  /** Why it could not be opened, as a sentence for the person. */
  problem: string | null;
}

export interface LocalMediaState {
  audio: DeviceState;
  video: DeviceState;
  screen: { video: MediaStreamTrack | null; audio: MediaStreamTrack | null };
  devices: readonly MediaDeviceInfo[];
  chosen: Chosen;
}

const OFF: DeviceState = { on: false, track: null, busy: false, problem: null };
const NAMES: Record<CaptureKind, string> = { audio: 'Your microphone', video: 'Your camera' };

export class LocalMedia extends Store<LocalMediaState> {
  readonly level = new AudioLevel();

  constructor() {
    const screen = { video: null, audio: null };
    super({ audio: OFF, video: OFF, screen, devices: [], chosen: readChosen() });
    navigator.mediaDevices?.addEventListener('devicechange', this.#relist);
  }

  /** Opens both at once, in one permission prompt; where that fails, each on its own. */
  async start(on: Record<CaptureKind, boolean>): Promise<void> {
    const kinds = (['audio', 'video'] as const).filter((kind) => on[kind]);
    if (kinds.length === 2) {
      for (const kind of kinds) this.#patch(kind, { on: true, busy: true, problem: null });
      try {
        for (const track of await capture(kinds, this.get().chosen)) this.#take(track);
        return await this.#relist();
      } catch {
        // One of the two: which one, and why, shows when they are opened separately.
      }
    }
    for (const kind of kinds) await this.#open(kind);
    await this.#relist();
  }

  toggle(kind: CaptureKind): Promise<void> {
    return this.turn(kind, !this.get()[kind].on);
  }

  async turn(kind: CaptureKind, on: boolean): Promise<void> {
    const { track } = this.get()[kind];
    this.#patch(kind, { on, problem: null });
    if (!on) {
      if (kind === 'video') this.#drop('video');
      else if (track) track.enabled = false;
      // Watchers read the track's flag: tell them once more, now that it is set.
      return this.#patch(kind, { busy: false });
    }
    if (track) {
      track.enabled = true;
      return this.#patch(kind, {});
    }
    await this.#open(kind);
    await this.#relist();
  }

  /** Changes to another device, at once if the kind is on. */
  async choose(kind: DeviceKind, deviceId: string): Promise<void> {
    const chosen = { ...this.get().chosen, [kind]: deviceId };
    writeChosen(chosen);
    this.update({ chosen });
    if (kind === 'audiooutput') return;
    const media = kind === 'audioinput' ? 'audio' : 'video';
    const { track, on } = this.get()[media];
    if (on) await this.#open(media);
    // A muted microphone is of the old device: the next unmute opens the new one.
    else if (track) this.#drop(media);
  }

  /** @throws DOMException if the browser has no screen capture; nothing if the person declined. */
  async startScreen(): Promise<void> {
    let tracks: MediaStreamTrack[];
    try {
      tracks = await captureScreen();
    } catch (error) {
      if (error instanceof DOMException && error.name === 'NotAllowedError') return;
      throw error;
    }
    this.stopScreen();
    const video = tracks.find((track) => track.kind === 'video') ?? null;
    const audio = tracks.find((track) => track.kind === 'audio') ?? null;
    if (video) {
      video.contentHint = 'detail';
      // The browser's own "Stop sharing" button.
      video.addEventListener('ended', () => this.stopScreen());
    }
    this.update({ screen: { video, audio } });
  }

  stopScreen(): void {
    const { video, audio } = this.get().screen;
    video?.stop();
    audio?.stop();
    if (video || audio) this.update({ screen: { video: null, audio: null } });
  }

  /** Ends all capture; the object stays usable. */
  stop(): void {
    this.stopScreen();
    for (const kind of ['audio', 'video'] as const) this.#drop(kind);
    this.update({ audio: OFF, video: OFF });
  }

  /** Ends all capture and stops listening to the browser. */
  dispose(): void {
    this.stop();
    navigator.mediaDevices?.removeEventListener('devicechange', this.#relist);
  }

  async #open(kind: CaptureKind): Promise<void> {
    this.#patch(kind, { on: true, busy: true, problem: null });
    try {
      for (const track of await capture([kind], this.get().chosen)) this.#take(track);
    } catch (error) {
      this.#drop(kind);
      this.#patch(kind, { on: false, busy: false, problem: deviceAdvice(NAMES[kind], error) });
    }
  }

  #take(track: MediaStreamTrack): void {
    const kind = track.kind as CaptureKind;
    // Switched off while the permission prompt was open.
    if (!this.get()[kind].on) {
      track.stop();
      return;
    }
    this.#drop(kind);
    // Fires when the device goes away, not on our own stop().
    track.addEventListener('ended', () => {
      if (this.get()[kind].track !== track) return;
      this.#drop(kind);
      this.#patch(kind, { on: false, problem: deviceAdvice(NAMES[kind], 'Ended') });
    });
    if (kind === 'audio') this.level.follow(track);
    this.#patch(kind, { track, busy: false, problem: null });
  }

  #drop(kind: CaptureKind): void {
    this.get()[kind].track?.stop();
    if (kind === 'audio') this.level.follow(null);
    this.#patch(kind, { track: null });
  }

  #patch(kind: CaptureKind, patch: Partial<DeviceState>): void {
    this.update({ [kind]: { ...this.get()[kind], ...patch } });
  }

  readonly #relist = async (): Promise<void> => {
    this.update({ devices: await listDevices() });
  };
}
