/**
 * `/m/{meeting_id}`: lobby, perhaps a waiting room, the room, the end; which of them, the client's phase says.
 *
 * `?name=Ann` fills in a name, `&join=1` joins at once, `audio=0` and `video=0` start with them
 * off; `relay=1` sends media through a TURN server, even where a direct way seems to exist.
 */
import { useEffect, useState } from 'react';
import { api } from '../api';
import type { Credentials } from '../meeting/Credentials';
import { type Problem, passes, problemOf, RequestError } from '../meeting/errors';
import { LocalMedia } from '../meeting/LocalMedia';
import { MediaDevice } from '../meeting/MediaDevice';
import { MeetingClient } from '../meeting/MeetingClient';
import { EndPage } from './EndPage';
import { useSelected } from './hooks';
import { Lobby } from './Lobby';
import { Room } from './Room';
import { WaitingPage } from './WaitingPage';

const NAME_KEY = 'kcs.name';

interface Props {
  meetingId: string;
  credentials: Credentials;
  /** Nobody is signed in any more. */
  onSignedOut(): void;
  go(path: string): void;
}

export function MeetingPage({ meetingId, credentials, onSignedOut, go }: Props) {
  const [{ client, local, mediaDevice, wishes }] = useState(() => open(meetingId, credentials));
  const [name, setName] = useState(wishes.name);
  const [unknown, setUnknown] = useState<Problem | null>(null);
  const phase = useSelected(client, (state) => state.phase);
  const problem = useSelected(client, (state) => state.problem);
  const title = useSelected(client, (state) => state.title);

  const join = (as: string) => {
    localStorage.setItem(NAME_KEY, as);
    setName(as);
    client.join(as);
  };

  // biome-ignore lint/correctness/useExhaustiveDependencies: once, for the page's life.
  useEffect(() => {
    void local.start({ audio: wishes.audio, video: wishes.video });
    void mediaDevice.prefetch(meetingId);
    if (wishes.join) join(wishes.name || 'Guest');
    lookUp(meetingId, credentials).then((text) => client.setTitle(text), onUnknown);
    function onUnknown(error: unknown) {
      // Joining says it too; if the service is away now, it may be back by then.
      if (wishes.join || passes(error)) return;
      local.stop();
      setUnknown(problemOf(error));
    }
    return () => {
      client.dispose();
      local.dispose();
    };
  }, []);
  useEffect(() => {
    document.title = title ? `${title} · KCS Meetings` : 'KCS Meetings';
    return () => {
      document.title = 'KCS Meetings';
    };
  }, [title]);

  const signedOut = (unknown ?? problem)?.code === 'SIGN_IN';
  useEffect(() => {
    if (signedOut) onSignedOut();
  }, [signedOut, onSignedOut]);

  const again = (at: 'lobby' | 'room') => {
    setUnknown(null);
    void local.start({ audio: true, video: true });
    if (at === 'room') join(name || 'Guest');
    else client.reset();
  };
  if (unknown && phase === 'lobby') {
    return <EndPage phase="failed" problem={unknown} onAgain={again} go={go} />;
  }
  if (phase === 'left' || phase === 'failed') {
    return <EndPage phase={phase} problem={problem} onAgain={again} go={go} />;
  }
  if (phase === 'waiting') return <WaitingPage client={client} local={local} />;
  if (phase !== 'lobby') return <Room client={client} local={local} name={name} />;
  return (
    <Lobby
      local={local}
      meetingId={meetingId}
      title={title}
      defaultName={name}
      account={credentials.isInvited(meetingId) ? null : credentials.account}
      onSignedOut={onSignedOut}
      onJoin={join}
    />
  );
}

function open(meetingId: string, credentials: Credentials) {
  const query = new URLSearchParams(location.search);
  const local = new LocalMedia();
  const mediaDevice = new MediaDevice();
  return {
    local,
    mediaDevice,
    client: new MeetingClient(meetingId, credentials, local, mediaDevice, {
      relayOnly: query.get('relay') === '1',
    }),
    wishes: {
      name:
        query.get('name') ||
        credentials.knownName(meetingId) ||
        localStorage.getItem(NAME_KEY) ||
        '',
      join: query.get('join') === '1',
      audio: query.get('audio') !== '0',
      video: query.get('video') !== '0',
    },
  };
}

async function lookUp(meetingId: string, credentials: Credentials): Promise<string> {
  const meeting = await api.meeting(await credentials.forMeeting(meetingId), meetingId);
  if (meeting.ended_at) throw new RequestError('MEETING_ENDED', `since ${meeting.ended_at}`);
  return meeting.display_name;
}
