// The counterpart in Node: socket.io with the handlers that the load generator calls, each with
// the checks that ours makes: fields, types, lengths, role, membership. node_server.js REDIS_URL
const { createServer } = require('node:http');
const { Server } = require('socket.io');
const { createClient } = require('redis');

const TEXT = (max) => (value) => typeof value === 'string' && value.length >= 1 && value.length <= max;
const ONE_OF = (...values) => (value) => values.includes(value);
const BOOLEAN = (value) => typeof value === 'boolean';
const OBJECT = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const OPTIONAL = (check) => (value) => value === undefined || check(value);
const FIELDS = {
  'room:join': { meeting_id: TEXT(64), user_id: TEXT(128), display_name: TEXT(80) },
  consume: { producer_id: TEXT(64), rtp_capabilities: OPTIONAL(OBJECT) },
  'media:toggle': { meeting_id: TEXT(64), kind: ONE_OF('audio', 'video'), enabled: BOOLEAN },
};
const ALLOWED = { participant: new Set(Object.keys(FIELDS)) };

const FLAGS = {
  audio_enabled: false, video_enabled: false, screen_sharing: false, hand_raised_at: null,
  audio_muted_by_host: false, video_muted_by_host: false, quality: null,
};
// The rest of the answer to a join, as long as ours: codecs with feedback, header extensions.
const FEEDBACK = ['nack', 'nack pli', 'ccm fir', 'goog-remb', 'transport-cc'].map((each) => {
  const [type, parameter = ''] = each.split(' ');
  return { type, parameter };
});
const CODECS = ['audio/opus', 'video/VP8', 'video/VP9', 'video/H264', 'video/H264', 'video/AV1'];
const ROOM = {
  producers: [], transports: [], waiting: [], recent_messages: [], ice_servers: [], settings: {},
  breakouts: null, spotlight: null, layout: null, parent_id: null, version: 1, resumed: false,
  rtp_capabilities: {
    codecs: CODECS.flatMap((mimeType, number) => [
      { kind: mimeType.slice(0, 5), mimeType, preferredPayloadType: 100 + number, clockRate: 90000,
        parameters: { 'profile-level-id': '42e01f', 'packetization-mode': 1 }, rtcpFeedback: FEEDBACK },
      { kind: mimeType.slice(0, 5), mimeType: 'video/rtx', preferredPayloadType: 110 + number,
        clockRate: 90000, parameters: { apt: 100 + number }, rtcpFeedback: [] },
    ]),
    headerExtensions: Array.from({ length: 14 }, (_, preferredId) => ({
      kind: preferredId % 2 ? 'audio' : 'video', uri: `urn:ietf:params:rtp-hdrext:number-${preferredId}`,
      preferredId, preferredEncrypt: false, direction: 'sendrecv',
    })),
  },
};

class Refused extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

const handlers = {
  async 'room:join'(peer, data) {
    peer.userId = data.user_id;
    peer.meetingId = data.meeting_id;
    const people = peopleOf(peer.meetingId);
    const who = { user_id: data.user_id, display_name: data.display_name, role: peer.role };
    await peer.socket.join(peer.meetingId);
    people.set(peer.userId, { ...who, ...FLAGS, joined_at: new Date().toISOString() });
    const named = { meeting_id: peer.meetingId, ...who };
    peer.socket.to(peer.meetingId).emit('participant:joined', named);
    const room = { ...named, ...ROOM, participants: [...people.values()] };
    peer.socket.emit('room:joined', room);
    return room;
  },
  async consume(peer, data) {
    const producer = peer.producers.get(data.producer_id);
    if (!producer) throw new Refused('NOT_FOUND', 'there is no such producer in the meeting');
    return { producer_id: data.producer_id };
  },
  async 'media:toggle'(peer, data) {
    const field = `${peer.userId}:${data.kind}`;
    await redis.hSet(`bench:${peer.meetingId}`, field, data.enabled ? '1' : '0');
    const update = { meeting_id: peer.meetingId, user_id: peer.userId, kind: data.kind, enabled: data.enabled };
    namespace.to(peer.meetingId).emit('participant:media:updated', update);
    return data;
  },
};

// What is known of a meeting is in this process alone: {meeting -> {user -> person}}.
const meetings = new Map();
function peopleOf(meetingId) {
  if (!meetings.has(meetingId)) meetings.set(meetingId, new Map());
  return meetings.get(meetingId);
}

function leave({ socket, meetingId, userId }) {
  if (!meetingId) return;
  const people = peopleOf(meetingId);
  people.delete(userId);
  if (people.size === 0) meetings.delete(meetingId);
  const left = { meeting_id: meetingId, user_id: userId, reason: 'left' };
  socket.to(meetingId).emit('participant:left', left);
}

function validate(event, data, peer) {
  if (!OBJECT(data)) throw new Refused('INVALID_REQUEST', 'the payload is not an object');
  const fields = FIELDS[event];
  for (const name in data) {
    if (!(name in fields)) throw new Refused('INVALID_REQUEST', `${name}: no such field`);
  }
  for (const name in fields) {
    if (!fields[name](data[name])) throw new Refused('INVALID_REQUEST', `${name}: not valid`);
  }
  if (!ALLOWED[peer.role].has(event)) throw new Refused('ACCESS_DENIED', 'not in your role');
  if (event !== 'room:join' && !peer.meetingId) throw new Refused('NOT_JOINED', 'join first');
}

async function answer(peer, event, data, acknowledge) {
  try {
    validate(event, data, peer);
    acknowledge({ ok: true, data: await handlers[event](peer, data) });
  } catch (error) {
    const code = error instanceof Refused ? error.code : 'INTERNAL_ERROR';
    acknowledge({ ok: false, error: { code, message: error.message } });
  }
}

const http = createServer();
const io = new Server(http, { maxHttpBufferSize: 64 * 1024, serveClient: false });
const namespace = io.of('/meeting');
namespace.use((socket, next) =>
  next(TEXT(4096)(socket.handshake.auth.token) ? undefined : new Error('Authentication failed')),
);
namespace.on('connection', (socket) => {
  const peer = { socket, role: 'participant', meetingId: null, userId: null, producers: new Map() };
  for (const event of Object.keys(FIELDS)) {
    socket.on(event, (data, acknowledge) => answer(peer, event, data, acknowledge));
  }
  socket.on('disconnect', () => leave(peer));
});

const redis = createClient({ url: process.argv[2] });
redis.connect().then(() => http.listen(0, '127.0.0.1', () => console.log(http.address().port)));
process.stdin.on('end', () => process.exit(0)).resume();
