/** Which page the address names: `/`, or a meeting at `/m/{meeting_id}`. */
import { useEffect, useState } from 'react';
import { Credentials } from '../meeting/Credentials';
import { Landing } from './Landing';
import { MeetingPage } from './MeetingPage';

const credentials = new Credentials();

export function App() {
  const [path, setPath] = useState(location.pathname);
  useEffect(() => {
    const follow = () => setPath(location.pathname);
    addEventListener('popstate', follow);
    return () => removeEventListener('popstate', follow);
  }, []);

  const go = (to: string) => {
    history.pushState(null, '', to);
    setPath(location.pathname);
  };
  const meetingId = meetingIdOf(path);
  if (!meetingId) return <Landing credentials={credentials} go={go} />;
  return <MeetingPage key={meetingId} meetingId={meetingId} credentials={credentials} go={go} />;
}

function meetingIdOf(path: string): string | null {
  const [, id] = /^\/m\/([^/]+)\/?$/.exec(path) ?? [];
  try {
    return id ? decodeURIComponent(id) : null;
  } catch {
    return null;
  }
}
