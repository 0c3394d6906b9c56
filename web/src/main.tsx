/** Entry of the browser client: mounts the pages. */
import { createRoot } from 'react-dom/client';
import './styles/base.css';
import './styles/pages.css';
import './styles/room.css';
import './styles/tiles.css';
import './styles/stage.css';
import './styles/panels.css';
import './styles/menus.css';
import { App } from './ui/App';

createRoot(document.getElementById('root') as HTMLElement).render(<App />);
