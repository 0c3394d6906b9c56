import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

/** Where `npm run dev` finds signaling; the built client is served by signaling itself. */
const signaling = 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [react()],
  base: '/',
  // Nothing inlined: the page's policy (CSP) allows files of its own origin only.
  build: { target: 'es2022', assetsInlineLimit: 0, chunkSizeWarningLimit: 800 },
  server: {
    proxy: {
      '/api': signaling,
      '/meeting': signaling,
      '/socket.io': { target: signaling, ws: true },
    },
  },
});
