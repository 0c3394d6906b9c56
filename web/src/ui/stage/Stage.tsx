/** The pictures: everybody in a grid, or one thing large with the others beside it. */
import type { LocalMedia } from '../../meeting/LocalMedia';
import type { MeetingClient } from '../../meeting/MeetingClient';
import type { RemoteTrack } from '../../meeting/Receiver';
import { nameOf } from '../../meeting/roster';
import { staged } from '../../meeting/viewing';
import { useSelected, useSize, useStore } from '../hooks';
import { PersonTile } from './PersonTile';
import { SharedScreen } from './SharedScreen';
import { Tiles } from './Tiles';

interface Props {
  client: MeetingClient;
  local: LocalMedia;
  /** Our own name. */
  name: string;
}

export function Stage({ client, local, name }: Props) {
  const [box, size] = useSize<HTMLDivElement>();
  const roster = useStore(client.people);
  const viewing = useStore(client.view);
  const remote = useStore(client.flow);
  const speaker = useSelected(client, ({ lastSpeaker }) => lastSpeaker);
  const shared = remote.filter(({ producer }) => producer.source === 'screen');
  const others = [...roster.participants.keys()].filter((id) => id !== roster.self);
  const { big, screens, people } = staged(viewing, {
    screens: shared.map(({ producer }) => producer.producer_id),
    people: [roster.self, ...others],
    speaker,
  });
  const bigId = big ? (big.kind === 'screen' ? big.producerId : big.userId) : '';
  const bigScreen = shared.find(({ producer }) => producer.producer_id === bigId);
  const tiles = (
    <Tiles
      key={big?.kind ?? 'grid'}
      client={client}
      local={local}
      ownName={name}
      screens={shared.filter(({ producer }) => screens.includes(producer.producer_id))}
      people={people}
      big={big && { id: bigId, height: size.height }}
    />
  );
  if (!big) return <main className="stage">{tiles}</main>;
  const alone = people.length + screens.length === 0;
  return (
    <main className={`stage with-big big-${big.kind} ${alone ? 'alone' : ''}`}>
      <div className="large-view">
        <div className="large-picture" ref={box}>
          {big.kind === 'person' && (
            <BigPerson client={client} local={local} userId={big.userId} name={name} />
          )}
          {bigScreen && (
            <SharedScreen shared={bigScreen} by={nameOf(roster, bigScreen.producer.user_id)} />
          )}
        </div>
        {bigScreen && shared.length > 1 && (
          <ScreenChoice client={client} shared={shared} bigId={bigId} />
        )}
      </div>
      {tiles}
    </main>
  );
}

interface BigPersonProps extends Props {
  userId: string;
}

function BigPerson({ client, local, userId, name }: BigPersonProps) {
  const reactions = useStore(client.reactions).filter((each) => each.userId === userId);
  return (
    <PersonTile
      client={client}
      local={local}
      userId={userId}
      ownName={name}
      reactions={reactions}
    />
  );
}

interface ScreenChoiceProps {
  client: MeetingClient;
  shared: readonly RemoteTrack[];
  bigId: string;
}

/** With several screens shared: whose is large. */
function ScreenChoice({ client, shared, bigId }: ScreenChoiceProps) {
  const roster = useStore(client.people);
  return (
    <div className="screen-choice" data-testid="screen-choice">
      {shared.map(({ producer }) => (
        <button
          key={producer.producer_id}
          type="button"
          className="button small quiet"
          aria-pressed={producer.producer_id === bigId}
          onClick={() => client.view.chooseScreen(producer.producer_id)}
        >
          {nameOf(roster, producer.user_id)}
        </button>
      ))}
    </div>
  );
}
