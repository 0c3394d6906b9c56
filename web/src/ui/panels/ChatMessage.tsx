/** One message of the chat. */
import type { Message } from '../../meeting/protocol.generated';
import { Icon } from '../icons';

interface Props {
  message: Message;
  own: boolean;
  /** The name of whom a private message is for. */
  recipient: string | null;
  /** The message that it answers, as far as it is known here. */
  answers: Message | undefined;
  onReply: ((message: Message) => void) | undefined;
  onDelete: (() => void) | undefined;
}

export function ChatMessage({ message, own, recipient, answers, onReply, onDelete }: Props) {
  const { display_name, deleted, timestamp } = message;
  const whom = whomFor(message, own, recipient);
  return (
    <article className={own ? 'message own' : 'message'} data-testid="chat-message">
      <header>
        <strong>{own ? 'You' : display_name}</strong>
        {whom && <span className="message-whom">{whom}</span>}
        <time dateTime={timestamp}>{timeOf(timestamp)}</time>
      </header>
      {answers && !deleted && (
        <p className="message-quote">
          {answers.display_name}: {answers.deleted ? 'deleted' : answers.message}
        </p>
      )}
      <p className={deleted ? 'message-text deleted' : 'message-text'}>
        {deleted ? 'This message was deleted' : message.message}
      </p>
      {!deleted && (
        <span className="message-actions">
          {onReply && (
            <button
              type="button"
              data-testid="chat-reply"
              aria-label={`Reply to ${display_name}`}
              title="Reply"
              onClick={() => onReply(message)}
            >
              <Icon name="reply" />
            </button>
          )}
          {onDelete && (
            <button
              type="button"
              data-testid="chat-delete"
              aria-label="Delete this message"
              title="Delete"
              onClick={onDelete}
            >
              <Icon name="trash" />
            </button>
          )}
        </span>
      )}
    </article>
  );
}

function whomFor(message: Message, own: boolean, recipient: string | null): string | null {
  if (message.recipient_type === 'host') return 'to hosts';
  if (message.recipient_type !== 'private') return null;
  return own ? `to ${recipient ?? 'somebody'}` : 'to you';
}

function timeOf(timestamp: string): string {
  return new Date(timestamp).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
}
