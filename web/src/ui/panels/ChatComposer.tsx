/** Where one writes: to all, to the hosts, or to one; perhaps in reply to something. */
import { type FormEvent, type KeyboardEvent, useEffect, useRef, useState } from 'react';
import type { Recipient } from '../../meeting/Chat';
import type { MeetingClient } from '../../meeting/MeetingClient';
import { MAX_MESSAGE, type Message } from '../../meeting/protocol.generated';
import { useStore } from '../hooks';
import { Icon } from '../icons';
import { RoundButton } from '../RoundButton';

interface Props {
  client: MeetingClient;
  to: string | null;
  replyTo: Message | null;
  onReplied(): void;
}

export function ChatComposer({ client, to, replyTo, onReplied }: Props) {
  const { chat } = client;
  const { self, participants } = useStore(client.people);
  const [text, setText] = useState('');
  const [whom, setWhom] = useState('all');
  const [busy, setBusy] = useState(false);
  const input = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (to) setWhom(`to:${to}`);
  }, [to]);
  useEffect(() => {
    if (!replyTo) return;
    setWhom(answerTo(replyTo, self));
    input.current?.focus();
  }, [replyTo, self]);
  // Whoever it was for has left.
  const there = !whom.startsWith('to:') || participants.has(whom.slice(3));

  const send = async (event?: FormEvent) => {
    event?.preventDefault();
    const message = text.trim();
    if (!message || busy || !there) return;
    setBusy(true);
    if (await chat.send(message, recipientOf(whom), replyTo?.message_id ?? null)) {
      setText('');
      onReplied();
    }
    setBusy(false);
    input.current?.focus();
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    void send();
  };
  const others = [...participants.values()].filter(({ user_id }) => user_id !== self);
  return (
    <form className="composer" onSubmit={send}>
      {replyTo && (
        <div className="composer-reply">
          <span>
            Reply to {replyTo.display_name}: {replyTo.message}
          </span>
          <RoundButton label="No reply" icon="close" onPress={onReplied} />
        </div>
      )}
      <label className="composer-to">
        To
        <select
          className="field"
          data-testid="chat-to"
          value={there ? whom : ''}
          onChange={(event) => setWhom(event.target.value)}
        >
          {!there && <option value="">Who has left</option>}
          <option value="all">Everybody</option>
          <option value="host">Hosts</option>
          {others.map(({ user_id, display_name }) => (
            <option key={user_id} value={`to:${user_id}`}>
              {display_name}
            </option>
          ))}
        </select>
      </label>
      <div className="composer-row">
        <textarea
          ref={input}
          className="field"
          data-testid="chat-input"
          aria-label="Message"
          placeholder="Write a message"
          rows={1}
          maxLength={MAX_MESSAGE}
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            chat.typing(event.target.value !== '');
          }}
          onBlur={() => chat.typing(false)}
          onKeyDown={onKey}
        />
        <button
          type="submit"
          className="round primary"
          data-testid="chat-send"
          aria-label="Send"
          title="Send (Enter)"
          disabled={!text.trim() || busy || !there}
        >
          <Icon name="send" />
        </button>
      </div>
    </form>
  );
}

/** The choice in the list of recipients, as its value has it. */
function recipientOf(whom: string): Recipient {
  if (whom.startsWith('to:')) return { type: 'private', id: whom.slice(3) };
  return { type: whom === 'host' ? 'host' : 'all' };
}

/** Who answers a private message answers in private. */
function answerTo(message: Message, self: string): string {
  if (message.recipient_type === 'host') return 'host';
  if (message.recipient_type === 'all') return 'all';
  return `to:${message.user_id === self ? message.recipient_id : message.user_id}`;
}
