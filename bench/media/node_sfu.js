// Node's mediasoup with one producer and many SRTP consumers; the same protocol as our_sfu.py.
const mediasoup = require('mediasoup');
const { createInterface } = require('node:readline');

const listenInfo = { protocol: 'udp', ip: '127.0.0.1' };

async function main(request) {
  const worker = await mediasoup.createWorker({ workerBin: request.worker_bin });
  const router = await worker.createRouter({ mediaCodecs: request.media_codecs });
  const source = await router.createPlainTransport({ listenInfo, rtcpMux: true, comedia: true });
  const producer = await source.produce({ kind: 'video', rtpParameters: request.rtp_parameters });
  for (let i = 0; i < request.consumers; i++) {
    const transport = await router.createPlainTransport({
      listenInfo,
      enableSrtp: true,
      srtpCryptoSuite: request.srtp_parameters.cryptoSuite,
    });
    await transport.connect({
      ip: listenInfo.ip,
      port: request.receiver_port,
      srtpParameters: request.srtp_parameters,
    });
    await transport.consume({ producerId: producer.id, rtpCapabilities: router.rtpCapabilities });
  }
  console.log(JSON.stringify({ worker_pid: worker.pid, producer_port: source.tuple.localPort }));
}

const lines = createInterface({ input: process.stdin });
lines.once('line', (line) => main(JSON.parse(line)));
lines.once('close', () => process.exit(0));
