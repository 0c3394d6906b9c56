/** The chat: what was said, oldest first, and where one writes. */
import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import type { MeetingClient } from '../../meeting/MeetingClient';
import type { Message } from '../../meeting/protocol.generated';
import { may } from '../../meeting/roles';
import { me, nameOf } from '../../meeting/roster';
import { useStore } from '../hooks';
import { ChatComposer } from './ChatComposer';
import { ChatMessage } from './ChatMessage';
import { Panel } from './Panel';

interface Props {
  client: MeetingClient;
  /** Whom the next message is for, by user id, where the list of people said so. */
  to: string | null;
  onClose(): void;
}

/** Who is nearer to the end than this reads on there. */
const AT_END_PX = 80;

export function ChatPanel({ client, to, onClose }: Props) {
  const { chat } = client;
  const { log, typing, loading } = useStore(chat);
  const roster = useStore(client.people);
  const settings = useStore(client.rules);
  const [replyTo, setReplyTo] = useState<Message | null>(null);
  const list = useChatScroll(log.messages);
  const self = me(roster);
  const byId = new Map(log.messages.map((message) => [message.message_id, message]));
  useEffect(() => {
    chat.show(true);
    return () => chat.show(false);
  }, [chat]);

  return (
    <Panel id="chat" title="Chat" closeLabel="Close the chat" onClose={onClose}>
      <div className="panel-scroll" ref={list}>
        {log.next && (
          <button
            type="button"
            className="button quiet small older"
            data-testid="chat-older"
            disabled={loading}
            onClick={() => void chat.readOlder()}
          >
            {loading ? 'Reading…' : 'Older messages'}
          </button>
        )}
        <div className="messages" role="log" aria-live="polite" aria-label="Messages">
          {log.messages.map((message) => (
            <ChatMessage
              key={message.message_id}
              message={message}
              own={message.user_id === roster.self}
              recipient={message.recipient_id && nameOf(roster, message.recipient_id)}
              answers={message.reply_to ? byId.get(message.reply_to) : undefined}
              onReply={may(self?.role, 'write in the chat', settings) ? setReplyTo : undefined}
              onDelete={
                message.user_id === roster.self || may(self?.role, "delete others' messages")
                  ? () => void chat.delete(message.message_id)
                  : undefined
              }
            />
          ))}
        </div>
        {log.messages.length === 0 && <p className="panel-empty">Nothing was said yet.</p>}
      </div>
      <p className="typing" data-testid="chat-typing" aria-live="polite">
        {whoWrites(typing.map((userId) => nameOf(roster, userId)))}
      </p>
      {may(self?.role, 'write in the chat', settings) ? (
        <ChatComposer
          client={client}
          to={to}
          replyTo={replyTo}
          onReplied={() => setReplyTo(null)}
        />
      ) : (
        <p className="panel-empty">You can read along here.</p>
      )}
    </Panel>
  );
}

function whoWrites(names: readonly string[]): string {
  if (names.length === 0) return '';
  if (names.length > 2) return 'Several people are writing…';
  return `${names.join(' and ')} ${names.length === 1 ? 'is' : 'are'} writing…`;
}

/** Follows what is said while one reads at the end; older pages do not move what one reads. */
function useChatScroll(messages: readonly Message[]) {
  const list = useRef<HTMLDivElement>(null);
  const before = useRef({ newest: '', height: 0 });
  useLayoutEffect(() => {
    const element = list.current;
    if (!element) return;
    const { newest, height } = before.current;
    const last = messages.at(-1)?.message_id ?? '';
    const grown = element.scrollHeight - height;
    const fromEnd = height - element.scrollTop - element.clientHeight;
    if (last !== newest) {
      if (newest === '' || fromEnd < AT_END_PX) element.scrollTop = element.scrollHeight;
    } else if (grown > 0) element.scrollTop += grown;
    before.current = { newest: last, height: element.scrollHeight };
  }, [messages]);
  return list;
}
