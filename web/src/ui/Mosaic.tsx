/** The landing page's picture: a meeting, abstractly. */

const PEOPLE = [
  { x: 0, y: 0, tone: 'a' },
  { x: 210, y: 0, tone: 'b', speaking: true },
  { x: 0, y: 150, tone: 'c' },
  { x: 210, y: 150, tone: 'd' },
];

export function Mosaic() {
  return (
    <svg className="mosaic" viewBox="-8 -8 416 296" aria-hidden="true">
      {PEOPLE.map(({ x, y, tone, speaking }) => (
        <g key={tone} transform={`translate(${x} ${y})`} className={`mosaic-${tone}`}>
          <clipPath id={`clip-${tone}`}>
            <rect width="190" height="130" rx="18" />
          </clipPath>
          <g clipPath={`url(#clip-${tone})`}>
            <rect className="mosaic-ground" width="190" height="130" />
            <path className="mosaic-body" d="M38 142c2-34 26-52 57-52s55 18 57 52z" />
            <circle className="mosaic-head" cx="95" cy="59" r="25" />
          </g>
          {speaking && (
            <rect className="mosaic-ring" x="-3" y="-3" width="196" height="136" rx="21" />
          )}
        </g>
      ))}
    </svg>
  );
}
