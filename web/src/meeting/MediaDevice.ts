/**
 * What this browser can send and play, found out once and kept: loading it takes a moment, so it
 * begins while the person is still in the lobby.
 */
import { Device, type types } from 'mediasoup-client';
import { api } from '../api';

export class MediaDevice {
  #loaded: { capabilities: string; device: Promise<Device> } | null = null;

  /** Loads it with the capabilities that all meetings have; if that fails, joining does it. */
  async prefetch(meetingId: string): Promise<void> {
    try {
      const { rtpCapabilities } = await api.webRtcConfig(meetingId);
      await this.for(rtpCapabilities);
    } catch {
      this.#loaded = null;
    }
  }

  /** The device for a router of these capabilities. @throws UnsupportedError. */
  for(routerRtpCapabilities: types.RtpCapabilities): Promise<Device> {
    const capabilities = JSON.stringify(routerRtpCapabilities);
    if (this.#loaded?.capabilities !== capabilities) {
      this.#loaded = { capabilities, device: load(routerRtpCapabilities) };
    }
    return this.#loaded.device;
  }
}

async function load(routerRtpCapabilities: types.RtpCapabilities): Promise<Device> {
  const device = await Device.factory();
  await device.load({ routerRtpCapabilities });
  return device;
}
