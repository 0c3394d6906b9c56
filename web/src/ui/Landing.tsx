/** The first page: start a meeting, or enter one by its code or link. */
import { type FormEvent, useState } from 'react';
import { api } from '../api';
import type { Credentials } from '../meeting/Credentials';
import { codeOf, problemOf } from '../meeting/errors';
import icon from './icon.svg';
import { Icon } from './icons';
import { Mosaic } from './Mosaic';
import { meetingPath, readMeetingLink } from './meetingLink';

interface Props {
  credentials: Credentials;
  go(path: string): void;
}

export function Landing({ credentials, go }: Props) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const [text, setText] = useState('');

  const start = async () => {
    setBusy(true);
    setProblem('');
    try {
      const meeting = await api.createMeeting(await credentials.account());
      go(meetingPath(meeting.id));
    } catch (error) {
      setBusy(false);
      setProblem(
        codeOf(error) === 'NO_INVITATION'
          ? 'Meetings are started by invitation here. Open the link that you were sent.'
          : `A meeting could not be started. ${problemOf(error).advice}`,
      );
    }
  };
  const enter = (event: FormEvent) => {
    event.preventDefault();
    const link = readMeetingLink(text);
    if (!link)
      return setProblem('That is not a meeting’s code or link. It looks like k7f-x2mq-9tb.');
    if (link.token) credentials.rememberInvitation(link.meetingId, link.token);
    go(meetingPath(link.meetingId));
  };

  return (
    <div className="landing">
      <header className="brand">
        <img src={icon} alt="" width="32" height="32" />
        <span>KCS Meetings</span>
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
