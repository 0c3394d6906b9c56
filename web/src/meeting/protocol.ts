/**
 * The `/meeting` dialect as it travels: requests with their answers, and the server's events.
 *
 * Names and shapes are the wire's own (snake_case); ICE, DTLS and RTP parameters keep
 * mediasoup's camelCase, because they go straight to and from mediasoup-client.
 */
import type { types } from 'mediasoup-client';

export type MediaKind = 'audio' | 'video';
export type Source = 'mic' | 'camera' | 'screen' | 'screen_audio';
export type Direction = 'send' | 'recv';
export type Layer = 'low' | 'medium' | 'high';
export type Role = 'host' | 'co_host' | 'presenter' | 'attendee' | 'guest';

export interface Participant {
  user_id: string;
  display_name: string;
  role: Role;
  audio_enabled: boolean;
  video_enabled: boolean;
  screen_sharing: boolean;
  joined_at: string;
}

export interface RemoteProducer {
  producer_id: string;
  user_id: string;
  kind: MediaKind;
  source: Source;
  paused: boolean;
}

/** Names one life of the meeting's media plane: another pair means that all media is new. */
export interface MediaPlane {
  epoch: number;
  generation: number;
}

/** STUN and TURN servers with credentials that last for so long; null: for ever. */
export interface IceServers {
  ice_servers: RTCIceServer[];
  ice_ttl_seconds: number | null;
}

export interface RoomJoined extends IceServers {
  meeting_id: string;
  user_id: string;
  your_role: Role;
  display_name: string;
  participants: Participant[];
  producers: RemoteProducer[];
  rtp_capabilities: types.RtpCapabilities;
  settings: { max_participants: number; default_role: Role; display_name: string };
  version: number;
  resume_token: string;
  resumed: boolean;
  media: MediaPlane;
}

export interface TransportCreated extends IceServers {
  transport_id: string;
  direction: Direction;
  ice_parameters: types.IceParameters;
  ice_candidates: types.IceCandidate[];
  dtls_parameters: types.DtlsParameters;
}

export interface ConsumerCreated {
  consumer_id: string;
  producer_id: string;
  user_id: string;
  kind: MediaKind;
  source: Source;
  type: 'simple' | 'simulcast' | 'svc' | 'pipe';
  rtp_parameters: types.RtpParameters;
  producer_paused: boolean;
}

type Of<Payload, Answer> = { payload: Payload; answer: Answer };
type ConsumerRef = { consumer_id: string };

/** Each request with its payload and the `data` of its acknowledgement. */
export interface Requests {
  'room:join': Of<{ meeting_id: string; display_name: string }, RoomJoined>;
  'room:leave': Of<{ meeting_id: string }, { meeting_id: string }>;
  'transport:create': Of<{ meeting_id: string; direction: Direction }, TransportCreated>;
  'transport:connect': Of<
    { transport_id: string; dtls_parameters: types.DtlsParameters },
    { transport_id: string }
  >;
  'transport:restart-ice': Of<
    { transport_id: string },
    { transport_id: string; ice_parameters: types.IceParameters }
  >;
  'ice:refresh': Of<{ meeting_id: string }, IceServers>;
  produce: Of<
    {
      transport_id: string;
      kind: MediaKind | 'screen';
      rtp_parameters: types.RtpParameters;
      source: Source;
      paused: boolean;
    },
    { producer_id: string; kind: MediaKind; source: Source }
  >;
  'produce:close': Of<{ producer_id: string }, { producer_id: string }>;
  consume: Of<{ producer_id: string; rtp_capabilities?: types.RtpCapabilities }, ConsumerCreated>;
  'consumer:resume': Of<ConsumerRef, ConsumerRef>;
  'consumer:pause': Of<ConsumerRef, ConsumerRef>;
  'consumer:close': Of<ConsumerRef, ConsumerRef>;
  'media:toggle': Of<{ meeting_id: string; kind: MediaKind; enabled: boolean }, unknown>;
  'quality:change': Of<{ producer_id: string; layer: Layer }, unknown>;
}

/** What the server says unasked. */
export interface ServerEvents {
  'participant:joined': { user_id: string; display_name: string; role: Role };
  'participant:left': { user_id: string; reason: string };
  'participant:media:updated': { user_id: string; kind: MediaKind; enabled: boolean };
  'new-producer': RemoteProducer;
  'producer:closed': { producer_id: string; user_id: string; source: Source };
  'producer:paused': { producer_id: string; user_id: string };
  'producer:resumed': { producer_id: string; user_id: string };
  'consumer:closed': { consumer_id: string; producer_id: string; reason: string };
  'speaker:active': { user_id: string | null };
  'media:reset': { reason: string } & MediaPlane;
  'room:closed': { reason: string };
  'session:replaced': { meeting_id: string };
}

/** Envelope of every acknowledgement; `retry_after` is in seconds. */
export type Ack<Answer> =
  | { ok: true; data: Answer }
  | { ok: false; error: { code: string; message: string; retry_after?: number } };
