/** Inline icons, 24 x 24, drawn with the text's colour. Decoration: the control has the label. */

const PATHS = {
  mic: 'M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3M5.5 11a6.5 6.5 0 0 0 13 0M12 17.5V21M9 21h6',
  micOff:
    'M9 9v2a3 3 0 0 0 4.6 2.5M15 10.5V6a3 3 0 0 0-5.8-1M5.5 11a6.5 6.5 0 0 0 9.8 5.6M18.5 11a6.5 6.5 0 0 1-.6 2.7M12 17.5V21M9 21h6M4 3.5l16.5 17',
  camera:
    'M3.5 7.5a2 2 0 0 1 2-2h8a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2h-8a2 2 0 0 1-2-2zM15.5 10.5l5-3v9l-5-3',
  cameraOff:
    'M9.5 5.5h4a2 2 0 0 1 2 2v4M15.5 15.8v.7a2 2 0 0 1-2 2h-8a2 2 0 0 1-2-2v-9c0-.8.5-1.5 1.2-1.8M15.5 10.5l5-3v9l-3.2-1.9M4 3.5l16.5 17',
  screen:
    'M3.5 6a1.5 1.5 0 0 1 1.5-1.5h14A1.5 1.5 0 0 1 20.5 6v9a1.5 1.5 0 0 1-1.5 1.5H5A1.5 1.5 0 0 1 3.5 15zM8 20h8M12 13.5v-6M9.3 10 12 7.3l2.7 2.7',
  leave:
    'M3.2 14.2c-.5-.7-.6-1.6-.2-2.3C4.6 9 8.1 7.3 12 7.3s7.4 1.7 9 4.6c.4.7.3 1.6-.2 2.3l-.8 1c-.4.6-1.2.8-1.9.5l-2.6-1a1.5 1.5 0 0 1-1-1.4v-1.5a9.5 9.5 0 0 0-5 0v1.5c0 .6-.4 1.2-1 1.4l-2.6 1c-.7.3-1.5.1-1.9-.5z',
  people:
    'M9 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7M2.5 19.5c.4-3.3 3-5.5 6.5-5.5s6.1 2.2 6.5 5.5M15.5 4.8a3.5 3.5 0 0 1 0 6.4M17.5 14.4c2.3.7 3.8 2.5 4 5.1',
  link: 'M10 13.8a4 4 0 0 0 5.7 0l3.1-3.1A4 4 0 0 0 13.1 5l-1 1M14 10.2a4 4 0 0 0-5.7 0l-3.1 3.1a4 4 0 0 0 5.7 5.7l1-1',
  settings:
    'M4 7.5h9M17 7.5h3M4 16.5h3M11 16.5h9M15 9.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4M9 18.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4',
  close: 'M6 6l12 12M18 6 6 18',
  previous: 'M14.5 6l-6 6 6 6',
  next: 'M9.5 6l6 6-6 6',
  speaker: 'M4 9.5h3.5L12 5.5v13l-4.5-4H4zM15.5 9a4 4 0 0 1 0 6M18 6.5a7.5 7.5 0 0 1 0 11',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} fill={name === 'leave' ? 'currentColor' : 'none'} />
    </svg>
  );
}
