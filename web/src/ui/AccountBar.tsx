/** Who is signed in, and the way out; or the way in. */
import { useState } from 'react';
import type { Account } from '../meeting/Account';
import { useStore } from './hooks';

interface Props {
  account: Account;
  /** Left out where nobody can, or need not. */
  onSignIn?: (() => void) | undefined;
  onSignedOut?: () => void;
}

export function AccountBar({ account, onSignIn, onSignedOut }: Props) {
  const name = useStore(account);
  const [failed, setFailed] = useState(false);
  const signOut = () =>
    account.signOut().then(
      () => onSignedOut?.(),
      () => setFailed(true),
    );
  if (name === null) {
    return (
      onSignIn && (
        <div className="account">
          <button
            type="button"
            className="button quiet small"
            data-testid="sign-in-button"
            onClick={onSignIn}
          >
            Sign in
          </button>
        </div>
      )
    );
  }
  return (
    <div className="account">
      <p className="account-words">
        <span className="visually-hidden">Signed in as </span>
        <span data-testid="account-name" title={name}>
          {name}
        </span>
        {failed && (
          <span className="account-problem" role="alert">
            Still signed in: try again in a moment.
          </span>
        )}
      </p>
      <button
        type="button"
        className="button quiet small"
        data-testid="sign-out-button"
        onClick={() => void signOut()}
      >
        Sign out
      </button>
    </div>
  );
}
