/**
 * How each source is encoded, and which simulcast layer a tile asks for. Pure.
 *
 * The camera's layers are the guide's 180p, 360p and 720p; a screen is sent once, sharp.
 */
import type { types } from 'mediasoup-client';
import type { Layer, Source } from './protocol.generated';

type Encoding = Pick<types.ProducerOptions, 'encodings' | 'codecOptions'> & {
  /** Preferred codec, taken if the browser has it; else the router's first. */
  codec?: string;
};

const ENCODINGS: Record<Source, Encoding> = {
  mic: { codecOptions: { opusDtx: true, opusFec: true, opusStereo: false } },
  screen_audio: {
    codecOptions: { opusDtx: false, opusFec: true, opusStereo: true },
    encodings: [{ maxBitrate: 128_000 }],
  },
  camera: {
    codec: 'video/VP8',
    codecOptions: { videoGoogleStartBitrate: 1000 },
    encodings: [
      { scaleResolutionDownBy: 4, maxBitrate: 100_000 },
      { scaleResolutionDownBy: 2, maxBitrate: 300_000 },
      { scaleResolutionDownBy: 1, maxBitrate: 900_000 },
    ],
  },
  screen: {
    codec: 'video/VP9',
    codecOptions: { videoGoogleStartBitrate: 1000 },
    encodings: [{ maxBitrate: 2_500_000, scalabilityMode: 'L1T3' }],
  },
};

/** How many layers the camera is sent in. */
export const CAMERA_LAYERS = ENCODINGS.camera.encodings?.length ?? 1;

/** Options of `transport.produce` for a source, codec chosen among `codecs`. */
export function encodingOf(
  source: Source,
  codecs: readonly types.RtpCodecCapability[],
): Pick<types.ProducerOptions, 'encodings' | 'codecOptions' | 'codec'> {
  const { codec: name, ...options } = ENCODINGS[source];
  const codec = codecs.find(({ mimeType }) => mimeType.toLowerCase() === name?.toLowerCase());
  return codec ? { ...options, codec } : options;
}

/** The smallest layer that fills a picture of that height, in device pixels. */
export function layerFor(height: number): Layer {
  // A picture may be enlarged by a quarter before one sees it.
  if (height <= 180 * 1.25) return 'low';
  return height <= 360 * 1.25 ? 'medium' : 'high';
}
