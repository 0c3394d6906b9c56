/** How loud a track is, ten times a second, as a number from 0 (silence) to 1. */
import { Store } from './Store';

const PERIOD_MS = 100;
/** Root mean square of loud speech near a microphone: full scale of the meter. */
const FULL_SCALE = 0.25;

let context: AudioContext | null = null;

export class AudioLevel extends Store<number> {
  #source: MediaStreamAudioSourceNode | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor() {
    super(0);
  }

  /** Measures this track from now on; null: none. The track itself is not touched. */
  follow(track: MediaStreamTrack | null): void {
    clearInterval(this.#timer);
    this.#source?.disconnect();
    this.#source = null;
    this.set(0);
    if (!track) return;
    context ??= new AudioContext();
    const analyser = new AnalyserNode(context, { fftSize: 1024 });
    this.#source = context.createMediaStreamSource(new MediaStream([track]));
    this.#source.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.#timer = setInterval(() => {
      // Browsers keep it suspended until the person has clicked somewhere.
      if (context?.state === 'suspended') void context.resume();
      analyser.getFloatTimeDomainData(samples);
      this.set(track.enabled ? loudness(samples) : 0);
    }, PERIOD_MS);
  }
}

/** Square root scale, so that quiet speech shows; rounded, so that watchers rest in silence. */
export function loudness(samples: Float32Array): number {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  const level = Math.sqrt(Math.min(1, Math.sqrt(power) / FULL_SCALE));
  return Math.round(level * 20) / 20;
}
