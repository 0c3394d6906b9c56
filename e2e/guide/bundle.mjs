// Bundles the page's script with the web client's own copies of socket.io-client and
// mediasoup-client: node bundle.mjs INPUT OUTPUT NODE_MODULES
const [input, output, modules] = process.argv.slice(2);
const { build } = await import(`${modules}/rolldown/dist/index.mjs`);
await build({
  input,
  resolve: { modules: [modules] },
  platform: 'browser',
  output: { file: output, format: 'esm' },
  logLevel: 'warn',
});
