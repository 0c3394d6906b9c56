/** Which page the address names: `/`, or a meeting at `/m/{meeting_id}`. */
import { useEffect, useState } from 'react';
import { Credentials } from '../meeting/Credentials';
import { returnProblem } from '../meeting/errors';
import { Gate } from './Gate';
import { Landing } from './Landing';

const credentials = new Credentials();
const cameBackWith = comeBack();

/** From the identity provider (`#sign-in=`): what was wrong, if anything. */
function comeBack(): string {
  const how = new URLSearchParams(location.hash.slice(1)).get('sign-in');
  if (how) history.replaceState(null, '', location.pathname + location.search);
  if (how === 'done') credentials.account.recall();
  return returnProblem(how);
}

export function App() {
  const [path, setPath] = useState(location.pathname);
  const [problem, setProblem] = useState(cameBackWith);
  useEffect(() => {
    const follow = () => setPath(location.pathname);
    addEventListener('popstate', follow);
    return () => removeEventListener('popstate', follow);
  }, []);

  const go = (to: string) => {
    history.pushState(null, '', to);
    setProblem('');
    setPath(location.pathname);
  };
  const meetingId = meetingIdOf(path);
  if (!meetingId) return <Landing credentials={credentials} problem={problem} go={go} />;
  return (
    <Gate
      key={meetingId}
      meetingId={meetingId}
      credentials={credentials}
      problem={problem}
      go={go}
    />
  );
}

function meetingIdOf(path: string): string | null {
  const [, id] = /^\/m\/([^/]+)\/?$/.exec(path) ?? [];
  try {
    return id ? decodeURIComponent(id) : null;
  } catch {
    return null;
  }
}
