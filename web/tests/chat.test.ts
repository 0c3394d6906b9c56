import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Chat } from '../src/meeting/Chat';
import { EMPTY_LOG, merge, unread, withNewest, withOlder } from '../src/meeting/chatLog';
import { RequestError } from '../src/meeting/errors';
import { People } from '../src/meeting/People';
import type { RoomJoined } from '../src/meeting/protocol.generated';
import { FakeServer, joined, lineTo, message, noticesOf, tell } from './support';

const ids = (messages: readonly { message_id: string }[]) => messages.map((m) => m.message_id);
const page = (seconds: number[], next: string | null) => ({
  meeting_id: 'm',
  messages: seconds.map((second) => message(second)),
  next,
});

describe('a chat log', () => {
  it('has each message once, in order of time, however often and in whatever order it comes', () => {
    const log = merge(merge([], [message(3), message(1)]), [message(2), message(3)]);
    expect(ids(log)).toEqual(['m1', 'm2', 'm3']);
  });

  it('keeps a deleted message deleted when an older telling of it comes later', () => {
    const log = merge([message(1, { deleted: true, message: '' })], [message(1)]);
    expect(log).toMatchObject([{ message: '', deleted: true }]);
  });

  it('grows at its beginning page by page, until there is no older one', () => {
    const first = withOlder(EMPTY_LOG, page([9, 8], 'p2'));
    const second = withOlder(first, page([8, 7], null));
    expect(ids(second.messages)).toEqual(['m7', 'm8', 'm9']);
    expect(second.next).toBeNull();
  });

  it('is only added to where the newest page reaches back to what is known', () => {
    const known = withOlder(EMPTY_LOG, page([5, 4], 'before-4'));
    const log = withNewest(known, page([7, 6, 5], 'before-5'));
    expect(ids(log.messages)).toEqual(['m4', 'm5', 'm6', 'm7']);
    expect(log.next).toBe('before-4');
  });

  it('begins anew where something in between may be missing', () => {
    const known = withOlder(EMPTY_LOG, page([2, 1], null));
    const log = withNewest(known, page([9, 8], 'before-8'));
    expect(ids(log.messages)).toEqual(['m8', 'm9']);
    expect(log.next).toBe('before-8');
  });

  it('counts as unread what others said later, and was not deleted', () => {
    const log = [message(1), message(2), message(3, { user_id: 'ann' })];
    expect(unread(log, 'ann', log[0]?.timestamp ?? '')).toBe(1);
    expect(unread([message(2, { deleted: true })], 'ann', '')).toBe(0);
  });
});

describe('the chat', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  function entered(patch: Partial<RoomJoined> = {}) {
    const server = new FakeServer();
    const line = lineTo(server);
    const people = new People(line);
    const chat = new Chat(line, people);
    const room = joined(patch);
    people.entered(room);
    chat.entered(room);
    return { server, line, chat, room };
  }

  it('does not count as unread what was said before one came', () => {
    const { chat } = entered({ recent_messages: [message(1), message(2)] });
    expect(chat.get().unread).toBe(0);
    tell(chat, 'chat:message', message(3));
    expect(chat.get().unread).toBe(1);
    chat.show(true);
    expect(chat.get().unread).toBe(0);
  });

  it('counts what was said while the socket was away, told in whatever way', () => {
    const { chat, room } = entered();
    chat.entered({ ...room, resumed: true, recent_messages: [message(5)] });
    tell(chat, 'chat:message', message(5));
    expect(chat.get().unread).toBe(1);
    expect(ids(chat.get().log.messages)).toEqual(['m5']);
  });

  it('says a message aloud only while it is closed, and never one’s own', () => {
    const { chat, line } = entered();
    tell(chat, 'chat:message', message(1, { message: 'Hello' }));
    tell(chat, 'chat:message', message(2, { user_id: 'ann' }));
    tell(chat, 'chat:message', message(3, { recipient_type: 'private', recipient_id: 'ann' }));
    chat.show(true);
    tell(chat, 'chat:message', message(4));
    expect(noticesOf(line)).toEqual(['Ben: Hello', 'Ben (to you): text 3']);
  });

  it('reads the first page when it is opened, and the next one from where that ended', async () => {
    const { chat, server } = entered({ recent_messages: [message(9)] });
    server.answers['chat:history'] = ({ before }) =>
      before ? page([7], null) : page([9, 8], 'before-8');
    chat.show(true);
    await vi.advanceTimersByTimeAsync(0);
    await chat.readOlder();
    await chat.readOlder();
    expect(ids(chat.get().log.messages)).toEqual(['m7', 'm8', 'm9']);
    expect(server.asked).toEqual([
      ['chat:history', { meeting_id: 'm' }],
      ['chat:history', { meeting_id: 'm', before: 'before-8' }],
    ]);
  });

  it('has a message that was sent once, though it is answered and told', async () => {
    const { chat, server } = entered();
    const sent = message(1, { user_id: 'ann' });
    server.answers['chat:send'] = () => sent;
    expect(await chat.send('text 1', { type: 'all' }, null)).toBe(true);
    tell(chat, 'chat:message', sent);
    expect(chat.get().log.messages).toHaveLength(1);
    expect(chat.get().unread).toBe(0);
  });

  it('tells why a message was refused, so that its writer keeps it', async () => {
    const { chat, server, line } = entered();
    server.answers['chat:send'] = new RequestError('RATE_LIMIT_EXCEEDED', 'no', 5.2);
    expect(await chat.send('text', { type: 'private', id: 'ben' }, 'm1')).toBe(false);
    expect(server.asked).toEqual([
      [
        'chat:send',
        {
          meeting_id: 'm',
          message: 'text',
          recipient_type: 'private',
          recipient_id: 'ben',
          reply_to: 'm1',
        },
      ],
    ]);
    expect(noticesOf(line)).toEqual(['That was a bit fast. Try again in 6 s.']);
  });

  it('says rarely that one writes, and once that one does not any more', async () => {
    const { chat, server } = entered();
    for (let key = 0; key < 40; key += 1) {
      chat.typing(true);
      await vi.advanceTimersByTimeAsync(100);
    }
    chat.typing(false);
    chat.typing(false);
    expect(server.asked.map(([, said]) => said.is_typing)).toEqual([true, true, false]);
  });

  it('shows who writes until they send, stop, leave, or are silent for long', async () => {
    const { chat } = entered();
    const writes = (is_typing: boolean) =>
      tell(chat, 'chat:typing', { meeting_id: 'm', user_id: 'ben', is_typing });
    writes(true);
    expect(chat.get().typing).toEqual(['ben']);
    tell(chat, 'chat:message', message(1));
    expect(chat.get().typing).toEqual([]);
    writes(true);
    writes(false);
    expect(chat.get().typing).toEqual([]);
    writes(true);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(chat.get().typing).toEqual([]);
  });

  it('begins anew in another room', () => {
    const { chat } = entered({ recent_messages: [message(1)] });
    chat.reset();
    chat.entered(joined({ meeting_id: 'm:1', recent_messages: [message(2)] }));
    expect(ids(chat.get().log.messages)).toEqual(['m2']);
    expect(chat.get().unread).toBe(0);
  });
});
