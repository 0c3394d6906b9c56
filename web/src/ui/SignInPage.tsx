/**
 * Signing in, with a local account or an identity provider, whichever the service has.
 *
 * Accounts are made by whoever runs it.
 */
import { type FormEvent, type RefObject, useRef, useState } from 'react';
import type { ApiError } from '../api';
import type { Account } from '../meeting/Account';
import type { Credentials } from '../meeting/Credentials';
import { signInRefusal } from '../meeting/errors';
import { remaining } from './Countdown';
import { useConfig, useNow } from './hooks';
import icon from './icon.svg';

interface Props {
  credentials: Credentials;
  /** What for, such as "to join the meeting"; may be empty. */
  purpose: string;
  /** What went wrong before; may be empty. */
  problem: string;
  onSignedIn(): void;
  onBack(): void;
}

export function SignInPage(props: Props) {
  const { credentials, purpose, onSignedIn, onBack } = props;
  const { local_accounts = false, external_login = false } = useConfig(credentials) ?? {};
  const [problem, setProblem] = useState(props.problem);
  return (
    <main className="end">
      <div className="sign-in" data-testid="sign-in-page">
        <img src={icon} alt="" width="44" height="44" />
        <h1>Sign in {purpose}</h1>
        <p id="sign-in-problem" className="form-problem" role="alert" data-testid="sign-in-problem">
          {problem}
        </p>
        {external_login && <ProviderLink alone={!local_accounts} />}
        {external_login && local_accounts && <p className="sign-in-or">or with a password</p>}
        {local_accounts && (
          <PasswordForm
            account={credentials.account}
            onProblem={setProblem}
            onSignedIn={onSignedIn}
          />
        )}
        <Help accounts={local_accounts} />
        <button type="button" className="button quiet small" onClick={onBack}>
          Start page
        </button>
      </div>
    </main>
  );
}

interface FormProps {
  account: Account;
  onProblem(text: string): void;
  onSignedIn(): void;
}

function PasswordForm({ account, onProblem, onSignedIn }: FormProps) {
  const [busy, setBusy] = useState(false);
  const [waitUntil, setWaitUntil] = useState(0);
  const password = useRef<HTMLInputElement>(null);
  const waits = waitUntil - useNow();

  const signIn = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const said = new FormData(event.currentTarget);
    setBusy(true);
    onProblem('');
    try {
      await account.signIn(String(said.get('login')).trim(), String(said.get('password')));
      onSignedIn();
    } catch (error) {
      setBusy(false);
      onProblem(signInRefusal(error));
      const seconds = (error as ApiError).retryAfter;
      setWaitUntil(seconds ? Date.now() + seconds * 1000 : 0);
      password.current?.select();
    }
  };
  return (
    <form onSubmit={signIn} aria-busy={busy}>
      <LoginField />
      <PasswordField input={password} />
      <button
        type="submit"
        className="button primary large wide"
        data-testid="sign-in-submit"
        disabled={busy || waits > 0}
      >
        {label(busy, waits)}
      </button>
    </form>
  );
}

/** Leads to the identity provider, and from there back to this page. */
function ProviderLink({ alone }: { alone: boolean }) {
  const address = `/api/v1/auth/external?to=${encodeURIComponent(location.pathname)}`;
  return (
    <a
      className={`button ${alone ? 'primary' : 'quiet'} large wide`}
      href={address}
      data-testid="provider-link"
    >
      Continue with your organisation
    </a>
  );
}

function LoginField() {
  return (
    <label className="picker">
      <span>E-mail or user name</span>
      <input
        className="field"
        name="login"
        data-testid="login-input"
        autoComplete="username"
        autoCapitalize="none"
        spellCheck={false}
        maxLength={254}
        required
        // biome-ignore lint/a11y/noAutofocus: the page is for nothing else.
        autoFocus
      />
    </label>
  );
}

function PasswordField({ input }: { input: RefObject<HTMLInputElement | null> }) {
  return (
    <label className="picker">
      <span>Password</span>
      <input
        ref={input}
        className="field"
        name="password"
        type="password"
        data-testid="password-input"
        autoComplete="current-password"
        maxLength={1024}
        aria-describedby="sign-in-problem"
        required
      />
    </label>
  );
}

function Help({ accounts }: { accounts: boolean }) {
  return (
    <ul className="sign-in-help">
      <li>Invited? Open the link that you were sent: it needs no password.</li>
      {accounts && <li>No account, or a lost password? Ask whoever runs this service for one.</li>}
    </ul>
  );
}

function label(busy: boolean, waits: number): string {
  if (busy) return 'Signing in…';
  return waits > 0 ? `Try again in ${remaining(waits)}` : 'Sign in';
}
