/** The chat: what was said, who is writing, and what is still unread. */
import {
  type ChatLog,
  EMPTY_LOG,
  merge,
  unread,
  withNewest,
  withOlder,
  withoutText,
} from './chatLog';
import { codeOf } from './errors';
import type { Concern, Hears, Line } from './Line';
import type { People } from './People';
import type { Message, RecipientType, RoomJoined } from './protocol.generated';
import { Store } from './Store';

export interface ChatState {
  log: ChatLog;
  /** User ids of those who are writing now, self excluded. */
  typing: readonly string[];
  unread: number;
  /** Older messages are being read. */
  loading: boolean;
}

/** Whom a message is for. */
export type Recipient =
  | { type: Exclude<RecipientType, 'private'> }
  | { type: 'private'; id: string };

/** While one writes, this is said again, and believed so long by the others. */
const TYPING_AGAIN_MS = 3000;
const TYPING_BELIEVED_MS = 6000;
const NOTICE_LENGTH = 90;

const START: ChatState = { log: EMPTY_LOG, typing: [], unread: 0, loading: false };

export class Chat extends Store<ChatState> implements Concern {
  #room = '';
  #open = false;
  /** Timestamp of the newest message that was seen; null before the first `room:joined`. */
  #seen: string | null = null;
  #toldTypingAt = 0;
  #typing = new Map<string, ReturnType<typeof setTimeout>>();

  constructor(
    private readonly line: Line,
    private readonly people: People,
  ) {
    super(START);
  }

  readonly hears: Hears = {
    'chat:message': (message) => this.#said(message),
    'chat:deleted': ({ message_id }) => {
      this.#log(withoutText(this.get().log, message_id));
    },
    'chat:typing': ({ user_id, is_typing }) => this.#writes(user_id, is_typing),
    'participant:left': ({ user_id }) => this.#writes(user_id, false),
    'room:resync': () => void this.#readNewest(),
  };

  entered(room: RoomJoined): void {
    const { log } = this.get();
    this.#room = room.meeting_id;
    const first = this.#seen === null;
    if (first) this.#seen = room.recent_messages.at(-1)?.timestamp ?? '';
    this.#log({ ...log, messages: merge(log.messages, room.recent_messages) });
    if (first && this.#open) void this.readOlder();
  }

  reset(): void {
    for (const timer of this.#typing.values()) clearTimeout(timer);
    this.#typing.clear();
    this.#seen = null;
    this.#room = '';
    this.set(START);
  }

  /** Whether the person looks at it: then nothing is unread. */
  show(open: boolean): void {
    this.#open = open;
    if (!open) return;
    this.#log(this.get().log);
    if (this.get().log.next === undefined && this.#seen !== null) void this.readOlder();
  }

  /** Reads the next older page. */
  async readOlder(): Promise<void> {
    const { log, loading } = this.get();
    if (loading || log.next === null) return;
    this.update({ loading: true });
    const page = await this.line.order('chat:history', log.next ? { before: log.next } : {});
    this.update({ loading: false });
    // We may have moved to another room meanwhile.
    if (page?.meeting_id === this.#room) this.#log(withOlder(this.get().log, page));
  }

  /** False if it was refused: the person has been told why, and keeps their text. */
  async send(text: string, to: Recipient, replyTo: string | null): Promise<boolean> {
    this.#toldTypingAt = 0;
    const message = await this.line.order('chat:send', {
      message: text,
      recipient_type: to.type,
      ...(to.type === 'private' && { recipient_id: to.id }),
      ...(replyTo && { reply_to: replyTo }),
    });
    if (message) this.#add(message);
    return message !== null;
  }

  async delete(messageId: string): Promise<void> {
    if (await this.line.order('chat:delete', { message_id: messageId })) {
      this.#log(withoutText(this.get().log, messageId));
    }
  }

  /** Called with each key; the server hears it rarely enough for its limit. */
  typing(writes: boolean): void {
    const now = Date.now();
    const told = now - this.#toldTypingAt < TYPING_AGAIN_MS;
    if (writes === told) return;
    this.#toldTypingAt = writes ? now : 0;
    this.line.ask('chat:typing', { is_typing: writes }).catch(() => {
      // Not worth a word; the next key says it again.
      if (writes) this.#toldTypingAt = 0;
    });
  }

  #said(message: Message): void {
    const known = this.get().log.messages.some((each) => each.message_id === message.message_id);
    this.#add(message);
    this.#writes(message.user_id, false);
    if (known || this.#open || message.user_id === this.people.get().self) return;
    const whom = message.recipient_type === 'private' ? ' (to you)' : '';
    const text = message.message.slice(0, NOTICE_LENGTH);
    const rest = text.length < message.message.length ? '…' : '';
    this.line.notices.post(`${message.display_name}${whom}: ${text}${rest}`);
  }

  #add(message: Message): void {
    const { log } = this.get();
    this.#log({ ...log, messages: merge(log.messages, [message]) });
  }

  #log(log: ChatLog): void {
    if (this.#open) this.#seen = log.messages.at(-1)?.timestamp ?? this.#seen;
    const count = unread(log.messages, this.people.get().self, this.#seen ?? '');
    this.update({ log, unread: count });
  }

  async #readNewest(): Promise<void> {
    try {
      this.#log(withNewest(this.get().log, await this.line.ask('chat:history', {})));
    } catch (error) {
      console.warn('kcs: the chat may lack messages', codeOf(error));
    }
  }

  #writes(userId: string, writes: boolean): void {
    if (userId === this.people.get().self) return;
    clearTimeout(this.#typing.get(userId));
    this.#typing.delete(userId);
    if (writes) {
      this.#typing.set(
        userId,
        setTimeout(() => this.#writes(userId, false), TYPING_BELIEVED_MS),
      );
    }
    const typing = [...this.#typing.keys()];
    if (typing.join() !== this.get().typing.join()) this.update({ typing });
  }
}
