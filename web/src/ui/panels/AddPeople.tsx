/** Invites somebody by mail; until the mail is sent, and where none can be, their link is there to copy. */
import { type FormEvent, useState } from 'react';
import type { MeetingClient } from '../../meeting/MeetingClient';
import type { Invited } from '../../meeting/protocol.generated';
import { Dialog } from '../Dialog';
import { Icon } from '../icons';

export function AddPeople({ client }: { client: MeetingClient }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button
        type="button"
        className="button quiet small"
        data-testid="add-people-button"
        onClick={() => setOpen(true)}
      >
        <Icon name="people" />
        Add
      </button>
      {open && <AddDialog client={client} onClose={() => setOpen(false)} />}
    </>
  );
}

function AddDialog({ client, onClose }: { client: MeetingClient; onClose(): void }) {
  const [email, setEmail] = useState('');
  const [invited, setInvited] = useState<readonly Invited[]>([]);
  const add = async (event: FormEvent) => {
    event.preventDefault();
    const added = await client.hosting.invite(email.trim());
    if (added.length === 0) return;
    setInvited([...added, ...invited]);
    setEmail('');
  };
  return (
    <Dialog testId="add-people-dialog" title="Add people" onClose={onClose}>
      <form onSubmit={add} className="row">
        <label className="visually-hidden" htmlFor="add-email">
          E-mail address
        </label>
        <input
          id="add-email"
          type="email"
          className="field"
          data-testid="add-email"
          placeholder="E-mail address"
          required
          value={email}
          onChange={(event) => setEmail(event.target.value)}
        />
        <button type="submit" className="button primary" data-testid="add-email-send">
          Add
        </button>
      </form>
      <ul className="invited" aria-live="polite">
        {invited.map((each) => (
          <li key={each.join_url} data-testid="invited">
            <span>{invitedText(each)}</span>
            {!each.sent && (
              <input className="field" readOnly aria-label="Link" value={each.join_url} />
            )}
          </li>
        ))}
      </ul>
      <div className="dialog-actions">
        <button type="button" className="button quiet" onClick={onClose}>
          Done
        </button>
      </div>
    </Dialog>
  );
}

/** What became of an invitation so far; a mail server that is slow has not taken it yet. */
export function invitedText({ email, sent, mail }: Invited): string {
  if (sent) return `${email} has a mail with the link.`;
  if (mail === 'sending')
    return `A mail to ${email} is on its way. Its link, if you are in a hurry:`;
  return `Send ${email} this link:`;
}
