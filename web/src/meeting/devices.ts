/** The browser's devices: opening one, listing all, and what was chosen last. */

export type DeviceKind = 'audioinput' | 'videoinput' | 'audiooutput';
export type Chosen = Partial<Record<DeviceKind, string>>;
export type CaptureKind = 'audio' | 'video';

const CHOSEN_KEY = 'kcs.devices';

export function readChosen(): Chosen {
  try {
    return JSON.parse(localStorage.getItem(CHOSEN_KEY) ?? '{}');
  } catch {
    return {};
  }
}

export function writeChosen(chosen: Chosen): void {
  localStorage.setItem(CHOSEN_KEY, JSON.stringify(chosen));
}

/** Opens what is asked for, in one permission prompt. @throws DOMException by kind of failure. */
export async function capture(
  kinds: readonly CaptureKind[],
  chosen: Chosen,
): Promise<MediaStreamTrack[]> {
  if (!navigator.mediaDevices) throw new DOMException('not a secure page', 'InsecureError');
  const constraints: MediaStreamConstraints = {};
  // `ideal` and not `exact`: a device that is gone gives way to the default one.
  if (kinds.includes('audio')) {
    constraints.audio = {
      deviceId: { ideal: chosen.audioinput ?? '' },
      echoCancellation: true,
      noiseSuppression: true,
      autoGainControl: true,
    };
  }
  if (kinds.includes('video')) {
    constraints.video = {
      deviceId: { ideal: chosen.videoinput ?? '' },
      width: { ideal: 1280 },
      height: { ideal: 720 },
      frameRate: { ideal: 30, max: 30 },
    };
  }
  return (await navigator.mediaDevices.getUserMedia(constraints)).getTracks();
}

export async function captureScreen(): Promise<MediaStreamTrack[]> {
  if (!navigator.mediaDevices?.getDisplayMedia) {
    throw new DOMException('no screen capture', 'NotSupportedError');
  }
  const stream = await navigator.mediaDevices.getDisplayMedia({
    video: { frameRate: { ideal: 15, max: 30 } },
    audio: true,
  });
  return stream.getTracks();
}

export async function listDevices(): Promise<MediaDeviceInfo[]> {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  // Before permission, browsers list devices without id or name: nothing to choose from.
  return all.filter((device) => device.deviceId !== '');
}
