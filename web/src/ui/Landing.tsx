/** The first page: start a meeting, or enter one by its code or link. */
import { type FormEvent, useState } from 'react';
import { api } from '../api';
import { type Credentials, canSignIn } from '../meeting/Credentials';
import { codeOf, problemOf } from '../meeting/errors';
import { AccountBar } from './AccountBar';
import { useConfig } from './hooks';
import icon from './icon.svg';
import { Icon } from './icons';
import { Mosaic } from './Mosaic';
import { meetingPath, readMeetingLink } from './meetingLink';
import { SignInPage } from './SignInPage';

interface Props {
  credentials: Credentials;
  /** Why nobody is signed in, who came to be; may be empty. */
  problem: string;
  go(path: string): void;
}

export function Landing({ credentials, problem: cameBackWith, go }: Props) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const [text, setText] = useState('');
  const [signingIn, setSigningIn] = useState<'to start' | 'by itself' | 'again' | null>(
    cameBackWith ? 'again' : null,
  );

  const config = useConfig(credentials);

  const start = async () => {
    setBusy(true);
    setProblem('');
    try {
      const meeting = await api.createMeeting(await credentials.access());
      go(meetingPath(meeting.id));
    } catch (error) {
      setBusy(false);
      if (codeOf(error) === 'SIGN_IN') return setSigningIn('to start');
      setProblem(
        codeOf(error) === 'NO_INVITATION'
          ? 'Meetings are started by invitation here. Open the link that you were sent.'
          : `A meeting could not be started. ${problemOf(error).advice}`,
      );
    }
  };
  const signIn = () => setSigningIn('by itself');
  const enter = (event: FormEvent) => {
    event.preventDefault();
    const link = readMeetingLink(text);
    if (!link)
      return setProblem('That is not a meeting’s code or link. It looks like k7f-x2mq-9tb.');
    if (link.token) credentials.rememberInvitation(link.meetingId, link.token);
    go(meetingPath(link.meetingId));
  };

  if (signingIn) {
    const signedIn = () => {
      setSigningIn(null);
      if (signingIn === 'to start') void start();
    };
    return (
      <SignInPage
        credentials={credentials}
        problem={signingIn === 'again' ? cameBackWith : ''}
        purpose={signingIn === 'to start' ? 'to start a meeting' : ''}
        onSignedIn={signedIn}
        onBack={() => setSigningIn(null)}
      />
    );
  }
  return (
    <div className="landing">
      <header className="brand">
        <img src={icon} alt="" width="32" height="32" />
        <span>KCS Meetings</span>
        <AccountBar
          account={credentials.account}
          onSignIn={config && canSignIn(config) ? signIn : undefined}
        />
      </header>
      <main className="landing-main">
        <section className="landing-words">
          <h1>Talk face to face, wherever you are.</h1>
          <p className="lead">
            Start a meeting and send its link. Nothing to install: it opens in the browser.
          </p>
          <div className="landing-actions">
            <button
              type="button"
              className="button primary large"
              data-testid="new-meeting-button"
              onClick={start}
              disabled={busy}
            >
              <Icon name="camera" />
              {busy ? 'Starting…' : 'New meeting'}
            </button>
            <form className="enter" onSubmit={enter}>
              <label className="visually-hidden" htmlFor="meeting-code">
                Meeting code or link
              </label>
              <input
                id="meeting-code"
                className="field"
                placeholder="Code or link"
                autoComplete="off"
                autoCapitalize="off"
                spellCheck={false}
                value={text}
                onChange={(event) => setText(event.target.value)}
              />
              <button type="submit" className="button quiet" disabled={!text.trim()}>
                Join
              </button>
            </form>
          </div>
          <p className="form-problem" role="alert">
            {problem}
          </p>
        </section>
        <Mosaic />
      </main>
    </div>
  );
}
