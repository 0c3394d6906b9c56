/**
 * Before `/m/{meeting_id}`: whoever has no invitation signs in, where there are accounts.
 *
 * `#token=` brings an invitation, and is taken out of the address at once.
 */
import { useCallback, useEffect, useState } from 'react';
import type { Credentials } from '../meeting/Credentials';
import { MeetingPage } from './MeetingPage';
import { SignInPage } from './SignInPage';

interface Props {
  meetingId: string;
  credentials: Credentials;
  /** Why nobody is signed in, who came to be; may be empty. */
  problem: string;
  go(path: string): void;
}

export function Gate({ meetingId, credentials, problem, go }: Props) {
  const [stage, setStage] = useState(() => {
    takeInvitation(meetingId, credentials);
    return credentials.isSomebody(meetingId) ? 'inside' : 'asking';
  });
  useEffect(() => {
    if (stage !== 'asking') return;
    credentials.needsSignIn(meetingId).then(
      (needed) => setStage(needed ? 'outside' : 'inside'),
      // Joining says it too, and tries again.
      () => setStage('inside'),
    );
  }, [stage, credentials, meetingId]);
  const ask = useCallback(() => setStage('asking'), []);

  if (stage === 'asking') return null;
  if (stage === 'outside') {
    return (
      <SignInPage
        credentials={credentials}
        purpose="to join the meeting"
        problem={problem}
        onSignedIn={() => setStage('inside')}
        onBack={() => go('/')}
      />
    );
  }
  return <MeetingPage meetingId={meetingId} credentials={credentials} onSignedOut={ask} go={go} />;
}

function takeInvitation(meetingId: string, credentials: Credentials): void {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token) credentials.rememberInvitation(meetingId, token);
  if (location.hash) history.replaceState(null, '', location.pathname + location.search);
}
