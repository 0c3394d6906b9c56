/** The row of buttons below the stage: what one may do, and nothing else. */
import type { LocalMedia } from '../meeting/LocalMedia';
import type { MeetingClient } from '../meeting/MeetingClient';
import { EMOJI, type Layout } from '../meeting/protocol.generated';
import { may } from '../meeting/roles';
import { me } from '../meeting/roster';
import { useSelected, useStore } from './hooks';
import { MediaButtons } from './MediaButtons';
import { Menu, MenuItem } from './Menu';
import { RoundButton } from './RoundButton';

export type DialogName = 'devices' | 'settings' | 'breakouts';

interface Props {
  client: MeetingClient;
  local: LocalMedia;
  onScreen(): void;
  onDialog(dialog: DialogName): void;
}

export function Controls({ client, local, onScreen, onDialog }: Props) {
  const self = useSelected(client.people, me);
  const holds = useStore(client.own);
  const sharing = useSelected(local, ({ screen }) => screen.video !== null);
  const { role } = self ?? {};
  // Until the server has said what we may, the devices are ours to switch.
  const kinds = (['audio', 'video'] as const).filter(
    (kind) => !role || may(role, kind === 'audio' ? 'send audio' : 'send video'),
  );
  const raised = self?.hand_raised_at != null;
  return (
    <footer className="controls" role="toolbar" aria-label="Meeting controls">
      <MediaButtons
        local={local}
        kinds={kinds}
        holds={holds}
        onToggle={(kind) => client.own.toggle(kind)}
      />
      {canShareScreen && may(role, 'share a screen') && (
        <RoundButton
          testId="screen-button"
          label={sharing ? 'Stop sharing your screen' : 'Share your screen'}
          icon="screen"
          look={sharing ? 'active' : 'plain'}
          pressed={sharing}
          onPress={onScreen}
        />
      )}
      {may(role, 'raise a hand') && (
        <RoundButton
          testId="hand-button"
          label={raised ? 'Lower your hand' : 'Raise your hand'}
          icon="hand"
          look={raised ? 'active' : 'plain'}
          pressed={raised}
          onPress={() => void client.people.raiseHand(!raised)}
        />
      )}
      {may(role, 'send reactions') && <ReactionMenu client={client} />}
      <MoreMenu client={client} onDialog={onDialog} />
      <LeaveButton client={client} />
    </footer>
  );
}

const canShareScreen = Boolean(navigator.mediaDevices?.getDisplayMedia);

function ReactionMenu({ client }: { client: MeetingClient }) {
  return (
    <Menu testId="reaction-button" label="React" icon="smile">
      {() => (
        <div className="emojis">
          {EMOJI.map((emoji) => (
            <button
              key={emoji}
              type="button"
              className="emoji"
              data-testid={`reaction-${emoji}`}
              aria-label={`React with ${emoji}`}
              onClick={() => void client.reactions.send(emoji)}
            >
              {emoji}
            </button>
          ))}
        </div>
      )}
    </Menu>
  );
}

const LAYOUTS: Record<Layout, string> = {
  grid: 'Grid',
  speaker: 'Speaker',
  presentation: 'Presentation',
};

function MoreMenu({ client, onDialog }: Pick<Props, 'client' | 'onDialog'>) {
  const { layout } = useStore(client.view);
  const role = useSelected(client.people, (roster) => me(roster)?.role);
  const inRoom = useSelected(client.breakouts, ({ inside }) => inside !== null);
  return (
    <Menu testId="more-button" label="More" icon="more">
      {(close) => {
        const open = (dialog: DialogName) => () => {
          close();
          onDialog(dialog);
        };
        return (
          <>
            <fieldset className="segments">
              <legend className="menu-title">Layout</legend>
              {(Object.keys(LAYOUTS) as Layout[]).map((each) => (
                <button
                  key={each}
                  type="button"
                  data-testid={`layout-${each}`}
                  aria-pressed={layout === each}
                  onClick={() => client.view.choose(each)}
                >
                  {LAYOUTS[each]}
                </button>
              ))}
            </fieldset>
            {may(role, "arrange everybody's view") && (
              <MenuItem
                testId="layout-for-all"
                label={`${LAYOUTS[layout]} layout for everybody`}
                icon="people"
                onPress={() => {
                  close();
                  void client.view.chooseForAll(layout);
                }}
              />
            )}
            <hr />
            <MenuItem
              testId="devices-button"
              label="Devices"
              icon="settings"
              onPress={open('devices')}
            />
            {may(role, "change the meeting's settings") && (
              <MenuItem
                testId="settings-button"
                label="Meeting settings"
                icon="lock"
                onPress={open('settings')}
              />
            )}
            {may(role, 'run breakout rooms') && !inRoom && (
              <MenuItem
                testId="breakouts-button"
                label="Breakout rooms"
                icon="rooms"
                onPress={open('breakouts')}
              />
            )}
          </>
        );
      }}
    </Menu>
  );
}

/** Who may end the meeting for all is asked which they mean. */
function LeaveButton({ client }: { client: MeetingClient }) {
  const mayEnd = useSelected(client.people, (roster) =>
    may(me(roster)?.role, 'end the meeting for all'),
  );
  const inRoom = useSelected(client.breakouts, ({ inside }) => inside !== null);
  const leave = () => void client.leave();
  if (!mayEnd || inRoom) {
    return (
      <RoundButton
        testId="leave-button"
        label="Leave"
        icon="leave"
        look="danger"
        shortcut="Control+E"
        onPress={leave}
      />
    );
  }
  return (
    <Menu testId="leave-button" label="Leave" icon="leave" look="danger" shortcut="Control+E">
      {(close) => (
        <>
          <MenuItem testId="leave-only" label="Leave the meeting" onPress={leave} />
          <MenuItem
            testId="end-for-all"
            label="End it for all"
            danger
            onPress={() => {
              close();
              void client.hosting.end();
            }}
          />
        </>
      )}
    </Menu>
  );
}
